//! `[agents.*]`: callers of the back door with credentials of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::entry::Entry;
use super::super::secret;
use super::super::section::Section;
use super::super::walk::Walk;
use super::check_name;
use crate::secrets::{Providers, SecretInput};

/// A caller with profiles of its own. Its token says who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// What it must show.
    pub client_token: SecretInput,
    /// The folder of its profiles. Default `agents/NAME` in `models.stateDir`; none
    /// where there is neither.
    pub state_dir: Option<PathBuf>,
    /// Whether the keys of the config and the environment are its, too. Default no.
    pub shared_keys: SharedKeys,
}

/// Whether an agent may use the pool of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedKeys {
    /// Its own profiles alone.
    Withheld,
    /// Its own profiles, then the pool.
    Granted,
}

/// Reads `[agents]`.
pub(super) fn read(
    section: &Section<'_>,
    walk: &mut Walk<'_>,
    providers: &Providers,
    parent: Option<&Path>,
) -> BTreeMap<String, Agent> {
    let mut agents = BTreeMap::new();
    for (name, entry) in section.members(walk) {
        check_name(&name, &entry, walk);
        let section = entry.section(walk);
        let [token, state_dir, shared_keys] =
            section.fields(walk, ["clientToken", "stateDir", "sharedKeys"], &[]);
        let token = token.needed(walk, "a secret that the agent shows");
        let client_token = secret::read(token, walk, providers);
        let own = parent.map(|parent| parent.join("agents").join(&name));
        let state_dir = state_dir.path(walk).or(own);
        let shared_keys = match shared_keys.boolean(walk) {
            Some(true) => SharedKeys::Granted,
            Some(false) | None => SharedKeys::Withheld,
        };
        if let Some(client_token) = client_token {
            let agent = Agent {
                client_token,
                state_dir,
                shared_keys,
            };
            agents.insert(name, agent);
        }
    }
    agents
}

/// Two callers with one folder would have each other's profiles.
pub(super) fn refuse_shared_folders(
    agents: &BTreeMap<String, Agent>,
    own: Option<&Path>,
    entry: &Entry<'_>,
    walk: &mut Walk<'_>,
) {
    let mut seen: Vec<(&Path, String)> = Vec::new();
    seen.extend(own.map(|own| (own, "models.stateDir".to_owned())));
    for (name, agent) in agents {
        let Some(folder) = agent.state_dir.as_deref() else {
            continue;
        };
        // Paths compare by their parts: `/a//b/.` is `/a/b`.
        if let Some((_, earlier)) = seen.iter().find(|(known, _)| *known == folder) {
            walk.refuse(
                entry.place(),
                format!("got the folder of `{earlier}` for `{name}`, expected one of its own"),
            );
        }
        seen.push((folder, format!("agents.{name}.stateDir")));
    }
}
