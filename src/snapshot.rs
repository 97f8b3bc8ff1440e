//! All that a request is decided and served by, built as a whole or not at all.

mod secrets;

pub use secrets::SecretState;

use crate::config::{
    AllowUsersSource, Config, Limits, Tls, TlsKey, UpstreamHost, UpstreamUrl, UsersFileError,
    parse_users_file,
};
use crate::forwarded::{Credential, ForwardedConfig, Rewriter};
use crate::policy::{AllowUsers, Policy};
use crate::secrets::{Environment, SecretError, SecretValue};
use crate::telemetry::logging::AccessLog;
use crate::tls::{self, ServerIdentity, TlsError, UpstreamTrust};
use crate::upstream::{Target, Upstream, UpstreamConfig, UpstreamTls};
use bytes::Bytes;
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrets::Resolver;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a valid configuration can't be put to use.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Certificates, keys or authorities.
    #[error("{key}: {source}")]
    Tls {
        /// The config key.
        key: &'static str,
        /// What is wrong.
        #[source]
        source: TlsError,
    },
    /// A secret has no value.
    #[error("{key}: {source} ({code})", code = source.code())]
    Secret {
        /// The config key.
        key: &'static str,
        /// Why.
        #[source]
        source: SecretError,
    },
    /// A secret can't be sent in a header.
    #[error("{key}: the secret holds characters that no header may")]
    Unsendable {
        /// The config key.
        key: &'static str,
    },
    /// The users file can't be read.
    #[error("gateway.auth.trustedProxy.allowUsersFile: {path}: {source}", path = path.display())]
    UnreadableUsers {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The users file holds no list of users.
    #[error("gateway.auth.trustedProxy.allowUsersFile: {path}: {source}", path = path.display())]
    Users {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: UsersFileError,
    },
}

/// The rules alone: what decides on a request and rewrites it.
#[derive(Debug)]
pub struct Rules {
    /// Decides.
    pub policy: Policy,
    /// Writes what the upstream gets.
    pub rewriter: Rewriter,
}

/// One configuration, ready. Immutable: a change is another snapshot.
#[derive(Debug)]
pub struct Snapshot {
    /// Decides.
    pub policy: Policy,
    /// Writes what the upstream gets.
    pub rewriter: Rewriter,
    /// The gateway.
    pub upstream: Arc<Upstream>,
    /// TLS of the front door; none: plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// When the served certificate ends, in seconds since the Unix epoch.
    pub certificate_expiry: Option<i64>,
    /// `Strict-Transport-Security`.
    pub hsts: Option<Bytes>,
    /// How much and how long.
    pub limits: Limits,
    /// Whether each request leaves a line.
    pub access_log: bool,
    /// What the admin listener asks for.
    pub admin_token: Option<SecretValue>,
    /// Each secret's state, without its value.
    pub secrets: Vec<SecretState>,
}

impl Rules {
    /// Builds the rules. `credential` is put on the upstream's requests.
    ///
    /// # Errors
    /// [`BuildError`] where the users file can't be read or holds nobody.
    pub fn build(config: &Config, credential: Option<Credential>) -> Result<Self, BuildError> {
        let trusted_proxy = &config.gateway.trusted_proxy;
        let policy = Policy::new(config.policy_config(users(&trusted_proxy.allow_users)?));
        let rewriter = Rewriter::new(ForwardedConfig {
            user_header: trusted_proxy.user_header.clone(),
            trusted: config.gateway.trusted_proxies.clone(),
            drop_cookies: trusted_proxy.drop_cookies.clone(),
            credential,
        });
        Ok(Self { policy, rewriter })
    }
}

impl Snapshot {
    /// Does everything that can fail: reads files, resolves secrets, checks keys.
    ///
    /// # Errors
    /// Every [`BuildError`] at once.
    pub fn build(config: &Config, environment: Environment<'_>) -> Result<Self, Vec<BuildError>> {
        let mut errors = Vec::new();
        let mut resolver = Resolver::new(&config.secrets, environment);
        let credential = keep(credential(config, &mut resolver), &mut errors).flatten();
        let admin_token = config.admin.token.as_ref();
        let admin_token = admin_token.map(|token| resolver.resolve("admin.token", token));
        let admin_token = keep(admin_token.transpose(), &mut errors).flatten();
        let tls = config
            .gateway
            .tls
            .as_ref()
            .and_then(|tls| front_tls(tls, &mut resolver, &mut errors));
        let rules = keep(Rules::build(config, credential), &mut errors);
        let upstream = keep(upstream(config), &mut errors);
        match (rules, upstream) {
            (Some(Rules { policy, rewriter }), Some(upstream)) if errors.is_empty() => {
                let (tls, certificate_expiry) = tls.unzip();
                let hsts = config.gateway.strict_transport_security.clone();
                Ok(Self {
                    policy,
                    rewriter,
                    upstream: Arc::new(upstream),
                    tls,
                    certificate_expiry,
                    hsts: hsts.map(Bytes::from),
                    limits: config.limits.clone(),
                    access_log: config.log.access == AccessLog::On,
                    admin_token,
                    secrets: resolver.into_states(),
                })
            }
            _ => Err(errors),
        }
    }
}

