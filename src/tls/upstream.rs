//! Our side of TLS towards the upstream.

use super::{TlsError, certificates};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use std::path::Path;
use std::sync::Arc;

/// Which authorities may vouch for the upstream.
#[derive(Debug, Clone, Copy)]
pub enum UpstreamTrust<'a> {
    /// The public web's authorities.
    PublicRoots,
    /// Those of this PEM file alone (`upstream.caFile`).
    CaFile(&'a Path),
}

/// Builds the settings of connections to an `https` upstream: TLS 1.2 and 1.3,
/// http/1.1 by ALPN, the certificate and its name always verified.
///
/// # Errors
/// [`TlsError`] where the CA file is missing, empty or malformed.
pub fn client_config(trust: UpstreamTrust<'_>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    match trust {
        UpstreamTrust::PublicRoots => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        UpstreamTrust::CaFile(path) => {
            for authority in certificates(path)? {
                roots.add(authority).map_err(|error| TlsError::Malformed {
                    origin: path.display().to_string(),
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
