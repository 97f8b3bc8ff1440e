//! The back door's part of a snapshot: providers with their pools of keys, and who may
//! call.

use super::{BuildError, Secrets, Token};
use crate::config::{CLIENT_TOKEN, Config, ModelProvider, Models, SharedKeys, agent_token};
use crate::credentials::pool::{self, PoolKey};
use crate::credentials::{Dialect, OAuthSettings, TokenSink};
use crate::forwarded::HeaderBytes;
use crate::http_client::{HttpClient, Service};
use crate::secrets::dot_env::DotEnv;
use crate::secrets::{Environment, Providers, SecretValue, Variables};
use crate::tls::{self, UpstreamTrust};
use http::{HeaderName, HeaderValue};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What model calls are served by.
#[derive(Debug)]
pub struct BackDoor {
    /// Who may call without being an agent.
    pub client_token: Option<Token>,
    /// Callers with profiles of their own.
    pub agents: Vec<AgentCaller>,
    /// The enabled providers by name.
    pub providers: BTreeMap<String, Arc<Provider>>,
    /// Every header in which a caller could show a credential.
    pub credential_headers: Vec<HeaderName>,
    /// Further names in `Host`.
    pub allowed_hosts: Vec<String>,
    /// The folder of profiles.
    pub state_dir: Option<PathBuf>,
    /// The longest request that can be sent again, in bytes.
    pub max_replay_bytes: usize,
    /// The order of profiles for each provider.
    pub order: BTreeMap<String, Vec<String>>,
    /// Where references of profiles are resolved.
    pub secret_providers: Providers,
}

/// An agent.
#[derive(Debug)]
pub struct AgentCaller {
    /// Its name in the config.
    pub name: String,
    /// What it shows.
    pub token: Token,
    /// The folder of its profiles.
    pub state_dir: Option<PathBuf>,
    /// Whether the pool of keys is its, too.
    pub shared_keys: SharedKeys,
}

/// A model provider, ready to be called.
#[derive(Debug)]
pub struct Provider {
    /// Its name.
    pub name: String,
    /// Calls it.
    pub client: Arc<HttpClient>,
    /// How its API speaks.
    pub dialect: Dialect,
    /// Whether the config has it.
    pub is_configured: bool,
    /// The header of its credential.
    pub header: HeaderName,
    /// Its pool.
    pub keys: Vec<ReadyKey>,
    /// Its login.
    pub login: Option<OAuthSettings>,
    format: crate::config::CredentialFormat,
}

/// A key of the pool, ready to be sent.
#[derive(Debug)]
pub struct ReadyKey {
    /// The key's fingerprint and origin.
    pub key: PoolKey,
    /// The header's whole value.
    pub value: HeaderValue,
}

impl BackDoor {
    /// The folders of all sinks, each with its agent.
    pub fn sinks(&self) -> impl Iterator<Item = (Option<&str>, &Path)> {
        let own = self.state_dir.iter().map(|folder| (None, folder.as_path()));
        let agents = self.agents.iter().filter_map(|agent| {
            let folder = agent.state_dir.as_deref()?;
            Some((Some(agent.name.as_str()), folder))
        });
        own.chain(agents)
    }
}

impl Provider {
    /// The value of the provider's header for `secret`.
    ///
    /// # Errors
    /// Where a header can't hold it.
    pub fn header_value(
        &self,
        secret: &SecretValue,
    ) -> Result<HeaderValue, crate::forwarded::HeaderBytesError> {
        self.format.apply(secret).map(|bytes| sensitive(&bytes))
    }
}

/// A header's value that no debug output shows.
fn sensitive(bytes: &HeaderBytes) -> HeaderValue {
    let mut value = HeaderValue::from_bytes(bytes.expose()).expect("checked to be legal");
    value.set_sensitive(true);
    value
}

/// The back door's credentials, whether it is on or not, with what is wrong with them.
/// Resolves every secret that is in use, and waits for that.
#[must_use]
pub fn inspect(config: &Config, environment: Environment<'_>) -> (BackDoor, Vec<BuildError>) {
    let secrets = Secrets::resolve(config, environment);
    let mut errors = Vec::new();
    let door = assemble(config, &secrets, environment, None, &mut errors);
    let (unresolved, _) = secrets.into_parts();
    let is_ours = |error: &BuildError| {
        let key = error.key();
        key.starts_with("models.") || key.starts_with("agents.")
    };
    errors.extend(unresolved.into_iter().filter(is_ours));
    (door, errors)
}

pub(super) fn build(
    config: &Config,
    secrets: &Secrets,
    environment: Environment<'_>,
    previous: Option<&BackDoor>,
    errors: &mut Vec<BuildError>,
) -> Option<BackDoor> {
    config.models.listen?;
    Some(assemble(config, secrets, environment, previous, errors))
}

