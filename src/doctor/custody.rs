//! Who may read and change the files on which secrets depend.

use super::finding::{Finding, FindingId, Place, Severity};
use super::look::Look;
use std::path::{Path, PathBuf};

/// Whose a file is, and what others may do with it. Symlinks are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// Its owner's id.
    pub owner: u32,
    /// Its permission bits, set-id and sticky bits included.
    pub mode: u32,
}

/// How a file must be guarded. The owner is always to be root or the effective
/// user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Group and others neither read nor write it.
    Private,
    /// Group and others have no permission at all: what a file provider without
    /// `mountedVolume` asks for.
    OwnersAlone,
    /// A volume of Kubernetes or systemd: others may read, only the owner writes.
    MountedVolume,
    /// A command: others may run it, only the owner writes.
    Command,
    /// The folder of a command: not for everyone to put another in its place.
    CommandFolder,
}

/// A file that has to be guarded, and the key that makes it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardedFile {
    /// What it is: `the private key`.
    pub what: &'static str,
    /// Where the config names it.
    pub key: String,
    /// Where it is.
    pub path: PathBuf,
    /// How it must be guarded.
    pub guard: Guard,
    /// What it is like; what is no file is not looked at further.
    pub facts: Look<FileFacts>,
}

/// What others may do that they should not.
pub(super) struct Breach {
    pub(super) severity: Severity,
    pub(super) evidence: String,
    pub(super) remedy: String,
}

const GROUP_AND_OTHERS: u32 = 0o077;
const READ_BY_OTHERS: u32 = 0o004;
const WRITE: u32 = 0o022;
const WRITE_BY_OTHERS: u32 = 0o002;
const STICKY: u32 = 0o1000;

impl Guard {
    /// The bits that must not be set, and in words those that may.
    fn forbidden(self) -> (u32, &'static str) {
        match self {
            Self::Private => (
                0o066,
                "group and others neither to read nor to write, such as 0600",
            ),
            Self::OwnersAlone => (
                GROUP_AND_OTHERS,
                "no permission for group and others, such as 0600",
            ),
            Self::MountedVolume => (WRITE, "group and others not to write, such as 0440"),
            Self::Command => (WRITE, "group and others not to write, such as 0755"),
            Self::CommandFolder => (WRITE_BY_OTHERS, "others not to write, such as 0755"),
        }
    }

    /// A mode that mends one which is too broad.
    fn mended(self, mode: u32) -> u32 {
        mode & 0o777 & !self.forbidden().0
    }

    /// Whether it is the content that must not be known.
    fn hides(self) -> bool {
        matches!(self, Self::Private | Self::OwnersAlone)
    }
}

/// What is wrong with how a file is guarded; `user` is the effective one.
pub(super) fn breaches(path: &Path, facts: FileFacts, guard: Guard, user: u32) -> Vec<Breach> {
    let FileFacts { owner, mode } = facts;
    let (forbidden, expected) = guard.forbidden();
    let excess = match guard {
        // In a sticky folder nobody takes away another's file.
        Guard::CommandFolder if mode & STICKY != 0 => 0,
        _ => mode & forbidden,
    };
    let mut breaches = Vec::new();
    if excess != 0 {
        let is_grave = excess & (READ_BY_OTHERS | WRITE) != 0;
        let replace = if guard.hides() {
            ", and replace what it holds if others have an account here"
        } else {
            ""
        };
        breaches.push(Breach {
            severity: if is_grave {
                Severity::Critical
            } else {
                Severity::Warning
            },
            evidence: format!("its mode is {mode:04o}, expected {expected}"),
            remedy: format!(
                "chmod {:04o} {}{replace}",
                guard.mended(mode),
                path.display()
            ),
        });
    }
    if owner != 0 && owner != user {
        breaches.push(Breach {
            severity: Severity::Warning,
            evidence: format!(
                "it belongs to user {owner}, expected root, or the user that this runs as ({user})"
            ),
            remedy: format!(
                "chown it, or run this as the user that Portcullis runs as, if that is {owner}"
            ),
        });
    }
    breaches
}

