//! The files that a configuration is built from, beside its own.

use crate::config::{AllowUsersSource, Config, Surface, TlsKey};
use crate::secrets::{Environment, Provider};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Certificates, keys and authorities, the users file, and the files of secrets
/// that are in use: a change of any of them asks for another build.
#[must_use]
pub fn watched_files(config: &Config, environment: Environment<'_>) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    if let Some(tls) = &config.gateway.tls {
        files.insert(tls.cert_path.clone());
        files.extend(tls.client_ca_path.clone());
        if let TlsKey::File(path) = &tls.key {
            files.insert(path.clone());
        }
    }
    files.extend(config.upstream.ca_file.clone());
    let assertion = config.gateway.trusted_proxy.assertion.as_ref();
    files.extend(assertion.and_then(|assertion| assertion.ca_file.clone()));
    if let AllowUsersSource::File(path) = &config.gateway.trusted_proxy.allow_users {
        files.insert(path.clone());
    }
    if config.models.listen.is_some() {
        files.extend(config.models.env_file.clone());
        let providers = config.models.providers.values();
        files.extend(providers.filter_map(|provider| provider.ca_file.clone()));
    }
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
