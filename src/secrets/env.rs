//! The `env` secret provider: the one file that reads the process environment.

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::{EnvName, Environment, SecretError, SecretValue};

/// A configured `source = "env"` provider.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnvProvider {
    allowlist: Option<BTreeSet<EnvName>>,
}

impl EnvProvider {
    /// A provider that gives out the names in `allowlist` alone; `None` allows
    /// every name, an empty list none.
    #[must_use]
    pub fn new(allowlist: Option<BTreeSet<EnvName>>) -> Self {
        Self { allowlist }
    }

    /// Whether this provider gives out `name`.
    #[must_use]
    pub fn allows(&self, name: &EnvName) -> bool {
        self.allowlist
            .as_ref()
            .is_none_or(|names| names.contains(name))
    }
}

/// The environment of this process, as an [`Environment`].
#[must_use]
pub fn process(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Reads one variable. White space alone counts as missing, as at the gateway;
/// any other value is taken as it is.
pub(super) fn read(
    name: &EnvName,
    environment: Environment<'_>,
) -> Result<SecretValue, SecretError> {
    let raw =
        environment(name.as_str()).ok_or_else(|| SecretError::NotFound { name: name.clone() })?;
    let value = SecretValue::new(
        raw.into_string()
            .map_err(|_| SecretError::Undecodable { name: name.clone() })?,
    );
    if value.expose().trim().is_empty() {
        return Err(SecretError::NotFound { name: name.clone() });
    }
    Ok(value)
}
