//! What outlives a reload: how each credential fares, the profiles, and the refreshes
//! under way.

use super::profiles::Profiles;
use super::rate_limit::{Limit, Limited};
use super::refresher::Refresher;
use crate::credentials::status::{CredentialStatus, Fare, State};
use crate::credentials::{Cooldown, ProfileId, SinkError, UnixMillis, Usage};
use crate::secrets::Environment;
use crate::snapshot::{BackDoor, ReadyKey};
use crate::telemetry::metrics::Metrics;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// How often the time of a credential's last use is written: it changes with every
/// request, and nothing hangs on it.
const SAVE_USE_EVERY: Duration = Duration::from_secs(30);

/// A credential, by what stays the same when it is read anew.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct CredentialKey {
    /// The folder of the sink that keeps how it fares; none: nothing keeps it.
    pub(super) folder: Option<PathBuf>,
    /// A profile's id, or `provider#fingerprint`.
    pub(super) name: String,
}

impl CredentialKey {
    /// A key of a provider's pool: its state is kept beside the profiles of everyone.
    pub(super) fn of_pool(door: &BackDoor, provider: &str, key: &ReadyKey) -> Self {
        Self {
            folder: door.state_dir.clone(),
            name: format!("{provider}#{}", key.key.fingerprint),
        }
    }
}

/// A provider's answer that said no.
#[derive(Debug, Clone)]
pub(super) struct SavedAnswer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Keeps it all.
pub(super) struct Keeper {
    pub(super) environment: Environment<'static>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) refresher: Refresher,
    fares: Mutex<HashMap<CredentialKey, Kept>>,
    answers: Mutex<HashMap<(Option<String>, String), SavedAnswer>>,
    stores: Mutex<BTreeMap<PathBuf, Arc<Profiles>>>,
    /// By folder and provider, the profiles whose last answer was good, not saved yet.
    good: Mutex<BTreeMap<(PathBuf, String), ProfileId>>,
    shown: Mutex<BTreeSet<(String, &'static str)>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    fare: Fare,
    is_saved: bool,
    saved_use: Option<UnixMillis>,
}

impl Keeper {
    pub(super) fn new(environment: Environment<'static>, metrics: Arc<Metrics>) -> Self {
        Self {
            environment,
            metrics,
            refresher: Refresher::default(),
            fares: Mutex::default(),
            answers: Mutex::default(),
            stores: Mutex::default(),
            good: Mutex::default(),
            shown: Mutex::default(),
        }
    }

    /// How a credential fares.
    pub(super) fn fare(&self, key: &CredentialKey) -> Fare {
        let fares = lock(&self.fares);
        fares.get(key).map(|kept| kept.fare).unwrap_or_default()
    }

    /// A request carries it.
    pub(super) fn used(&self, key: &CredentialKey, now: UnixMillis) {
        lock(&self.fares)
            .entry(key.clone())
            .or_default()
            .fare
            .last_used = Some(now);
    }

    /// It hit a limit. Returns how long it is left alone.
    pub(super) fn limited(
        &self,
        key: &CredentialKey,
        limited: Limited,
        now: UnixMillis,
    ) -> Duration {
        let mut fares = lock(&self.fares);
        let kept = fares.entry(key.clone()).or_default();
        kept.fare.cooldown.limited(limited.wait, now);
        kept.is_saved = false;
        kept.fare.cooldown.left(now).unwrap_or_default()
    }

    /// A profile answered well.
    pub(super) fn was_good(&self, folder: &Path, provider: &str, id: &ProfileId) {
        let known = self.known_store(folder).map(|store| store.loaded());
        let is_known = known.is_some_and(|it| it.sink.last_good.get(provider) == Some(id));
        let key = (folder.to_owned(), provider.to_owned());
        let mut good = lock(&self.good);
        match is_known {
            true => good.remove(&key),
            false => good.insert(key, id.clone()),
        };
    }

    /// It answered well.
    pub(super) fn succeeded(&self, key: &CredentialKey, now: UnixMillis) {
        let mut fares = lock(&self.fares);
        let Some(kept) = fares.get_mut(key) else {
            return;
        };
        let before = kept.fare.cooldown;
        kept.fare.cooldown.succeeded(now);
        kept.is_saved &= before == kept.fare.cooldown;
    }

    /// Keeps a provider's last no, for callers who come while nothing may be tried.
    pub(super) fn refused(&self, agent: Option<&str>, provider: &str, answer: SavedAnswer) {
        let key = (agent.map(str::to_owned), provider.to_owned());
        lock(&self.answers).insert(key, answer);
    }

    /// The provider's last no.
    pub(super) fn last_refusal(&self, agent: Option<&str>, provider: &str) -> Option<SavedAnswer> {
        let key = (agent.map(str::to_owned), provider.to_owned());
        lock(&self.answers).get(&key).cloned()
    }

    /// The profiles in `folder`, read when they are first asked for. Waits for that.
    pub(super) fn store(&self, folder: &Path, door: &BackDoor) -> Arc<Profiles> {
        let known = lock(&self.stores).get(folder).cloned();
        if let Some(known) = known {
            return known;
        }
        let store = Arc::new(Profiles::new(folder.to_owned()));
        store.load(&door.secret_providers, self.environment);
        self.remember(folder, &store.loaded().sink.usage);
        lock(&self.stores)
            .entry(folder.to_owned())
            .or_insert(store)
            .clone()
    }

    /// The profiles in `folder`, if they have been read.
    pub(super) fn known_store(&self, folder: &Path) -> Option<Arc<Profiles>> {
        lock(&self.stores).get(folder).cloned()
    }

