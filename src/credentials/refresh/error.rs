//! Why a login has no new token.

use super::super::oauth::TokenError;
use super::super::token_sink::SinkError;
use super::super::{ProfileId, UnixMillis, words};
use super::PATIENCE;

/// Why a login has no new token.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The sink can't be read or changed.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// There is no such login, or none any more.
    #[error("`{0}` is no OAuth login in the sink")]
    Gone(ProfileId),
    /// The login came without a refresh token.
    #[error("`{0}` has no refresh token: log in again")]
    NoRefreshToken(ProfileId),
    /// Another task or process is at it, and doesn't end.
    #[error("another refresh of `{id}` has not ended within {after}", after = words::span(PATIENCE))]
    Busy {
        /// The profile.
        id: ProfileId,
    },
    /// The provider refused, now or before; the sink says so, too.
    #[error("`{id}` needs a login: its refresh was refused (`{code}`)")]
    Refused {
        /// The profile.
        id: ProfileId,
        /// The provider's code, or [`super::OUTCOME_UNKNOWN`].
        code: String,
    },
    /// The refresh token may have been used up before; the access token's time isn't over.
    #[error(
        "the outcome of an earlier refresh of `{id}` is unknown: no other is tried, its access token has an end"
    )]
    Attempted {
        /// The profile.
        id: ProfileId,
        /// The access token's end.
        usable_until: UnixMillis,
    },
    /// It was not to be had this time. The login is as it was.
    #[error("`{id}` was not refreshed this time")]
    Transient {
        /// The profile.
        id: ProfileId,
        /// Why.
        #[source]
        source: TokenError,
    },
    /// The refresh token was sent, and what came of it isn't known.
    #[error("the outcome of the refresh of `{id}` is unknown")]
    Unknown {
        /// The profile.
        id: ProfileId,
        /// Why.
        #[source]
        source: TokenError,
    },
    /// New tokens came and can't be saved, so that they are not used.
    #[error("the new tokens of `{id}` can't be saved")]
    Unsaved {
        /// The profile.
        id: ProfileId,
        /// Why.
        #[source]
        source: SinkError,
    },
    /// The process is ending.
    #[error("the process is ending")]
    Ending,
}
