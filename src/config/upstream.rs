//! `[upstream]`: the gateway, and the secret that the proxy shows it.

use std::path::PathBuf;
use std::time::Duration;

use super::credential::{self, UpstreamCredential};
use super::section::Section;
use super::shape::Shape;
use super::upstream_url::UpstreamUrl;
use super::walk::Walk;
use crate::secrets::Providers;

/// The gateway, and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Where it is.
    pub url: UpstreamUrl,
    /// How long an idle connection is kept. Default 4 s: the gateway closes its
    /// side after 5 s.
    pub idle_timeout: Duration,
    /// The authorities that may vouch for the gateway's certificate; absent: the
    /// public ones. `https` only.
    pub ca_file: Option<PathBuf>,
    /// The gateway's secret, which users never hold.
    pub credential: Option<UpstreamCredential>,
}

const URL: &str = "http://HOST[:PORT], https://HOST[:PORT] or unix:/PATH";
const DEFAULT_IDLE: Duration = Duration::from_secs(4);
/// The gateway closes idle connections from here on.
const GATEWAY_IDLE: Duration = Duration::from_secs(5);

pub(super) fn read(
    section: &Section<'_>,
    walk: &mut Walk<'_>,
    providers: &Providers,
) -> Option<Upstream> {
    let [url_entry, idle_timeout, ca_file, credential] =
        section.fields(walk, ["url", "idleTimeout", "caFile", "credential"], &[]);
    let url = url_entry
        .needed(walk, URL)
        .parse(walk, Shape::Hidden, URL, |text| {
            UpstreamUrl::parse(text).map_err(str::to_owned)
        });
    let idle = idle_timeout
        .duration(walk, Duration::from_millis(100)..=Duration::from_secs(300))
        .unwrap_or(DEFAULT_IDLE);
    if idle >= GATEWAY_IDLE {
        walk.warn(
            idle_timeout.place(),
            "the gateway closes idle connections after 5s: requests will meet closed ones, stay below",
        );
    }
    let ca = ca_file.path(walk);
    if let Some(url) = &url {
        if ca_file.is_present() && !matches!(url, UpstreamUrl::Tcp { tls: true, .. }) {
            walk.refuse(
                ca_file.place(),
                "got a file, expected none without an https `upstream.url`",
            );
        }
        if url.is_plain_to_another_host() {
            walk.warn(
                url_entry.place(),
                "requests go to another host in plain HTTP: anyone between can read and forge them",
            );
        }
    }
    let credential = match credential.optional_section(walk) {
        Some(section) => Some(credential::read(&section, walk, providers)?),
        None => None,
    };
    Some(Upstream {
        url: url?,
        idle_timeout: idle,
        ca_file: ca,
        credential,
    })
}
