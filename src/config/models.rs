//! `[models]`, `[agents]` and `[auth]`: the back door.

mod agents;
mod provider;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use agents::{Agent, SharedKeys};
pub use provider::ModelProvider;

use super::entry::Entry;
use super::listen::read_address;
use super::quantity::ByteSize;
use super::secret;
use super::section::Section;
use super::shape::Shape;
use super::walk::{Place, Walk};
use crate::authority::Authority;
use crate::base_url::BaseHost;
use crate::credentials::pool::variable_name;
use crate::credentials::provider::{KNOWN, is_provider_name};
use crate::secrets::{Providers, SecretInput};

/// The back door: where model calls come in, and the credentials that they leave
/// with. Nothing uses the credentials while the back door is off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Models {
    /// Where callers connect to; none: the back door is off. Off loopback only
    /// together with `client_token`.
    pub listen: Option<SocketAddr>,
    /// Names that callers may use in `Host`, beside loopback and own addresses, in
    /// lower case.
    pub allowed_hosts: Vec<String>,
    /// The folder of profiles; none: there are no profiles.
    pub state_dir: Option<PathBuf>,
    /// What callers must show; none: whoever is on loopback may call.
    pub client_token: Option<SecretInput>,
    /// The longest request that is kept, to be sent again with another credential.
    /// Default 32 MiB.
    pub max_replay_bytes: ByteSize,
    /// A file of `NAME=VALUE` lines with further keys.
    pub env_file: Option<PathBuf>,
    /// Every provider by name: those of the config, and the known ones beside them.
    pub providers: BTreeMap<String, ModelProvider>,
    /// The order of profiles for each provider, by their ids.
    pub order: BTreeMap<String, Vec<String>>,
    /// Callers with credentials of their own, by name.
    pub agents: BTreeMap<String, Agent>,
}

/// `[models]` with the place of its address.
pub(super) struct Read {
    pub(super) models: Models,
    pub(super) place: Option<(SocketAddr, Place)>,
}

const OFF: &str = "the back door is off (there is no `models.listen`): what stands here is checked, and neither \
                   resolved nor used";
const MAX_REPLAY: ByteSize = ByteSize::mib(32);
const MOST_REPLAY: ByteSize = ByteSize::mib(1024);
const NAME: &str =
    "1 to 64 of letters, digits, `.`, `_` and `-`, beginning with one of the first two";

impl Default for Models {
    fn default() -> Self {
        Self {
            listen: None,
            allowed_hosts: Vec::new(),
            state_dir: None,
            client_token: None,
            max_replay_bytes: MAX_REPLAY,
            env_file: None,
            providers: KNOWN
                .iter()
                .map(|known| (known.name.to_owned(), ModelProvider::known(known)))
                .collect(),
            order: BTreeMap::new(),
            agents: BTreeMap::new(),
        }
    }
}

impl Models {
    /// The folders of all sinks, each with its config key.
    pub fn sinks(&self) -> impl Iterator<Item = (String, &Path)> {
        let own = self.state_dir.iter();
        let own = own.map(|folder| ("models.stateDir".to_owned(), folder.as_path()));
        let agents = self.agents.iter().filter_map(|(name, agent)| {
            let folder = agent.state_dir.as_deref()?;
            Some((format!("agents.{name}.stateDir"), folder))
        });
        own.chain(agents)
    }
}

/// Reads `[models]`, `[auth]` and `[agents]`.
pub(super) fn read(
    entry: &Entry<'_>,
    auth: &Entry<'_>,
    agents: &Entry<'_>,
    walk: &mut Walk<'_>,
    providers: &Providers,
) -> Read {
    let [
        listen_entry,
        allowed_hosts,
        state_dir,
        token_entry,
        max_replay_bytes,
        env_file,
        models,
    ] = entry.section(walk).fields(
        walk,
        [
            "listen",
            "allowedHosts",
            "stateDir",
            "clientToken",
            "maxReplayBytes",
            "envFile",
            "providers",
        ],
        &["mode"],
    );
    let listen = read_address(&listen_entry, walk);
    if !listen_entry.is_present() {
        for section in [entry, auth, agents] {
            if section.is_present() {
                walk.warn(section.place(), OFF);
            }
        }
    }
    if let Some(address) = listen
        && !address.ip().to_canonical().is_loopback()
        && !token_entry.is_present()
    {
        walk.refuse(
            listen_entry.place(),
            format!(
                "got `{address}` without a token, expected `models.clientToken` too, or a loopback address"
            ),
        );
    }
    let mut read = Models {
        listen,
        allowed_hosts: read_hosts(&allowed_hosts, walk),
        state_dir: state_dir.path(walk),
        client_token: secret::read(&token_entry, walk, providers),
        max_replay_bytes: max_replay_bytes
            .size(walk, ByteSize(0)..=MOST_REPLAY)
            .unwrap_or(MAX_REPLAY),
        env_file: env_file.path(walk),
        ..Models::default()
    };
    for (name, provider) in models.section(walk).members(walk) {
        check_name(&name, &provider, walk);
        let section = provider.section(walk);
        let provider = provider::read(&name, &section, listen.is_some(), walk, providers);
        read.providers.insert(name, provider);
    }
    refuse_shared_variables(&read.providers, &models.section(walk), walk);
    if let Some(listen) = listen {
        refuse_itself(listen, &read.providers, &models.section(walk), walk);
    }
    read.order = read_order(&auth.section(walk), &read.providers, walk);
    read.agents = agents::read(
        &agents.section(walk),
        walk,
        providers,
        read.state_dir.as_deref(),
    );
    agents::refuse_shared_folders(&read.agents, read.state_dir.as_deref(), agents, walk);
    if !read.agents.is_empty() && listen.is_some() && !token_entry.is_present() {
        walk.refuse(
            agents.place(),
            "got agents without `models.clientToken`, expected it too: without it whoever is on \
             loopback has the credentials beside theirs",
        );
    }
    Read {
        place: listen.map(|address| (address, listen_entry.place().clone())),
        models: read,
    }
}

