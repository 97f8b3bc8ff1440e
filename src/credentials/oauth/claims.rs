//! What tokens say of themselves (RFC 7519). Nothing here is verified: it names an
//! account and a time to the server that gave the token, and decides nothing.

use super::super::UnixMillis;
use super::super::profile::is_sendable;
use super::super::wiped::Wiped;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

/// Longer than any account's name, in bytes.
const MAX_NAME_BYTES: usize = 320;

/// The claims of a token.
pub(super) struct Claims(Wiped);

impl Claims {
    /// Reads a token; `None` where it is no JSON Web Token.
    pub(super) fn of(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
        let payload = payload.trim_end_matches('=');
        let text = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).ok()?);
        Wiped::parse(&text).map(Self)
    }

    /// The account that requests to ChatGPT must name.
    pub(super) fn account_id(&self) -> Option<String> {
        let account = self.member("https://api.openai.com/auth")?;
        let id = account.get("chatgpt_account_id")?.as_str()?;
        (id.len() <= MAX_NAME_BYTES && is_sendable(id)).then(|| id.to_owned())
    }

    /// Whose token it is.
    pub(super) fn email(&self) -> Option<String> {
        let own = self.member("email");
        let profile = self.member("https://api.openai.com/profile");
        let email = own.or_else(|| profile?.get("email"))?.as_str()?;
        (email.len() <= MAX_NAME_BYTES && is_sendable(email)).then(|| email.to_owned())
    }

    /// When it ends.
    pub(super) fn expires(&self) -> Option<UnixMillis> {
        let seconds = self.member("exp")?.as_f64()?;
        (seconds > 0.0).then_some(UnixMillis((seconds * 1000.0) as u64))
    }

    fn member(&self, name: &str) -> Option<&Value> {
        self.0.get().get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn reads_account_owner_and_end() {
        let claims = Claims::of(&token(
            r#"{"exp":1790000000,"email":"nick@example.com",
                "https://api.openai.com/auth":{"chatgpt_account_id":"acc-1"}}"#,
        ));
        let claims = claims.unwrap();
        assert_eq!(claims.account_id().as_deref(), Some("acc-1"));
        assert_eq!(claims.email().as_deref(), Some("nick@example.com"));
        assert_eq!(claims.expires(), Some(UnixMillis(1_790_000_000_000)));
        let claims = Claims::of(&token(
            r#"{"https://api.openai.com/profile":{"email":"a@b"},"exp":-1,
                "https://api.openai.com/auth":{"chatgpt_account_id":"a\r\nb"}}"#,
        ));
        let claims = claims.unwrap();
        assert_eq!(claims.email().as_deref(), Some("a@b"));
        assert_eq!((claims.account_id(), claims.expires()), (None, None));
    }

    #[test]
    fn what_is_no_token_has_no_claims() {
        for token in ["", "opaque", "a.b", "a.!.c", &token("[]"), &token("{")] {
            assert!(Claims::of(token).is_none(), "{token}");
        }
    }
}
