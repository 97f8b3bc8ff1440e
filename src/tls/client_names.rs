//! The names in a certificate that a source showed.

use crate::policy::AltName;
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;

/// The DNS names, URIs and e-mail addresses among a certificate's subject alternative
/// names. Its subject is nobody's name (RFC 9525 §2), and what can't be read names nobody.
#[must_use]
pub fn client_names(certificate: &CertificateDer<'_>) -> Box<[AltName]> {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else {
        return Box::default();
    };
    // An extension that comes twice is no extension.
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Box::default();
    };
    let names = names.value.general_names.iter();
    let known = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(AltName::dns(name)),
        GeneralName::URI(name) => Some(AltName::Uri((*name).into())),
        GeneralName::RFC822Name(name) => Some(AltName::Email((*name).into())),
        _ => None,
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    #[test]
    fn finds_the_alternative_names_and_no_others() {
        let mut parameters = CertificateParams::default();
        parameters
            .distinguished_name
            .push(DnType::CommonName, "subject.example.com");
        parameters.subject_alt_names = vec![
            SanType::DnsName("Proxy.Example.com".try_into().unwrap()),
            SanType::URI("spiffe://example.com/Proxy".try_into().unwrap()),
            SanType::Rfc822Name("Ops@example.com".try_into().unwrap()),
            SanType::IpAddress("10.0.0.1".parse().unwrap()),
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        assert_eq!(
            *client_names(certificate.der()),
            [
                AltName::Dns("proxy.example.com".into()),
                AltName::Uri("spiffe://example.com/Proxy".into()),
                AltName::Email("Ops@example.com".into()),
            ]
        );
        parameters.subject_alt_names.clear();
        let nameless = parameters.self_signed(&key).unwrap();
        assert!(client_names(nameless.der()).is_empty());
        assert!(client_names(&CertificateDer::from(vec![1, 2, 3])).is_empty());
    }
}
