//! `[upstream.credential]`: the gateway's secret, put on by the proxy.

use super::secret;
use super::section::Section;
use super::shape::Shape;
use super::walk::Walk;
use crate::forwarded::{HeaderBytes, HeaderBytesError};
use crate::policy::FieldName;
use crate::secrets::{Providers, SecretInput, SecretValue};

/// The gateway's secret, and the header that it goes into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamCredential {
    /// The header; the client's own is dropped.
    pub header: FieldName,
    /// What the header's value looks like. Default `Bearer {secret}` for
    /// `authorization`, `{secret}` for any other.
    pub format: CredentialFormat,
    /// The secret.
    pub value: SecretInput,
}

/// A header's value with one place for the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialFormat {
    before: String,
    after: String,
}

const PLACE: &str = "{secret}";

impl CredentialFormat {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some((before, after)) = text.split_once(PLACE) else {
            return Err(String::new());
        };
        if after.contains(PLACE) {
            return Err("it is there more than once".to_owned());
        }
        let format = Self {
            before: before.to_owned(),
            after: after.to_owned(),
        };
        match format.apply(&SecretValue::new("x".to_owned())) {
            Ok(_) => Ok(format),
            Err(error) => Err(error.to_string()),
        }
    }

    pub(super) fn default_for(header: &FieldName) -> Self {
        let before = if header.as_str() == "authorization" {
            "Bearer "
        } else {
            ""
        };
        Self {
            before: before.to_owned(),
            after: String::new(),
        }
    }

    /// The header's whole value.
    ///
    /// # Errors
    /// [`HeaderBytesError`], so that a line break in a secret can't become a
    /// header of its own.
    pub fn apply(&self, secret: &SecretValue) -> Result<HeaderBytes, HeaderBytesError> {
        let parts = [&self.before, secret.expose(), &self.after];
        HeaderBytes::new(SecretValue::concat(&parts))
    }
}

pub(super) fn read(
    section: &Section<'_>,
    walk: &mut Walk<'_>,
    providers: &Providers,
) -> Option<UpstreamCredential> {
    let [header_entry, format, value_entry] =
        section.fields(walk, ["header", "format", "value"], &[]);
    let header = header_entry.needed(walk, "a header's name").convert(
        walk,
        "a header's name",
        FieldName::parse_credential,
    );
    let written = format.parse(
        walk,
        Shape::Hidden,
        "a header's value with `{secret}` in it once",
        CredentialFormat::parse,
    );
    let value = secret::read(value_entry.needed(walk, "a secret"), walk, providers);
    let header = header?;
    let format = written.unwrap_or_else(|| CredentialFormat::default_for(&header));
    if let Some(SecretInput::Plain(plain)) = &value
        && let Err(error) = format.apply(plain)
    {
        let expected = format!("a secret that a header can hold: {error}");
        value_entry.refuse(walk, Shape::Hidden, &expected);
    }
    Some(UpstreamCredential {
        format,
        header,
        value: value?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_the_secret_in_its_place() {
        let secret = SecretValue::new("s3cret".into());
        for (format, value) in [
            ("Bearer {secret}", "Bearer s3cret"),
            ("{secret}", "s3cret"),
            ("a={secret};b", "a=s3cret;b"),
        ] {
            let format = CredentialFormat::parse(format).unwrap();
            assert_eq!(format.apply(&secret).unwrap().expose(), value.as_bytes());
        }
    }

    #[test]
    fn refuses_formats_without_exactly_one_place_or_with_line_breaks() {
        for format in [
            "",
            "Bearer",
            "{secret}{secret}",
            "{secret}\r\nx: y",
            " {secret}",
            "é{secret}",
        ] {
            assert!(CredentialFormat::parse(format).is_err(), "{format}");
        }
    }

    #[test]
    fn refuses_secrets_that_would_break_the_header() {
        let format = CredentialFormat::parse("Bearer {secret}").unwrap();
        for secret in ["a\r\nx-forwarded-user: admin", "a\n", "a ", "é", "a\0", ""] {
            let secret = SecretValue::new(secret.to_owned());
            assert!(format.apply(&secret).is_err());
        }
    }
}
