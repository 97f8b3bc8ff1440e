//! TLS of the front door: the chain, its key and the sources' authorities.

use super::{BuildError, Secrets, keep};
use crate::config::{TLS_KEY, Tls, TlsKey};
use crate::secrets::SecretValue;
use crate::tls::{self, ServerIdentity};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// The settings, and when the certificate ends, in seconds since the Unix epoch.
pub(super) fn build(
    configured: &Tls,
    secrets: &Secrets,
    errors: &mut Vec<BuildError>,
) -> Option<(Arc<ServerConfig>, i64)> {
    let chain = keep(chain(configured), errors);
    let key = key(configured, secrets).and_then(|key| keep(key, errors));
    let ((chain, expiry), (key, key_origin)) = (chain?, key?);
    let identity = ServerIdentity {
        chain,
        key,
        chain_origin: configured.cert_path.display().to_string(),
        key_origin,
    };
    let client_ca = configured.client_ca_path.as_deref();
    let config =
        tls::server_config(identity, configured.min_version, client_ca).map_err(|source| {
            BuildError::Tls {
                key: "gateway.tls",
                source,
            }
        });
    Some((keep(config, errors)?, expiry))
}

/// The chain, and when its leaf ends.
fn chain(configured: &Tls) -> Result<(Vec<CertificateDer<'static>>, i64), BuildError> {
    let failed = |source| BuildError::Tls {
        key: "gateway.tls.certPath",
        source,
    };
    let chain = tls::certificates(&configured.cert_path).map_err(failed)?;
    let origin = configured.cert_path.display().to_string();
    let expiry = tls::expiry(&chain[0], &origin).map_err(failed)?;
    Ok((chain, expiry))
}

/// The key, and where it came from; none where it is a secret that was not to be
/// had, which is an error already.
fn key(
    configured: &Tls,
    secrets: &Secrets,
) -> Option<Result<(PrivateKeyDer<'static>, String), BuildError>> {
    let (pem, origin, key) = match &configured.key {
        TlsKey::File(path) => {
            let key = "gateway.tls.keyPath";
            let pem = tls::read(path).map(SecretValue::new);
            (pem, path.display().to_string(), key)
        }
        TlsKey::Inline(_) => (
            Ok(secrets.value(TLS_KEY)?.clone()),
            TLS_KEY.to_owned(),
            TLS_KEY,
        ),
    };
    let parsed = pem
        .and_then(|pem| tls::private_key(pem.expose_bytes(), &origin))
        .map_err(|source| BuildError::Tls { key, source });
    Some(parsed.map(|parsed| (parsed, origin)))
}