/// The findings on one file that the config names.
pub(super) fn check(file: &GuardedFile, line: Option<usize>, user: u32) -> Vec<Finding> {
    let GuardedFile {
        what,
        key,
        path,
        guard,
        facts,
    } = file;
    let place = Place {
        line: None,
        key: Some(key.clone()),
        ..Place::file(path)
    };
    let named = line.map_or_else(String::new, |line| {
        format!(", named in line {line} of the config,")
    });
    match facts {
        // Whether it must be there is for those to say who read it.
        Look::Missing => Vec::new(),
        Look::Hidden(reason) => vec![not_examined(place, what, reason)],
        Look::Seen(facts) => breaches(path, *facts, *guard, user)
            .into_iter()
            .map(|breach| Finding {
                id: FindingId::FileModeBroad,
                severity: breach.severity,
                evidence: format!("{what}{named} is open to others: {}", breach.evidence),
                remedy: breach.remedy,
                place: place.clone(),
            })
            .collect(),
    }
}

/// That something could not be looked at.
pub(super) fn not_examined(place: Place, what: &str, reason: &str) -> Finding {
    Finding {
        id: FindingId::NotExamined,
        severity: Severity::Info,
        evidence: format!("{what} could not be looked at: {reason}"),
        remedy: "run this as root, or look at it by hand".to_owned(),
        place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: u32 = 1000;

    fn severities(guard: Guard, owner: u32, mode: u32) -> Vec<Severity> {
        breaches(Path::new("/x"), FileFacts { owner, mode }, guard, ME)
            .into_iter()
            .map(|breach| breach.severity)
            .collect()
    }

    #[test]
    fn each_guard_has_its_own_bits_and_all_have_the_same_owners() {
        use Guard::{Command, CommandFolder, MountedVolume, OwnersAlone, Private};
        use Severity::{Critical, Warning};
        for (guard, owner, mode, expected) in [
            (Private, ME, 0o600, &[][..]),
            (Private, 0, 0o400, &[]),
            (Private, ME, 0o711, &[]),
            (Private, ME, 0o640, &[Warning]),
            (Private, ME, 0o604, &[Critical]),
            (Private, ME, 0o620, &[Critical]),
            (Private, ME, 0o602, &[Critical]),
            (Private, 1001, 0o600, &[Warning]),
            (Private, 1001, 0o644, &[Critical, Warning]),
            (OwnersAlone, ME, 0o600, &[]),
            (OwnersAlone, ME, 0o601, &[Warning]),
            (OwnersAlone, ME, 0o644, &[Critical]),
            (MountedVolume, 0, 0o444, &[]),
            (MountedVolume, ME, 0o640, &[]),
            (MountedVolume, 0, 0o660, &[Critical]),
            (MountedVolume, 1001, 0o440, &[Warning]),
            (Command, 0, 0o755, &[]),
            (Command, 0, 0o775, &[Critical]),
            (Command, 0, 0o757, &[Critical]),
            (Command, 1001, 0o755, &[Warning]),
            (CommandFolder, 0, 0o775, &[]),
            (CommandFolder, 0, 0o1777, &[]),
            (CommandFolder, 0, 0o777, &[Critical]),
        ] {
            assert_eq!(
                severities(guard, owner, mode),
                expected,
                "{guard:?} {owner} {mode:o}"
            );
        }
    }

    #[test]
    fn the_remedy_takes_away_no_more_than_it_must() {
        for (guard, mode, mended) in [
            (Guard::Private, 0o644, "0600"),
            (Guard::OwnersAlone, 0o640, "0600"),
            (Guard::MountedVolume, 0o664, "0644"),
            (Guard::Command, 0o4777, "0755"),
        ] {
            let facts = FileFacts { owner: ME, mode };
            let remedy = &breaches(Path::new("/x"), facts, guard, ME)[0].remedy;
            assert!(
                remedy.starts_with(&format!("chmod {mended} /x")),
                "{remedy}"
            );
        }
    }

    #[test]
    fn what_is_not_there_is_nobodys_to_read() {
        let mut file = GuardedFile {
            what: "the private key",
            key: "gateway.tls.keyPath".to_owned(),
            path: "/x".into(),
            guard: Guard::Private,
            facts: Look::Missing,
        };
        assert_eq!(check(&file, None, ME), []);
        file.facts = Look::Hidden("permission denied".to_owned());
        let hidden = check(&file, None, ME);
        assert_eq!(
            (hidden[0].id, hidden[0].severity),
            (FindingId::NotExamined, Severity::Info)
        );
    }
}
