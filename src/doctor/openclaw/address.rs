//! Where the gateway listens, from where Portcullis comes, and whether it is believed.

use super::super::checklist::listed;
use super::super::checklist::width::excess;
use super::super::deployment::Target;
use super::super::finding::{Finding, Severity};
use super::super::finding_id::FindingId;
use super::Sides;
use super::document::{Said, Texts};
use crate::config::UpstreamUrl;
use crate::policy::TrustedNets;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::IpAddr;

const TRUSTED: &str = "gateway.trustedProxies";
const LOOPBACK: &str = "gateway.auth.trustedProxy.allowLoopback";
const BIND: &str = "gateway.bind";
const PORT: &str = "gateway.port";
const TLS: &str = "gateway.tls.enabled";
const URL: &str = "upstream.url";
const DEFAULT_PORT: u16 = 18_789;

/// Whether the gateway believes what comes from Portcullis: for trusted-proxy mode.
pub(super) fn trust(sides: &Sides<'_>) -> Vec<Finding> {
    let sources: BTreeSet<IpAddr> = sides.targets().iter().filter_map(|it| it.source).collect();
    let mut findings = trusted(sides, &sources);
    let comes_over_loopback = sources.iter().any(IpAddr::is_loopback);
    let is_allowed = match sides.there.flag(LOOPBACK) {
        Said::Unclear(_) => true,
        Said::This(is_allowed) => is_allowed,
        Said::Nothing => false,
    };
    if comes_over_loopback && !is_allowed {
        findings.push(sides.at_gateway(
            FindingId::OpenclawAllowLoopback,
            Severity::Critical,
            LOOPBACK,
            "Portcullis comes over loopback, which the gateway refuses without it: every request \
             is refused",
            format!("set {LOOPBACK} to true in openclaw.json"),
        ));
    }
    findings.extend(local_interface(sides));
    findings
}

fn trusted(sides: &Sides<'_>, sources: &BTreeSet<IpAddr>) -> Vec<Finding> {
    let entries = match sides.there.texts(TRUSTED) {
        Said::Unclear(_) => return Vec::new(),
        Said::Nothing => Texts::default(),
        Said::This(entries) => entries,
    };
    // What the gateway can't read matches nothing there either.
    let nets: Vec<TrustedNets> = entries
        .items
        .iter()
        .filter_map(|entry| TrustedNets::parse([entry]).ok())
        .collect();
    let mut findings = Vec::new();
    // An entry that wasn't read may be Portcullis'.
    if entries.is_complete() {
        findings.extend(untrusted(sides, sources, &nets));
    }
    // Where Portcullis comes from isn't known: then nothing can be one too many.
    if !sources.is_empty() {
        findings.extend(trusted_beside(sides, sources, &nets));
    }
    findings
}

/// Addresses of Portcullis' that the gateway does not trust.
fn untrusted(
    sides: &Sides<'_>,
    sources: &BTreeSet<IpAddr>,
    nets: &[TrustedNets],
) -> Option<Finding> {
    let is_trusted = |source: &&IpAddr| nets.iter().any(|net| net.contains(**source));
    let strangers: Vec<&IpAddr> = sources.iter().filter(|it| !is_trusted(it)).collect();
    if strangers.is_empty() {
        return None;
    }
    let quoted: Vec<String> = strangers.iter().map(|it| format!("\"{it}\"")).collect();
    Some(sides.at_gateway(
        FindingId::OpenclawTrustedProxies,
        Severity::Critical,
        TRUSTED,
        format!(
            "Portcullis comes from {}, which the gateway does not trust: every request is refused",
            listed(&strangers)
        ),
        format!("add {} to {TRUSTED} in openclaw.json", listed(&quoted)),
    ))
}

/// Addresses that the gateway trusts and Portcullis doesn't come from.
fn trusted_beside(
    sides: &Sides<'_>,
    sources: &BTreeSet<IpAddr>,
    nets: &[TrustedNets],
) -> Option<Finding> {
    // Who has one of loopback's addresses has the others, too.
    let is_loopback = sources.iter().any(IpAddr::is_loopback);
    let is_ours = |net: &IpNet| {
        let is_source = |source: &IpAddr| IpNet::from(source.to_canonical()) == *net;
        sources.iter().any(is_source)
            || (is_loopback && net.prefix_len() == net.max_prefix_len() && net.addr().is_loopback())
    };
    let all = nets.iter().flat_map(TrustedNets::iter);
    let others: Vec<IpNet> = all.filter(|net| !is_ours(net)).collect();
    if others.is_empty() {
        return None;
    }
    let is_hopeless = |net: &IpNet| {
        net.prefix_len() == 0
            || excess(*net).is_some_and(|(severity, _)| severity == Severity::Critical)
    };
    let severity = match others.iter().any(is_hopeless) {
        true => Severity::Critical,
        false => Severity::Warning,
    };
    let kept: Vec<String> = sources.iter().map(|it| format!("\"{it}\"")).collect();
    Some(sides.at_gateway(
        FindingId::OpenclawTrustedProxies,
        severity,
        TRUSTED,
        format!(
            "the gateway trusts {} beside Portcullis: whoever has such an address may go past it, \
             and is refused as a client behind it",
            listed(&others)
        ),
        format!("set {TRUSTED} to [{}] in openclaw.json", kept.join(", ")),
    ))
}

