//! What the gateway grants by itself, and what Portcullis leaves of it.

use super::super::checklist::listed;
use super::super::finding::{Finding, Severity};
use super::super::finding_id::FindingId;
use super::Sides;
use crate::config::ScopeRule;

const ADMIN: &str = "operator.admin";
const AUTO: &str = "gateway.auth.trustedProxy.deviceAutoApprove";
const IDENTITY: &str = "gateway.auth.identityScopes";

pub(super) fn check(sides: &Sides<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(auto_approved(sides));
    findings.extend(never_let_through(sides));
    findings
}

/// A device that is approved by itself keeps its scopes.
fn auto_approved(sides: &Sides<'_>) -> Option<Finding> {
    let is_on = sides.there.flag(&format!("{AUTO}.enabled")).this() == Some(true);
    let scopes = sides.there.texts(&format!("{AUTO}.scopes")).this();
    let grants_admin = scopes.is_some_and(|scopes| scopes.items.contains(&ADMIN));
    let is_limited = matches!(
        sides.here.config.gateway.trusted_proxy.scopes,
        ScopeRule::Ceilings(_)
    );
    (is_on && grants_admin && !is_limited).then(|| {
        sides.at_gateway(
            FindingId::OpenclawScopes,
            Severity::Critical,
            &format!("{AUTO}.scopes"),
            "the gateway makes every user's browser an administrator by itself, and Portcullis sets \
             no ceiling",
            format!(
                "take \"{ADMIN}\" out of {AUTO}.scopes in openclaw.json; a ceiling here \
                 (gateway.auth.trustedProxy.scopeCeilings) limits it as well"
            ),
        )
    })
}

fn never_let_through(sides: &Sides<'_>) -> Vec<Finding> {
    let ScopeRule::Ceilings(ceilings) = &sides.here.config.gateway.trusted_proxy.scopes else {
        return Vec::new();
    };
    let granted = sides.there.lists(IDENTITY).this().unwrap_or_default();
    let cut = granted.into_iter().filter_map(|(user, scopes)| {
        let cut: Vec<&str> = scopes
            .this()?
            .items
            .into_iter()
            .filter(|scope| !ceilings.permits(user, scope))
            .collect();
        (!cut.is_empty()).then_some((user, cut))
    });
    cut.map(|(user, cut)| {
        sides.at_gateway(
            FindingId::OpenclawScopes,
            Severity::Info,
            &format!("{IDENTITY}.{user}"),
            format!(
                "the gateway grants {} to \"{user}\", whose ceiling here is lower: they never have it",
                listed(&cut)
            ),
            format!(
                "add {} to the user's entry in gateway.auth.trustedProxy.scopeCeilings, or take it \
                 out of {IDENTITY} in openclaw.json",
                listed(&cut)
            ),
        )
    })
    .collect()
}
