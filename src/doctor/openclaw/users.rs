//! `allowUsers` on both sides.

use super::super::checklist::listed;
use super::super::finding::{Finding, Severity};
use super::super::finding_id::FindingId;
use super::Sides;
use super::document::Said;
use crate::policy::AllowUsers;
use std::collections::BTreeSet;

const KEY: &str = "gateway.auth.trustedProxy.allowUsers";
/// Users that are named in a finding; of more their number is told.
const NAMED: usize = 10;

pub(super) fn check(sides: &Sides<'_>) -> Vec<Finding> {
    // A file of users that can't be read is a finding of its own.
    let Ok(here) = &sides.here.deployment.users else {
        return Vec::new();
    };
    let there = match sides.there.texts(KEY) {
        Said::Unclear(_) => return Vec::new(),
        Said::Nothing => Vec::new(),
        Said::This(users) => users,
    };
    // The gateway gets a service's name as the user.
    let assertion = sides.here.config.gateway.trusted_proxy.assertion.as_ref();
    let services = assertion.into_iter().flat_map(|it| &it.rule.services);
    let services = services.map(|service| &**service);
    match (here, there.as_slice()) {
        (AllowUsers::Any, []) => Vec::new(),
        (AllowUsers::Any, there) => vec![anyone_here(sides, there)],
        (AllowUsers::Only(here), there) => {
            let here: BTreeSet<&str> = here.iter().chain(services).collect();
            match there {
                [] => vec![anyone_there(sides, &here)],
                there => differences(sides, &here, there),
            }
        }
    }
}

fn anyone_here(sides: &Sides<'_>, there: &[&str]) -> Finding {
    sides.here.finding(
        FindingId::OpenclawAllowUsers,
        Severity::Warning,
        "gateway.auth.trustedProxy",
        format!(
            "Portcullis lets anyone in whom a trusted proxy names, and the gateway only {}",
            some(there.iter().copied())
        ),
        "set allowUsers to the gateway's list",
    )
}

fn anyone_there(sides: &Sides<'_>, here: &BTreeSet<&str>) -> Finding {
    sides.at_gateway(
        FindingId::OpenclawAllowUsers,
        Severity::Warning,
        KEY,
        format!(
            "Portcullis lets only {} in, and the gateway anyone who reaches it with a name",
            some(here.iter().copied())
        ),
        format!("set {KEY} in openclaw.json to the list of Portcullis"),
    )
}

fn differences(sides: &Sides<'_>, here: &BTreeSet<&str>, there: &[&str]) -> Vec<Finding> {
    let there: BTreeSet<&str> = there.iter().copied().collect();
    let only_here: Vec<&str> = here.difference(&there).copied().collect();
    let only_there: Vec<&str> = there.difference(here).copied().collect();
    let mut findings = Vec::new();
    if !only_here.is_empty() {
        let users = some(only_here.iter().copied());
        findings.push(sides.at_gateway(
            FindingId::OpenclawAllowUsers,
            Severity::Warning,
            KEY,
            format!("Portcullis lets {users} in, and the gateway refuses them"),
            format!(
                "add {users} to {KEY} in openclaw.json, or take them out of Portcullis' allowUsers"
            ),
        ));
    }
    if !only_there.is_empty() {
        let users = some(only_there.iter().copied());
        findings.push(sides.at_gateway(
            FindingId::OpenclawAllowUsers,
            Severity::Warning,
            KEY,
            format!("the gateway lets {users} in, and Portcullis refuses them"),
            format!(
                "take {users} out of {KEY} in openclaw.json, or add them to Portcullis' allowUsers"
            ),
        ));
    }
    findings
}

/// The first of them, in order, and how many more there are.
fn some<'a>(users: impl Iterator<Item = &'a str>) -> String {
    let users: BTreeSet<&str> = users.collect();
    let mut named: Vec<String> = users
        .iter()
        .take(NAMED)
        .map(|user| format!("\"{user}\""))
        .collect();
    match users.len().saturating_sub(NAMED) {
        0 => {}
        more => named.push(format!("{more} more")),
    }
    listed(&named)
}
