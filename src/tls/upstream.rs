//! Our side of TLS towards the upstream.

use super::TlsError;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use std::sync::Arc;

/// Which authorities may vouch for the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamTrust {
    /// The public web's authorities.
    PublicRoots,
    /// These alone (`upstream.caFile`).
    Authorities(Vec<CertificateDer<'static>>),
}

/// Builds the settings of connections to an `https` upstream: TLS 1.2 and 1.3,
/// http/1.1 by ALPN, the certificate and its name always verified.
///
/// # Errors
/// [`TlsError`] where one of the authorities is malformed; `origin` is where they
/// came from.
pub fn client_config(trust: &UpstreamTrust, origin: &str) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    match trust {
        UpstreamTrust::PublicRoots => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        UpstreamTrust::Authorities(authorities) => {
            for authority in authorities {
                roots
                    .add(authority.clone())
                    .map_err(|error| TlsError::Malformed {
                        origin: origin.to_owned(),
                        reason: error.to_string(),
                    })?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The name that the upstream's certificate must be for.
///
/// # Errors
/// [`TlsError::Malformed`] where `host` is neither a DNS name nor an address:
/// there is no connection without a name to verify.
pub fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(host.to_owned()).map_err(|error| TlsError::Malformed {
        origin: "upstream.url".to_owned(),
        reason: error.to_string(),
    })
}
