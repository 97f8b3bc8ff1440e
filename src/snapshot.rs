//! All that a request is decided and served by, built as a whole or not at all.

mod back_door;
mod error;
mod front_tls;
mod gateway;
mod rates;
mod secrets;
mod signed_identity;
mod terms;
mod token;
mod watched;

pub use back_door::{AgentCaller, BackDoor, Provider, ReadyKey, inspect as inspect_back_door};
pub use error::BuildError;
pub use rates::{Exceeded, Rates};
pub use secrets::{IGNORED_INACTIVE, SecretProblem, SecretState, Secrets, State};
pub use signed_identity::SignedIdentity;
pub use terms::Terms;
pub use token::{Token, TokenError};
pub use watched::watched_files;

use crate::config::{ADMIN_TOKEN, Config, Limits, TlsKey, UPSTREAM_CREDENTIAL};
use crate::forwarded::{Credential, ForwardedConfig, Rewriter};
use crate::policy::{Policy, Source, TrustedNets};
use crate::secrets::Environment;
use crate::telemetry::logging::AccessLog;
use crate::upstream::Upstream;
use bytes::Bytes;
use rustls::ServerConfig;
use std::sync::Arc;

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
    /// Verifies the assertions that prove users; none: there are none.
    pub signed_identity: Option<Arc<SignedIdentity>>,
    /// The gateway.
    pub upstream: Arc<Upstream>,
    /// TLS of the front door; none: plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// On what terms connections are taken. The same allocation for as long as they
    /// are the same.
    pub terms: Arc<Terms>,
    /// When the served certificate ends, in seconds since the Unix epoch.
    pub certificate_expiry: Option<i64>,
    /// `Strict-Transport-Security`.
    pub hsts: Option<Bytes>,
    /// How much and how long.
    pub limits: Limits,
    /// The load balancers that begin their connections with a PROXY header.
    pub proxy_protocol_from: TrustedNets,
    /// How often users and clients may come.
    pub rates: Rates,
    /// Whether each request leaves a line.
    pub access_log: bool,
    /// What the admin listener asks for.
    pub admin_token: Option<Token>,
    /// What model calls are served by; none: the back door is off.
    pub back_door: Option<Arc<BackDoor>>,
    /// Each secret's state, without its value.
    pub secrets: Vec<SecretState>,
    /// Whether the system keeps every secret out of swap.
    pub secrets_locked: bool,
}

