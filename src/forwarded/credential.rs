//! The gateway's own secret, which the proxy holds so that users never do.

use std::fmt;

use crate::policy::FieldName;
use crate::secrets::SecretValue;

/// The header that proves the proxy to the upstream, ready to send.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Where it goes; a client's own copy is dropped.
    pub header: FieldName,
    /// What goes there.
    pub value: HeaderBytes,
}

/// A secret header value: legal on the wire, wiped from memory when dropped.
#[derive(Clone)]
pub struct HeaderBytes(SecretValue);

/// Why bytes can't be a header's value. Says nothing of what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderBytesError {
    /// Nothing, or white space alone.
    #[error("got an empty value, expected a secret")]
    Empty,
    /// White space that would be lost on the wire.
    #[error("got white space at an end, expected a value without")]
    Untrimmed,
    /// A byte that would break the header, or that receivers read differently.
    #[error("got a line break or another byte outside printable ASCII at [{0}], expected none")]
    Illegal(usize),
}

impl HeaderBytes {
    /// Takes a complete header value, prefix and secret together.
    ///
    /// # Errors
    /// [`HeaderBytesError`], where it could not be sent as it is.
    pub fn new(whole: SecretValue) -> Result<Self, HeaderBytesError> {
        let value = whole.expose_bytes();
        let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if value.iter().all(|byte| blank(Some(byte))) {
            return Err(HeaderBytesError::Empty);
        }
        if blank(value.first()) || blank(value.last()) {
            return Err(HeaderBytesError::Untrimmed);
        }
        match value.iter().position(|byte| !matches!(byte, b' '..=b'~')) {
            Some(index) => Err(HeaderBytesError::Illegal(index)),
            None => Ok(Self(whole)),
        }
    }

    /// The bytes, to be sent and not shown.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_bytes()
    }
}

impl fmt::Debug for HeaderBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeaderBytes(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_legal_values_alone() {
        for (value, error) in [
            ("", HeaderBytesError::Empty),
            (" \t", HeaderBytesError::Empty),
            ("Bearer ", HeaderBytesError::Untrimmed),
            ("Bearer a\r\nx: y", HeaderBytesError::Illegal(8)),
            ("Bearer a\n", HeaderBytesError::Illegal(8)),
            ("é", HeaderBytesError::Illegal(0)),
        ] {
            assert_eq!(
                HeaderBytes::new(SecretValue::concat(&[value])).unwrap_err(),
                error,
                "{value:?}"
            );
        }
        assert_eq!(
            HeaderBytes::new(SecretValue::concat(&["Bearer ", "a"]))
                .unwrap()
                .expose(),
            b"Bearer a"
        );
    }

    #[test]
    fn shows_no_secret_in_debug_output() {
        let value = HeaderBytes::new(SecretValue::concat(&["hunter2"])).unwrap();
        let credential = Credential {
            header: FieldName::parse("authorization").unwrap(),
            value,
        };
        assert!(!format!("{credential:?}").contains("hunter2"));
    }
}
