//! The files that a configuration is built from, beside its own.

use crate::config::{Activity, Config, Surface};
use crate::secrets::{Environment, Provider};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Certificates, keys and authorities, the users file, and the files of secrets
/// that are in use: a change of any of them asks for another build.
#[must_use]
pub fn watched_files(config: &Config, environment: Environment<'_>) -> BTreeSet<PathBuf> {
    let named = config.named_files().into_iter();
    let mut files: BTreeSet<_> = named
        .filter(|file| file.activity == Activity::Active)
        .map(|file| file.path.to_owned())
        .collect();
    let surfaces = config.surfaces();
    let providers = surfaces
        .iter()
        .filter_map(Surface::to_resolve)
        .filter_map(|reference| config.secrets.admit(reference).ok());
    for provider in providers {
        if let Provider::File(file) = provider {
            files.extend(file.location(environment).ok());
        }
    }
    files
}
