//! What credentials are known by: their names, and their secrets.

use crate::credentials::fingerprint;
use crate::secrets::SecretValue;
use crate::snapshot::{BackDoor, ReadyKey};
use std::path::PathBuf;

/// A credential, by what stays the same when it is read anew.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct CredentialKey {
    /// The folder of the sink that keeps how it fares; none: nothing keeps it.
    pub(super) folder: Option<PathBuf>,
    /// A profile's id, or `provider#fingerprint`.
    pub(super) name: String,
}

/// What a credential's secret is known by: what was learnt of one says nothing of the
/// next that has its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Whose limits they are; none: the profile's, whatever it holds.
    pub(super) limits: Option<String>,
    /// Whose refusals they are, likewise.
    pub(super) refusals: Option<String>,
}

impl Mark {
    pub(super) fn of_secret(secret: &SecretValue) -> Self {
        Self::of_fingerprint(&fingerprint(secret))
    }

    pub(super) fn of_fingerprint(fingerprint: &str) -> Self {
        Self {
            limits: Some(fingerprint.to_owned()),
            refusals: Some(fingerprint.to_owned()),
        }
    }
}

impl CredentialKey {
    /// A key of a provider's pool: its state is kept beside the profiles of everyone.
    pub(super) fn of_pool(door: &BackDoor, provider: &str, key: &ReadyKey) -> Self {
        Self {
            folder: door.state_dir.clone(),
            name: format!("{provider}#{}", key.key.fingerprint),
        }
    }

    /// The fingerprint of a key of a pool; none: it is a profile.
    pub(super) fn pool_fingerprint(&self) -> Option<&str> {
        let (_, fingerprint) = self.name.split_once('#')?;
        Some(fingerprint)
    }
}
