//! Asks a token server for tokens (RFC 6749 sections 4.1.3 and 6).

use super::super::profile::secret_text;
use super::super::provider::OAuthSettings;
use super::super::wiped::Wiped;
use super::super::{OAuthTokens, UnixMillis};
use super::claims::Claims;
use super::failure::{TokenError, Unanswered, failure};
use crate::secrets::SecretValue;
use http::{Request, Response, StatusCode};
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AuthorizationCode, Client, ClientId, ExtraTokenFields, PkceCodeVerifier, RedirectUrl,
    RefreshToken, RequestTokenError, StandardRevocableToken, StandardTokenResponse, TokenResponse,
    TokenUrl,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a token lives that doesn't say so.
const LIFETIME: Duration = Duration::from_secs(3600);
/// Longer than any token lives.
const LONGEST_LIFETIME: Duration = Duration::from_secs(10 * 365 * 86_400);

/// What tokens are asked for.
pub(in crate::credentials) enum Grant<'a> {
    /// A login's code.
    Code {
        code: &'a SecretValue,
        verifier: &'a PkceCodeVerifier,
        redirect: &'a RedirectUrl,
    },
    /// A refresh token.
    Refresh(&'a SecretValue),
}

/// What the server gave.
pub(in crate::credentials) struct Granted {
    access: SecretValue,
    refresh: Option<SecretValue>,
    id_token: Option<SecretValue>,
    lifetime: Option<Duration>,
}

/// The member of OpenID Connect.
#[derive(Serialize, Deserialize)]
struct IdToken {
    id_token: Option<String>,
}

type TokenClient = Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

type TokenAnswer = StandardTokenResponse<IdToken, BasicTokenType>;

/// There is no answer: the request was to be made alone.
#[derive(Debug, thiserror::Error)]
#[error("nothing was sent")]
struct NotSent;

/// Sends one request to the token server.
pub(in crate::credentials) async fn ask<H, F>(
    settings: &OAuthSettings,
    grant: Grant<'_>,
    http: &H,
) -> Result<Granted, TokenError>
where
    H: Fn(Request<Vec<u8>>) -> F,
    F: Future<Output = Result<Response<Vec<u8>>, Unanswered>>,
{
    let Some(request) = request(settings, &grant) else {
        return Err(Unanswered::Unsent("the request can't be made".into()).into());
    };
    let answer = http(request).await?;
    let (status, body) = (answer.status(), Zeroizing::new(answer.body().clone()));
    let answer = complete(answer);
    // Its errors carry the body: they end here.
    let read = exchange(settings, &grant, |_| Ok(answer.clone()));
    match read {
        Ok(response) => Granted::of(&response).ok_or(TokenError::Unreadable { status }),
        Err(_) => Err(failure(status, &body)),
    }
}

/// The request as the library makes it.
fn request(settings: &OAuthSettings, grant: &Grant<'_>) -> Option<Request<Vec<u8>>> {
    let made = RefCell::new(None);
    let keep = |request| {
        made.replace(Some(request));
        Err(NotSent)
    };
    // It fails, since nothing is sent.
    let _ = exchange(settings, grant, keep);
    made.into_inner()
}

/// Has the library make the request, and read the answer that `send` gives. Its own
/// asynchronous way can't be used in tasks that move between threads: the borrows in it
/// are such that the compiler can't prove it.
fn exchange(
    settings: &OAuthSettings,
    grant: &Grant<'_>,
    send: impl Fn(Request<Vec<u8>>) -> Result<Response<Vec<u8>>, NotSent>,
) -> Result<TokenAnswer, RequestTokenError<NotSent, BasicErrorResponse>> {
    let url = TokenUrl::new(settings.token_url.as_str().to_owned());
    let client = TokenClient::new(ClientId::new(settings.client_id.clone()))
        .set_token_uri(url.expect("a base URL is a URL"));
    match grant {
        Grant::Code {
            code,
            verifier,
            redirect,
        } => client
            .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.secret().clone()))
            .set_redirect_uri(Cow::Borrowed(redirect))
            .request(&send),
        Grant::Refresh(token) => client
            .exchange_refresh_token(&RefreshToken::new(token.expose().to_owned()))
            .request(&send),
    }
}