fn assemble(
    config: &Config,
    secrets: &Secrets,
    environment: Environment<'_>,
    previous: Option<&BackDoor>,
    errors: &mut Vec<BuildError>,
) -> BackDoor {
    let models = &config.models;
    let from_file = match models.env_file.as_deref().map(DotEnv::read) {
        None => DotEnv::default(),
        Some(Ok(file)) => file,
        Some(Err(source)) => {
            errors.push(BuildError::EnvFile(source));
            DotEnv::default()
        }
    };
    let variables: [&dyn Variables; 2] = [environment, &from_file];
    let mut providers = BTreeMap::new();
    for (name, provider) in &models.providers {
        if provider.enabled {
            let known = previous.and_then(|previous| previous.providers.get(name));
            let built = build_provider(name, provider, config, secrets, &variables, known, errors);
            providers.extend(built.map(|built| (name.clone(), Arc::new(built))));
        }
    }
    let mut token = |key: String| {
        let token = secrets.value(&key).cloned().map(Token::new)?;
        token
            .map_err(|source| errors.push(BuildError::Token { key, source }))
            .ok()
    };
    let client_token = token(CLIENT_TOKEN.to_owned());
    let mut agents: Vec<AgentCaller> = Vec::new();
    for (name, agent) in &models.agents {
        agents.extend(token(agent_token(name)).map(|token| AgentCaller {
            name: name.clone(),
            token,
            state_dir: agent.state_dir.clone(),
            shared_keys: agent.shared_keys,
        }));
    }
    refuse_equal_tokens(client_token.as_ref(), &agents, errors);
    check_sinks(models, previous, errors);
    let mut credential_headers: Vec<HeaderName> = models
        .providers
        .values()
        .map(header_name)
        .chain(CREDENTIAL_HEADERS.map(HeaderName::from_static))
        .collect();
    credential_headers.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    credential_headers.dedup();
    BackDoor {
        client_token,
        agents,
        providers,
        credential_headers,
        allowed_hosts: models.allowed_hosts.clone(),
        state_dir: models.state_dir.clone(),
        max_replay_bytes: usize::try_from(models.max_replay_bytes.bytes()).unwrap_or(usize::MAX),
        order: models.order.clone(),
        secret_providers: config.secrets.clone(),
    }
}

/// Sinks must be readable when they are first used. One that gets damaged later leaves
/// what was read before.
fn check_sinks(models: &Models, previous: Option<&BackDoor>, errors: &mut Vec<BuildError>) {
    let is_new =
        |folder: &Path| previous.is_none_or(|door| !door.sinks().any(|(_, known)| known == folder));
    for (key, folder) in models.sinks().filter(|(_, folder)| is_new(folder)) {
        let read = TokenSink::new(folder.to_owned()).read();
        errors.extend(read.err().map(|source| BuildError::Sink { key, source }));
    }
}

/// Where clients of any provider put credentials.
const CREDENTIAL_HEADERS: [&str; 6] = [
    "api-key",
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-api-key",
    "x-goog-api-key",
];

fn header_name(provider: &ModelProvider) -> HeaderName {
    HeaderName::from_bytes(provider.auth_header.as_str().as_bytes())
        .expect("a field's name in lower case is one")
}

fn build_provider(
    name: &str,
    provider: &ModelProvider,
    config: &Config,
    secrets: &Secrets,
    variables: &[&dyn Variables],
    previous: Option<&Arc<Provider>>,
    errors: &mut Vec<BuildError>,
) -> Option<Provider> {
    let (trust, origin) = match &provider.ca_file {
        None => (UpstreamTrust::PublicRoots, String::new()),
        Some(path) => match tls::certificates(path) {
            Ok(found) => (
                UpstreamTrust::Authorities(found),
                path.display().to_string(),
            ),
            Err(source) => {
                errors.push(BuildError::Tls {
                    key: format!("models.providers.{name}.caFile"),
                    source,
                });
                return None;
            }
        },
    };
    let service = Service {
        base: provider.base_url.clone()?,
        trust,
        connect_timeout: config.limits.upstream_connect_timeout,
    };
    let kept = previous.filter(|previous| *previous.client.service() == service);
    let client = match kept {
        Some(kept) => kept.client.clone(),
        None => match HttpClient::new(service, &origin) {
            Ok(client) => Arc::new(client),
            Err(source) => {
                errors.push(BuildError::Tls {
                    key: format!("models.providers.{name}.baseUrl"),
                    source,
                });
                return None;
            }
        },
    };
    let keys = match provider.login {
        // A login's tokens and keys go to different services.
        Some(_) => Vec::new(),
        None => {
            let configured = provider.key_surfaces(name);
            let configured = configured.filter_map(|(key, _)| {
                let value = secrets.value(&key)?.clone();
                Some((key, value))
            });
            pool::collect(name, configured.collect(), variables)
        }
    };
    let mut ready = Vec::new();
    for key in keys {
        match provider.auth_format.apply(&key.value) {
            Ok(value) => ready.push(ReadyKey {
                value: sensitive(&value),
                key,
            }),
            Err(source) => errors.push(BuildError::Unsendable {
                key: key.origin,
                source,
            }),
        }
    }
    Some(Provider {
        name: name.to_owned(),
        client,
        dialect: provider.dialect,
        is_configured: provider.is_configured,
        header: header_name(provider),
        keys: ready,
        login: provider.login.clone(),
        format: provider.auth_format.clone(),
    })
}

/// A token says who calls: two callers with one token would be one.
fn refuse_equal_tokens(
    client: Option<&Token>,
    agents: &[AgentCaller],
    errors: &mut Vec<BuildError>,
) {
    let mut seen: Vec<(String, &Token)> = Vec::new();
    seen.extend(client.map(|token| (CLIENT_TOKEN.to_owned(), token)));
    for agent in agents {
        let key = agent_token(&agent.name);
        let earlier = seen
            .iter()
            .find(|(_, token)| token.is(agent.token.expose().as_bytes()));
        if let Some((earlier, _)) = earlier {
            errors.push(BuildError::SameToken {
                key: key.clone(),
                earlier: earlier.clone(),
            });
        }
        seen.push((key, &agent.token));
    }
}