    /// The folders of all sinks, each with its agent.
    pub(super) fn folders(door: &BackDoor) -> Vec<(Option<&str>, &Path)> {
        let own = door.state_dir.iter().map(|folder| (None, folder.as_path()));
        let agents = door.agents.iter().filter_map(|agent| {
            let folder = agent.state_dir.as_deref()?;
            Some((Some(agent.name.as_str()), folder))
        });
        own.chain(agents).collect()
    }

    /// Reads all sinks, again where they have changed; after a reload of the
    /// configuration, all. Waits for that.
    pub(super) fn read_all(&self, door: &BackDoor, anew: bool) {
        for (_, folder) in Self::folders(door) {
            let store = self.store(folder, door);
            if anew || store.have_changed() {
                store.load(&door.secret_providers, self.environment);
            }
        }
    }

    /// How credentials fared before this process began.
    fn remember(&self, folder: &Path, usage: &BTreeMap<String, Usage>) {
        let mut fares = lock(&self.fares);
        for (name, usage) in usage {
            let key = CredentialKey {
                folder: Some(folder.to_owned()),
                name: name.clone(),
            };
            fares.entry(key).or_insert(Kept {
                fare: Fare {
                    cooldown: Cooldown {
                        until: usage.cooldown_until,
                        limits: usage.error_count,
                    },
                    last_used: usage.last_used,
                },
                is_saved: true,
                saved_use: usage.last_used,
            });
        }
    }

    /// Writes to each sink how its credentials fare, where that has changed. Waits for
    /// the disk.
    pub(super) fn save(&self, at_once: bool) {
        let mut unsaved = self.unsaved(at_once);
        let good = std::mem::take(&mut *lock(&self.good));
        for (folder, _) in good.keys() {
            unsaved.entry(folder.clone()).or_default();
        }
        for (folder, usage) in unsaved {
            let Some(store) = self.known_store(&folder) else {
                continue;
            };
            let good = good.iter().filter(|((of, _), _)| *of == folder);
            let written = store.sink.update(|draft| {
                draft.set_usage(&usage);
                for ((_, provider), id) in good {
                    draft.set_last_good(provider, id);
                }
            });
            if let Err(error) = written {
                let names: Vec<String> = usage.into_keys().collect();
                self.forget_saving(&folder, &names);
                complain(&error);
            }
        }
    }

    fn unsaved(&self, at_once: bool) -> BTreeMap<PathBuf, BTreeMap<String, Usage>> {
        let mut unsaved: BTreeMap<PathBuf, BTreeMap<String, Usage>> = BTreeMap::new();
        for (key, kept) in lock(&self.fares).iter_mut() {
            let Some(folder) = &key.folder else { continue };
            let is_due = match (kept.saved_use, kept.fare.last_used) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(saved), Some(used)) => {
                    saved != used && (at_once || saved.until(used) >= SAVE_USE_EVERY)
                }
            };
            if !kept.is_saved || is_due {
                let usage = Usage {
                    last_used: kept.fare.last_used,
                    cooldown_until: kept.fare.cooldown.until,
                    error_count: kept.fare.cooldown.limits,
                };
                kept.is_saved = true;
                kept.saved_use = kept.fare.last_used;
                unsaved
                    .entry(folder.clone())
                    .or_default()
                    .insert(key.name.clone(), usage);
            }
        }
        unsaved
    }

    fn forget_saving(&self, folder: &Path, names: &[String]) {
        for (key, kept) in lock(&self.fares).iter_mut() {
            if key.folder.as_deref() == Some(folder) && names.contains(&key.name) {
                kept.is_saved = false;
            }
        }
    }

    /// A row for every credential. Waits for the file system where another program's
    /// login is one of them.
    pub(super) fn status(&self, door: &BackDoor, now: UnixMillis) -> Vec<CredentialStatus> {
        let mut rows = Vec::new();
        for provider in door.providers.values() {
            for ready in &provider.keys {
                let fare = self.fare(&CredentialKey::of_pool(door, &provider.name, ready));
                rows.push(CredentialStatus::of_key(
                    &provider.name,
                    &ready.key,
                    fare,
                    now,
                ));
            }
        }
        for (agent, folder) in Self::folders(door) {
            let Some(store) = self.known_store(folder) else {
                continue;
            };
            let loaded = store.loaded();
            for entry in &loaded.sink.profiles {
                let key = CredentialKey {
                    folder: Some(folder.to_owned()),
                    name: entry.id().to_owned(),
                };
                let (expires, problem) = loaded.look(entry);
                let fare = self.fare(&key);
                let mut row = CredentialStatus::of_entry(entry, expires, problem, fare, now);
                row.agent = agent.map(str::to_owned);
                rows.push(row);
            }
        }
        for provider in door.providers.values().filter(|it| it.is_configured) {
            if !rows.iter().any(|row| row.provider == provider.name) {
                rows.push(CredentialStatus::missing(&provider.name));
            }
        }
        rows.sort_by(|one, other| {
            (&one.provider, &one.agent, &one.name).cmp(&(
                &other.provider,
                &other.agent,
                &other.name,
            ))
        });
        rows
    }

    /// What is wrong with sinks themselves.
    pub(super) fn sink_problems(&self, door: &BackDoor) -> Vec<String> {
        Self::folders(door)
            .into_iter()
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

/// The time.
pub(super) fn now() -> UnixMillis {
    UnixMillis::of(SystemTime::now())
}

pub(super) fn complain(error: &SinkError) {
    tracing::warn!(
        error.detail = crate::telemetry::with_causes(error),
        "the token sink can't be written"
    );
}

/// Whole whatever panicked while it was held: each entry is set by itself.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
