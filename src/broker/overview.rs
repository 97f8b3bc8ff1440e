//! What can be told of all credentials at once: rows, gauges, problems.

use super::credential_key::{CredentialKey, Mark};
use super::keeper::{Keeper, lock};
use super::profiles::Extent;
use super::rate_limit::Limit;
use crate::config::Config;
use crate::credentials::order::{ordered, serves};
use crate::credentials::status::{CredentialStatus, Facts, Renewable, State};
use crate::credentials::{OAuthSettings, Profile, Sink, UnixMillis};
use crate::secrets::Environment;
use crate::snapshot::{BackDoor, BuildError, inspect_back_door};
use crate::telemetry::metrics::Metrics;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A row for every credential as the configuration, the environment and the sinks tell
/// it, without a running process, and what of them can't be read. Resolves secrets, and
/// waits for all of it.
#[must_use]
pub fn credentials_of_files(
    config: &Config,
    environment: Environment<'static>,
) -> (Vec<CredentialStatus>, Vec<String>) {
    let (door, errors) = inspect_back_door(config, environment);
    let metrics = Metrics::new("", "", &[]);
    let keeper = Keeper::new(environment, Arc::new(metrics));
    keeper.look(&door, Extent::Due);
    let mut rows = keeper.status(&door, UnixMillis::now());
    let mut problems = keeper.sink_problems(&door);
    for error in errors {
        let key = error.key().to_owned();
        let rest = key.strip_prefix("models.providers.");
        let provider = rest.and_then(|rest| rest.rsplit_once('.'));
        match (provider, &error) {
            (Some((provider, _)), BuildError::Secret { .. }) => {
                rows.retain(|row| row.provider != provider || row.state != State::Missing);
                let problem = crate::telemetry::with_causes(&error);
                rows.push(CredentialStatus::unresolved(provider, key.clone(), problem));
            }
            (_, BuildError::Sink { .. }) => {}
            _ => problems.push(error.in_full()),
        }
    }
    (rows, problems)
}

impl Keeper {
    /// A row for every credential. Waits for the file system where another program's
    /// login is one of them.
    pub(super) fn status(&self, door: &BackDoor, now: UnixMillis) -> Vec<CredentialStatus> {
        let mut rows = Vec::new();
        for provider in door.providers.values() {
            for ready in &provider.keys {
                let key = CredentialKey::of_pool(door, &provider.name, ready);
                let mark = Mark::of_fingerprint(&ready.key.fingerprint);
                let fare = self.fare(&key, &mark);
                rows.push(CredentialStatus::of_key(
                    &provider.name,
                    &ready.key,
                    fare,
                    now,
                ));
            }
        }
        for (agent, folder) in door.sinks() {
            let Some(store) = self.known_store(folder) else {
                continue;
            };
            let loaded = store.loaded();
            for entry in &loaded.sink.profiles {
                let key = CredentialKey {
                    folder: Some(folder.to_owned()),
                    name: entry.id().to_owned(),
                };
                let mark = entry.profile().and_then(|it| loaded.mark_of(it));
                let (expires, problem) = loaded.facts_of(entry);
                let facts = Facts {
                    expires,
                    problem,
                    fare: self.fare(&key, &mark.unwrap_or_default()),
                    renewable: match entry.profile().and_then(|it| login_of(door, it)) {
                        Some(_) => Renewable::Here,
                        None => Renewable::Nowhere,
                    },
                };
                let mut row = CredentialStatus::of_entry(entry, facts, now);
                row.agent = agent.map(str::to_owned);
                if let Some(code) = loaded.stale(entry) {
                    row.detail = Some(format!("served from before: {code}"));
                }
                if let Some(profile) = entry.profile()
                    && !is_tried(&loaded.sink, profile, door)
                {
                    row.leave_out();
                }
                rows.push(row);
            }
        }
        for provider in door.providers.values().filter(|it| it.is_configured) {
            let has_one = rows.iter().any(|row| {
                let is_none = matches!(row.state, State::LeftOut | State::Unusable);
                row.provider == provider.name && !is_none
            });
            if !has_one {
                rows.push(CredentialStatus::missing(&provider.name));
            }
        }
        // Within a provider they stay as they are configured.
        rows.sort_by(|one, other| {
            (&one.provider, &one.agent).cmp(&(&other.provider, &other.agent))
        });
        rows
    }

    /// What is wrong with sinks themselves.
    pub(super) fn sink_problems(&self, door: &BackDoor) -> Vec<String> {
        door.sinks()
            .filter_map(|(_, folder)| self.known_store(folder)?.loaded().problem.clone())
            .collect()
    }

    /// Sets the gauges of credentials by state.
    pub(super) fn show(&self, rows: &[CredentialStatus]) {
        let mut counts: BTreeMap<(String, &'static str), usize> = BTreeMap::new();
        for row in rows {
            for state in State::ALL {
                let count = counts
                    .entry((row.provider.clone(), state.as_str()))
                    .or_default();
                *count += usize::from(state == row.state);
            }
        }
        let mut shown = lock(&self.shown);
        // A provider that has gone keeps no stale number.
        for (provider, state) in shown.iter() {
            if !counts.contains_key(&(provider.clone(), *state)) {
                self.metrics.models().credentials(provider, state, 0);
            }
        }
        for ((provider, state), count) in &counts {
            if !shown.contains(&(provider.clone(), *state)) {
                let reasons = Limit::ALL.map(Limit::as_str);
                self.metrics.models().provider(provider, &reasons);
            }
            self.metrics.models().credentials(provider, state, *count);
        }
        shown.extend(counts.into_keys());
    }
}

/// What renews a profile, where something does.
fn login_of<'a>(door: &'a BackDoor, profile: &Profile) -> Option<&'a OAuthSettings> {
    door.providers.get(profile.serves())?.login.as_ref()
}

/// Whether a profile is in the order of its provider.
fn is_tried(sink: &Sink, profile: &Profile, door: &BackDoor) -> bool {
    let provider = profile.serves();
    if !serves(profile, provider) {
        // It is told of as what it is.
        return true;
    }
    let order = door.order.get(provider).map(Vec::as_slice);
    let tried = ordered(sink, provider, None, order);
    tried.iter().any(|tried| tried.id == profile.id)
}
