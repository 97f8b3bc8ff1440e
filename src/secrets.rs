//! Where secrets come from: a reference in the config becomes a value that
//! wipes itself and can't be printed.
//!
//! The grammar and the error codes are those of the gateway's own SecretRef, so
//! that a reference means the same on both sides. No message of this room ever
//! holds a secret's value.

mod buffer;
mod document;
pub mod dot_env;
pub mod env;
mod error;
mod exec;
mod file;
mod plaintext;
mod reference;
mod resolve;
mod value;

use std::collections::BTreeMap;
use std::ffi::OsString;

pub use env::EnvProvider;
pub use error::SecretError;
#[cfg(fuzzing)]
pub(crate) use exec::answers;
pub use exec::{
    AnswerProblem, CUSTODY_REMEDY, CommandProblem, ExecError, ExecHelper, ExecProvider,
    HelperError, HelperStart, Listed, Unlisted, Way, check_custody, custody_way, is_read_only,
    kill_running_commands, reap_orphans, serve_commands, way_to,
};
pub use file::{Custody, Exposure, FileError, FileMode, FileProvider, is_in_volume, read_own_file};
pub use plaintext::{Sign, looks_like_variable, names_credential, secrets_in_arguments};
pub use reference::{
    EnvName, ExecId, FileId, ProviderName, RefError, SecretId, SecretInput, SecretRef, SecretSource,
};
pub use resolve::Resolved;
pub use value::SecretValue;

/// Named values: the process' environment, a file of them, or a function.
pub trait Variables: Sync {
    /// The value of `name`.
    fn value(&self, name: &str) -> Option<OsString>;

    /// The names that there are, as far as that can be told.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

impl<F: Fn(&str) -> Option<OsString> + Sync> Variables for F {
    fn value(&self, name: &str) -> Option<OsString> {
        self(name)
    }
}

/// What secret providers read the environment by.
pub type Environment<'a> = &'a dyn Variables;

/// What stands at the gateway, and in what it prints, where a secret was taken out.
const PLACEHOLDERS: [&str; 10] = [
    "__OPENCLAW_REDACTED__",
    "REDACTED",
    "xoxb-REDACTED",
    "xapp-REDACTED",
    "***",
    "[redacted]",
    "[REDACTED]",
    "<redacted>",
    "[REDACTED_PRIVATE_KEY]",
    "[REDACTED CREDENTIAL]",
];

/// A configured provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    /// `source = "env"`.
    Env(EnvProvider),
    /// `source = "file"`.
    File(FileProvider),
    /// `source = "exec"`.
    Exec(ExecProvider),
}

/// The configured secret providers (`[secrets]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Providers {
    listed: BTreeMap<ProviderName, Provider>,
    default_env: ProviderName,
    unlisted_env: Provider,
}

impl Provider {
    /// Of which source it is.
    #[must_use]
    pub fn source(&self) -> SecretSource {
        match self {
            Self::Env(_) => SecretSource::Env,
            Self::File(_) => SecretSource::File,
            Self::Exec(_) => SecretSource::Exec,
        }
    }
}

impl Providers {
    /// The providers by name, and the alias under which an unlisted environment
    /// provider may be used (`secrets.defaults.env`, else `default`).
    #[must_use]
    pub fn new(listed: BTreeMap<ProviderName, Provider>, default_env: ProviderName) -> Self {
        Self {
            listed,
            default_env,
            unlisted_env: Provider::Env(EnvProvider::default()),
        }
    }

    /// The provider that a `$NAME` shorthand means.
    #[must_use]
    pub fn default_env(&self) -> &ProviderName {
        &self.default_env
    }

    /// The providers that the config lists.
    pub fn listed(&self) -> impl Iterator<Item = (&ProviderName, &Provider)> {
        self.listed.iter()
    }

    /// The first of them that runs a command.
    #[must_use]
    pub fn first_command(&self) -> Option<&ProviderName> {
        let mut listed = self.listed();
        let found = listed.find(|(_, provider)| matches!(provider, Provider::Exec(_)));
        found.map(|(name, _)| name)
    }

    /// The provider of a reference, checked without reading anything.
    ///
    /// # Errors
    /// [`SecretError::ProviderNotConfigured`], [`SecretError::SourceMismatch`],
    /// [`SecretError::WrongId`] and [`SecretError::PolicyDenied`].
    pub fn admit(&self, reference: &SecretRef) -> Result<&Provider, SecretError> {
        let SecretRef { provider, id } = reference;
        let asked = id.source();
        let listed = self.listed.get(provider);
        let stands_in = asked == SecretSource::Env && *provider == self.default_env;
        let chosen = match listed {
            Some(listed) if listed.source() == asked => listed,
            _ if stands_in => &self.unlisted_env,
            Some(listed) => {
                return Err(SecretError::SourceMismatch {
                    provider: provider.clone(),
                    configured: listed.source(),
                    asked,
                });
            }
            None => {
                return Err(SecretError::ProviderNotConfigured {
                    provider: provider.clone(),
                });
            }
        };
        match (chosen, id) {
            (Provider::Env(env), SecretId::Env(name)) if !env.allows(name) => {
                Err(SecretError::PolicyDenied {
                    provider: provider.clone(),
                    name: name.clone(),
                })
            }
            (Provider::File(file), SecretId::File(id)) if !file.takes(id) => {
                Err(SecretError::WrongId {
                    reference: reference.clone(),
                    expected: match file.mode {
                        FileMode::Json => "a JSON pointer such as `/gateway/token`",
                        FileMode::SingleValue => "`value`",
                    },
                })
            }
            _ => Ok(chosen),
        }
    }
}

impl Default for Providers {
    fn default() -> Self {
        Self::new(BTreeMap::new(), ProviderName::fallback())
    }
}

/// What a provider has under an id, if that can be a secret.
fn usable(reference: &SecretRef, text: &str) -> Result<SecretValue, SecretError> {
    let reference = || reference.clone();
    if trim(text).is_empty() {
        return Err(SecretError::NoSecret {
            reference: reference(),
            got: "a blank string",
        });
    }
    if is_placeholder(text) {
        return Err(SecretError::Redacted {
            reference: reference(),
        });
    }
    Ok(SecretValue::concat(&[text]))
}

fn is_placeholder(text: &str) -> bool {
    PLACEHOLDERS.contains(&trim(text))
}

/// White space is what JavaScript calls so (ECMA-262, `String.prototype.trim`), as
/// the gateway's resolver does: a byte order mark is some, U+0085 is none.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c == '\u{feff}' || (c.is_whitespace() && c != '\u{85}'))
}
