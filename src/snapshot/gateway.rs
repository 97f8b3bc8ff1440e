//! The upstream of a configuration: where the gateway is, and who vouches for it.

use super::BuildError;
use crate::config::{Config, UpstreamHost, UpstreamUrl};
use crate::tls::{self, UpstreamTrust};
use crate::upstream::{Target, UpstreamConfig, UpstreamTls};
use std::net::SocketAddr;

pub(super) fn build(config: &Config) -> Result<UpstreamConfig, BuildError> {
    let configured = &config.upstream;
    let target = match &configured.url {
        UpstreamUrl::Unix(path) => Target::Unix(path.clone()),
        UpstreamUrl::Tcp {
            host: UpstreamHost::Ip(ip),
            port,
            ..
        } => Target::Address(SocketAddr::new(*ip, *port)),
        UpstreamUrl::Tcp {
            host: UpstreamHost::Dns(host),
            port,
            ..
        } => Target::Name {
            host: host.clone(),
            port: *port,
        },
    };
    let tls = match &configured.url {
        UpstreamUrl::Tcp {
            host, tls: true, ..
        } => Some(tls_to(host, config)?),
        UpstreamUrl::Tcp { tls: false, .. } | UpstreamUrl::Unix(_) => None,
    };
    Ok(UpstreamConfig {
        target,
        tls,
        idle_timeout: configured.idle_timeout,
        connect_timeout: config.limits.upstream_connect_timeout,
    })
}

fn tls_to(host: &UpstreamHost, config: &Config) -> Result<UpstreamTls, BuildError> {
    let name = match host {
        UpstreamHost::Ip(ip) => ip.to_string(),
        UpstreamHost::Dns(host) => host.clone(),
    };
    let in_ca = |source| BuildError::Tls {
        key: "upstream.caFile".to_owned(),
        source,
    };
    let (trust, origin) = match &config.upstream.ca_file {
        None => (UpstreamTrust::PublicRoots, String::new()),
        Some(path) => (
            UpstreamTrust::Authorities(tls::certificates(path).map_err(in_ca)?),
            path.display().to_string(),
        ),
    };
    Ok(UpstreamTls {
        config: tls::client_config(&trust, &origin).map_err(in_ca)?,
        name: tls::server_name(&name).map_err(|source| BuildError::Tls {
            key: "upstream.url".to_owned(),
            source,
        })?,
        trust,
    })
}
