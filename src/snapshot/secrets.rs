//! All secrets of a configuration, resolved at once, and the account of each.

use super::BuildError;
use crate::config::{Activity, Config, Surface};
use crate::secrets::{Environment, SecretError, SecretInput, SecretRef, SecretSource, SecretValue};
use crate::telemetry::with_causes;
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};

/// A configuration's secrets.
#[derive(Debug)]
pub struct Secrets {
    values: BTreeMap<String, SecretValue>,
    states: Vec<SecretState>,
    errors: Vec<BuildError>,
}

/// What may be told of a secret: everything but its value.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretState {
    /// The config key that wants it.
    pub surface: String,
    /// Where it is; none for a plain value: `plain` in JSON.
    #[serde(serialize_with = "as_word")]
    pub source: Option<SecretSource>,
    /// The provider's alias; none for a plain value.
    pub provider: Option<String>,
    /// The reference's id.
    pub id: Option<String>,
    /// What became of it.
    pub state: State,
    /// Why it has no value.
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    pub problem: Option<SecretProblem>,
}

/// What became of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It stands in the config itself.
    Plain,
    /// It was had from its provider.
    Resolved,
    /// It was not to be had.
    Unresolved,
    /// Nothing uses it, so nobody asked for it.
    Inactive,
}

/// Why a secret has no value.
#[derive(Debug, Clone, Serialize)]
pub struct SecretProblem {
    /// A code for scripts.
    pub code: &'static str,
    /// What was got and what was expected, or why nobody asked.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Whose it is, where that is what is wrong.
    #[serde(skip)]
    pub owner: Option<u32>,
}

/// The gateway's word for a reference that nothing uses.
pub const IGNORED_INACTIVE: &str = "SECRETS_REF_IGNORED_INACTIVE_SURFACE";

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [
        Self::Plain,
        Self::Resolved,
        Self::Unresolved,
        Self::Inactive,
    ];

    /// As JSON and the metrics spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Resolved => "resolved",
            Self::Unresolved => "unresolved",
            Self::Inactive => "inactive",
        }
    }
}

impl Secrets {
    /// Resolves every secret that is in use. Blocks while files are read and
    /// commands run, each within its own bounds.
    #[must_use]
    pub fn resolve(config: &Config, environment: Environment<'_>) -> Self {
        let surfaces = config.surfaces();
        let references: BTreeSet<SecretRef> = surfaces
            .iter()
            .filter_map(|surface| surface.to_resolve().cloned())
            .collect();
        let resolved = config.secrets.resolve(&references, environment);
        let mut secrets = Self {
            values: BTreeMap::new(),
            states: Vec::new(),
            errors: Vec::new(),
        };
        for surface in surfaces {
            let Surface {
                key,
                input,
                activity,
            } = surface;
            let value = match (activity, input) {
                // Whatever another surface made of the same reference.
                (Activity::Inactive(_), _) => None,
                (Activity::Active, SecretInput::Plain(value)) => Some(Ok(value)),
                (Activity::Active, SecretInput::Ref(reference)) => {
                    Some(resolved[reference].as_ref())
                }
            };
            let error = value.and_then(Result::err);
            secrets
                .states
                .push(SecretState::of(&key, input, activity, error));
            match (value, input) {
                (Some(Ok(value)), _) => {
                    secrets.values.insert(key, value.clone());
                }
                (Some(Err(error)), SecretInput::Ref(reference)) => {
                    secrets.errors.push(BuildError::Secret {
                        key,
                        reference: reference.clone(),
                        source: Box::new(error.clone()),
                    });
                }
                _ => {}
            }
        }
        secrets
    }

    /// The account of each secret, in the order of [`Config::surfaces`].
    #[must_use]
    pub fn states(&self) -> &[SecretState] {
        &self.states
    }

    /// Whether every secret in use has its value.
    #[must_use]
    pub fn are_whole(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether the system keeps all of them out of swap.
    pub(super) fn are_locked(&self) -> bool {
        self.values.values().all(SecretValue::is_locked)
    }

    /// The value for a config key; none where it has none, or was not to be had.
    pub(super) fn value(&self, key: &str) -> Option<&SecretValue> {
        self.values.get(key)
    }

    /// What was not to be had, and the account of all.
    pub(super) fn into_parts(self) -> (Vec<BuildError>, Vec<SecretState>) {
        (self.errors, self.states)
    }
}

fn as_word<S: Serializer>(source: &Option<SecretSource>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(source.map_or("plain", SecretSource::as_str))
}

impl SecretState {
    /// Its reference, `env:default:TOKEN`; none for a plain value.
    #[must_use]
    pub fn reference(&self) -> Option<String> {
        let source = self.source?.as_str();
        Some(format!(
            "{source}:{}:{}",
            self.provider.as_ref()?,
            self.id.as_ref()?
        ))
    }

    fn of(key: &str, input: &SecretInput, activity: Activity, error: Option<&SecretError>) -> Self {
        let problem = match (activity, error) {
            (Activity::Inactive(reason), _) => Some(SecretProblem {
                code: IGNORED_INACTIVE,
                message: format!("nothing uses it: {reason}"),
                remedy: None,
                owner: None,
            }),
            (Activity::Active, error) => error.map(|error| SecretProblem {
                code: error.code(),
                message: with_causes(error),
                remedy: Some(error.remedy()),
                owner: error.foreign_owner(),
            }),
        };
        let state = match (input, activity, error) {
            (_, Activity::Inactive(_), _) => State::Inactive,
            (_, Activity::Active, Some(_)) => State::Unresolved,
            (SecretInput::Plain(_), Activity::Active, None) => State::Plain,
            (SecretInput::Ref(_), Activity::Active, None) => State::Resolved,
        };
        let reference = match input {
            SecretInput::Plain(_) => None,
            SecretInput::Ref(reference) => Some(reference),
        };
        Self {
            surface: key.to_owned(),
            source: reference.map(|reference| reference.id.source()),
            provider: reference.map(|reference| reference.provider.to_string()),
            id: reference.map(|reference| reference.id.as_str().to_owned()),
            state,
            problem,
        }
    }
}