impl Rules {
    /// Builds the rules. `credential` is put on the upstream's requests.
    ///
    /// # Errors
    /// [`BuildError`] where the users file can't be read or holds nobody.
    pub fn build(config: &Config, credential: Option<Credential>) -> Result<Self, BuildError> {
        let trusted_proxy = &config.gateway.trusted_proxy;
        let policy = Policy::new(config.policy_config(trusted_proxy.allow_users.users()?));
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
    /// Blocks while it does. What `previous` has open to the same upstream is kept.
    ///
    /// # Errors
    /// Every [`BuildError`] at once.
    pub fn build(
        config: &Config,
        environment: Environment<'_>,
        previous: Option<&Snapshot>,
    ) -> Result<Self, Vec<BuildError>> {
        let mut errors = Vec::new();
        let secrets = Secrets::resolve(config, environment);
        let credential = keep(credential(config, &secrets), &mut errors).flatten();
        let admin_token = keep(admin_token(&secrets), &mut errors);
        let tls = config.gateway.tls.as_ref();
        let tls = tls.and_then(|tls| front_tls::build(tls, &secrets, &mut errors));
        let rules = keep(Rules::build(config, credential), &mut errors);
        let upstream = keep(gateway::build(config), &mut errors);
        let proven = previous.and_then(|previous| previous.signed_identity.as_ref());
        let signed_identity = keep(signed_identity::build(config, proven), &mut errors);
        let back_door = back_door::build(
            config,
            &secrets,
            environment,
            previous.and_then(|previous| previous.back_door.as_deref()),
            &mut errors,
        );
        let secrets_locked = secrets.are_locked();
        let (unresolved, states) = secrets.into_parts();
        errors.splice(0..0, unresolved);
        match (rules, upstream, admin_token, signed_identity) {
            (
                Some(Rules { policy, rewriter }),
                Some(upstream),
                Some(admin_token),
                Some(signed_identity),
            ) if errors.is_empty() => {
                let (tls, certificate_expiry, clients) = match tls {
                    Some(tls) => (Some(tls.config), Some(tls.expiry), tls.clients),
                    None => (None, None, None),
                };
                let terms = Terms::of(config.gateway.tls.as_ref(), clients);
                let known = previous
                    .map(|previous| &previous.terms)
                    .filter(|known| ***known == terms);
                let hsts = config.gateway.strict_transport_security.clone();
                let kept = previous
                    .map(|previous| &previous.upstream)
                    .filter(|kept| kept.serves(&upstream));
                Ok(Self {
                    policy,
                    rewriter,
                    signed_identity,
                    upstream: kept
                        .cloned()
                        .unwrap_or_else(|| Arc::new(Upstream::new(upstream))),
                    tls,
                    terms: known.cloned().unwrap_or_else(|| Arc::new(terms)),
                    certificate_expiry,
                    hsts: hsts.map(Bytes::from),
                    proxy_protocol_from: config.listen.proxy_protocol_from.clone(),
                    rates: Rates::of(&config.limits, previous.map(|previous| &previous.rates)),
                    limits: config.limits.clone(),
                    access_log: config.log.access == AccessLog::On,
                    admin_token,
                    back_door: back_door.map(Arc::new),
                    secrets: states,
                    secrets_locked,
                })
            }
            _ => Err(errors),
        }
    }
}

impl Snapshot {
    /// Whether a load balancer's PROXY header is believed: it is listed, and one on this
    /// host must itself be let in, for any process could pass for it.
    pub fn believes(&self, balancer: Source) -> bool {
        let is_listed = |address| self.proxy_protocol_from.contains(address);
        balancer.address().is_some_and(is_listed) && self.policy.permits_place(balancer).is_ok()
    }
}

fn keep<T>(result: Result<T, BuildError>, errors: &mut Vec<BuildError>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}

/// The secrets that were had and can't be used where they belong.
#[must_use]
pub fn unfit_secrets(config: &Config, secrets: &Secrets) -> Vec<BuildError> {
    let mut errors = Vec::new();
    keep(credential(config, secrets), &mut errors);
    keep(admin_token(secrets), &mut errors);
    if let Some(tls) = &config.gateway.tls
        && matches!(tls.key, TlsKey::Inline(_))
        && let Some(key) = front_tls::key(tls, secrets)
    {
        keep(key, &mut errors);
    }
    back_door::build(config, secrets, &no_variables, None, &mut errors);
    errors
}

/// What would keep a start from succeeding, beside secrets that are not to be had: with
/// secrets that are resolved already, and without a look at model credentials.
#[must_use]
pub fn refusals(config: &Config, secrets: &Secrets) -> Vec<BuildError> {
    let mut errors = Vec::new();
    keep(credential(config, secrets), &mut errors);
    keep(admin_token(secrets), &mut errors);
    keep(Rules::build(config, None), &mut errors);
    keep(gateway::build(config), &mut errors);
    keep(signed_identity::build(config, None), &mut errors);
    if let Some(tls) = &config.gateway.tls {
        front_tls::build(tls, secrets, &mut errors);
    }
    back_door::build(config, secrets, &no_variables, None, &mut errors);
    errors
}

fn no_variables(_: &str) -> Option<std::ffi::OsString> {
    None
}

fn admin_token(secrets: &Secrets) -> Result<Option<Token>, BuildError> {
    let token = secrets.value(ADMIN_TOKEN).cloned().map(Token::new);
    token.transpose().map_err(|source| BuildError::Token {
        key: ADMIN_TOKEN.to_owned(),
        source,
    })
}

/// None where none is configured, or where its secret was not to be had.
fn credential(config: &Config, secrets: &Secrets) -> Result<Option<Credential>, BuildError> {
    let configured = config.upstream.credential.as_ref();
    let Some((configured, secret)) = configured.zip(secrets.value(UPSTREAM_CREDENTIAL)) else {
        return Ok(None);
    };
    let value = configured
        .format
        .apply(secret)
        .map_err(|source| BuildError::Unsendable {
            key: UPSTREAM_CREDENTIAL.to_owned(),
            source,
        })?;
    Ok(Some(Credential {
        header: configured.header.clone(),
        value,
    }))
}
