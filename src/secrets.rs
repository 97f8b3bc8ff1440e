//! Where secrets come from: a reference in the config becomes a value that
//! wipes itself and can't be printed.
//!
//! The grammar and the error codes are those of the gateway's own SecretRef, so
//! that a reference means the same on both sides. No message of this room ever
//! holds a secret's value.

pub mod env;
mod reference;
mod value;

use std::collections::BTreeMap;
use std::ffi::OsString;

pub use env::EnvProvider;
pub use reference::{EnvName, ProviderName, RefError, SecretInput, SecretRef, SecretSource};
pub use value::SecretValue;

/// How a secret provider reads the environment: a name in, its value out.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The configured secret providers (`[secrets]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Providers {
    env: BTreeMap<ProviderName, EnvProvider>,
    default_env: ProviderName,
}

/// Why a reference gives no value. Each has the gateway's code for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The reference names a provider that `[secrets.providers]` doesn't have.
    #[error("secret provider `{provider}` is not configured")]
    ProviderNotConfigured {
        /// The provider that the reference names.
        provider: ProviderName,
    },
    /// The provider's `allowlist` doesn't hold the name.
    #[error("secret provider `{provider}` does not allow `{name}`: it is not in its allowlist")]
    PolicyDenied {
        /// The provider that was asked.
        provider: ProviderName,
        /// The environment variable's name.
        name: EnvName,
    },
    /// The variable is unset, or holds white space only.
    #[error("environment variable `{name}` is not set, or blank")]
    NotFound {
        /// The environment variable's name.
        name: EnvName,
    },
    /// The variable's value is not UTF-8.
    #[error("environment variable `{name}` is not valid UTF-8")]
    Undecodable {
        /// The environment variable's name.
        name: EnvName,
    },
}

impl SecretError {
    /// The gateway's code for this error, for logs and scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ProviderNotConfigured { .. } => "SECRET_PROVIDER_NOT_CONFIGURED",
            Self::PolicyDenied { .. } => "SECRET_REF_POLICY_DENIED",
            Self::NotFound { .. } => "SECRET_REF_NOT_FOUND",
            Self::Undecodable { .. } => "SECRET_REF_PROVIDER_ERROR",
        }
    }
}

impl Providers {
    /// The providers by name, and the alias under which an unlisted environment
    /// provider may be used (`secrets.defaults.env`, else `default`).
    #[must_use]
    pub fn new(env: BTreeMap<ProviderName, EnvProvider>, default_env: ProviderName) -> Self {
        Self { env, default_env }
    }

    /// The provider that a `$NAME` shorthand means.
    #[must_use]
    pub fn default_env(&self) -> &ProviderName {
        &self.default_env
    }

    /// Checks a reference without reading anything.
    ///
    /// # Errors
    /// [`SecretError::ProviderNotConfigured`] and [`SecretError::PolicyDenied`].
    pub fn admit(&self, reference: &SecretRef) -> Result<(), SecretError> {
        let SecretRef::Env { provider, name } = reference;
        match self.env.get(provider) {
            Some(listed) if !listed.allows(name) => Err(SecretError::PolicyDenied {
                provider: provider.clone(),
                name: name.clone(),
            }),
            Some(_) => Ok(()),
            None if *provider == self.default_env => Ok(()),
            None => Err(SecretError::ProviderNotConfigured {
                provider: provider.clone(),
            }),
        }
    }

    /// Turns a config's secret into its value.
    ///
    /// # Errors
    /// Any [`SecretError`]; a plain string always succeeds.
    pub fn resolve(
        &self,
        input: &SecretInput,
        environment: Environment<'_>,
    ) -> Result<SecretValue, SecretError> {
        match input {
            SecretInput::Plain(value) => Ok(value.clone()),
            SecretInput::Ref(reference) => {
                self.admit(reference)?;
                let SecretRef::Env { name, .. } = reference;
                env::read(name, environment)
            }
        }
    }
}

impl Default for Providers {
    fn default() -> Self {
        Self::new(BTreeMap::new(), ProviderName::fallback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(name: &str) -> ProviderName {
        ProviderName::parse(name).unwrap()
    }

    fn reference(alias: &str, name: &str) -> SecretInput {
        SecretInput::Ref(SecretRef::Env {
            provider: provider(alias),
            name: EnvName::parse(name).unwrap(),
        })
    }

    fn environment(name: &str) -> Option<OsString> {
        match name {
            "TOKEN" => Some(" kept as it is ".into()),
            "BLANK" => Some(" \t\n".into()),
            _ => None,
        }
    }

    #[test]
    fn resolves_a_variable_without_trimming_it() {
        let value = Providers::default()
            .resolve(&reference("default", "TOKEN"), &environment)
            .unwrap();
        assert_eq!(value.expose(), " kept as it is ");
    }

    #[test]
    fn reads_a_blank_variable_as_missing() {
        for name in ["BLANK", "UNSET"] {
            let error = Providers::default()
                .resolve(&reference("default", name), &environment)
                .unwrap_err();
            assert_eq!(error.code(), "SECRET_REF_NOT_FOUND", "{name}");
        }
    }

    #[test]
    fn refuses_a_provider_that_is_not_listed() {
        let error = Providers::default()
            .resolve(&reference("vault", "TOKEN"), &environment)
            .unwrap_err();
        assert_eq!(error.code(), "SECRET_PROVIDER_NOT_CONFIGURED");
    }

    #[test]
    fn the_default_alias_needs_no_entry_and_no_other_alias_stands_in_for_it() {
        let providers = Providers::new(BTreeMap::new(), provider("house"));
        assert!(
            providers
                .resolve(&reference("house", "TOKEN"), &environment)
                .is_ok()
        );
        assert!(
            providers
                .resolve(&reference("default", "TOKEN"), &environment)
                .is_err()
        );
    }

    #[test]
    fn an_allowlist_denies_every_other_name() {
        for (allowlist, allowed) in [
            (None, true),
            (Some(vec![]), false),
            (Some(vec!["OTHER"]), false),
            (Some(vec!["OTHER", "TOKEN"]), true),
        ] {
            let names = allowlist.clone().map(|names| {
                names
                    .into_iter()
                    .map(|name| EnvName::parse(name).unwrap())
                    .collect()
            });
            let listed = BTreeMap::from([(provider("default"), EnvProvider::new(names))]);
            let result = Providers::new(listed, provider("default"))
                .resolve(&reference("default", "TOKEN"), &environment);
            assert_eq!(result.is_ok(), allowed, "{allowlist:?}");
            if let Err(error) = result {
                assert_eq!(error.code(), "SECRET_REF_POLICY_DENIED");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn refuses_a_value_that_is_not_utf8() {
        use std::os::unix::ffi::OsStringExt as _;
        let latin1 = |_: &str| Some(OsString::from_vec(vec![b'a', 0xe9]));
        let error = Providers::default()
            .resolve(&reference("default", "TOKEN"), &latin1)
            .unwrap_err();
        assert_eq!(error.code(), "SECRET_REF_PROVIDER_ERROR");
    }
}
