//! Resolves the secrets of a configuration and keeps account of each.

use super::BuildError;
use crate::secrets::{Environment, Providers, SecretInput, SecretRef, SecretValue};
use serde::Serialize;

/// What may be told of a secret.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretState {
    /// The config key that wants it.
    surface: &'static str,
    /// `plain` or `env`.
    source: &'static str,
    /// The provider's alias; none for a plain value.
    provider: Option<String>,
    /// The reference's id; never the value.
    id: Option<String>,
}

/// Resolves one secret after the other.
pub(super) struct Resolver<'a> {
    providers: &'a Providers,
    environment: Environment<'a>,
    states: Vec<SecretState>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(providers: &'a Providers, environment: Environment<'a>) -> Self {
        Self {
            providers,
            environment,
            states: Vec::new(),
        }
    }

    pub(super) fn resolve(
        &mut self,
        key: &'static str,
        input: &SecretInput,
    ) -> Result<SecretValue, BuildError> {
        let value = self
            .providers
            .resolve(input, self.environment)
            .map_err(|source| BuildError::Secret { key, source })?;
        self.states.push(match input {
            SecretInput::Plain(_) => SecretState {
                surface: key,
                source: "plain",
                provider: None,
                id: None,
            },
            SecretInput::Ref(SecretRef::Env { provider, name }) => SecretState {
                surface: key,
                source: "env",
                provider: Some(provider.to_string()),
                id: Some(name.as_str().to_owned()),
            },
        });
        Ok(value)
    }

    pub(super) fn into_states(self) -> Vec<SecretState> {
        self.states
    }
}
