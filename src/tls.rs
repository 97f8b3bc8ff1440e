//! TLS settings of the listener and of the upstream, checked while they are
//! built: a certificate that can't serve is an error at start, never a panic
//! or a failed handshake later.

mod client_names;
mod files;
mod server;
mod upstream;

pub use client_names::client_names;
pub use files::{certificates, expiry, private_key, read};
pub use server::{ClientAuthorities, MinVersion, ServerIdentity, server_config};
pub use upstream::{UpstreamTrust, client_config, server_name};

use std::path::PathBuf;

/// Why TLS can't be set up. The message names the key's file and what is wrong,
/// never key material.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file can't be read.
    #[error("{path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no PEM block of the kind that is needed.
    #[error("{origin}: got no PEM block `{expected}`")]
    NothingIn {
        /// The file, or the config key of an inline value.
        origin: String,
        /// What should be in it.
        expected: &'static str,
    },
    /// A PEM block or what it holds is malformed.
    #[error("{origin}: malformed: {reason}")]
    Malformed {
        /// The file, or the config key of an inline value.
        origin: String,
        /// What the parser says; it names no content.
        reason: String,
    },
    /// The key does not belong to the certificate.
    #[error("the private key ({key}) does not belong to the first certificate of {certificates}")]
    KeyMismatch {
        /// Where the key came from.
        key: String,
        /// Where the chain came from.
        certificates: String,
    },
    /// rustls refused the whole.
    #[error("TLS can't be set up: {0}")]
    Rustls(#[from] rustls::Error),
    /// The client CA file can't make a verifier.
    #[error("{origin}: no usable certificate authority: {reason}")]
    ClientCa {
        /// The file.
        origin: String,
        /// What rustls says.
        reason: String,
    },
}