/// The gateway takes its own host's addresses for a trick, unless they are loopback.
fn local_interface(sides: &Sides<'_>) -> Option<Finding> {
    let is_trap = |target: &&Target| {
        let ip = target.address.ip();
        !ip.to_canonical().is_loopback() && sides.here.deployment.is_own(ip)
    };
    let target = sides.targets().into_iter().find(is_trap)?;
    let port = target.address.port();
    Some(sides.here.finding(
        FindingId::OpenclawLocalInterface,
        Severity::Critical,
        URL,
        format!(
            "{} is this host's own: the gateway refuses what comes to it from its own host's \
             addresses (trusted_proxy_local_interface_source)",
            target.address.ip()
        ),
        format!(
            "write upstream.url = \"http://127.0.0.1:{port}\", and in openclaw.json \"127.0.0.1\" \
             in {TRUSTED} and true for {LOOPBACK}"
        ),
    ))
}

/// Where it listens, for every mode.
pub(super) fn check(sides: &Sides<'_>) -> Vec<Finding> {
    let UpstreamUrl::Tcp { port, tls, .. } = &sides.here.config.upstream.url else {
        return Vec::new();
    };
    let found = [
        bind(sides),
        self::port(sides, *port),
        self::tls(sides, *tls),
    ];
    found.into_iter().flatten().collect()
}

fn bind(sides: &Sides<'_>) -> Option<Finding> {
    let is_loopback = match sides.there.text(BIND) {
        Said::Unclear(_) => return None,
        Said::Nothing | Said::This("loopback") => true,
        Said::This("custom") => match sides.there.text("gateway.customBindHost") {
            Said::Unclear(_) => return None,
            Said::Nothing => false,
            Said::This(host) => host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback()),
        },
        Said::This(_) => false,
    };
    if sides.here.deployment.sees_gateway_answer() && !is_loopback {
        return Some(sides.at_gateway(
            FindingId::OpenclawBind,
            Severity::Critical,
            BIND,
            "the gateway listens for other hosts, and Portcullis is on its own: whoever reaches its \
             port goes past Portcullis",
            format!("set {BIND} to \"loopback\" in openclaw.json"),
        ));
    }
    let is_elsewhere = !sides.targets().is_empty() && !sides.here.deployment.sees_gateway_answer();
    (is_elsewhere && is_loopback).then(|| {
        sides.at_gateway(
            FindingId::OpenclawBind,
            Severity::Critical,
            BIND,
            "the gateway listens on its own loopback alone, and Portcullis is on another host: no \
             request reaches it",
            format!(
                "set {BIND} to \"lan\" in openclaw.json, with a firewall that admits Portcullis \
                 alone; or run Portcullis on the gateway's host"
            ),
        )
    })
}

fn port(sides: &Sides<'_>, here: u16) -> Option<Finding> {
    let there = match sides.there.port(PORT) {
        Said::Unclear(_) => return None,
        Said::Nothing => DEFAULT_PORT,
        Said::This(port) => port,
    };
    if there == here {
        return None;
    }
    // Between hosts, ports may be mapped.
    let severity = match sides.here.deployment.sees_gateway_answer() {
        true => Severity::Critical,
        false => Severity::Warning,
    };
    Some(sides.here.finding(
        FindingId::OpenclawPort,
        severity,
        URL,
        format!(
            "Portcullis connects to port {here}, and the gateway listens at {there} ({PORT}), unless \
             it is started with another --port"
        ),
        format!("write {there} as the port here, or set {PORT} to {here} in openclaw.json"),
    ))
}

fn tls(sides: &Sides<'_>, here: bool) -> Option<Finding> {
    let there = match sides.there.flag(TLS) {
        Said::Unclear(_) => return None,
        Said::Nothing => false,
        Said::This(is_on) => is_on,
    };
    let (evidence, remedy) = match (here, there) {
        (true, true) | (false, false) => return None,
        (true, false) => (
            "Portcullis speaks TLS to the gateway, which speaks plain HTTP",
            format!("write http:// here, or set {TLS} to true in openclaw.json"),
        ),
        (false, true) => (
            "Portcullis speaks plain HTTP to the gateway, which speaks TLS",
            format!("write https:// here, or set {TLS} to false in openclaw.json"),
        ),
    };
    Some(sides.here.finding(
        FindingId::OpenclawTls,
        Severity::Critical,
        URL,
        evidence,
        remedy,
    ))
}
