//! `[gateway]`: the keys that are shared with the gateway's own config, spelt
//! and meant as there.

use super::entry::Entry;
use super::routes;
use super::section::Section;
use super::shape::Shape;
use super::tls::{self, Tls};
use super::trusted_proxy::{self, TrustedProxy};
use super::walk::Walk;
use crate::policy::{NetProblem, PublicRoute, TrustedNets};
use crate::secrets::{Providers, SecretInput};

/// Who is trusted to say who the user is, and under what conditions.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// The sources that may connect. Never empty.
    pub trusted_proxies: TrustedNets,
    /// What they must say.
    pub trusted_proxy: TrustedProxy,
    /// Routes that need no user. Default none.
    pub public_routes: Vec<PublicRoute>,
    /// TLS at the front door; `None` is plain HTTP.
    pub tls: Option<Tls>,
    /// `gateway.tls.key` while TLS is off.
    pub idle_tls_key: Option<SecretInput>,
    /// The `strict-transport-security` of every answer over TLS.
    pub strict_transport_security: Option<String>,
}

/// Keys of the gateway's own that a trusted-proxy sidecar has no use for.
const FOREIGN: [&str; 14] = [
    "bind",
    "port",
    "mode",
    "customBindHost",
    "controlUi",
    "tailscale",
    "remote",
    "reload",
    "nodes",
    "tools",
    "push",
    "allowRealIpFallback",
    "channelHealthCheckMinutes",
    "handshakeTimeoutMs",
];

const NET: &str = "an IP address or CIDR";
const DEFAULT_HSTS: &str = "max-age=31536000; includeSubDomains";

/// `[gateway]`, and what other sections need to know of it even if it is wrong.
pub(super) struct Read {
    pub(super) gateway: Option<Gateway>,
    pub(super) wants_tls: bool,
}

pub(super) fn read(section: &Section<'_>, walk: &mut Walk<'_>, providers: &Providers) -> Read {
    let [trusted_proxies, auth, public_routes, tls, http] = section.fields(
        walk,
        ["trustedProxies", "auth", "publicRoutes", "tls", "http"],
        &FOREIGN,
    );
    let expected = "an array of the identity proxies' IP addresses and CIDRs";
    let nets = read_nets(trusted_proxies.needed(walk, expected), walk, expected);
    if nets.as_ref().is_some_and(TrustedNets::covers_everything) {
        walk.warn(
            trusted_proxies.place(),
            "EVERY ADDRESS IS TRUSTED: whoever reaches the listener can name any user; \
             list the identity proxies alone",
        );
    }
    let tls = tls::read(&tls.section(walk), walk, providers);
    let trusted_proxy = read_auth(&auth.section(walk), tls.asks_for_certificates(), walk);
    if let (Some(nets), Some(trusted_proxy)) = (&nets, &trusted_proxy) {
        warn_of_idle_loopback(nets, trusted_proxy, &trusted_proxies, walk);
    }
    let public_routes = routes::read(&public_routes, walk);
    let wants_tls = tls.is_on();
    let strict_transport_security = read_http(&http.section(walk), walk, wants_tls);
    let (tls, idle_tls_key) = match tls {
        tls::Read::Off { idle_key } => (Some(None), idle_key),
        tls::Read::On(tls) => (tls.map(Some), None),
    };
    let gateway = nets
        .zip(trusted_proxy)
        .zip(tls)
        .map(|((nets, trusted_proxy), tls)| Gateway {
            trusted_proxies: nets,
            trusted_proxy,
            public_routes,
            tls,
            idle_tls_key,
            strict_transport_security,
        });
    Read { gateway, wants_tls }
}

