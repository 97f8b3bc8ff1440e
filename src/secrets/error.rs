//! Why a reference gives no value, with the gateway's code for it and what to do.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::{
    CommandProblem, EnvName, ExecError, Exposure, FileError, ProviderName, SecretRef, SecretSource,
};

/// Why a reference gives no value. No message holds a secret's value, nor
/// anything else that a provider printed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The reference names a provider that `[secrets.providers]` doesn't have.
    #[error("secret provider `{provider}` is not configured")]
    ProviderNotConfigured {
        /// The provider that the reference names.
        provider: ProviderName,
    },
    /// The provider is of another source than the reference.
    #[error("secret provider `{provider}` is of source `{configured}`, expected `{asked}`")]
    SourceMismatch {
        /// The provider that the reference names.
        provider: ProviderName,
        /// What it is.
        configured: SecretSource,
        /// What the reference says that it is.
        asked: SecretSource,
    },
    /// More is asked of one provider than it may be.
    #[error("{got} references of secret provider `{provider}`, expected at most {most}")]
    TooManyRefs {
        /// The provider.
        provider: ProviderName,
        /// How many there are.
        got: usize,
        /// The limit.
        most: usize,
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
    Unset {
        /// The environment variable's name.
        name: EnvName,
    },
    /// The variable's value is not UTF-8.
    #[error("environment variable `{name}` is not valid UTF-8")]
    Undecodable {
        /// The environment variable's name.
        name: EnvName,
    },
    /// An id that the provider's mode has no place for.
    #[error("id `{id}` does not fit the provider's mode, expected {expected}", id = .reference.id.as_str())]
    WrongId {
        /// The reference.
        reference: SecretRef,
        /// What ids of this provider look like.
        expected: &'static str,
    },
    /// The file can't be used.
    #[error("{source}")]
    File {
        /// Why.
        #[source]
        source: Arc<FileError>,
    },
    /// The command gave no answer.
    #[error("{source}")]
    Exec {
        /// Why.
        #[source]
        source: Arc<ExecError>,
    },
    /// The provider answered, and has nothing under this id.
    #[error("the provider has nothing under `{id}`", id = .reference.id.as_str())]
    NotGiven {
        /// The reference.
        reference: SecretRef,
    },
    /// The provider answered with an error for this id.
    #[error("the provider failed for `{id}`", id = .reference.id.as_str())]
    Refused {
        /// The reference.
        reference: SecretRef,
    },
    /// What is there can't be a secret.
    #[error("the provider has {got} under `{id}`, expected a string that isn't blank", id = .reference.id.as_str())]
    NoSecret {
        /// The reference.
        reference: SecretRef,
        /// What is there.
        got: &'static str,
    },
    /// What is there stands for a secret that was taken out.
    #[error("the provider has a redaction's placeholder under `{id}`", id = .reference.id.as_str())]
    Redacted {
        /// The reference.
        reference: SecretRef,
    },
}

impl SecretError {
    /// The owner of what holds it, where that is what is wrong with it.
    #[must_use]
    pub fn foreign_owner(&self) -> Option<u32> {
        match self {
            Self::File { source } => match **source {
                FileError::Unsafe {
                    problem: Exposure::Owner { got, .. },
                    ..
                } => Some(got),
                _ => None,
            },
            Self::Exec { source } => match **source {
                ExecError::Command {
                    problem:
                        CommandProblem::Owner { got: owner, .. }
                        | CommandProblem::FolderOwner { owner, .. }
                        | CommandProblem::LinkOwner { owner, .. },
                    ..
                } => Some(owner),
                _ => None,
            },
            _ => None,
        }
    }

