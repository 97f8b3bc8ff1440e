//! The `env` secret provider: the one file that reads the process environment.

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::{
    EnvName, Environment, ProviderName, SecretError, SecretId, SecretRef, SecretValue, Variables,
    is_placeholder, trim,
};

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

    /// Reads one variable. White space alone counts as missing, as at the gateway;
    /// any other value is taken as it is.
    pub(super) fn read(
        &self,
        provider: &ProviderName,
        name: &EnvName,
        environment: Environment<'_>,
    ) -> Result<SecretValue, SecretError> {
        if !self.allows(name) {
            return Err(SecretError::PolicyDenied {
                provider: provider.clone(),
                name: name.clone(),
            });
        }
        let missing = || SecretError::Unset { name: name.clone() };
        let raw = environment.value(name.as_str()).ok_or_else(missing)?;
        let value = SecretValue::new(
            raw.into_string()
                .map_err(|_| SecretError::Undecodable { name: name.clone() })?,
        );
        if trim(value.expose()).is_empty() {
            return Err(missing());
        }
        if is_placeholder(value.expose()) {
            return Err(SecretError::Redacted {
                reference: SecretRef {
                    provider: provider.clone(),
                    id: SecretId::Env(name.clone()),
                },
            });
        }
        Ok(value)
    }
}

/// The environment of this process, as an [`Environment`].
#[derive(Debug, Clone, Copy)]
pub struct Process;

impl Variables for Process {
    fn value(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn names(&self) -> Vec<String> {
        let names = std::env::vars_os().map(|(name, _)| name.into_string());
        names.filter_map(Result::ok).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<OsString> {
        match name {
            "TOKEN" => Some(" s3cret ".into()),
            "BLANK" => Some(" \t\n".into()),
            _ => None,
        }
    }

    fn read(allowlist: Option<&[&str]>, name: &str) -> Result<SecretValue, SecretError> {
        let parse = |name: &&str| EnvName::parse(name).unwrap();
        EnvProvider::new(allowlist.map(|names| names.iter().map(parse).collect())).read(
            &ProviderName::fallback(),
            &EnvName::parse(name).unwrap(),
            &environment,
        )
    }

    #[test]
    fn takes_a_value_as_it_is() {
        assert_eq!(read(None, "TOKEN").unwrap().expose(), " s3cret ");
    }

    #[test]
    fn blank_is_missing() {
        for name in ["BLANK", "UNSET"] {
            let error = read(None, name).unwrap_err();
            assert_eq!(error.code(), "SECRET_REF_NOT_FOUND", "{name}");
        }
    }

    #[test]
    fn an_allowlist_denies_every_other_name() {
        for (allowlist, allowed) in [
            (None, true),
            (Some(&[][..]), false),
            (Some(&["OTHER"]), false),
            (Some(&["OTHER", "TOKEN"]), true),
        ] {
            let result = read(allowlist, "TOKEN");
            assert_eq!(result.is_ok(), allowed, "{allowlist:?}");
            if let Err(error) = result {
                assert_eq!(error.code(), "SECRET_REF_POLICY_DENIED");
            }
        }
    }

    #[test]
    fn refuses_a_value_that_is_not_utf8() {
        use std::os::unix::ffi::OsStringExt as _;
        let latin1 = |_: &str| Some(OsString::from_vec(vec![b'a', 0xe9]));
        let error = EnvProvider::default()
            .read(
                &ProviderName::fallback(),
                &EnvName::parse("TOKEN").unwrap(),
                &latin1,
            )
            .unwrap_err();
        assert_eq!(error.code(), "SECRET_REF_PROVIDER_ERROR");
    }
}
