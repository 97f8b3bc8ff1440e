//! TLS at the front door, and whether browsers stay with it.

use super::super::finding::{Finding, Severity};
use super::super::finding_id::FindingId;
use super::{Ground, listed};
use std::net::SocketAddr;

/// Half a year, in seconds: what lists of preloaded hosts and auditors ask for at least.
const LEAST_MAX_AGE: u64 = 15_552_000;

pub(super) fn check(ground: &Ground<'_>) -> Vec<Finding> {
    match ground.config.gateway.tls {
        None => ground
            .config
            .listen
            .tcp_addresses()
            .filter_map(|listener| plain(ground, listener))
            .collect(),
        Some(_) => hsts(ground).into_iter().chain(public(ground)).collect(),
    }
}

/// Within a host or a network of one's own plain HTTP may be wanted; in the Internet
/// it never is.
fn plain(ground: &Ground<'_>, listener: SocketAddr) -> Option<Finding> {
    if listener.ip().to_canonical().is_loopback() {
        return None;
    }
    let public = ground.public_addresses(listener);
    let is_unknown = ground.deployment.addresses.seen().is_none();
    let (severity, evidence) = if !public.is_empty() {
        let public = listed(&public);
        let evidence = format!(
            "{listener} speaks plain HTTP at an address of the Internet ({public}): anyone on the \
             way can read requests and forge users"
        );
        (Severity::Critical, evidence)
    } else if listener.ip().is_unspecified() && is_unknown {
        let evidence = format!("{listener} speaks plain HTTP at every address of this host");
        (Severity::Critical, evidence)
    } else {
        let evidence = format!(
            "{listener} speaks plain HTTP: anyone on the network between the identity proxy and \
             here can read requests and forge users"
        );
        (Severity::Warning, evidence)
    };
    Some(ground.finding(
        FindingId::TlsOff,
        severity,
        "listen.address",
        evidence,
        "set gateway.tls.certPath and gateway.tls.keyPath, or listen on loopback or a Unix socket",
    ))
}

fn public(ground: &Ground<'_>) -> Option<Finding> {
    let mut public: Vec<_> = ground
        .config
        .listen
        .tcp_addresses()
        .flat_map(|listener| ground.public_addresses(listener))
        .collect();
    public.sort();
    public.dedup();
    (!public.is_empty()).then(|| {
        ground.finding(
            FindingId::ListenerPublic,
            Severity::Info,
            "listen.address",
            format!(
                "the front door is reachable at {}: strangers are refused, and can still fill half \
                 of limits.maxConnections",
                listed(&public)
            ),
            "listen at the address that faces the identity proxy, or let a firewall admit it alone",
        )
    })
}

fn hsts(ground: &Ground<'_>) -> Option<Finding> {
    let value = ground.config.gateway.strict_transport_security.as_deref();
    let evidence = match value.map(max_age) {
        None => {
            "strictTransportSecurity is off: a browser that is sent to http:// follows".to_owned()
        }
        Some(seconds) if seconds < LEAST_MAX_AGE => format!(
            "browsers remember https for {seconds} s, expected half a year ({LEAST_MAX_AGE} s) at \
             least"
        ),
        Some(_) => return None,
    };
    Some(ground.finding(
        FindingId::HstsWeak,
        Severity::Warning,
        "gateway.http.securityHeaders.strictTransportSecurity",
        evidence,
        "take the key away: the default is \"max-age=31536000; includeSubDomains\"",
    ))
}

/// The config has checked that there is one `max-age`.
fn max_age(value: &str) -> u64 {
    let directives = value.split(';').filter_map(|it| it.split_once('='));
    let mut ages = directives.filter(|(name, _)| name.trim().eq_ignore_ascii_case("max-age"));
    let seconds = ages.next().map(|(_, value)| value.trim().trim_matches('"'));
    // More seconds than a number holds are enough.
    seconds.map_or(0, |seconds| seconds.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_read_as_browsers_read_it() {
        for (value, age) in [
            ("max-age=0", 0),
            ("includeSubDomains; Max-Age=\"300\"", 300),
            ("max-age=99999999999999999999", u64::MAX),
        ] {
            assert_eq!(max_age(value), age, "{value}");
        }
    }
}
