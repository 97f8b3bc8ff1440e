//! Who may pass, and what they may do.

use super::super::deployment::UsersUnread;
use super::super::finding::{Finding, Severity};
use super::super::finding_id::FindingId;
use super::super::onlooker::{Barrier, Onlooker, Verdict};
use super::Ground;
use crate::config::{AllowUsersSource, ScopeRule};
use crate::policy::AllowUsers;
use std::path::Path;

pub(super) fn check(ground: &Ground<'_>) -> Vec<Finding> {
    users(ground).into_iter().chain(scopes(ground)).collect()
}

fn users(ground: &Ground<'_>) -> Option<Finding> {
    let section = "gateway.auth.trustedProxy";
    match (
        &ground.config.gateway.trusted_proxy.allow_users,
        &ground.deployment.users,
    ) {
        (AllowUsersSource::Inline(AllowUsers::Any), _) => Some(ground.finding(
            FindingId::AllowUsersAbsent,
            Severity::Warning,
            section,
            "neither allowUsers nor allowUsersFile is set: anyone with an account at the identity \
             provider may pass",
            "list the users: allowUsers = [\"nick@example.com\"]",
        )),
        (AllowUsersSource::File(path), Err(unread)) => Some(unreadable(ground, path, unread)),
        (AllowUsersSource::Inline(AllowUsers::Only(_)), _) | (AllowUsersSource::File(_), Ok(_)) => {
            None
        }
    }
}

fn unreadable(ground: &Ground<'_>, path: &Path, unread: &UsersUnread) -> Finding {
    let problem = format!("{}: {}", path.display(), unread.reason);
    let Verdict {
        severity,
        evidence,
        remedy,
    } = match unread.is_denied {
        true => Onlooker::of(ground.facts, ground.deployment).judge(&problem, Barrier::Denied),
        false => Verdict {
            severity: Severity::Critical,
            evidence: format!("{problem}: Portcullis does not start"),
            remedy: format!(
                "write one user a line into {}, readable by the service's user",
                path.display()
            ),
        },
    };
    ground.finding(
        FindingId::AllowUsersUnreadable,
        severity,
        "gateway.auth.trustedProxy.allowUsersFile",
        evidence,
        remedy,
    )
}

fn scopes(ground: &Ground<'_>) -> Option<Finding> {
    let section = "gateway.auth.trustedProxy";
    match &ground.config.gateway.trusted_proxy.scopes {
        ScopeRule::Ceilings(_) => None,
        ScopeRule::Unset => Some(ground.finding(
            FindingId::ScopeCeilingsAbsent,
            Severity::Warning,
            section,
            "neither scopeCeilings nor passScopes is set: the gateway's HTTP APIs grant every user \
             their default scopes, operator.admin included",
            "add [gateway.auth.trustedProxy.scopeCeilings] with \"*\" = [\"operator.read\"] and an \
             entry for each user who may do more",
        )),
        ScopeRule::Passed => Some(ground.finding(
            FindingId::ScopesPassed,
            Severity::Warning,
            &format!("{section}.passScopes"),
            "what users may do is what arrives in x-openclaw-scopes: an identity proxy that does \
             not overwrite it lets each user choose",
            "take passScopes away and add [gateway.auth.trustedProxy.scopeCeilings] with \"*\" = \
             [\"operator.read\"] and an entry for each user who may do more",
        )),
    }
}
