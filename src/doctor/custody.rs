//! Who may read and change the files on which secrets depend.

use super::finding::{Finding, Place, Severity};
use super::finding_id::FindingId;
use super::guard::{Guard, WRITE};
use super::holder::Holder;
use super::look::Look;
use crate::secrets::Custody;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// Whose a file is, and what others may do with it. Symlinks are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// Its owner's id.
    pub owner: u32,
    /// Its permission bits, set-id and sticky bits included.
    pub mode: u32,
}

/// A file that has to be guarded, and the key that makes it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardedFile {
    /// What it is: `the private key`.
    pub what: Cow<'static, str>,
    /// Where the config names it; none: it is the config's own matter.
    pub key: Option<String>,
    /// Where it is.
    pub path: PathBuf,
    /// How it must be guarded.
    pub guard: Guard,
    /// What it is like.
    pub facts: Look<FileFacts>,
}

/// What others may do that they should not.
pub(super) struct Breach {
    id: FindingId,
    severity: Severity,
    /// What goes on after the file's name: `is open to others: …`.
    evidence: String,
    remedy: String,
}

impl Breach {
    /// As a finding at `place`, on the file that is called `what`.
    pub(super) fn finding(self, what: &str, place: Place) -> Finding {
        Finding {
            id: self.id,
            severity: self.severity,
            evidence: format!("{what} {}", self.evidence),
            remedy: self.remedy,
            place,
        }
    }
}

/// What is wrong with how a file is guarded.
pub(super) fn breaches(path: &Path, facts: FileFacts, guard: Guard, holder: Holder) -> Vec<Breach> {
    let FileFacts { owner, mode } = facts;
    let (_, expected) = guard.forbidden();
    let excess = guard.excess(mode);
    let mut breaches = Vec::new();
    if excess != 0 {
        let danger = match excess & WRITE {
            0 => "",
            _ => guard.danger(),
        };
        let replace = if guard.hides() {
            ", and replace what it holds if others have an account here"
        } else {
            ""
        };
        breaches.push(Breach {
            id: FindingId::FileModeBroad,
            severity: guard.severity_of(excess),
            evidence: format!(
                "is open to others: its mode is {mode:04o}, expected {expected}{danger}"
            ),
            remedy: format!(
                "chmod {:04o} {}{replace}",
                guard.mended(mode),
                path.display()
            ),
        });
    }
    breaches.extend(of_another(owner, guard, holder));
    breaches
}

/// That a file isn't whose it should be.
fn of_another(owner: u32, guard: Guard, holder: Holder) -> Option<Breach> {
    let (user, who) = match holder {
        Holder::Service(user) => (user, "Portcullis runs"),
        Holder::Onlooker(user) => (user, "this runs"),
        Holder::Unknown if owner == 0 => return None,
        Holder::Unknown => {
            return Some(Breach {
                id: FindingId::NotExamined,
                severity: Severity::Info,
                evidence: format!(
                    "belongs to user {owner}, and nothing shows whether Portcullis runs as that \
                     user: its owner was not judged"
                ),
                remedy: "run this command as the service's user, or while the service runs"
                    .to_owned(),
            });
        }
    };
    if guard.admits_owner(owner, user) {
        return None;
    }
    let heir = match guard {
        Guard::Held(Custody::Own) => "that user",
        _ => "root or that user",
    };
    let first = match holder {
        Holder::Onlooker(_) => "run this command as the service's user, or ",
        _ => "",
    };
    Some(Breach {
        id: FindingId::FileModeBroad,
        severity: guard.severity_of_owner(),
        evidence: format!(
            "belongs to user {owner}, and {who} as user {user}{}",
            guard.danger()
        ),
        remedy: format!("{first}chown it to {heir}"),
    })
}

/// The findings on one file that the config names.
pub(super) fn check(file: &GuardedFile, line: Option<usize>, holder: Holder) -> Vec<Finding> {
    let GuardedFile {
        what,
        key,
        path,
        guard,
        facts,
    } = file;
    let place = match key {
        Some(key) => Place::key(path, key),
        None => Place::file(path),
    };
    let named = line.map_or_else(String::new, |line| {
        format!(", named in line {line} of the config,")
    });
    match facts {
        // Whether it must be there is for those to say who read it.
        Look::Missing => Vec::new(),
        Look::Hidden(reason) => vec![not_examined(place, what, reason)],
        Look::Seen(facts) => breaches(path, *facts, *guard, holder)
            .into_iter()
            .map(|breach| breach.finding(&format!("{what}{named}"), place.clone()))
            .collect(),
    }
}

/// That something could not be looked at.
pub(super) fn not_examined(place: Place, what: &str, reason: &str) -> Finding {
    Finding {
        id: FindingId::NotExamined,
        severity: Severity::Info,
        evidence: format!("{what} could not be looked at: {reason}"),
        remedy: "look at it by hand, or run this command as root, or as the service's user"
            .to_owned(),
        place,
    }
}

#[cfg(test)]
mod tests;
