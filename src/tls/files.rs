//! Reads certificates and keys from PEM (RFC 7468).

use super::TlsError;
use crate::regular_file;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;

/// The largest file, in bytes: a bundle of all public authorities has a quarter of it.
const MAX_BYTES: u64 = 1 << 20;

/// The text of a PEM file.
///
/// # Errors
/// [`TlsError::Unreadable`] where it can't be read as text.
pub fn read(path: &Path) -> Result<String, TlsError> {
    regular_file::read_to_string(path, MAX_BYTES).map_err(|source| TlsError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// All certificates of a PEM file, in its order.
///
/// # Errors
/// [`TlsError`] where the file can't be read, is malformed or holds none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let origin = path.display().to_string();
    let pem = regular_file::read(path, MAX_BYTES).map_err(|source| TlsError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::Malformed {
            origin: origin.clone(),
            reason: error.to_string(),
        })?;
    if chain.is_empty() {
        return Err(TlsError::NothingIn {
            origin,
            expected: "CERTIFICATE",
        });
    }
    Ok(chain)
}

/// The first private key of a PEM text: PKCS#8, PKCS#1 or SEC1.
///
/// `origin` names where the text came from in errors.
///
/// # Errors
/// [`TlsError`] where there is none or it is malformed.
pub fn private_key(pem: &[u8], origin: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    use rustls_pki_types::pem::Error;
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        Error::NoItemsFound => TlsError::NothingIn {
            origin: origin.to_owned(),
            expected: "PRIVATE KEY",
        },
        // The parser's own text could quote the line that it stumbled over.
        _ => TlsError::Malformed {
            origin: origin.to_owned(),
            reason: "not a PEM private key".to_owned(),
        },
    })
}

/// When a certificate ends, in seconds since the Unix epoch.
///
/// # Errors
/// [`TlsError::Malformed`] where it is no X.509 certificate.
pub fn expiry(certificate: &CertificateDer<'_>, origin: &str) -> Result<i64, TlsError> {
    x509_parser::parse_x509_certificate(certificate)
        .map(|(_, parsed)| parsed.validity().not_after.timestamp())
        .map_err(|error| TlsError::Malformed {
            origin: origin.to_owned(),
            reason: error.to_string(),
        })
}