fn keep<T>(result: Result<T, BuildError>, errors: &mut Vec<BuildError>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}

fn users(source: &AllowUsersSource) -> Result<AllowUsers, BuildError> {
    match source {
        AllowUsersSource::Inline(users) => Ok(users.clone()),
        AllowUsersSource::File(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|source| BuildError::UnreadableUsers {
                    path: path.clone(),
                    source,
                })?;
            parse_users_file(&text).map_err(|source| BuildError::Users {
                path: path.clone(),
                source,
            })
        }
    }
}

fn credential(
    config: &Config,
    resolver: &mut Resolver<'_>,
) -> Result<Option<Credential>, BuildError> {
    const KEY: &str = "upstream.credential.value";
    let Some(configured) = &config.upstream.credential else {
        return Ok(None);
    };
    let secret = resolver.resolve(KEY, &configured.value)?;
    let value = configured
        .format
        .apply(&secret)
        .map_err(|_| BuildError::Unsendable { key: KEY })?;
    Ok(Some(Credential {
        header: configured.header.clone(),
        value,
    }))
}

fn front_tls(
    configured: &Tls,
    resolver: &mut Resolver<'_>,
    errors: &mut Vec<BuildError>,
) -> Option<(Arc<ServerConfig>, i64)> {
    let chain = keep(chain(configured), errors);
    let key = keep(key(configured, resolver), errors);
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

/// The key, and where it came from.
fn key(
    configured: &Tls,
    resolver: &mut Resolver<'_>,
) -> Result<(PrivateKeyDer<'static>, String), BuildError> {
    let (pem, origin, key) = match &configured.key {
        TlsKey::File(path) => {
            let key = "gateway.tls.keyPath";
            let pem = tls::read(path).map_err(|source| BuildError::Tls { key, source })?;
            (SecretValue::new(pem), path.display().to_string(), key)
        }
        TlsKey::Inline(input) => {
            let key = "gateway.tls.key";
            (resolver.resolve(key, input)?, key.to_owned(), key)
        }
    };
    let parsed = tls::private_key(pem.expose().as_bytes(), &origin)
        .map_err(|source| BuildError::Tls { key, source })?;
    Ok((parsed, origin))
}

fn upstream(config: &Config) -> Result<Upstream, BuildError> {
    let configured = &config.upstream;
    let target = match &configured.url {
        UpstreamUrl::Unix(path) => Target::Unix(path.clone()),
        UpstreamUrl::Tcp {
            host: UpstreamHost::Ip(ip),
            port,
            ..
        } => Target::Address(SocketAddr::new(*ip, *port)),
        UpstreamUrl::Tcp {
            host: UpstreamHost::Dns(host),
            port,
            ..
        } => Target::Name {
            host: host.clone(),
            port: *port,
        },
    };
    let tls = match &configured.url {
        UpstreamUrl::Tcp {
            host, tls: true, ..
        } => {
            let name = match host {
                UpstreamHost::Ip(ip) => ip.to_string(),
                UpstreamHost::Dns(host) => host.clone(),
            };
            let trust = configured
                .ca_file
                .as_deref()
                .map_or(UpstreamTrust::PublicRoots, UpstreamTrust::CaFile);
            let in_ca = |source| BuildError::Tls {
                key: "upstream.caFile",
                source,
            };
            Some(UpstreamTls {
                config: tls::client_config(trust).map_err(in_ca)?,
                name: tls::server_name(&name).map_err(|source| BuildError::Tls {
                    key: "upstream.url",
                    source,
                })?,
            })
        }
        UpstreamUrl::Tcp { tls: false, .. } | UpstreamUrl::Unix(_) => None,
    };
    Ok(Upstream::new(UpstreamConfig {
        target,
        tls,
        idle_timeout: configured.idle_timeout,
        connect_timeout: config.limits.upstream_connect_timeout,
    }))
}
