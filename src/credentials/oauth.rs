//! OAuth: a login with PKCE (RFC 7636) at a provider, and what its token server says.

mod answer;
mod claims;
mod failure;
mod token_server;

pub use answer::AnswerError;
pub use failure::{TokenError, Unanswered};
pub(super) use token_server::{Grant, ask};

use super::provider::OAuthSettings;
use super::{OAuthTokens, UnixMillis};
use crate::secrets::SecretValue;
use oauth2::{AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier};
use oauth2::{RedirectUrl, Scope};
use rustls::crypto::ring::default_provider;
use std::fmt;

/// A PKCE verifier's entropy, in bytes (RFC 7636 section 4.1).
const VERIFIER_BYTES: u32 = 32;
const STATE_BYTES: usize = 16;

/// A login that was begun: the user is at the provider, and will come back with a code.
pub struct PendingLogin {
    settings: OAuthSettings,
    redirect: RedirectUrl,
    authorize_url: String,
    state: SecretValue,
    verifier: PkceCodeVerifier,
}

/// A code that came back, to be exchanged once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code(SecretValue);

/// What a login gave.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// The tokens.
    pub tokens: OAuthTokens,
    /// Whose they are, where the provider says so.
    pub email: Option<String>,
}

/// Why a login can't begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Randomness,
    /// The redirect is none.
    #[error("the redirect is no URL")]
    Redirect,
}

impl PendingLogin {
    /// Begins a login that comes back to the URL `redirect`.
    ///
    /// # Errors
    /// [`LoginError`].
    pub fn begin(settings: &OAuthSettings, redirect: &str) -> Result<Self, LoginError> {
        let redirect = RedirectUrl::new(redirect.to_owned()).map_err(|_| LoginError::Redirect)?;
        let url = AuthUrl::new(settings.authorize_url.as_str().to_owned());
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256_len(VERIFIER_BYTES);
        let state = state()?;
        let client = oauth2::basic::BasicClient::new(ClientId::new(settings.client_id.clone()))
            .set_auth_uri(url.expect("a base URL is a URL"))
            .set_redirect_uri(redirect.clone());
        let mut request = client
            .authorize_url(|| CsrfToken::new(state.expose().to_owned()))
            .set_pkce_challenge(challenge)
            .add_scopes(settings.scopes.iter().cloned().map(Scope::new));
        for (name, value) in &settings.extra {
            request = request.add_extra_param(name, value);
        }
        let (url, _) = request.url();
        Ok(Self {
            settings: settings.clone(),
            redirect,
            authorize_url: url.into(),
            state,
            verifier,
        })
    }

    /// Where the user logs in. It holds the state, and nothing that lasts.
    #[must_use]
    pub fn authorize_url(&self) -> &str {
        &self.authorize_url
    }

    /// Reads the query with which the browser came back.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn read_query(&self, query: &str) -> Result<Code, AnswerError> {
        answer::read_query(query, &self.state).map(Code)
    }

    /// Reads what the user pasted: the whole redirect URL, its query, `code#state`, or
    /// the code alone.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn read_pasted(&self, line: &str) -> Result<Code, AnswerError> {
        answer::read_pasted(line, &self.state).map(Code)
    }

    /// Has tokens for the code. `http` sends one request, and follows no redirect.
    ///
    /// # Errors
    /// [`TokenError`].
    pub async fn exchange<H, F>(
        &self,
        code: &Code,
        http: &H,
        now: UnixMillis,
    ) -> Result<LoggedIn, TokenError>
    where
        H: Fn(http::Request<Vec<u8>>) -> F,
        F: Future<Output = Result<http::Response<Vec<u8>>, Unanswered>>,
    {
        let grant = Grant::Code {
            code: &code.0,
            verifier: &self.verifier,
            redirect: &self.redirect,
        };
        let granted = ask(&self.settings, grant, http).await?;
        let email = granted.email();
        let tokens = granted.into_tokens(now, None);
        Ok(LoggedIn { tokens, email })
    }
}

impl fmt::Debug for PendingLogin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PendingLogin(redacted)")
    }
}

fn state() -> Result<SecretValue, LoginError> {
    let mut bytes = [0; STATE_BYTES];
    default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| LoginError::Randomness)?;
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    Ok(SecretValue::new(digits.collect()))
}

#[cfg(test)]
mod tests;