/// A provider that is the back door itself would call itself without end.
fn refuse_itself(
    listen: SocketAddr,
    providers: &BTreeMap<String, ModelProvider>,
    section: &Section<'_>,
    walk: &mut Walk<'_>,
) {
    for (name, entry) in section.members(walk) {
        let url = providers.get(&name).and_then(|it| it.base_url.as_ref());
        let is_here = url.is_some_and(|url| {
            let is_own = match url.host() {
                BaseHost::Ip(ip) => {
                    let is_any = listen.ip().is_unspecified() || ip.is_unspecified();
                    ip == listen.ip()
                        || (is_any && ip.to_canonical().is_loopback())
                        || (ip.is_unspecified() && listen.ip().is_loopback())
                }
                BaseHost::Dns(host) => {
                    let here = listen.ip();
                    host == "localhost" && (here.is_loopback() || here.is_unspecified())
                }
            };
            is_own && url.port() == listen.port()
        });
        if is_here {
            walk.refuse(
                entry.place(),
                "got the back door's own address as `baseUrl`, expected the provider's",
            );
        }
    }
}

/// The keys of one provider's variables must not go to another's host.
fn refuse_shared_variables(
    providers: &BTreeMap<String, ModelProvider>,
    section: &Section<'_>,
    walk: &mut Walk<'_>,
) {
    for (name, entry) in section.members(walk) {
        let own = variable_name(&name);
        let mut others = providers.iter().filter(|(other, provider)| {
            **other != name && provider.enabled && variable_name(other) == own
        });
        if providers
            .get(&name)
            .is_some_and(|provider| provider.enabled)
            && let Some((other, _)) = others.next()
        {
            walk.refuse(
                entry.place(),
                format!("got a name whose variables ({own}_API_KEY) are those of `{other}` too, expected another"),
            );
        }
    }
}

fn check_name(name: &str, entry: &Entry<'_>, walk: &mut Walk<'_>) {
    if !is_provider_name(name) {
        walk.refuse(entry.place(), format!("got another name, expected {NAME}"));
    }
}

fn read_hosts(entry: &Entry<'_>, walk: &mut Walk<'_>) -> Vec<String> {
    let expected = "a host's name without port";
    let items = entry
        .items(walk, "an array of hosts' names")
        .unwrap_or_default();
    let hosts = items.iter().filter_map(|item| {
        item.parse(walk, Shape::Hidden, expected, |text| {
            Authority::parse(text.as_bytes())
                .filter(|authority| authority.port().is_none())
                .map(|authority| authority.host().to_ascii_lowercase())
                .ok_or_else(String::new)
        })
    });
    hosts.collect()
}

/// Reads `[auth]`: the order of profiles for each provider.
fn read_order(
    section: &Section<'_>,
    providers: &BTreeMap<String, ModelProvider>,
    walk: &mut Walk<'_>,
) -> BTreeMap<String, Vec<String>> {
    let [order] = section.fields(walk, ["order"], &["profiles"]);
    let expected = "an array of profiles' ids such as `anthropic:work`";
    let mut read = BTreeMap::new();
    for (provider, profiles) in order.section(walk).members(walk) {
        walk.note(profiles.place());
        if !providers.contains_key(&provider) && !walk.learns() {
            walk.warn(
                profiles.place(),
                "there is no such provider: nothing is in this order",
            );
        }
        let mut ids = Vec::new();
        for profile in profiles.items(walk, expected).unwrap_or_default() {
            let id = profile.parse(
                walk,
                Shape::Hidden,
                "a profile's id such as `anthropic:work`",
                |text| match text.split_once(':') {
                    Some((provider, name)) if !provider.is_empty() && !name.is_empty() => {
                        Ok(text.to_owned())
                    }
                    _ => Err(String::new()),
                },
            );
            ids.extend(id);
        }
        read.insert(provider, ids);
    }
    read
}
