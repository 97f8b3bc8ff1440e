//! Why a valid configuration can't be put to use.

use crate::config::UsersError;
use crate::credentials::SinkError;
use crate::forwarded::HeaderBytesError;
use crate::secrets::{CUSTODY_REMEDY, CommandProblem, FileError, SecretError, SecretRef};
use crate::snapshot::TokenError;
use crate::telemetry::with_causes;
use crate::tls::TlsError;
use std::path::PathBuf;

/// Why a valid configuration can't be put to use. [`BuildError::key`] is the place.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Certificates, keys or authorities.
    #[error("{source}")]
    Tls {
        /// The config key.
        key: String,
        /// What is wrong.
        #[source]
        source: TlsError,
    },
    /// A secret has no value.
    #[error("{reference}: {source}")]
    Secret {
        /// The config key.
        key: String,
        /// Where the secret should be.
        reference: SecretRef,
        /// Why it isn't.
        #[source]
        source: Box<SecretError>,
    },
    /// A secret can't be sent in a header: it holds more than the secret, mostly.
    #[error("the secret can't be sent in a header: {source}")]
    Unsendable {
        /// The config key, or the variable's name.
        key: String,
        /// What is wrong with it.
        #[source]
        source: HeaderBytesError,
    },
    /// A caller's token is none.
    #[error("{source}")]
    Token {
        /// The config key.
        key: String,
        /// What is wrong with it.
        #[source]
        source: TokenError,
    },
    /// Two callers show the same token.
    #[error("got the token of `{earlier}`, expected one of its own: it says who calls")]
    SameToken {
        /// The config key.
        key: String,
        /// Whose token it is already.
        earlier: String,
    },
    /// A token sink can't be used.
    #[error("{source}")]
    Sink {
        /// The config key of its folder.
        key: String,
        /// What is wrong with it.
        #[source]
        source: SinkError,
    },
    /// `models.envFile` can't be used.
    #[error("{0}")]
    EnvFile(#[source] FileError),
    /// What decides lies where the process may write.
    #[error(
        "{path} lies in {folder} ({folder_key}), or is found by way of it: there the process \
         itself may write, and whoever breaks into it could change what it does",
        path = path.display(),
        folder = folder.display()
    )]
    Exposed {
        /// The config key of the path; that of the folder, for the configuration itself.
        key: String,
        /// What lies there.
        path: PathBuf,
        /// The config key of the folder.
        folder_key: String,
        /// The folder.
        folder: PathBuf,
    },
    /// Others may change which commands are run.
    #[error(
        "`run` has no command run by {path}, which others may change: {source}",
        path = path.display()
    )]
    Custody {
        /// The config key of a command.
        key: String,
        /// The configuration's file.
        path: PathBuf,
        /// How they may.
        #[source]
        source: CommandProblem,
    },
    /// The users file can't be read, or holds no list of users.
    #[error("{0}")]
    Users(
        #[from]
        #[source]
        UsersError,
    ),
}

impl BuildError {
    /// The config key that it is about.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Tls { key, .. }
            | Self::Unsendable { key, .. }
            | Self::Secret { key, .. }
            | Self::Token { key, .. }
            | Self::SameToken { key, .. }
            | Self::Exposed { key, .. }
            | Self::Custody { key, .. }
            | Self::Sink { key, .. } => key,
            Self::EnvFile(_) => "models.envFile",
            Self::Users(_) => "gateway.auth.trustedProxy.allowUsersFile",
        }
    }

    /// All that can be said of it in one line: key, what is wrong with its causes,
    /// code, and what to do.
    #[must_use]
    pub fn in_full(&self) -> String {
        let mut text = format!("{}: {}", self.key(), with_causes(self));
        if let Some(code) = self.code() {
            text.push_str(&format!(" ({code})"));
        }
        if let Some(remedy) = self.remedy() {
            text.push_str(&format!("; do: {remedy}"));
        }
        text
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Secret { source, .. } => Some(source.remedy()),
            Self::Unsendable { .. } => {
                Some("store the secret alone, as one line of printable ASCII".to_owned())
            }
            Self::Exposed {
                path, folder_key, ..
            } => Some(format!(
                "keep {path} outside, or name a folder for logins alone in `{folder_key}` \
                 (`run --no-lockdown` starts all the same)",
                path = path.display()
            )),
            Self::Custody { .. } => Some(format!(
                "{CUSTODY_REMEDY} (`run --no-lockdown` runs them all the same)"
            )),
            _ => None,
        }
    }

    /// The gateway's code for it, where it has one.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Secret { source, .. } => Some(source.code()),
            _ => None,
        }
    }
}
