//! Whether the gateway can be reached, and past whom.

use super::super::custody::FileFacts;
use super::super::deployment::{Answer, Gateway, Target};
use super::super::finding::{Finding, Severity};
use super::super::finding_id::FindingId;
use super::super::look::Look;
use super::{Ground, listed};
use crate::config::UpstreamUrl;
use std::net::SocketAddr;

const URL: &str = "upstream.url";
/// Connecting to a Unix socket takes the right to write it.
const OTHERS_WRITE: u32 = 0o002;

pub(super) fn check(ground: &Ground<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &ground.deployment.gateway {
        Gateway::Tcp {
            targets,
            unresolved,
            past,
        } => {
            findings.extend(unreachable(ground, targets, unresolved.as_deref()));
            let (here, elsewhere): (Vec<&Target>, Vec<&Target>) = targets
                .iter()
                .partition(|target| ground.deployment.is_own(target.address.ip()));
            if let Some(target) = here.first() {
                findings.extend(exposed(ground, target.address, past));
            }
            if let Some(target) = elsewhere.first() {
                findings.push(remote(ground, target));
            }
        }
        Gateway::Unix { socket, answer } => {
            if let Answer::Failed(reason) = answer {
                findings.push(silent(ground, reason));
            }
            findings.extend(open_socket(ground, socket));
        }
    }
    // A name may be this host's, too.
    let leads_here = ground.deployment.surely_has_gateway();
    if ground.config.upstream.url.is_plain_to_another_host() && !leads_here {
        findings.push(ground.finding(
            FindingId::UpstreamPlainHttp,
            Severity::Warning,
            URL,
            "requests go to another host in plain HTTP: anyone between can read them and the \
             gateway's credential, and forge users",
            "turn gateway.tls on at the gateway and write https:// here, with upstream.caFile where \
             its authority is not a public one",
        ));
    }
    findings
}

fn unreachable(
    ground: &Ground<'_>,
    targets: &[Target],
    unresolved: Option<&str>,
) -> Option<Finding> {
    if let Some(reason) = unresolved {
        return Some(silent(
            ground,
            &format!("its name has no address: {reason}"),
        ));
    }
    let reasons: Vec<String> = targets
        .iter()
        .filter_map(|target| match &target.answer {
            Answer::Taken => None,
            Answer::Failed(reason) => Some(format!("{}: {reason}", target.address)),
        })
        .collect();
    // Portcullis takes the first address that answers.
    (reasons.len() == targets.len()).then(|| silent(ground, &listed(&reasons)))
}

fn silent(ground: &Ground<'_>, reason: &str) -> Finding {
    ground.finding(
        FindingId::GatewayUnreachable,
        Severity::Warning,
        URL,
        format!("the gateway does not answer: {reason}"),
        "start the gateway, or write here where it listens (gateway.port in openclaw.json)",
    )
}

/// The gateway is here: then nobody but Portcullis needs its port.
fn exposed(
    ground: &Ground<'_>,
    target: SocketAddr,
    past: &[(SocketAddr, Answer)],
) -> Option<Finding> {
    let port = target.port();
    let taken = past.iter().filter(|(_, answer)| *answer == Answer::Taken);
    let mut open: Vec<SocketAddr> = taken.map(|(address, _)| *address).collect();
    if !target.ip().to_canonical().is_loopback() && !open.contains(&target) {
        open.push(target);
    }
    let listening = ground.deployment.listening.seen();
    let own: Vec<SocketAddr> = ground.config.listen.tcp_addresses().collect();
    let bound: Vec<SocketAddr> = listening
        .into_iter()
        .flatten()
        .map(|socket| socket.address)
        .filter(|it| it.port() == port && !it.ip().to_canonical().is_loopback())
        .filter(|it| !own.contains(it))
        .collect();
    let evidence = match (open.as_slice(), bound.as_slice()) {
        ([], []) => return None,
        ([], bound) => format!(
            "the gateway's port is bound to {}: whoever reaches it needs no proof that Portcullis \
             asks for",
            listed(bound)
        ),
        (open, bound) => {
            let how = match bound {
                [] => String::new(),
                bound => format!(" (it is bound to {})", listed(bound)),
            };
            format!(
                "the gateway answers at {}{how}: whoever reaches it needs no proof that Portcullis \
                 asks for",
                listed(open)
            )
        }
    };
    let remedy = match target.ip().to_canonical().is_loopback() {
        true => "set gateway.bind to \"loopback\" in openclaw.json and start the gateway anew"
            .to_owned(),
        false => format!(
            "set gateway.bind to \"loopback\" in openclaw.json, start the gateway anew, and write \
             upstream.url = \"http://127.0.0.1:{port}\""
        ),
    };
    Some(ground.finding(
        FindingId::GatewayExposed,
        Severity::Critical,
        URL,
        evidence,
        remedy,
    ))
}

fn remote(ground: &Ground<'_>, target: &Target) -> Finding {
    let Target {
        address, source, ..
    } = target;
    let from = match source {
        Some(source) => format!("{source}, from which Portcullis comes"),
        None => "the address from which Portcullis comes".to_owned(),
    };
    ground.finding(
        FindingId::GatewayElsewhere,
        Severity::Info,
        URL,
        format!(
            "the gateway at {address} is on another host: who else reaches it can't be seen from \
             here"
        ),
        format!("let a firewall at the gateway admit {from}, and nobody else"),
    )
}

fn open_socket(ground: &Ground<'_>, socket: &Look<FileFacts>) -> Option<Finding> {
    let FileFacts { mode, .. } = socket.seen()?;
    let UpstreamUrl::Unix(path) = &ground.config.upstream.url else {
        return None;
    };
    (mode & OTHERS_WRITE != 0).then(|| {
        ground.finding(
            FindingId::GatewayExposed,
            Severity::Critical,
            URL,
            format!(
                "every user of this host may connect to the gateway's socket: its mode is {:04o}",
                mode & 0o7777
            ),
            format!("chmod {:04o} {}", mode & 0o770, path.display()),
        )
    })
}
