//! Every file that a config names by a key of its own, in one list: what is watched, what
//! a locked process keeps, and what must be guarded.

use super::{Activity, AllowUsersSource, Config, TlsKey};
use std::path::Path;

const CERT_PATH: &str = "gateway.tls.certPath";
const KEY_PATH: &str = "gateway.tls.keyPath";
const CLIENT_CA_PATH: &str = "gateway.tls.clientCaPath";
const UPSTREAM_CA: &str = "upstream.caFile";
const USERS_FILE: &str = "gateway.auth.trustedProxy.allowUsersFile";
const ASSERTION_CA: &str = "gateway.auth.trustedProxy.assertion.caFile";
const ENV_FILE: &str = "models.envFile";

/// A file that the config names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile<'a> {
    /// The config key: `gateway.tls.certPath`.
    pub key: String,
    /// Where it is.
    pub path: &'a Path,
    /// What it is for.
    pub role: FileRole,
    /// Whether anything reads it.
    pub activity: Activity,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileRole {
    /// The front door's chain.
    Certificate,
    /// The front door's key.
    PrivateKey,
    /// The authorities of sources.
    SourceAuthorities,
    /// The authorities of the gateway.
    GatewayAuthorities,
    /// The users who may pass.
    Users,
    /// The authorities of the place that has an issuer's keys.
    IssuerAuthorities,
    /// Keys for models, one a line.
    ModelKeys,
    /// The authorities of a model provider.
    ModelAuthorities,
}

impl FileRole {
    /// Whether what it holds must be known to nobody else.
    #[must_use]
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::PrivateKey | Self::ModelKeys)
    }
}

impl Config {
    /// Every file that is named, in use or not. Those of secret providers are not among
    /// them: the environment may have a part in where they are.
    #[must_use]
    pub fn named_files(&self) -> Vec<NamedFile<'_>> {
        use FileRole::{
            Certificate, GatewayAuthorities, IssuerAuthorities, ModelAuthorities, ModelKeys,
            PrivateKey, SourceAuthorities, Users,
        };
        let tls = self.gateway.tls.as_ref();
        let private_key = tls.and_then(|tls| match &tls.key {
            TlsKey::File(path) => Some(path),
            TlsKey::Inline(_) => None,
        });
        let trusted_proxy = &self.gateway.trusted_proxy;
        let users = match &trusted_proxy.allow_users {
            AllowUsersSource::File(path) => Some(path),
            AllowUsersSource::Inline(_) => None,
        };
        let assertion = trusted_proxy.assertion.as_ref();
        let issuer = assertion.and_then(|assertion| assertion.ca_file.as_ref());
        let sources = tls.and_then(|tls| tls.client_ca_path.as_ref());
        let front = [
            (CERT_PATH, tls.map(|tls| &tls.cert_path), Certificate),
            (KEY_PATH, private_key, PrivateKey),
            (CLIENT_CA_PATH, sources, SourceAuthorities),
            (
                UPSTREAM_CA,
                self.upstream.ca_file.as_ref(),
                GatewayAuthorities,
            ),
            (USERS_FILE, users, Users),
            (ASSERTION_CA, issuer, IssuerAuthorities),
        ];
        let front = front
            .into_iter()
            .map(|(key, path, role)| (key.to_owned(), path, role, Activity::Active));
        let back_door = self.back_door();
        let env_file = self.models.env_file.as_ref();
        let env_file = (ENV_FILE.to_owned(), env_file, ModelKeys, back_door);
        let providers = self.models.providers.iter().map(|(name, provider)| {
            let key = format!("models.providers.{name}.caFile");
            (key, provider.ca_file.as_ref(), ModelAuthorities, back_door)
        });
        let all = front.chain([env_file]).chain(providers);
        let named = all.filter_map(|(key, path, role, activity)| {
            Some(NamedFile {
                key,
                path: path?,
                role,
                activity,
            })
        });
        named.collect()
    }
}
