//! TLS of the front door: the chain, its key and the sources' authorities.

use super::{BuildError, Secrets, keep};
use crate::config::{TLS_KEY, Tls, TlsKey};
use crate::secrets::SecretValue;
use crate::tls::{self, ClientAuthorities, ServerIdentity};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// TLS of the front door.
pub(super) struct FrontTls {
    pub(super) config: Arc<ServerConfig>,
    /// When the certificate ends, in seconds since the Unix epoch.
    pub(super) expiry: i64,
    pub(super) clients: Option<ClientAuthorities>,
}

pub(super) fn build(
    configured: &Tls,
    secrets: &Secrets,
    errors: &mut Vec<BuildError>,
) -> Option<FrontTls> {
    let chain = keep(chain(configured), errors);
    let key = key(configured, secrets).and_then(|key| keep(key, errors));
    let clients = keep(clients(configured), errors);
    let ((chain, expiry), (key, key_origin), clients) = (chain?, key?, clients?);
    let identity = ServerIdentity {
        chain,
        key,
        chain_origin: configured.cert_path.display().to_string(),
        key_origin,
    };
    let config =
        tls::server_config(identity, configured.min_version, clients.as_ref()).map_err(|source| {
            BuildError::Tls {
                key: "gateway.tls".to_owned(),
                source,
            }
        });
    Some(FrontTls {
        config: keep(config, errors)?,
        expiry,
        clients,
    })
}

/// Whose certificates sources must show; none where they need none.
fn clients(configured: &Tls) -> Result<Option<ClientAuthorities>, BuildError> {
    let Some(path) = &configured.client_ca_path else {
        return Ok(None);
    };
    let certificates = tls::certificates(path).map_err(|source| BuildError::Tls {
        key: "gateway.tls.clientCaPath".to_owned(),
        source,
    })?;
    Ok(Some(ClientAuthorities {
        certificates,
        origin: path.display().to_string(),
    }))
}

/// The chain, and when its leaf ends.
fn chain(configured: &Tls) -> Result<(Vec<CertificateDer<'static>>, i64), BuildError> {
    let failed = |source| BuildError::Tls {
        key: "gateway.tls.certPath".to_owned(),
        source,
    };
    let chain = tls::certificates(&configured.cert_path).map_err(failed)?;
    let origin = configured.cert_path.display().to_string();
    let expiry = tls::expiry(&chain[0], &origin).map_err(failed)?;
    Ok((chain, expiry))
}

/// The key, and where it came from; none where it is a secret that was not to be
/// had, which is an error already.
pub(super) fn key(
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
        .map_err(|source| BuildError::Tls {
            key: key.to_owned(),
            source,
        });
    Some(parsed.map(|parsed| (parsed, origin)))
}
