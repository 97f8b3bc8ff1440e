//! The listener's side of TLS.

use super::TlsError;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// The lowest version that is spoken (`gateway.tls.minVersion`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinVersion {
    /// TLS 1.2 and 1.3: the default.
    Tls12,
    /// TLS 1.3 alone.
    Tls13,
}

/// Whose certificates sources must show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAuthorities {
    /// The authorities one of which must have signed a source's certificate.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Where they came from, for errors.
    pub origin: String,
}

/// A certificate chain with its key.
pub struct ServerIdentity {
    /// The chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
    /// Where the chain came from, for errors.
    pub chain_origin: String,
    /// Where the key came from, for errors.
    pub key_origin: String,
}

/// Builds the settings of a listener: the chain checked against its key, h2 and
/// http/1.1 by ALPN, no early data (a replayed request would be a request).
///
/// With `clients` a certificate of one of these authorities is required of every
/// source, and sessions are not resumed: a resumed session would keep the
/// verdict of an authority that has been replaced since.
///
/// # Errors
/// [`TlsError`].
pub fn server_config(
    identity: ServerIdentity,
    min_version: MinVersion,
    clients: Option<&ClientAuthorities>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certified = certify(identity, &provider)?;
    let versions: &[&rustls::SupportedProtocolVersion] = match min_version {
        MinVersion::Tls12 => &[&rustls::version::TLS12, &rustls::version::TLS13],
        MinVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions)?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(client_verifier(clients, provider)?),
        None => builder.with_no_client_auth(),
    };
    let resolver = rustls::sign::SingleCertAndKey::from(certified);
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.max_early_data_size = 0;
    if clients.is_some() {
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    } else {
        config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    }
    Ok(Arc::new(config))
}

fn certify(identity: ServerIdentity, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let ServerIdentity {
        chain,
        key,
        chain_origin,
        key_origin,
    } = identity;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| TlsError::Malformed {
            origin: key_origin.clone(),
            reason: error.to_string(),
        })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(TlsError::KeyMismatch {
            key: key_origin,
            certificates: chain_origin,
        }),
        Err(error) => Err(TlsError::Malformed {
            origin: chain_origin,
            reason: error.to_string(),
        }),
    }
}

fn client_verifier(
    clients: &ClientAuthorities,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let unusable = |reason: String| TlsError::ClientCa {
        origin: clients.origin.clone(),
        reason,
    };
    let mut roots = RootCertStore::empty();
    for authority in &clients.certificates {
        roots
            .add(authority.clone())
            .map_err(|error| unusable(error.to_string()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| unusable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertifiedKey as Generated, generate_simple_self_signed};

    fn identity(
        chain: &Generated<rcgen::KeyPair>,
        key: &Generated<rcgen::KeyPair>,
    ) -> ServerIdentity {
        ServerIdentity {
            chain: vec![chain.cert.der().clone()],
            key: super::super::private_key(key.signing_key.serialize_pem().as_bytes(), "key")
                .unwrap(),
            chain_origin: "chain.pem".to_owned(),
            key_origin: "key.pem".to_owned(),
        }
    }

    fn generate() -> Generated<rcgen::KeyPair> {
        generate_simple_self_signed(["claw.example.com".to_owned()]).unwrap()
    }

    #[test]
    fn a_key_of_another_certificate_is_named_as_such() {
        let (one, other) = (generate(), generate());
        assert!(server_config(identity(&one, &one), MinVersion::Tls12, None).is_ok());
        let error = server_config(identity(&one, &other), MinVersion::Tls12, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the private key (key.pem) does not belong to the first certificate of chain.pem"
        );
    }

    #[test]
    fn authorities_that_are_none_stop_the_build() {
        let one = generate();
        let authorities = |certificates| ClientAuthorities {
            certificates,
            origin: "ca.pem".to_owned(),
        };
        for certificates in [vec![], vec![CertificateDer::from(vec![1, 2, 3])]] {
            let clients = authorities(certificates);
            let built = server_config(identity(&one, &one), MinVersion::Tls12, Some(&clients));
            assert!(built.unwrap_err().to_string().starts_with("ca.pem"));
        }
    }

    #[test]
    fn a_broken_key_is_refused_without_quoting_it() {
        let pem = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0IQ==\n-----END PRIVATE KEY-----\n";
        let one = generate();
        let mut broken = identity(&one, &one);
        broken.key = super::super::private_key(pem.as_bytes(), "key.pem").unwrap();
        let error = server_config(broken, MinVersion::Tls12, None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("key.pem") && !error.contains("c2VjcmV0"),
            "{error}"
        );
    }

    #[test]
    fn early_data_is_never_taken_and_resumption_stops_at_client_certificates() {
        let one = generate();
        let config = server_config(identity(&one, &one), MinVersion::Tls12, None).unwrap();
        assert_eq!(config.max_early_data_size, 0);
        let clients = ClientAuthorities {
            certificates: vec![one.cert.der().clone()],
            origin: "ca.pem".to_owned(),
        };
        let config =
            server_config(identity(&one, &one), MinVersion::Tls13, Some(&clients)).unwrap();
        assert_eq!(config.send_tls13_tickets, 0);
        assert!(!config.session_storage.can_cache());
    }
}
