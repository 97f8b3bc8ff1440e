//! Header field names that were checked for the part they are to play.

use std::fmt;
use std::sync::Arc;

/// Fields that belong to one connection or frame a message (RFC 9110 §7.6.1,
/// RFC 9113 §8.2.2): they never travel from one side to the other.
pub(super) const CONNECTION_FIELDS: [&str; 11] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "content-length",
    "upgrade",
    "http2-settings",
];

/// Where and how the client is, as the upstream always gets it from us, whatever is
/// configured.
pub const SET_FIELDS: [&str; 6] = [
    "x-forwarded-for",
    "x-real-ip",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-request-id",
];

/// What the user may do: the upstream gets it from us, or not at all.
pub(super) const SCOPES_FIELD: &str = "x-openclaw-scopes";

/// The header in which `doctor --attack` shows the nonce of the armed probe. It never
/// reaches the upstream.
pub const PROBE_HEADER: &str = "x-portcullis-probe";

/// Fields with a meaning of their own that an identity can't share.
const NEVER_IDENTITY: [&str; 4] = ["host", "authorization", "cookie", "forwarded"];

/// The longest name accepted, in bytes: far above any real one.
const MAX_NAME_BYTES: usize = 256;

/// A valid header field name in lower case. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldName(Arc<str>);

/// Why a text can't serve as the field name wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or white space alone.
    #[error("got nothing, expected a header name")]
    Empty,
    /// Over 256 bytes.
    #[error("got {0} characters, expected a header name of at most {MAX_NAME_BYTES}")]
    TooLong(usize),
    /// A character that RFC 9110 §5.6.2 doesn't allow in a token.
    #[error("got a name with the character {0:?}, expected a header name")]
    Illegal(char),
    /// A name that belongs to a connection or to framing.
    #[error("got `{0}`, a field of the connection, expected an end-to-end header")]
    Connection(FieldName),
    /// A name that we set ourselves on each request.
    #[error("got `{0}`, which is always set from what was verified, expected another header")]
    Set(FieldName),
    /// A name whose meaning an identity can't share.
    #[error("got `{0}`, which has a meaning of its own, expected a header for identity alone")]
    Reserved(FieldName),
}

impl FieldName {
    /// Reads any valid header name (RFC 9110 §5.1), in any case.
    ///
    /// # Errors
    /// What keeps it from being a header name at all.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.trim_matches([' ', '\t']);
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_NAME_BYTES {
            return Err(NameError::TooLong(text.len()));
        }
        match text.chars().find(|&char| !is_token(char)) {
            Some(char) => Err(NameError::Illegal(char)),
            None => Ok(Self(text.to_ascii_lowercase().into())),
        }
    }

    /// Reads a name for `userHeader` or `passHeaders`: not one of the fields
    /// that have a meaning of their own, that we set ourselves, or that belong
    /// to a connection; nor an alias of one.
    ///
    /// # Errors
    /// Those of [`Self::parse_credential`], or a reserved name.
    pub fn parse_identity(text: &str) -> Result<Self, NameError> {
        let name = Self::parse_credential(text)?;
        if name.is_like(&NEVER_IDENTITY) {
            return Err(NameError::Reserved(name));
        }
        Ok(name)
    }

    /// Reads a name for `requiredHeaders`: any end-to-end field.
    ///
    /// # Errors
    /// Those of [`Self::parse`], or a field of the connection.
    pub fn parse_required(text: &str) -> Result<Self, NameError> {
        let name = Self::parse(text)?;
        if name.is_like(&CONNECTION_FIELDS) {
            return Err(NameError::Connection(name));
        }
        Ok(name)
    }

    /// Reads a name for the header of `[upstream.credential]`: neither a field
    /// of the connection, nor one that we set from what was verified, nor
    /// `host`, `cookie` and `forwarded`.
    ///
    /// That it isn't the `userHeader` either is for the reader of both to see.
    ///
    /// # Errors
    /// Those of [`Self::parse_required`], a field that we set, or a reserved name.
    pub fn parse_credential(text: &str) -> Result<Self, NameError> {
        let name = Self::parse_required(text)?;
        if name.is_like(&SET_FIELDS) || name.is_like(&[SCOPES_FIELD]) {
            return Err(NameError::Set(name));
        }
        if name.is_like(&["host", "cookie", "forwarded"]) {
            return Err(NameError::Reserved(name));
        }
        Ok(name)
    }

    /// The name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_like(&self, names: &[&str]) -> bool {
        names
            .iter()
            .any(|name| same_folded(self.0.as_bytes(), name.as_bytes()))
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FieldName({})", self.0)
    }
}