/// A non-empty list of networks; each bad one is located.
pub(super) fn read_nets(
    entry: &Entry<'_>,
    walk: &mut Walk<'_>,
    expected: &str,
) -> Option<TrustedNets> {
    let items = entry.items(walk, expected)?;
    if items.is_empty() {
        entry.refuse(walk, Shape::Hidden, &format!("{expected}, at least one"));
        return None;
    }
    let texts: Vec<(&Entry<'_>, &str)> = items
        .iter()
        .filter_map(|item| Some((item, item.text(walk, Shape::Address, NET)?)))
        .collect();
    match TrustedNets::parse(texts.iter().map(|(_, text)| text)) {
        Ok(nets) => (texts.len() == items.len()).then_some(nets),
        Err(errors) => {
            for error in errors {
                let Some((item, _)) = texts.get(error.index) else {
                    continue;
                };
                let message = match error.problem {
                    NetProblem::NotNet { .. } => {
                        item.refuse(walk, Shape::Address, NET);
                        continue;
                    }
                    NetProblem::HostBits { got, corrected } => {
                        format!("got `{got}`, which has host bits set, expected `{corrected}`")
                    }
                    NetProblem::Zone { address } => {
                        format!("got an address with a zone, expected `{address}`")
                    }
                    NetProblem::MappedTooWide { got } => format!(
                        "got `{got}`, which is wider than all of IPv4, expected a prefix of 96 or \
                         more, or the IPv4 network"
                    ),
                };
                walk.refuse(item.place(), message);
            }
            None
        }
    }
}

fn read_auth(
    section: &Section<'_>,
    asks_for_certificates: bool,
    walk: &mut Walk<'_>,
) -> Option<TrustedProxy> {
    let [mode, trusted_proxy, token, password] = section.fields(
        walk,
        ["mode", "trustedProxy", "token", "password"],
        &["identityScopes", "allowTailscale", "rateLimit"],
    );
    let modes = &["trusted-proxy"];
    let mode = mode
        .needed(walk, "`trusted-proxy`")
        .choice(walk, modes, &[()]);
    for secret in [token, password] {
        walk.unnote(secret.place());
        let message = "got a secret, expected none: it is the gateway's own, which doesn't start \
                       with a token beside trusted-proxy; a secret that the proxy shows it belongs \
                       under `upstream.credential`";
        if secret.is_present() {
            walk.refuse(secret.place(), message);
        }
    }
    let trusted_proxy =
        trusted_proxy::read(&trusted_proxy.section(walk), asks_for_certificates, walk);
    mode.and(trusted_proxy)
}

/// A loopback proxy without `allowLoopback` is always denied; better said now.
fn warn_of_idle_loopback(
    nets: &TrustedNets,
    trusted_proxy: &TrustedProxy,
    entry: &Entry<'_>,
    walk: &mut Walk<'_>,
) {
    let loopback = [
        std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::Ipv6Addr::LOCALHOST.into(),
    ];
    if !trusted_proxy.allow_loopback
        && !nets.covers_everything()
        && loopback.into_iter().any(|address| nets.contains(address))
    {
        walk.warn(
            entry.place(),
            "loopback is listed, and refused all the same without \
             `gateway.auth.trustedProxy.allowLoopback`",
        );
    }
}

fn read_http(section: &Section<'_>, walk: &mut Walk<'_>, tls: bool) -> Option<String> {
    let [security_headers] = section.fields(walk, ["securityHeaders"], &["endpoints"]);
    let [hsts] = security_headers
        .section(walk)
        .fields(walk, ["strictTransportSecurity"], &[]);
    let expected = "`false`, or a value such as \"max-age=31536000; includeSubDomains\"";
    match hsts.value() {
        None => tls.then(|| DEFAULT_HSTS.to_owned()),
        Some(toml::de::DeValue::Boolean(false)) => None,
        Some(_) => hsts.parse(walk, Shape::Hidden, expected, |text| {
            if is_hsts(text) {
                Ok(text.to_owned())
            } else {
                Err(String::new())
            }
        }),
    }
}

/// RFC 6797 §6.1: directives, `max-age` among them exactly once.
pub(super) fn is_hsts(text: &str) -> bool {
    let max_ages: Vec<bool> = text
        .split(';')
        .filter_map(|directive| directive.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("max-age"))
        .map(|(_, value)| {
            let seconds = value.trim().trim_matches('"');
            !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit())
        })
        .collect();
    text.trim() == text
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && max_ages == [true]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_transport_security_needs_one_max_age() {
        for (text, good) in [
            (DEFAULT_HSTS, true),
            ("max-age=0", true),
            ("includeSubDomains; Max-Age=\"300\"; preload", true),
            ("", false),
            ("includeSubDomains", false),
            ("max-age", false),
            ("max-age=", false),
            ("max-age=1y", false),
            ("max-age=1; max-age=2", false),
            ("max-age=1\r\nx: y", false),
            (" max-age=1", false),
        ] {
            assert_eq!(is_hsts(text), good, "{text:?}");
        }
    }
}