/// An answer with what the library asks for beyond what servers in the field send.
fn complete(mut answer: Response<Vec<u8>>) -> Response<Vec<u8>> {
    if answer.status() != StatusCode::OK {
        return answer;
    }
    let Some(mut document) = Wiped::parse(answer.body()) else {
        return answer;
    };
    complete_members(document.get_mut());
    if let Ok(text) = serde_json::to_vec(document.get()) {
        *answer.body_mut() = text;
    }
    answer
}

fn complete_members(members: &mut Map<String, Value>) {
    members
        .entry("token_type")
        .and_modify(|kind| {
            if !kind.is_string() {
                *kind = json!("bearer");
            }
        })
        .or_insert_with(|| json!("bearer"));
    let seconds = members.get("expires_in").and_then(|value| {
        let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
        number.filter(|seconds| *seconds >= 0.0)
    });
    match seconds {
        Some(seconds) => members.insert("expires_in".to_owned(), json!(seconds as u64)),
        None => members.remove("expires_in"),
    };
    // It would have to be a string, and nothing here uses it.
    members.remove("scope");
    for name in ["refresh_token", "id_token"] {
        if members
            .get(name)
            .is_some_and(|value| secret_text(value).is_err())
        {
            members.remove(name);
        }
    }
}

impl Granted {
    fn of(response: &TokenAnswer) -> Option<Self> {
        let secret = |text: &str| SecretValue::concat(&[text]);
        let access = secret_text(&json!(response.access_token().secret())).ok()?;
        let refresh = response.refresh_token();
        let id_token = response.extra_fields().id_token.as_deref();
        Some(Self {
            access,
            refresh: refresh.map(|token| secret(token.secret())),
            id_token: id_token.map(secret),
            lifetime: response.expires_in(),
        })
    }

    /// Whose tokens they are.
    pub(in crate::credentials) fn email(&self) -> Option<String> {
        let id = self.id_token.as_ref();
        let own = id.and_then(|id| Claims::of(id.expose())?.email());
        own.or_else(|| Claims::of(self.access.expose())?.email())
    }

    /// The tokens, asked for at `now`, in place of `old` ones: what didn't come anew
    /// stays.
    pub(in crate::credentials) fn into_tokens(
        self,
        now: UnixMillis,
        old: Option<&OAuthTokens>,
    ) -> OAuthTokens {
        let access = Claims::of(self.access.expose());
        let id = self.id_token.as_ref();
        let id = id.and_then(|id| Claims::of(id.expose()));
        let of_claims = |claims: &Option<Claims>| claims.as_ref()?.account_id();
        let account_id = of_claims(&access)
            .or_else(|| of_claims(&id))
            .or_else(|| old?.account_id.clone());
        let expires = match (self.lifetime, access) {
            (Some(lifetime), _) => now.plus(lifetime.min(LONGEST_LIFETIME)),
            (None, Some(claims)) => claims.expires().unwrap_or(now.plus(LIFETIME)),
            (None, None) => now.plus(LIFETIME),
        };
        OAuthTokens {
            access: self.access,
            refresh: self.refresh.or_else(|| old?.refresh.clone()),
            expires,
            obtained: Some(now),
            account_id,
            attempt: None,
            needs_login: None,
        }
    }
}

impl ExtraTokenFields for IdToken {}

impl fmt::Debug for IdToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("IdToken(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_the_field_are_completed() {
        let mut members = json!({"access_token": "a", "expires_in": "3600.5", "refresh_token": "",
            "id_token": null, "scope": ["a"]});
        complete_members(members.as_object_mut().unwrap());
        assert_eq!(
            members,
            json!({"access_token": "a", "token_type": "bearer", "expires_in": 3600})
        );
        let mut members = json!({"expires_in": -5, "token_type": "Bearer", "refresh_token": "r"});
        complete_members(members.as_object_mut().unwrap());
        assert_eq!(
            members,
            json!({"token_type": "Bearer", "refresh_token": "r"})
        );
    }
}
