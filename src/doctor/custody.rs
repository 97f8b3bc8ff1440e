//! Who may read and change the files on which secrets depend.

use super::finding::{Finding, Place, Severity};
use super::finding_id::FindingId;
use super::look::Look;
use crate::secrets::Custody;
use std::path::{Path, PathBuf};

/// Whose a file is, and what others may do with it. Symlinks are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// Its owner's id.
    pub owner: u32,
    /// Its permission bits, set-id and sticky bits included.
    pub mode: u32,
}

/// How a file must be guarded. The owner is to be root or the effective user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Group and others neither read nor write it.
    Private,
    /// As a file provider of this custody asks.
    Held(Custody),
    /// The config: who writes it may have any command run, so only the owner does.
    Config,
    /// A config that holds secrets: others don't read it either.
    ConfigWithSecrets,
    /// A file that decides who may pass: only the owner writes it.
    Rule,
    /// Authorities of those who are sent secrets: only the owner writes them.
    Authorities,
    /// A command: others may run it, only the owner writes.
    Command,
    /// A folder above a command: only the owner puts another in its place.
    CommandFolder,
    /// A folder above a config that names commands, or a symlink on the way to it.
    ConfigFolder,
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
    /// What it is like.
    pub facts: Look<FileFacts>,
}

/// What others may do that they should not.
pub(super) struct Breach {
    severity: Severity,
    /// What goes on after the file's name: `is open to others: …`.
    evidence: String,
    remedy: String,
}

impl Breach {
    /// As a finding at `place`, on the file that is called `what`.
    pub(super) fn finding(self, what: &str, place: Place) -> Finding {
        Finding {
            id: FindingId::FileModeBroad,
            severity: self.severity,
            evidence: format!("{what} {}", self.evidence),
            remedy: self.remedy,
            place,
        }
    }
}

const READ_BY_OTHERS: u32 = 0o004;
const WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

impl Guard {
    /// The bits that must not be set, and in words those that may.
    fn forbidden(self) -> (u32, &'static str) {
        match self {
            Self::Private | Self::ConfigWithSecrets => (
                0o066,
                "group and others neither to read nor to write, such as 0600",
            ),
            Self::Held(custody) => custody.forbidden_mode(),
            Self::Config | Self::Rule | Self::Authorities => {
                (WRITE, "group and others not to write, such as 0644")
            }
            Self::Command | Self::CommandFolder | Self::ConfigFolder => {
                (WRITE, "group and others not to write, such as 0755")
            }
        }
    }

    fn admits_owner(self, owner: u32, user: u32) -> bool {
        match self {
            Self::Held(custody) => custody.admits_owner(owner, user),
            _ => [0, user].contains(&owner),
        }
    }

    /// A mode that mends one which is too broad.
    fn mended(self, mode: u32) -> u32 {
        mode & 0o777 & !self.forbidden().0
    }

    /// Whether it is the content that must not be known.
    fn hides(self) -> bool {
        matches!(
            self,
            Self::Private | Self::ConfigWithSecrets | Self::Held(Custody::Own)
        )
    }

    /// What becomes possible to those who may write it, where that is not plain.
    fn danger(self) -> &'static str {
        match self {
            Self::Config | Self::ConfigWithSecrets => {
                "; who may change it may have any command run by Portcullis"
            }
            Self::Rule => "; who may change it decides who may pass",
            Self::Authorities => "; who may change it decides who gets what is sent there",
            Self::ConfigFolder => {
                "; who may put another config there names the commands, so `run` has none run \
                 until that is mended"
            }
            _ => "",
        }
    }
}

