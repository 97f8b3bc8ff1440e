//! What is to be done about a login's tokens.

use super::super::{OAuthTokens, UnixMillis};
use crate::secrets::SecretValue;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing: there is a good token, which another may have had.
    Done,
    /// Send this refresh token.
    Send(SecretValue),
    /// There is nothing to send.
    NoRefreshToken,
    /// The provider refused it with this code.
    Refused(String),
    /// It may have been used up; the access token is good for a while.
    Attempted { usable_until: UnixMillis },
    /// It may have been used up, and the access token is no good any more.
    GiveUp(SecretValue),
}

/// Decides. `unfit` is an access token that the provider didn't take.
pub(super) fn plan(tokens: &OAuthTokens, unfit: Option<&SecretValue>, now: UnixMillis) -> Plan {
    let is_unfit = unfit == Some(&tokens.access);
    if tokens.is_fresh(now) && !is_unfit {
        return Plan::Done;
    }
    match (&tokens.needs_login, &tokens.refresh) {
        (Some(code), _) => Plan::Refused(code.clone()),
        (None, None) => Plan::NoRefreshToken,
        (None, Some(refresh)) if !tokens.is_attempted() => Plan::Send(refresh.clone()),
        (None, Some(_)) if tokens.is_unexpired(now) && !is_unfit => Plan::Attempted {
            usable_until: tokens.expires,
        },
        (None, Some(refresh)) => Plan::GiveUp(refresh.clone()),
    }
}
