//! Who sends a request in, and what TLS proved of them beside the address.

use super::source::Source;
use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;

/// Who sent a request in, with the names of the certificate that they showed.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'c> {
    /// Who connected.
    pub source: Source,
    /// The subject alternative names of the certificate that TLS verified; none where
    /// none was shown.
    pub certificate: Option<&'c [AltName]>,
}

/// A subject alternative name of a certificate (RFC 5280 §4.2.1.6), of the kinds that
/// can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AltName {
    /// A DNS name, in lower case.
    Dns(Box<str>),
    /// A URI, such as a SPIFFE ID, to the letter.
    Uri(Box<str>),
    /// An e-mail address, to the letter.
    Email(Box<str>),
}

/// Why a text is no name that a certificate can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AltNameError {
    /// Nothing, or white space in it, or a byte outside printable ASCII.
    #[error("expected a name in printable ASCII without spaces")]
    Unprintable,
    /// A name that would stand for several.
    #[error("expected a whole name: names are compared to the letter, `*` included")]
    Wildcard,
    /// An address, which is no name.
    #[error("expected a DNS name, a URI or an e-mail address, not an IP address")]
    Address,
}

/// The names one of which a source's certificate must bear: at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientNames(HashSet<AltName>);

impl<'c> Peer<'c> {
    /// A source with what it showed.
    pub fn new(source: Source, certificate: Option<&'c [AltName]>) -> Self {
        Self {
            source,
            certificate,
        }
    }
}

impl From<Source> for Peer<'_> {
    /// A source that showed no certificate.
    fn from(source: Source) -> Self {
        Self::new(source, None)
    }
}

impl AltName {
    /// A DNS name as a certificate has it: compared in lower case (RFC 4343).
    #[must_use]
    pub fn dns(name: &str) -> Self {
        Self::Dns(name.to_ascii_lowercase().into())
    }

    /// Reads a name of the config: a URI where it begins with a scheme, an e-mail
    /// address where it has an `@`, else a DNS name.
    ///
    /// # Errors
    /// [`AltNameError`].
    pub fn parse(text: &str) -> Result<Self, AltNameError> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(AltNameError::Unprintable);
        }
        if text.parse::<IpAddr>().is_ok() {
            return Err(AltNameError::Address);
        }
        if has_scheme(text) {
            return Ok(Self::Uri(text.into()));
        }
        if text.contains('*') {
            return Err(AltNameError::Wildcard);
        }
        Ok(match text.contains('@') {
            true => Self::Email(text.into()),
            false => Self::dns(text),
        })
    }
}

/// RFC 3986 §3.1.
fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|char: char| char.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    })
}

impl ClientNames {
    /// None where there is no name: nobody could show one of none.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = AltName>) -> Option<Self> {
        let names: HashSet<AltName> = names.into_iter().collect();
        (!names.is_empty()).then_some(Self(names))
    }

    /// Whether one of a certificate's names is among these.
    #[must_use]
    pub fn admit(&self, certificate: &[AltName]) -> bool {
        certificate.iter().any(|name| self.0.contains(name))
    }
}

impl fmt::Display for AltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Dns(name) | Self::Uri(name) | Self::Email(name)) = self;
        f.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_name_is_of_the_kind_that_it_looks_like() {
        for (text, expected) in [
            ("Proxy.Example.com", Ok(AltName::dns("proxy.example.com"))),
            (
                "spiffe://example.com/ns/a/sa/Proxy",
                Ok(AltName::Uri("spiffe://example.com/ns/a/sa/Proxy".into())),
            ),
            ("urn:uuid:1", Ok(AltName::Uri("urn:uuid:1".into()))),
            (
                "Ops@example.com",
                Ok(AltName::Email("Ops@example.com".into())),
            ),
            ("", Err(AltNameError::Unprintable)),
            ("a b", Err(AltNameError::Unprintable)),
            ("próxy", Err(AltNameError::Unprintable)),
            ("*.example.com", Err(AltNameError::Wildcard)),
            ("10.0.0.1", Err(AltNameError::Address)),
            ("::1", Err(AltNameError::Address)),
        ] {
            assert_eq!(AltName::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn names_are_compared_within_their_kind_and_whole() {
        let names = ClientNames::new([AltName::parse("proxy.example.com").unwrap()]).unwrap();
        for (certificate, admitted) in [
            (vec![AltName::dns("PROXY.example.com")], true),
            (
                vec![AltName::dns("other"), AltName::dns("proxy.example.com")],
                true,
            ),
            (vec![AltName::Uri("proxy.example.com".into())], false),
            (vec![AltName::Email("proxy.example.com".into())], false),
            (vec![AltName::dns("*.example.com")], false),
            (vec![AltName::dns("proxy.example.com.evil")], false),
            (vec![], false),
        ] {
            assert_eq!(names.admit(&certificate), admitted, "{certificate:?}");
        }
        assert_eq!(ClientNames::new([]), None);
    }
}