impl AsRef<str> for FieldName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Upper case read as lower, `_` and `.` as `-`: what CGI-like gateways make of
/// a name (CVE-2025-64484, CVE-2026-39858 and kin), so that names which some
/// reader may take for the same compare equal.
pub(super) const fn fold(byte: u8) -> u8 {
    match byte {
        b'_' | b'.' => b'-',
        _ => byte.to_ascii_lowercase(),
    }
}

/// Whether a field belongs to one connection or frames a message.
#[must_use]
pub fn is_connection_field(name: &[u8]) -> bool {
    CONNECTION_FIELDS
        .iter()
        .any(|known| known.as_bytes() == name)
}

/// Whether two names are the same to a reader that folds them.
#[must_use]
pub fn same_folded(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(&a, &b)| fold(a) == fold(b))
}

fn is_token(char: char) -> bool {
    char.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_in_any_case_into_lower_case() {
        assert_eq!(
            FieldName::parse(" X-Forwarded-User ").unwrap().as_str(),
            "x-forwarded-user"
        );
        assert_eq!(
            FieldName::parse_identity("Remote_User").unwrap().as_str(),
            "remote_user"
        );
    }

    #[test]
    fn refuses_what_is_no_header_name() {
        let long = "x".repeat(257);
        for (text, error) in [
            ("", NameError::Empty),
            (" ", NameError::Empty),
            ("x user", NameError::Illegal(' ')),
            ("x:y", NameError::Illegal(':')),
            ("x\r\ny", NameError::Illegal('\r')),
            ("xé", NameError::Illegal('é')),
            (&long, NameError::TooLong(257)),
        ] {
            assert_eq!(FieldName::parse(text), Err(error));
        }
    }

    #[test]
    fn refuses_names_that_cannot_carry_an_identity() {
        for text in [
            "host",
            "Authorization",
            "cookie",
            "forwarded",
            "x-forwarded-for",
            "X_Forwarded_For",
            "x-openclaw-scopes",
            "x.openclaw.scopes",
            "connection",
            "Transfer_Encoding",
            "content-length",
            "te",
            "upgrade",
            "x-real-ip",
            "x-request-id",
            "x-forwarded-proto",
        ] {
            assert!(FieldName::parse_identity(text).is_err(), "{text}");
        }
        for text in [
            "x-forwarded-user",
            "x-auth-request-email",
            "cf-access-authenticated-user-email",
        ] {
            assert!(FieldName::parse_identity(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn lets_required_headers_be_any_end_to_end_field() {
        for text in [
            "x-forwarded-proto",
            "x-forwarded-for",
            "authorization",
            "forwarded",
            "host",
        ] {
            assert!(FieldName::parse_required(text).is_ok(), "{text}");
        }
        assert!(FieldName::parse_required("keep-alive").is_err());
    }

    #[test]
    fn lets_a_credential_go_where_it_does_not_displace_what_was_verified() {
        assert!(FieldName::parse_credential("authorization").is_ok());
        assert!(FieldName::parse_credential("x-api-key").is_ok());
        for text in [
            "host",
            "cookie",
            "x-forwarded-for",
            "x-openclaw-scopes",
            "te",
        ] {
            assert!(FieldName::parse_credential(text).is_err(), "{text}");
        }
    }
}
