//! `[gateway.tls]`: TLS at the front door.

use std::path::PathBuf;

use super::secret;
use super::section::Section;
use super::walk::Walk;
use crate::secrets::{Providers, SecretInput};
use crate::tls::MinVersion;

/// TLS at the front door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain, PEM, leaf first.
    pub cert_path: PathBuf,
    /// The leaf's private key.
    pub key: TlsKey,
    /// The lowest version that is spoken. Default 1.2.
    pub min_version: MinVersion,
    /// The authorities one of which must have signed a source's certificate;
    /// absent: sources show none.
    pub client_ca_path: Option<PathBuf>,
}

/// Where the private key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsKey {
    /// In a PEM file.
    File(PathBuf),
    /// In the config or where it refers to, as PEM.
    Inline(SecretInput),
}

/// What the section says.
pub(super) enum Read {
    /// Plain HTTP, whatever `key` says.
    Off {
        /// A secret that nothing uses.
        idle_key: Option<SecretInput>,
    },
    /// TLS; `None` where a problem was recorded.
    On(Option<Tls>),
}

impl Read {
    /// Whether TLS is wanted.
    pub(super) fn is_on(&self) -> bool {
        matches!(self, Self::On(_))
    }

    /// Whether sources must show certificates. Where that can't be told, they would have to.
    pub(super) fn asks_for_certificates(&self) -> bool {
        match self {
            Self::Off { .. } => false,
            Self::On(tls) => tls.as_ref().is_none_or(|tls| tls.client_ca_path.is_some()),
        }
    }
}

pub(super) fn read(section: &Section<'_>, walk: &mut Walk<'_>, providers: &Providers) -> Read {
    let [
        enabled,
        cert_path,
        key_path,
        key,
        min_version,
        client_ca_path,
        ca_path,
    ] = section.fields(
        walk,
        [
            "enabled",
            "certPath",
            "keyPath",
            "key",
            "minVersion",
            "clientCaPath",
            "caPath",
        ],
        &["autoGenerate"],
    );
    walk.unnote(ca_path.place());
    if ca_path.is_present() {
        // At the gateway it may mean a demand for client certificates: passing
        // it over could open what its author holds for closed.
        walk.refuse(
            ca_path.place(),
            "unknown key, did you mean `clientCaPath` (source proxies must show a certificate)?",
        );
    }
    let versions = [MinVersion::Tls12, MinVersion::Tls13];
    let min_version = min_version
        .choice(walk, &["1.2", "1.3"], &versions)
        .unwrap_or(MinVersion::Tls12);
    let client_ca = client_ca_path.path(walk);
    let key_file = key_path.path(walk);
    let inline = secret::read(&key, walk, providers);
    if key.is_present() && key_path.is_present() {
        walk.refuse(
            key.place(),
            "got a key beside `keyPath`, expected one of the two",
        );
    }

    let named = [&cert_path, &key_path, &key, &client_ca_path];
    let wanted = named.into_iter().any(super::entry::Entry::is_present);
    if !enabled.boolean(walk).unwrap_or(wanted) {
        if client_ca_path.is_present() {
            walk.refuse(
                client_ca_path.place(),
                "got a file, expected none with `gateway.tls.enabled` off: no source would be \
                 asked for a certificate",
            );
        }
        cert_path.path(walk);
        return Read::Off { idle_key: inline };
    }
    let cert = cert_path
        .needed(walk, "a file with the certificate chain")
        .path(walk);
    if !key.is_present() {
        key_path.needed(walk, "a file with the private key, or `gateway.tls.key`");
    }
    let key = key_file.map(TlsKey::File).or(inline.map(TlsKey::Inline));
    Read::On(cert.zip(key).map(|(cert_path, key)| Tls {
        cert_path,
        key,
        min_version,
        client_ca_path: client_ca,
    }))
}
