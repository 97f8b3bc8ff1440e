//! The security checklist: what is wrong with a deployment whose config is valid.

mod certificate;
mod exposure;
mod front_tls;
mod gateway;
mod requests;
mod service;
mod sockets;
mod sources;
mod users;
pub(super) mod width;

use super::custody;
use super::deployment::Deployment;
use super::facts::Facts;
use super::finding::{Finding, Severity};
use super::finding_id::FindingId;
use crate::config::Config;
use std::net::{IpAddr, SocketAddr};

/// What the checks are made on.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) config: &'a Config,
    pub(super) facts: &'a Facts,
    pub(super) deployment: &'a Deployment,
}

/// Every finding on the deployment, in no order.
#[must_use]
pub fn check_deployment(config: &Config, facts: &Facts, deployment: &Deployment) -> Vec<Finding> {
    let ground = Ground {
        config,
        facts,
        deployment,
    };
    let mut findings = Vec::new();
    for check in [
        gateway::check,
        sources::check,
        users::check,
        front_tls::check,
        certificate::check,
        exposure::check,
        service::check,
        sockets::check,
        requests::check,
    ] {
        findings.extend(check(&ground));
    }
    findings.extend(deployment.rule_files.iter().flat_map(|file| {
        let line = facts.line_of(file);
        custody::check(file, line, facts.holder)
    }));
    findings
}

impl Ground<'_> {
    /// A finding on a key of the config.
    pub(super) fn finding(
        &self,
        id: FindingId,
        severity: Severity,
        key: &str,
        evidence: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        Finding::at(self.facts.at_key(key), id, severity, evidence, remedy)
    }

    /// What a source must have beside its address.
    pub(super) fn proof(&self) -> Option<&'static str> {
        let gateway = &self.config.gateway;
        let tls = gateway.tls.as_ref();
        let asks_for_certificate = tls.is_some_and(|tls| tls.client_ca_path.is_some());
        match (&gateway.trusted_proxy.assertion, asks_for_certificate) {
            (Some(_), _) => Some("the user's signed assertion"),
            (None, true) => Some("a certificate of gateway.tls.clientCaPath, and its key"),
            (None, false) => None,
        }
    }

    /// Where a listener can be reached: at every address of the host, where it names none.
    pub(super) fn reached_at(&self, listener: SocketAddr) -> Vec<IpAddr> {
        let ip = listener.ip().to_canonical();
        if !ip.is_unspecified() {
            return vec![ip];
        }
        let own = self.deployment.addresses.seen();
        let own = own.into_iter().flatten().map(|own| own.ip().to_canonical());
        // `::` takes IPv4 as well.
        own.filter(|own| ip.is_ipv6() || own.is_ipv4()).collect()
    }

    /// The addresses of the Internet at which a listener can be reached.
    pub(super) fn public_addresses(&self, listener: SocketAddr) -> Vec<IpAddr> {
        let mut addresses = self.reached_at(listener);
        addresses.retain(|address| is_public(*address));
        addresses
    }
}

/// Whether an address may be routed in the Internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let is_shared = first == 100 && second & 0xc0 == 64;
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || is_shared
                || first >= 224)
        }
        // RFC 4291 §2.4: what is global begins with 001.
        IpAddr::V6(v6) => v6.segments()[0] & 0xe000 == 0x2000,
    }
}

/// Addresses for people: `a, b and c`.
pub(super) fn listed<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    match items.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
pub(super) mod tests;