/// What is wrong with how a file is guarded; `user` is the effective one.
pub(super) fn breaches(path: &Path, facts: FileFacts, guard: Guard, user: u32) -> Vec<Breach> {
    let FileFacts { owner, mode } = facts;
    let (forbidden, expected) = guard.forbidden();
    let excess = match guard {
        // In a sticky folder nobody takes away another's file.
        Guard::CommandFolder | Guard::ConfigFolder if mode & STICKY != 0 => 0,
        _ => mode & forbidden,
    };
    let mut breaches = Vec::new();
    if excess != 0 {
        let is_grave = excess & (READ_BY_OTHERS | WRITE) != 0;
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
            severity: if is_grave {
                Severity::Critical
            } else {
                Severity::Warning
            },
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
    if !guard.admits_owner(owner, user) {
        let heir = match guard {
            Guard::Held(Custody::Own) => "that user",
            _ => "root or that user",
        };
        breaches.push(Breach {
            severity: match guard {
                Guard::Config | Guard::ConfigWithSecrets => Severity::Critical,
                _ => Severity::Warning,
            },
            evidence: format!(
                "belongs to user {owner}, and this runs as user {user}{}",
                guard.danger()
            ),
            remedy: format!("run this command as the service's user, or chown it to {heir}"),
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
    let place = Place::key(path, key);
    let named = line.map_or_else(String::new, |line| {
        format!(", named in line {line} of the config,")
    });
    match facts {
        // Whether it must be there is for those to say who read it.
        Look::Missing => Vec::new(),
        Look::Hidden(reason) => vec![not_examined(place, what, reason)],
        Look::Seen(facts) => breaches(path, *facts, *guard, user)
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
        remedy: "look at it by hand, or run this command as root".to_owned(),
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
    fn each_guard_has_its_own_bits_and_owners() {
        use Guard::{
            Authorities, Command, CommandFolder, Config, ConfigFolder, ConfigWithSecrets, Held,
            Private, Rule,
        };
        use Severity::{Critical, Warning};
        const OWN: Guard = Held(Custody::Own);
        const MOUNTED: Guard = Held(Custody::MountedVolume);
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
            (OWN, ME, 0o600, &[]),
            (OWN, 0, 0o600, &[Warning]),
            (OWN, ME, 0o601, &[Warning]),
            (OWN, ME, 0o644, &[Critical]),
            (MOUNTED, 0, 0o444, &[]),
            (MOUNTED, ME, 0o640, &[]),
            (MOUNTED, 0, 0o660, &[Critical]),
            (MOUNTED, 1001, 0o440, &[Warning]),
            (Config, ME, 0o644, &[]),
            (Config, 0, 0o644, &[]),
            (Config, ME, 0o664, &[Critical]),
            (Config, ME, 0o646, &[Critical]),
            (Config, 1001, 0o600, &[Critical]),
            (ConfigWithSecrets, ME, 0o600, &[]),
            (ConfigWithSecrets, ME, 0o640, &[Warning]),
            (ConfigWithSecrets, ME, 0o644, &[Critical]),
            (ConfigWithSecrets, 1001, 0o600, &[Critical]),
            (Rule, ME, 0o644, &[]),
            (Rule, ME, 0o664, &[Critical]),
            (Rule, 1001, 0o644, &[Warning]),
            (Authorities, ME, 0o644, &[]),
            (Authorities, ME, 0o646, &[Critical]),
            (Command, 0, 0o755, &[]),
            (Command, 0, 0o775, &[Critical]),
            (Command, 0, 0o757, &[Critical]),
            (Command, 1001, 0o755, &[Warning]),
            (CommandFolder, 0, 0o755, &[]),
            (CommandFolder, 0, 0o775, &[Critical]),
            (CommandFolder, 0, 0o777, &[Critical]),
            (CommandFolder, 0, 0o1777, &[]),
            (CommandFolder, 1001, 0o1755, &[Warning]),
            (ConfigFolder, 0, 0o755, &[]),
            (ConfigFolder, ME, 0o775, &[Critical]),
            (ConfigFolder, 0, 0o1777, &[]),
            (ConfigFolder, 1001, 0o755, &[Warning]),
        ] {
            assert_eq!(
                severities(guard, owner, mode),
                expected,
                "{guard:?} {owner} {mode:o}"
            );
        }
    }

    #[test]
    fn the_remedy_takes_away_what_it_must_and_no_more() {
        for (guard, mode, mended) in [
            (Guard::Private, 0o644, "0600"),
            (Guard::Held(Custody::Own), 0o640, "0600"),
            (Guard::Held(Custody::MountedVolume), 0o664, "0644"),
            (Guard::Config, 0o666, "0644"),
            (Guard::ConfigWithSecrets, 0o666, "0600"),
            (Guard::Command, 0o4777, "0755"),
            (Guard::CommandFolder, 0o777, "0755"),
        ] {
            let facts = FileFacts { owner: ME, mode };
            let remedy = &breaches(Path::new("/x"), facts, guard, ME)[0].remedy;
            assert!(
                remedy.starts_with(&format!("chmod {mended} /x")),
                "{remedy}"
            );
            let mended = FileFacts {
                mode: guard.mended(mode),
                ..facts
            };
            let left = breaches(Path::new("/x"), mended, guard, ME);
            assert!(left.is_empty(), "{guard:?} {mode:o}");
        }
    }

    #[test]
    fn another_users_file_is_not_said_to_be_open() {
        let file = GuardedFile {
            what: "the private key",
            key: "gateway.tls.keyPath".to_owned(),
            path: "/x".into(),
            guard: Guard::Private,
            facts: Look::Seen(FileFacts {
                owner: 65534,
                mode: 0o600,
            }),
        };
        let found = check(&file, Some(3), 0);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].evidence,
            "the private key, named in line 3 of the config, belongs to user 65534, and this runs \
             as user 0"
        );
        let remedy = &found[0].remedy;
        assert!(
            remedy.starts_with("run this command as the service's user"),
            "{remedy}"
        );
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
