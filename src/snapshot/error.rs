//! Why a valid configuration can't be put to use.

use crate::config::UsersFileError;
use crate::forwarded::HeaderBytesError;
use crate::secrets::{SecretError, SecretRef};
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
        key: &'static str,
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
        /// The config key.
        key: &'static str,
        /// What is wrong with it.
        #[source]
        source: HeaderBytesError,
    },
    /// `admin.token` is no token.
    #[error("{0}")]
    Token(#[source] TokenError),
    /// The users file can't be read.
    #[error("{path}: {source}", path = path.display())]
    UnreadableUsers {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The users file holds no list of users.
    #[error("{path}: {source}", path = path.display())]
    Users {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: UsersFileError,
    },
}

impl BuildError {
    /// The config key that it is about.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Tls { key, .. } | Self::Unsendable { key, .. } => key,
            Self::Secret { key, .. } => key,
            Self::Token(_) => crate::config::ADMIN_TOKEN,
            Self::UnreadableUsers { .. } | Self::Users { .. } => {
                "gateway.auth.trustedProxy.allowUsersFile"
            }
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
