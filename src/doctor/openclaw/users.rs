//! `allowUsers` on both sides.

use super::super::checklist::listed;
use super::super::finding::{Finding, Severity};
use super::super::finding_id::FindingId;
use super::Sides;
use super::document::{Said, Texts};
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
        Said::Nothing => Texts::default(),
        Said::This(users) => users,
    };
    let is_complete = there.is_complete();
    // The gateway gets a service's name as the user.
    let assertion = sides.here.config.gateway.trusted_proxy.assertion.as_ref();
    let services = assertion.into_iter().flat_map(|it| &it.rule.services);
    let services = services.map(|service| &**service);
    match here {
        AllowUsers::Any if there.items.is_empty() && is_complete => Vec::new(),
        AllowUsers::Any => vec![anyone_here(sides, &there)],
        AllowUsers::Only(here) => {
            let here: BTreeSet<&str> = here.iter().chain(services).collect();
            match there.items.as_slice() {
                [] if is_complete => vec![anyone_there(sides, &here)],
                _ => differences(sides, &here, &there),
            }
        }
    }
}

fn anyone_here(sides: &Sides<'_>, there: &Texts<'_>) -> Finding {
    let whom = match (there.items.as_slice(), there.is_complete()) {
        ([], _) => "those on its list".to_owned(),
        (items, true) => some(items.iter().copied()),
        (items, false) => format!(
            "{}, and who else is on its list",
            some(items.iter().copied())
        ),
    };
    sides.here.finding(
        FindingId::OpenclawAllowUsers,
        Severity::Warning,
        "gateway.auth.trustedProxy",
        format!(
            "Portcullis lets anyone in whom a trusted proxy names, and the gateway only {whom}"
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

fn differences(sides: &Sides<'_>, here: &BTreeSet<&str>, there: &Texts<'_>) -> Vec<Finding> {
    // Whoever seems to be missing may be an entry that wasn't read.
    let is_complete = there.is_complete();
    let there: BTreeSet<&str> = there.items.iter().copied().collect();
    let only_here = here.difference(&there).copied();
    let only_here: Vec<&str> = only_here.filter(|_| is_complete).collect();
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
