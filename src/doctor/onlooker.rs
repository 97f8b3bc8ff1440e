//! Who looks: what this user may not see, the service's user may.

use super::deployment::Deployment;
use super::facts::Facts;
use super::finding::Severity;
use super::units::Fragment;

/// The user that the doctor is run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onlooker {
    /// How people know it.
    name: String,
    /// Whether Portcullis is known to run as the same user, with no further rights.
    is_service: bool,
}

/// What stands between a file and the user who looks; another may be let by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barrier {
    /// The system denies it.
    Denied,
    /// It belongs to somebody else.
    Owner,
}

/// What a barrier comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How bad it is.
    pub severity: Severity,
    /// How it shows.
    pub evidence: String,
    /// What to do about it.
    pub remedy: String,
}

impl Onlooker {
    /// Whoever runs this, by what the host shows of the service.
    #[must_use]
    pub fn of(facts: &Facts, deployment: &Deployment) -> Self {
        let uid = facts.user;
        let name = match &facts.user_name {
            Some(name) => format!("{name} (uid {uid})"),
            None => format!("uid {uid}"),
        };
        let processes = &deployment.processes;
        let is_service = match processes.is_empty() {
            false => processes.iter().all(|process| process.is_like_this),
            true => is_of_units(facts),
        };
        Self { name, is_service }
    }

    /// What it comes to that this user was stopped by a barrier, as `problem` tells.
    #[must_use]
    pub fn judge(&self, problem: &str, barrier: Barrier) -> Verdict {
        let Self { name, is_service } = self;
        let stopped = match barrier {
            Barrier::Denied => format!("{name} may not read it"),
            Barrier::Owner => format!("this is run as {name}"),
        };
        if *is_service {
            return Verdict {
                severity: Severity::Critical,
                evidence: format!(
                    "Portcullis does not start: {problem}: {stopped}, as whom Portcullis runs"
                ),
                remedy: match barrier {
                    Barrier::Denied => format!("let {name} read it"),
                    Barrier::Owner => format!("give it to {name}"),
                },
            };
        }
        Verdict {
            severity: Severity::Warning,
            evidence: format!(
                "it could not be looked at: {problem}: {stopped}, and whether the service's user \
                 may read it is not known"
            ),
            remedy: match barrier {
                Barrier::Denied => "run this as the service's user, or let it read the file",
                Barrier::Owner => "run this as the service's user, or give the file to it",
            }
            .to_owned(),
        }
    }
}

/// Whether the units name this user, and no groups that this may lack.
fn is_of_units(facts: &Facts) -> bool {
    let uid = facts.user.to_string();
    let is_this = |name: &str| name == uid || facts.user_name.as_deref() == Some(name);
    let fragments = &facts.units.fragments;
    let is_ours = |fragment: &Fragment| fragment.content.user.as_deref().is_none_or(is_this);
    let has_groups = |fragment: &Fragment| !fragment.content.groups.is_empty();
    let is_named = fragments.iter().any(|it| it.content.user.is_some());
    is_named && fragments.iter().all(is_ours) && !fragments.iter().any(has_groups)
}

#[cfg(test)]
mod tests {
    use super::super::checklist::tests::{deployment, facts};
    use super::super::deployment::ServiceProcess;
    use super::super::unit_file::UnitFile;
    use super::*;

    fn runs_as(lines: &[&str], processes: &[bool]) -> Severity {
        let mut facts = Facts {
            user: 1000,
            user_name: Some("nick".to_owned()),
            ..facts()
        };
        facts.units.fragments = lines
            .iter()
            .map(|line| Fragment {
                unit: "portcullis.service".to_owned(),
                path: "/etc/systemd/system/portcullis.service".into(),
                content: UnitFile::parse(&format!("[Service]\n{line}\n")),
            })
            .collect();
        let processes = processes.iter().map(|is_like_this| ServiceProcess {
            pid: 7,
            user: 1000,
            is_like_this: *is_like_this,
            core_bytes: None,
            is_unsealed: false,
            open_files: None,
        });
        let deployment = Deployment {
            processes: processes.collect(),
            ..deployment()
        };
        let verdict = Onlooker::of(&facts, &deployment).judge("/x: denied", Barrier::Denied);
        let Verdict { evidence, .. } = &verdict;
        assert!(
            evidence.contains("nick (uid 1000) may not read it"),
            "{evidence}"
        );
        let is_certain = verdict.severity == Severity::Critical;
        assert_eq!(
            evidence.contains("does not start"),
            is_certain,
            "{evidence}"
        );
        verdict.severity
    }

    #[test]
    fn that_a_start_fails_is_said_where_the_service_has_the_same_user() {
        use Severity::{Critical, Warning};
        for (units, processes, expected) in [
            (&[][..], &[][..], Warning),
            (&["User=nick"], &[], Critical),
            (&["User=1000"], &[], Critical),
            (&["User=portcullis"], &[], Warning),
            (&["DynamicUser=yes"], &[], Warning),
            (&["ExecStart=/usr/bin/portcullis run"], &[], Warning),
            (&["User=nick", "User=portcullis"], &[], Warning),
            // Groups may open what the user alone may not.
            (&["User=nick\nSupplementaryGroups=ssl-cert"], &[], Warning),
            (&["User=nick", "Group=ssl-cert"], &[], Warning),
            (&[], &[true], Critical),
            (&["User=nick"], &[false], Warning),
            (&[], &[true, false], Warning),
        ] {
            assert_eq!(
                runs_as(units, processes),
                expected,
                "{units:?} {processes:?}"
            );
        }
    }

    #[test]
    fn a_user_without_a_name_is_told_by_number() {
        let facts = Facts {
            user: 4711,
            user_name: None,
            ..facts()
        };
        let onlooker = Onlooker::of(&facts, &deployment());
        let Verdict {
            evidence, remedy, ..
        } = onlooker.judge("/x: it is his", Barrier::Owner);
        assert!(
            evidence.contains("/x: it is his: this is run as uid 4711"),
            "{evidence}"
        );
        assert!(
            remedy.starts_with("run this as the service's user"),
            "{remedy}"
        );
    }
}
