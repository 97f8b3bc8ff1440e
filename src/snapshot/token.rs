//! A token that callers show: at the admin listener, at the back door.

use crate::secrets::SecretValue;
use subtle::ConstantTimeEq;

/// A token that callers show. Cheap to clone; its `Debug` is redacted.
#[derive(Debug, Clone)]
pub struct Token(SecretValue);

/// Why a text can't be a token.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum TokenError {
    /// It holds no characters, so that everyone would know it.
    #[error("the token is empty")]
    Empty,
    /// It could not be sent in a header.
    #[error("the token holds a character that is not visible ASCII")]
    NotVisibleAscii,
}

impl Token {
    /// The token `secret`, taken as it is.
    ///
    /// # Errors
    /// When it is empty, or no client could send it.
    pub fn new(secret: SecretValue) -> Result<Self, TokenError> {
        let bytes = secret.expose_bytes();
        if bytes.is_empty() {
            return Err(TokenError::Empty);
        }
        if !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(TokenError::NotVisibleAscii);
        }
        Ok(Self(secret))
    }

    /// Whether `shown` is the token. Compared in constant time, so that an attacker
    /// can't find it byte by byte; its length is no secret.
    #[must_use]
    pub fn is(&self, shown: &[u8]) -> bool {
        shown.ct_eq(self.0.expose_bytes()).into()
    }

    /// The token itself, to be sent.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Result<Token, TokenError> {
        Token::new(SecretValue::concat(&[text]))
    }

    #[test]
    fn must_be_something_that_a_client_can_send() {
        assert_eq!(token("").unwrap_err(), TokenError::Empty);
        for text in ["a b", "a\n", "ü", "\0", " "] {
            assert_eq!(token(text).unwrap_err(), TokenError::NotVisibleAscii);
        }
        assert!(!format!("{:?}", token("s3cret").unwrap()).contains("s3cret"));
    }

    #[test]
    fn only_the_whole_token_is_it() {
        let token = token("s3cret").unwrap();
        for (shown, is_it) in [
            ("s3cret", true),
            ("s3cre", false),
            ("s3crett", false),
            ("S3cret", false),
            ("", false),
        ] {
            assert_eq!(token.is(shown.as_bytes()), is_it, "{shown}");
        }
    }
}
