//! `[upstream.credential]`: the gateway's secret, put on by the proxy.

use super::secret;
use super::section::Section;
use super::shape::Shape;
use super::walk::Walk;
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

/// The secret holds characters that no header's value can hold: only printable
/// ASCII without white space at either end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret holds characters that a header can't, or white space at an end")]
pub struct UnsendableSecret;

const PLACE: &str = "{secret}";

impl CredentialFormat {
    fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(PLACE) {
            Some((_, after)) if after.contains(PLACE) => Err("it is there more than once".into()),
            Some((before, after)) if is_sendable(&format!("{before}x{after}")) => Ok(Self {
                before: before.to_owned(),
                after: after.to_owned(),
            }),
            Some(_) => Err(UnsendableSecret.to_string().replace("the secret", "it")),
            None => Err(String::new()),
        }
    }

    fn default_for(header: &FieldName) -> Self {
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
    /// [`UnsendableSecret`], so that a line break in a secret can't become a
    /// header of its own.
    pub fn apply(&self, secret: &SecretValue) -> Result<SecretValue, UnsendableSecret> {
        if !is_sendable(secret.expose()) {
            return Err(UnsendableSecret);
        }
        let length = self.before.len() + secret.expose().len() + self.after.len();
        // Room for all of it at once: growing would leave copies behind unwiped.
        let mut value = String::with_capacity(length);
        value.push_str(&self.before);
        value.push_str(secret.expose());
        value.push_str(&self.after);
        Ok(SecretValue::new(value))
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
    if let Some(SecretInput::Plain(plain)) = &value
        && !is_sendable(plain.expose())
    {
        value_entry.refuse(walk, Shape::Hidden, &format!("another: {UnsendableSecret}"));
    }
    let header = header?;
    Some(UpstreamCredential {
        format: written.unwrap_or_else(|| CredentialFormat::default_for(&header)),
        header,
        value: value?,
    })
}

/// Printable ASCII, nothing blank at either end (RFC 9110 §5.5).
fn is_sendable(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
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
            assert_eq!(format.apply(&secret).unwrap().expose(), value);
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
        for secret in ["a\r\nx-forwarded-user: admin", "a\n", " a", "é", "a\0"] {
            assert_eq!(
                format.apply(&SecretValue::new(secret.into())),
                Err(UnsendableSecret)
            );
        }
    }
}
