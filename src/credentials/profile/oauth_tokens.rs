//! The tokens of one OAuth login, and what may be done with them.

use super::super::{UnixMillis, fingerprint};
use crate::secrets::SecretValue;
use std::time::Duration;

/// How long before its end a token is refreshed.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// The tokens of one OAuth login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthTokens {
    /// What requests carry.
    pub access: SecretValue,
    /// What a new access token is had for. It may be good for one use.
    pub refresh: Option<SecretValue>,
    /// When the access token ends.
    pub expires: UnixMillis,
    /// When the access token was given, where we got it.
    pub obtained: Option<UnixMillis>,
    /// The account that requests must name beside the token.
    pub account_id: Option<String>,
    /// A refresh that was begun, and whose end isn't known.
    pub attempt: Option<RefreshAttempt>,
    /// The code with which the provider refused to refresh: the user must log in.
    pub needs_login: Option<String>,
}

/// A refresh token that was sent, or was about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshAttempt {
    /// The refresh token's fingerprint.
    pub of: String,
    /// When.
    pub at: UnixMillis,
}

impl OAuthTokens {
    /// Whether the access token needs no refresh yet: five minutes are left, or half of
    /// the life of a token that lives for less than ten.
    #[must_use]
    pub fn is_fresh(&self, now: UnixMillis) -> bool {
        let margin = match self.obtained {
            Some(obtained) => MARGIN.min(obtained.until(self.expires) / 2),
            None => MARGIN,
        };
        let left = now.until(self.expires);
        left >= margin && !left.is_zero()
    }

    /// Whether the access token's time isn't over.
    #[must_use]
    pub fn is_unexpired(&self, now: UnixMillis) -> bool {
        now < self.expires
    }

    /// Whether a request could be made with it now, be it after a refresh.
    #[must_use]
    pub fn is_usable(&self, now: UnixMillis) -> bool {
        self.is_unexpired(now) || self.can_refresh()
    }

    /// Whether there is a refresh token that may be sent: none that the provider refused,
    /// and none that may have been used up already.
    #[must_use]
    pub fn can_refresh(&self) -> bool {
        self.refresh.is_some() && self.needs_login.is_none() && !self.is_attempted()
    }

    /// Whether the refresh token that is here was sent before, with no known outcome.
    #[must_use]
    pub fn is_attempted(&self) -> bool {
        match (&self.attempt, &self.refresh) {
            (Some(attempt), Some(refresh)) => attempt.of == fingerprint(refresh),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(expires: u64) -> OAuthTokens {
        let secret = |text: &str| SecretValue::new(text.to_owned());
        OAuthTokens {
            access: secret("access"),
            refresh: Some(secret("refresh")),
            expires: UnixMillis(expires),
            obtained: None,
            account_id: None,
            attempt: None,
            needs_login: None,
        }
    }

    #[test]
    fn a_token_is_fresh_while_five_minutes_or_half_of_its_life_are_left() {
        let now = UnixMillis(10_000_000);
        for (obtained, left_ms, fresh) in [
            (None, 300_000, true),
            (None, 299_999, false),
            (None, 0, false),
            (Some(now.0 - 3_300_000), 300_000, true),
            (Some(now.0 - 3_300_000), 299_999, false),
            (Some(now.0), 4_000, true),
            (Some(now.0 - 2_000), 2_000, true),
            (Some(now.0 - 2_001), 1_999, false),
            (Some(now.0), 0, false),
        ] {
            let tokens = OAuthTokens {
                obtained: obtained.map(UnixMillis),
                ..tokens(now.0 + left_ms)
            };
            assert_eq!(tokens.is_fresh(now), fresh, "{obtained:?} {left_ms}");
            assert_eq!(tokens.is_unexpired(now), left_ms > 0);
        }
    }

    #[test]
    fn a_refresh_token_is_sent_once_and_never_after_a_refusal() {
        let (now, ended) = (UnixMillis(2000), tokens(1000));
        let attempt = |of: &str| {
            let (of, at) = (of.to_owned(), now);
            Some(RefreshAttempt { of, at })
        };
        let own = fingerprint(ended.refresh.as_ref().unwrap());
        for (tokens, can_refresh) in [
            (ended.clone(), true),
            (
                OAuthTokens {
                    attempt: attempt(&own),
                    ..ended.clone()
                },
                false,
            ),
            // That was another refresh token.
            (
                OAuthTokens {
                    attempt: attempt("00000000"),
                    ..ended.clone()
                },
                true,
            ),
            (
                OAuthTokens {
                    refresh: None,
                    ..ended.clone()
                },
                false,
            ),
            (
                OAuthTokens {
                    needs_login: Some("invalid_grant".into()),
                    ..ended.clone()
                },
                false,
            ),
        ] {
            assert_eq!(tokens.can_refresh(), can_refresh, "{tokens:?}");
            assert_eq!(tokens.is_usable(now), can_refresh, "{tokens:?}");
            assert!(tokens.is_usable(UnixMillis(999)));
        }
    }
}