    /// The gateway's code for this error, for logs and scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ProviderNotConfigured { .. } => "SECRET_PROVIDER_NOT_CONFIGURED",
            Self::SourceMismatch { .. } | Self::TooManyRefs { .. } => "SECRET_PROVIDER_INVALID",
            Self::Exec { source } if matches!(**source, ExecError::RequestTooLarge { .. }) => {
                "SECRET_PROVIDER_INVALID"
            }
            Self::File { .. } | Self::Exec { .. } => "SECRET_PROVIDER_UNAVAILABLE",
            Self::PolicyDenied { .. } => "SECRET_REF_POLICY_DENIED",
            Self::Unset { .. } | Self::NotGiven { .. } => "SECRET_REF_NOT_FOUND",
            Self::WrongId { .. } => "SECRET_REF_INVALID",
            Self::Undecodable { .. } | Self::Refused { .. } => "SECRET_REF_PROVIDER_ERROR",
            Self::NoSecret { .. } => "SECRET_REF_PROVIDER_CONTRACT",
            Self::Redacted { .. } => "SECRET_REF_REDACTED_VALUE",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::ProviderNotConfigured { provider } => {
                format!("add `[secrets.providers.{provider}]`, or name a provider that is there")
            }
            Self::SourceMismatch { configured, .. } => {
                format!(
                    "write `source = \"{configured}\"` in the reference, or name another provider"
                )
            }
            Self::TooManyRefs { provider, .. } => {
                format!("spread the references over further providers beside `{provider}`")
            }
            Self::PolicyDenied { provider, name } => {
                format!("add `{name}` to `secrets.providers.{provider}.allowlist`")
            }
            Self::Unset { name } => format!(
                "set `{name}` in the environment that Portcullis is started with (systemd: \
                 EnvironmentFile; Kubernetes: env.valueFrom.secretKeyRef)"
            ),
            Self::Undecodable { name } => format!("set `{name}` to UTF-8 text"),
            Self::WrongId { expected, .. } => format!("write {expected} as the reference's `id`"),
            Self::File { source } => file_remedy(source),
            Self::Exec { source } => exec_remedy(source),
            Self::NotGiven { .. } => "check the id against what the provider holds".to_owned(),
            Self::Refused { .. } => {
                "run the command by hand, with the same id, to see why".to_owned()
            }
            Self::NoSecret { .. } => "store the secret there as a string".to_owned(),
            Self::Redacted { .. } => "store the real secret there".to_owned(),
        }
    }
}

fn file_remedy(error: &FileError) -> String {
    match error {
        FileError::NoHome => "set HOME, or write the path without `~`".to_owned(),
        FileError::Io { path, source } if source.kind() == ErrorKind::NotFound => {
            format!("create {}, or mend `path`", path.display())
        }
        FileError::Io { path, .. } => format!(
            "let the user that Portcullis runs as read {}",
            path.display()
        ),
        FileError::Unsafe { path, problem } => exposure_remedy(path, *problem),
        FileError::TimedOut { .. } => "look after its file system, or raise `timeoutMs`".to_owned(),
        FileError::Content { .. } => {
            "mend the file; `mode` says whether it is `json` or a `singleValue`".to_owned()
        }
    }
}

fn exposure_remedy(path: &Path, problem: Exposure) -> String {
    match problem {
        Exposure::TooLarge(_) => "mend the file, or raise `maxBytes`".to_owned(),
        Exposure::NotRegular => "let `path` name a file".to_owned(),
        Exposure::HardLinks(_) => "store the secret in a file with one name".to_owned(),
        Exposure::OutsideMount => "let `path` name the volume's own file".to_owned(),
        Exposure::Symlink => "name the file itself; a volume of Kubernetes or systemd needs \
                              `mountedVolume = true`"
            .to_owned(),
        Exposure::Owner { .. } => "run this as the service's user where that is the owner, else \
                                   give the file to that user; a volume of Kubernetes or systemd \
                                   needs `mountedVolume = true`"
            .to_owned(),
        Exposure::Mode { .. } => format!(
            "`chmod go= {}`; a volume of Kubernetes or systemd needs `mountedVolume = true`",
            path.display()
        ),
    }
}

pub(super) fn exec_remedy(error: &ExecError) -> String {
    match error {
        ExecError::Command {
            command,
            problem: CommandProblem::Missing(_),
        } => format!("install {}, or mend `command`", command.display()),
        ExecError::Command { command, .. } => format!(
            "let {} and every folder above it belong to root or the service's user, and nobody \
             else write there",
            command.display()
        ),
        ExecError::Start { command, .. } => {
            format!("make {} executable, and its interpreter there", command.display())
        }
        ExecError::TimedOut(_) => "see why it is slow, or raise `timeoutMs`".to_owned(),
        ExecError::Silent(_) => "see why it is silent, or raise `noOutputTimeoutMs`".to_owned(),
        ExecError::TooMuchOutput(_) => {
            "let it print its answer alone, or raise `maxOutputBytes`".to_owned()
        }
        ExecError::Helper(error) => error.remedy(),
        ExecError::RequestTooLarge { .. } => {
            "spread the references over further providers".to_owned()
        }
        ExecError::Io(_) | ExecError::Failed { .. } | ExecError::Answer(_) => {
            "run it by hand, with an empty environment plus `passEnv` and `env`, to see what it prints"
                .to_owned()
        }
    }
}
