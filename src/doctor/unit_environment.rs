//! Secrets that systemd units set as variables. A unit's `Environment=` is shown
//! to every user (`systemctl show`), whatever its file's mode: systemd.exec(5)
//! says not to put secrets there.

use super::assignment::{Assignment, shown};
use super::custody::{self, not_examined};
use super::finding::{Finding, Place, Severity};
use super::finding_id::FindingId;
use super::guard::Guard;
use super::holder::Holder;
use super::look::Look;
use super::units::{EnvironmentFile, Fragment, Units};
use crate::config::Config;
use crate::secrets::{Provider, SecretId, SecretInput, names_credential};
use std::collections::BTreeMap;
use std::path::Path;

/// Why a variable matters.
enum Concern {
    /// It is a secret, for this reason.
    Secret(String),
    /// It could be one: a command of this provider gets it.
    Passed(String),
}

/// What commands commonly need, and what holds no secret by its own definition.
const HARMLESS: [&str; 9] = [
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TERM", "TMPDIR",
];

/// The variables that the config reads.
struct Read {
    /// By references, with the key of the first.
    referred: BTreeMap<String, String>,
    /// By `passEnv`, with the provider's name.
    passed: BTreeMap<String, String>,
}

/// The findings on units and on the files that they take variables from.
pub(super) fn check(config: &Config, units: &Units, holder: Holder) -> Vec<Finding> {
    let Units {
        fragments,
        environment_files,
        unseen,
    } = units;
    let read = Read::of(config);
    let mut findings: Vec<Finding> = Vec::new();
    let in_units = fragments
        .iter()
        .flat_map(|fragment| in_unit(fragment, &read));
    let in_files = environment_files
        .iter()
        .flat_map(|file| in_file(file, &read, holder));
    let hidden = unseen
        .iter()
        .map(|(path, reason)| not_examined(Place::file(path), "it", reason));
    for finding in in_units.chain(in_files).chain(hidden) {
        // One file can be reached by several names and folders.
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    findings
}

/// The file that sets a variable for the service, if one does.
pub(super) fn setter<'a>(units: &'a Units, name: &str) -> Option<&'a Path> {
    let sets = |set: &Assignment| set.name == name && !set.is_blank;
    let in_files = units.environment_files.iter().find(|file| {
        let set = file.assignments.seen();
        set.is_some_and(|set| set.iter().any(sets))
    });
    let in_units = || {
        let mut fragments = units.fragments.iter();
        fragments.find(|fragment| fragment.content.environment.iter().any(sets))
    };
    in_files
        .map(|file| file.path.as_path())
        .or_else(|| in_units().map(|fragment| fragment.path.as_path()))
}

impl Read {
    fn of(config: &Config) -> Self {
        let mut referred = BTreeMap::new();
        for surface in config.surfaces() {
            if let SecretInput::Ref(reference) = surface.input
                && let SecretId::Env(name) = &reference.id
            {
                referred.entry(name.to_string()).or_insert(surface.key);
            }
        }
        let mut passed = BTreeMap::new();
        for (provider, listed) in config.secrets.listed() {
            if let Provider::Exec(exec) = listed {
                for name in &exec.pass_env {
                    passed
                        .entry(name.to_string())
                        .or_insert_with(|| provider.to_string());
                }
            }
        }
        Self { referred, passed }
    }

    fn concern(&self, set: &Assignment) -> Option<Concern> {
        let Assignment { name, is_blank, .. } = set;
        if *is_blank {
            return None;
        }
        if let Some(key) = self.referred.get(name) {
            return Some(Concern::Secret(format!("which `{key}` reads")));
        }
        if names_credential(name) {
            let reason = "whose name is that of a credential".to_owned();
            return Some(Concern::Secret(reason));
        }
        let is_harmless = HARMLESS.contains(&name.as_str()) || name.starts_with("LC_");
        let provider = self.passed.get(name).filter(|_| !is_harmless)?;
        Some(Concern::Passed(format!(
            "which `secrets.providers.{provider}` passes to its command"
        )))
    }
}

fn in_unit(fragment: &Fragment, read: &Read) -> Vec<Finding> {
    let Fragment {
        unit,
        path,
        content,
    } = fragment;
    let set = content.environment.iter();
    set.filter_map(|set| {
        let (severity, reason, remedy) = match read.concern(set)? {
            Concern::Secret(reason) => (
                Severity::Critical,
                reason,
                "give the service a new secret by LoadCredential= and a file provider with \
                 `mountedVolume = true`, or by an EnvironmentFile= of root's with mode 0600, and \
                 take it out of the unit"
                    .to_owned(),
            ),
            Concern::Passed(reason) => (
                Severity::Info,
                reason,
                "move it to an EnvironmentFile= of root's with mode 0600 if it is a secret"
                    .to_owned(),
            ),
        };
        Some(Finding {
            id: FindingId::UnitEnvironment,
            severity,
            evidence: format!(
                "`Environment=` sets {}, {reason}: `systemctl show {unit}` tells every user",
                named(set)
            ),
            remedy,
            place: Place::line(path, set.line),
        })
    })
    .collect()
}

fn in_file(file: &EnvironmentFile, read: &Read, holder: Holder) -> Vec<Finding> {
    let EnvironmentFile {
        unit,
        path,
        facts,
        assignments,
    } = file;
    let place = Place::file(path);
    let what = format!("the environment file of {unit}");
    let facts = match facts {
        Look::Missing => return Vec::new(),
        Look::Hidden(reason) => return vec![not_examined(place, &what, reason)],
        Look::Seen(facts) => *facts,
    };
    let breaches = custody::breaches(path, facts, Guard::Private, holder);
    let set = match assignments {
        Look::Missing => return Vec::new(),
        // systemd reads it as root: that we can't is as it should be.
        Look::Hidden(_) if breaches.is_empty() => return Vec::new(),
        Look::Hidden(reason) => return vec![not_examined(place, &what, reason)],
        Look::Seen(set) => set,
    };
    let mut secrets = set.iter().filter_map(|set| match read.concern(set)? {
        Concern::Secret(reason) => Some((set, reason)),
        Concern::Passed(_) => None,
    });
    let Some((first, reason)) = secrets.next() else {
        return Vec::new();
    };
    let others = match secrets.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let what = format!("{what} sets {}, {reason}{others}, and", named(first));
    breaches
        .into_iter()
        .map(|breach| breach.finding(&what, Place::line(path, first.line)))
        .collect()
}

fn named(set: &Assignment) -> String {
    match shown(&set.name) {
        Some(name) => format!("`{name}`"),
        None => "a variable".to_owned(),
    }
}

#[cfg(test)]
mod tests;
