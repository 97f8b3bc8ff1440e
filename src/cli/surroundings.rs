//! What the commands that judge a configuration gather around it.

use super::barrier::barrier;
use super::chain;
use super::config_file::Loaded;
use crate::doctor::{
    Deployment, Facts, Finding, FindingId, Onlooker, Severity, USUAL_FOLDERS, Unresolved, Verdict,
    audit_secrets,
};
use crate::secrets::{SecretSource, env};
use crate::server;
use crate::snapshot::{BuildError, SecretState, Secrets, State, refusals};
use std::path::{Path, PathBuf};

/// A configuration's surroundings.
pub(super) struct Surroundings {
    pub(super) facts: Facts,
    /// The references in use that have no value.
    pub(super) unresolved: Vec<Unresolved>,
    secrets: Secrets,
}

impl Surroundings {
    /// Resolves the secrets and looks at the files. `units` are folders of systemd
    /// units to look in instead of the system's own.
    pub(super) fn gather(loaded: &Loaded, units: &[PathBuf]) -> Self {
        let Loaded { config, path, .. } = loaded;
        let secrets = Secrets::resolve(config, &env::Process);
        Self {
            unresolved: secrets.states().iter().filter_map(unresolved).collect(),
            facts: Facts::gather(config, path, &folders(units), &env::Process),
            secrets,
        }
    }

    /// What else would keep Portcullis from starting. The file of users is left to the
    /// checklist.
    pub(super) fn refusals(&self, loaded: &Loaded, deployment: &Deployment) -> Vec<Finding> {
        let onlooker = Onlooker::of(&self.facts, deployment);
        let exposed = server::exposed(&loaded.config, &loaded.path, &env::Process);
        let errors = refusals(&loaded.config, &self.secrets)
            .into_iter()
            .chain(exposed);
        let is_of_users = |error: &BuildError| matches!(error, BuildError::Users(_));
        let errors = errors.filter(|error| error.code().is_none() && !is_of_users(error));
        errors
            .map(|error| {
                let Verdict {
                    severity,
                    evidence,
                    remedy,
                } = match barrier(&error) {
                    Some(barrier) => onlooker.judge(&chain(&error), barrier),
                    None => refused(&error),
                };
                Finding {
                    id: FindingId::StartRefused,
                    severity,
                    evidence,
                    remedy,
                    place: self.facts.at_key(error.key()),
                }
            })
            .collect()
    }

    /// What the start lets pass, though whoever breaks in could change it.
    pub(super) fn exposures(&self, loaded: &Loaded) -> Vec<Finding> {
        let exposed = server::exposed_secrets(&loaded.config, &env::Process);
        exposed
            .iter()
            .map(|error| Finding {
                id: FindingId::FileModeBroad,
                severity: Severity::Critical,
                evidence: chain(error),
                remedy: error.remedy().unwrap_or_default(),
                place: self.facts.at_key(error.key()),
            })
            .collect()
    }

    /// What is wrong with the secrets, the worst first.
    pub(super) fn audit(&self, loaded: &Loaded) -> Vec<Finding> {
        audit_secrets(&loaded.config, &self.facts, &self.unresolved)
    }
}

/// What keeps every user from starting it.
fn refused(error: &BuildError) -> Verdict {
    Verdict {
        severity: Severity::Critical,
        evidence: format!("Portcullis does not start: {}", chain(error)),
        remedy: error.remedy().unwrap_or_else(|| {
            "mend what is named there; `portcullis check --resolve` says when it is good".to_owned()
        }),
    }
}

/// A folder that somebody names must be there; of the usual ones most are not.
fn folders(named: &[PathBuf]) -> Vec<PathBuf> {
    if !named.is_empty() {
        return named.to_owned();
    }
    let usual = USUAL_FOLDERS.iter().map(PathBuf::from);
    usual.filter(|folder| is_there(folder)).collect()
}

fn is_there(folder: &Path) -> bool {
    // What is hidden from us is there.
    folder.try_exists().unwrap_or(true)
}

fn unresolved(state: &SecretState) -> Option<Unresolved> {
    let (State::Unresolved, Some(problem)) = (state.state, &state.problem) else {
        return None;
    };
    let is_variable = state.source == Some(SecretSource::Env);
    Some(Unresolved {
        key: state.surface.clone(),
        reference: state.reference()?,
        variable: state.id.clone().filter(|_| is_variable),
        code: problem.code,
        message: problem.message.clone(),
        remedy: problem.remedy.clone().unwrap_or_default(),
        owner: problem.owner,
    })
}
