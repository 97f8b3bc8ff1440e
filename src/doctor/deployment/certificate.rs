//! What a certificate says of itself (RFC 5280).

use crate::tls;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

/// Signatures of MD5 and SHA-1: of RSA, RSA, ECDSA and DSA.
const WEAK: [&str; 4] = [
    "1.2.840.113549.1.1.4",
    "1.2.840.113549.1.1.5",
    "1.2.840.10045.4.1",
    "1.2.840.10040.4.3",
];
/// `id-ad-caIssuers` (RFC 5280 §4.2.2.1).
const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";

/// One certificate of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is, as its bytes and in words.
    pub subject: Vec<u8>,
    /// The subject in words.
    pub name: String,
    /// Who signed it.
    pub issuer: Vec<u8>,
    /// When it begins, in seconds since the Unix epoch.
    pub not_before: i64,
    /// When it ends.
    pub not_after: i64,
    /// The DNS names it is for, in lower case.
    pub dns_names: Vec<String>,
    /// The addresses it is for.
    pub addresses: Vec<IpAddr>,
    /// Its key.
    pub key: Key,
    /// Whether its signature is of SHA-1 or MD5.
    pub has_weak_signature: bool,
    /// Whether a public authority, known by name, signed it.
    pub is_of_public_root: bool,
    /// Whether it says where its issuer's certificate is to be had: then that is an
    /// intermediate one, which clients don't have.
    pub names_issuers_file: bool,
}

/// The kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// RSA, with the modulus' bits.
    Rsa(usize),
    /// Anything else.
    Other,
}

impl Certificate {
    /// Whether it vouches for itself.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether it is for this host, an address or a name in lower case (RFC 9525).
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        self.dns_names
            .iter()
            .any(|name| match name.strip_prefix("*.") {
                Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest == parent),
                None => name == host,
            })
    }

    /// All that it is for.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let addresses = self.addresses.iter().map(IpAddr::to_string);
        self.dns_names.iter().cloned().chain(addresses)
    }
}

/// The certificates of a file. Why one can't be read is for the start to say.
pub(super) fn read_chain(path: &Path) -> Vec<Certificate> {
    let chain = tls::certificates(path).unwrap_or_default();
    chain.iter().map_while(|der| read(der)).collect()
}

fn read(der: &[u8]) -> Option<Certificate> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let (mut dns_names, mut addresses) = (Vec::new(), Vec::new());
    let alternative = parsed.subject_alternative_name().ok().flatten();
    let names = alternative.map_or(&[][..], |names| &names.value.general_names);
    for name in names {
        match name {
            GeneralName::DNSName(name) => dns_names.push(name.to_ascii_lowercase()),
            GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
            _ => {}
        }
    }
    let issuer = parsed.issuer().as_raw();
    let algorithm = parsed.signature_algorithm.algorithm.to_id_string();
    Some(Certificate {
        subject: parsed.subject().as_raw().to_owned(),
        name: parsed.subject().to_string(),
        issuer: issuer.to_owned(),
        not_before: parsed.validity().not_before.timestamp(),
        not_after: parsed.validity().not_after.timestamp(),
        dns_names,
        addresses,
        key: match parsed.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => Key::Rsa(key.key_size()),
            Ok(_) | Err(_) => Key::Other,
        },
        has_weak_signature: WEAK.contains(&algorithm.as_str()),
        is_of_public_root: is_public_root(issuer),
        names_issuers_file: parsed.extensions().iter().any(|extension| {
            matches!(
                extension.parsed_extension(),
                ParsedExtension::AuthorityInfoAccess(access)
                    if access.accessdescs.iter().any(|it| it.access_method.to_id_string() == CA_ISSUERS)
            )
        }),
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes)
            .ok()
            .map(|it| Ipv4Addr::from(it).into()),
        16 => <[u8; 16]>::try_from(bytes)
            .ok()
            .map(|it| Ipv6Addr::from(it).into()),
        _ => None,
    }
}

/// The roots' names are kept without the outer header of their DER.
fn is_public_root(name: &[u8]) -> bool {
    let mut roots = webpki_roots::TLS_SERVER_ROOTS.iter();
    roots.any(|root| name.ends_with(&root.subject) && name.len() <= root.subject.len() + 6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    fn certificate(names: &[&str]) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        read(signed.der()).unwrap()
    }

    #[test]
    fn names_are_held_against_hosts_as_browsers_do() {
        let read = certificate(&["Claw.example.com", "*.apps.example.com", "192.0.2.7", "::1"]);
        for (host, is_covered) in [
            ("claw.example.com", true),
            ("example.com", false),
            ("a.apps.example.com", true),
            ("apps.example.com", false),
            ("a.b.apps.example.com", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("::1", true),
        ] {
            assert_eq!(read.covers(host), is_covered, "{host}");
        }
        let names: Vec<_> = read.names().collect();
        let expected = ["claw.example.com", "*.apps.example.com", "192.0.2.7", "::1"];
        assert_eq!(names, expected);
        assert_eq!(certificate(&[]).names().count(), 0);
    }

    #[test]
    fn a_certificate_tells_who_signed_it_and_when_it_ends() {
        let read = certificate(&["a.example.com"]);
        assert!(read.is_self_signed() && !read.is_of_public_root && !read.names_issuers_file);
        assert!(read.not_before < read.not_after);
        assert_eq!((read.key, read.has_weak_signature), (Key::Other, false));
    }

    #[test]
    fn the_public_authorities_are_known_by_their_names() {
        for root in webpki_roots::TLS_SERVER_ROOTS {
            let content = root.subject.as_ref();
            let mut name = match u8::try_from(content.len()) {
                Ok(short @ ..128) => vec![0x30, short],
                Ok(long) => vec![0x30, 0x81, long],
                Err(_) => continue,
            };
            name.extend_from_slice(content);
            assert!(is_public_root(&name));
            name.push(0);
            assert!(!is_public_root(&name));
        }
        assert!(!is_public_root(b"\x30\x00"));
    }
}
