//! What requests must prove, which need not, and what is kept of them.

use super::super::finding::{Finding, Severity};
use super::super::finding_id::FindingId;
use super::sources::{Width, wide};
use super::width::holds_loopback;
use super::{Ground, listed};
use crate::telemetry::logging::AccessLog;

pub(super) fn check(ground: &Ground<'_>) -> Vec<Finding> {
    let mut findings = public_routes(ground);
    let found = [
        access_log(ground),
        rates(ground),
        required_headers(ground),
        certificates(ground),
    ];
    findings.extend(found.into_iter().flatten());
    findings
}

fn public_routes(ground: &Ground<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, route) in ground.config.gateway.public_routes.iter().enumerate() {
        let key = format!("gateway.publicRoutes[{index}]");
        let methods: Vec<&str> = route.methods().collect();
        let path = route.path().as_str();
        let whom = match route.sources() {
            Some(sources) if sources.covers_everything() => "from every address",
            Some(_) => "from its sources",
            None => "from the trusted proxies",
        };
        findings.push(ground.finding(
            FindingId::PublicRoute,
            Severity::Info,
            &key,
            format!(
                "{} {path} {whom} needs no user: the gateway's own check of it is the only one",
                listed(&methods)
            ),
            "take it away unless what stands there proves each request itself, as webhooks do",
        ));
        if let Some(sources) = route.sources() {
            findings.extend(wide(
                ground,
                sources,
                Width {
                    id: FindingId::PublicRoute,
                    key: &format!("{key}.sources"),
                    danger: "whoever has one of these addresses may send requests without a user",
                    whom: "the webhook's senders",
                },
            ).into_iter().map(|finding| Finding {
                // The route is meant to be open; how far is what is asked about.
                severity: Severity::Warning,
                ..finding
            }));
        }
    }
    findings
}

fn access_log(ground: &Ground<'_>) -> Option<Finding> {
    (ground.config.log.access == AccessLog::Off).then(|| {
        ground.finding(
            FindingId::AccessLogOff,
            Severity::Warning,
            "log.access",
            "requests leave no line: who did what can't be told afterwards",
            "set log.access = true",
        )
    })
}

fn rates(ground: &Ground<'_>) -> Option<Finding> {
    let limits = &ground.config.limits;
    let is_off = limits.requests_per_second_per_user.is_none()
        && limits.requests_per_second_per_client.is_none();
    is_off.then(|| {
        ground.finding(
            FindingId::RateLimitOff,
            Severity::Info,
            "limits.requestsPerSecondPerUser",
            "a user may send requests as fast as the gateway takes them",
            "set limits.requestsPerSecondPerUser, such as 50",
        )
    })
}

fn required_headers(ground: &Ground<'_>) -> Option<Finding> {
    let trusted_proxy = &ground.config.gateway.trusted_proxy;
    let is_bare = trusted_proxy.required_headers.is_empty() && trusted_proxy.assertion.is_none();
    is_bare.then(|| {
        ground.finding(
            FindingId::RequiredHeadersAbsent,
            Severity::Info,
            "gateway.auth.trustedProxy.requiredHeaders",
            format!(
                "a trusted address and `{}` make a request: another program behind that address \
                 may set it as well",
                trusted_proxy.user_header.as_str()
            ),
            "require what the identity proxy always sets: requiredHeaders = [\"x-forwarded-proto\", \
             \"x-forwarded-host\"]",
        )
    })
}

fn certificates(ground: &Ground<'_>) -> Option<Finding> {
    let gateway = &ground.config.gateway;
    let tls = gateway.tls.as_ref();
    if tls.is_some_and(|tls| tls.client_ca_path.is_some()) {
        let trusted_proxy = &gateway.trusted_proxy;
        return trusted_proxy.client_names.is_none().then(|| {
            ground.finding(
                FindingId::ClientCertNamesAbsent,
                Severity::Info,
                "gateway.auth.trustedProxy.clientCertNames",
                "any certificate that gateway.tls.clientCaPath signed will do, whoever's it is",
                "set gateway.auth.trustedProxy.clientCertNames to the names in the identity \
                 proxies' certificates",
            )
        });
    }
    let mut listeners = ground.config.listen.tcp_addresses();
    let takes_others = listeners.any(|listener| !listener.ip().to_canonical().is_loopback());
    let mut nets = gateway.trusted_proxies.iter();
    let trusts_others = nets.any(|net| !holds_loopback(net));
    (takes_others && trusts_others && ground.proof().is_none()).then(|| {
        ground.finding(
            FindingId::ClientCertificatesAbsent,
            Severity::Info,
            "gateway.tls.clientCaPath",
            "the address is the only proof of who connects: on a network where addresses can be \
             taken over, so can every user",
            "have the identity proxy show a client certificate, and set gateway.tls.clientCaPath to \
             the authority that signed it; or have it sign who the user is \
             (gateway.auth.trustedProxy.assertion)",
        )
    })
}
