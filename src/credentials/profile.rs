//! A profile: one login, token or key of a provider, as the token sink holds it.

mod external;
mod id;
mod oauth_tokens;
mod read;

pub use external::{ExternalError, ExternalLogin, ExternalProgram};
pub use id::{ProfileId, ProfileIdError};
pub use oauth_tokens::{OAuthTokens, RefreshAttempt};
pub use read::ProfileProblem;
pub(super) use read::{is_sendable, millis, read, secret_text};

use super::UnixMillis;
use super::provider::CODEX;
use super::status::CredentialKind;
use crate::secrets::{SecretRef, SecretValue};

/// A credential with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub id: ProfileId,
    /// The provider as the sink has it; [`Profile::serves`] says whose requests may
    /// carry it.
    pub provider: String,
    /// The credential itself.
    pub login: Login,
    /// Whose it is, where that is known.
    pub email: Option<String>,
}

/// The kinds of credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// `api_key`.
    ApiKey(Held),
    /// `token`: a bearer token that nobody can refresh.
    Token {
        /// The token.
        token: Held,
        /// When it ends, where that is known.
        expires: Option<UnixMillis>,
    },
    /// `oauth`.
    OAuth(OAuthTokens),
    /// A login that another program keeps.
    External(ExternalLogin),
}

/// A secret in the sink, or where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// It stands in the sink.
    Value(SecretValue),
    /// It is somewhere else (`keyRef`, `tokenRef`).
    Ref(SecretRef),
}

/// What the sink has under a profile's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A profile.
    Usable(Profile),
    /// Something that is none. It is kept, and shown.
    Unusable {
        /// The name, which may be none of ours.
        id: String,
        /// What is wrong with it.
        why: ProfileProblem,
    },
}

impl Profile {
    /// The provider whose requests may carry this credential. A login of `openai` is one
    /// at ChatGPT, which the API at `api.openai.com` doesn't take.
    #[must_use]
    pub fn serves(&self) -> &str {
        match &self.login {
            Login::OAuth(_) if self.provider == "openai" => CODEX,
            _ => &self.provider,
        }
    }
}

impl Login {
    /// What it is, as a credential.
    #[must_use]
    pub fn kind(&self) -> CredentialKind {
        match self {
            Self::ApiKey(_) => CredentialKind::ApiKey,
            Self::Token { .. } => CredentialKind::Token,
            Self::OAuth(_) => CredentialKind::OAuth,
            Self::External(_) => CredentialKind::External,
        }
    }

    /// Where its secret is, if that isn't the sink.
    #[must_use]
    pub fn reference(&self) -> Option<&SecretRef> {
        match self {
            Self::ApiKey(Held::Ref(reference))
            | Self::Token {
                token: Held::Ref(reference),
                ..
            } => Some(reference),
            Self::ApiKey(_) | Self::Token { .. } | Self::OAuth(_) | Self::External(_) => None,
        }
    }

    /// When it ends, as far as the sink knows; an external login's file knows better.
    #[must_use]
    pub fn expires(&self) -> Option<UnixMillis> {
        match self {
            Self::ApiKey(_) | Self::External(_) => None,
            Self::Token { expires, .. } => *expires,
            Self::OAuth(tokens) => Some(tokens.expires),
        }
    }
}

impl Entry {
    /// The name as it stands in the sink.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Usable(profile) => profile.id.as_str(),
            Self::Unusable { id, .. } => id,
        }
    }

    /// The profile, where it is one.
    #[must_use]
    pub fn profile(&self) -> Option<&Profile> {
        match self {
            Self::Usable(profile) => Some(profile),
            Self::Unusable { .. } => None,
        }
    }
}
