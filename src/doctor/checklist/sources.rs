//! Who may name users: `trustedProxies`, and what stands in for an address.

use super::super::finding::{Finding, Severity};
use super::super::finding_id::FindingId;
use super::Ground;
use super::width::{excess, holds_loopback};
use crate::config::{Config, OVERFLOW_UID};
use crate::policy::TrustedNets;

const TRUSTED: &str = "gateway.trustedProxies";

pub(super) fn check(ground: &Ground<'_>) -> Vec<Finding> {
    let mut findings = wide(
        ground,
        &ground.config.gateway.trusted_proxies,
        Width {
            id: FindingId::TrustedProxiesWide,
            key: TRUSTED,
            danger: "whoever has one of these addresses can name any user",
            whom: "the identity proxies",
        },
    );
    findings.extend(wide(
        ground,
        &ground.config.listen.proxy_protocol_from,
        Width {
            id: FindingId::ProxyProtocolWide,
            key: "listen.proxyProtocolFrom",
            danger: "whoever has one of these addresses can pass for a trusted proxy",
            whom: "the load balancers",
        },
    ));
    findings.extend(loopback(ground));
    findings.extend(peers(ground));
    findings.extend(local_interface(ground));
    findings
}

/// What is said of a list of networks.
pub(super) struct Width<'a> {
    pub(super) id: FindingId,
    pub(super) key: &'a str,
    /// What becomes possible.
    pub(super) danger: &'a str,
    /// Whose addresses should stand there.
    pub(super) whom: &'a str,
}

/// A finding for the whole where it covers everything, else one for each wide network.
pub(super) fn wide(ground: &Ground<'_>, nets: &TrustedNets, width: Width<'_>) -> Vec<Finding> {
    let Width {
        id,
        key,
        danger,
        whom,
    } = width;
    let remedy = format!("list the addresses of {whom} alone, such as \"10.0.0.5\"");
    if nets.covers_everything() {
        let evidence = format!("every address is listed: {danger}");
        return vec![ground.finding(id, Severity::Critical, key, evidence, remedy)];
    }
    let too_wide = nets.iter().filter_map(|net| Some((net, excess(net)?)));
    too_wide
        .map(|(net, (severity, what))| {
            let evidence = format!("{net} is {what}: {danger}");
            ground.finding(id, severity, key, evidence, remedy.clone())
        })
        .collect()
}

fn loopback(ground: &Ground<'_>) -> Option<Finding> {
    let gateway = &ground.config.gateway;
    let is_trusted = gateway.trusted_proxies.iter().any(holds_loopback);
    if !gateway.trusted_proxy.allow_loopback || !is_trusted {
        return None;
    }
    let key = "gateway.auth.trustedProxy.allowLoopback";
    if let Some(proof) = ground.proof() {
        return Some(ground.finding(
            FindingId::LoopbackTrusted,
            Severity::Info,
            key,
            format!(
                "loopback is trusted: a process of this host may name a user if it has {proof}"
            ),
            "let nobody but the identity proxy read what it proves itself with",
        ));
    }
    let agents = match ground.deployment.may_have_gateway() {
        true => ", the gateway's agents included,",
        false => "",
    };
    Some(ground.finding(
        FindingId::LoopbackTrusted,
        Severity::Warning,
        key,
        format!("loopback is trusted: every process of this host{agents} can name any user"),
        "let the identity proxy connect through a Unix socket (listen.address = \
         \"unix:/run/portcullis/front.sock\", listen.unixPeerUids = [its user's number], which \
         must not be the gateway's) and set this to false; or move it to another host",
    ))
}

/// Who may name users at a Unix socket: a certificate is never asked for there.
fn peers(ground: &Ground<'_>) -> Vec<Finding> {
    let Config {
        listen, gateway, ..
    } = ground.config;
    if listen.sockets().next().is_none() {
        return Vec::new();
    }
    let (severity, condition) = match gateway.trusted_proxy.assertion {
        Some(_) => (Severity::Info, " if they have the user's signed assertion"),
        None => (Severity::Warning, ""),
    };
    const OWN_USER: &str = "run the identity proxy as a user of its own, and list that one alone";
    let of_gateway = ground.deployment.gateway_users();
    let found = listen.unix_peer_uids.iter().filter_map(|user| {
        let (whose, remedy) = match *user {
            user if of_gateway.contains(&user) => (
                format!("user {user} is listed, as whom the gateway runs: its agents"),
                OWN_USER,
            ),
            0 => (
                "root is listed: all processes of root".to_owned(),
                "run the identity proxy as a user of its own, and list that one, unless it must be \
                 root",
            ),
            OVERFLOW_UID => (
                "user 65534 is listed, which is also what every user looks like that this user \
                 namespace does not know: those processes"
                    .to_owned(),
                OWN_USER,
            ),
            _ => return None,
        };
        let evidence = format!("{whose} can name any user{condition}");
        let key = "listen.unixPeerUids";
        Some(ground.finding(FindingId::UnixPeersTrusted, severity, key, evidence, remedy))
    });
    found.collect()
}

fn local_interface(ground: &Ground<'_>) -> Option<Finding> {
    if !ground.config.gateway.trusted_proxy.allow_local_interface {
        return None;
    }
    let (severity, condition) = match ground.proof() {
        Some(proof) => (Severity::Info, format!(" if they have {proof}")),
        None => (Severity::Warning, String::new()),
    };
    Some(ground.finding(
        FindingId::LocalInterfaceTrusted,
        severity,
        "gateway.auth.trustedProxy.allowLocalInterface",
        format!(
            "processes that connect from the host's or pod's own addresses, the gateway's agents \
             included, can name any user{condition}"
        ),
        "set this to false, and let the identity proxy connect through a Unix socket or from another \
         host",
    ))
}
