//! What outlives a reload: how each credential fares, the profiles, and the refreshes
//! under way.

use super::credential_key::{CredentialKey, Mark};
use super::profiles::{Extent, Loaded, Profiles};
use super::rate_limit::Limited;
use super::refresher::Refresher;
use crate::credentials::status::Fare;
use crate::credentials::{Cooldown, ProfileId, UnixMillis, Usage};
use crate::secrets::Environment;
use crate::snapshot::BackDoor;
use crate::telemetry::metrics::Metrics;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often the time of a credential's last use is written: it changes with every
/// request, and nothing hangs on it.
const SAVE_USE_EVERY: Duration = Duration::from_secs(30);

/// After a sink couldn't be written, how long it is left alone.
const SAVE_AGAIN: Duration = Duration::from_secs(30);

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
    /// The sinks that couldn't be written, and until when they are left alone.
    unwritable: Mutex<HashMap<PathBuf, Instant>>,
    pub(super) shown: Mutex<BTreeSet<(String, &'static str)>>,
}

#[derive(Debug, Clone, Default)]
struct Kept {
    fare: Fare,
    mark: Mark,
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
            unwritable: Mutex::default(),
            shown: Mutex::default(),
        }
    }

    /// How a credential fares.
    pub(super) fn fare(&self, key: &CredentialKey, mark: &Mark) -> Fare {
        let fares = lock(&self.fares);
        fares
            .get(key)
            .map_or_else(Fare::default, |kept| kept.fare_of(mark))
    }

    /// How long a credential is still left alone.
    pub(super) fn pause(
        &self,
        key: &CredentialKey,
        mark: &Mark,
        now: UnixMillis,
    ) -> Option<Duration> {
        self.fare(key, mark).cooldown.left(now)
    }

    /// A request carries it: from now on what is learnt is of this secret.
    pub(super) fn used(&self, key: &CredentialKey, mark: &Mark, now: UnixMillis) {
        let mut fares = lock(&self.fares);
        let kept = fares.entry(key.clone()).or_default();
        kept.becomes(mark);
        kept.fare.last_used = Some(now);
    }

    /// It hit a limit. Returns how long it is left alone.
    pub(super) fn limited(
        &self,
        key: &CredentialKey,
        mark: &Mark,
        limited: Limited,
        now: UnixMillis,
    ) -> Duration {
        self.change(key, mark, |fare| {
            fare.cooldown.limited(limited.wait, now);
            fare.cooldown.left(now).unwrap_or_default()
        })
    }

    /// Its provider answered 401 to it. Returns whether that is news.
    pub(super) fn rejected(&self, key: &CredentialKey, mark: &Mark) -> bool {
        self.change(key, mark, |fare| {
            !std::mem::replace(&mut fare.is_rejected, true)
        })
    }

    /// It answered well.
    pub(super) fn succeeded(&self, key: &CredentialKey, mark: &Mark, now: UnixMillis) {
        self.change(key, mark, |fare| {
            fare.is_rejected = false;
            fare.cooldown.succeeded(now);
        });
    }

    fn change<T>(
        &self,
        key: &CredentialKey,
        mark: &Mark,
        change: impl FnOnce(&mut Fare) -> T,
    ) -> T {
        let mut fares = lock(&self.fares);
        let kept = fares.entry(key.clone()).or_default();
        let mut fare = kept.fare_of(mark);
        let outcome = change(&mut fare);
        kept.learn(mark, fare);
        outcome
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
        store.look(&door.secret_providers, self.environment, Extent::Due);
        self.remember(folder, &store.loaded());
        lock(&self.stores)
            .entry(folder.to_owned())
            .or_insert(store)
            .clone()
    }

    /// The profiles in `folder`, if they have been read.
    pub(super) fn known_store(&self, folder: &Path) -> Option<Arc<Profiles>> {
        lock(&self.stores).get(folder).cloned()
    }

    /// Reads all sinks and what they refer to. Waits for that.
    pub(super) fn look(&self, door: &BackDoor, extent: Extent) {
        for (_, folder) in door.sinks() {
            let store = self.store(folder, door);
            store.look(&door.secret_providers, self.environment, extent);
            self.forget_replaced(folder, &store);
        }
    }

    /// Forgets what was learnt of secrets that others have replaced, so that no later
    /// process takes it for theirs.
    fn forget_replaced(&self, folder: &Path, store: &Profiles) {
        // Read with the lock held: whoever used a newer secret has noted it before.
        let mut fares = lock(&self.fares);
        let loaded = store.loaded();
        for (key, kept) in fares.iter_mut() {
            if key.folder.as_deref() != Some(folder) {
                continue;
            }
            let id = ProfileId::parse(&key.name).ok();
            let profile = id.and_then(|id| loaded.profile(&id));
            if let Some(mark) = profile.and_then(|it| loaded.mark_of(it)) {
                kept.becomes(&mark);
            }
        }
    }

    /// How credentials fared before this process began.
    fn remember(&self, folder: &Path, loaded: &Loaded) {
        let mut fares = lock(&self.fares);
        for (name, usage) in &loaded.sink.usage {
            let key = CredentialKey {
                folder: Some(folder.to_owned()),
                name: name.clone(),
            };
            let mark = match key.pool_fingerprint() {
                Some(fingerprint) => Mark::of_fingerprint(fingerprint),
                None => {
                    let id = ProfileId::parse(name).ok();
                    let profile = id.as_ref().and_then(|id| loaded.profile(id));
                    let mark = profile.and_then(|it| loaded.mark_of(it));
                    let mark = mark.unwrap_or_default();
                    Mark {
                        limits: usage.of.clone().or(mark.limits),
                        ..mark
                    }
                }
            };
            fares.entry(key).or_insert(Kept {
                fare: Fare::from(usage),
                mark,
                is_saved: true,
                saved_use: usage.last_used,
            });
        }
    }

    /// Writes to each sink how its credentials fare, where that has changed. Waits for
    /// the disk.
    pub(super) fn save(&self, extent: Extent) {
        let now = Instant::now();
        lock(&self.unwritable).retain(|_, until| extent == Extent::Due && *until > now);
        let mut unsaved = self.unsaved(extent);
        let mut good: BTreeMap<PathBuf, Vec<(String, ProfileId)>> = BTreeMap::new();
        for ((folder, provider), id) in lock(&self.good).iter() {
            if lock(&self.unwritable).contains_key(folder) {
                continue;
            }
            let found = good.entry(folder.clone()).or_default();
            found.push((provider.clone(), id.clone()));
        }
        for folder in good.keys() {
            unsaved.entry(folder.clone()).or_default();
        }
        for (folder, usage) in unsaved {
            let Some(store) = self.known_store(&folder) else {
                continue;
            };
            let good = good.remove(&folder).unwrap_or_default();
            let written = store.sink.update(|draft| {
                let sink = draft.sink();
                // Of a profile that has gone meanwhile nothing comes back.
                let is_there = |name: &str| {
                    name.contains('#') || sink.profiles.iter().any(|entry| entry.id() == name)
                };
                let mut usage = usage.clone();
                usage.retain(|name, _| is_there(name));
                draft.set_usage(&usage);
                for (provider, id) in good.iter().filter(|(_, id)| is_there(id.as_str())) {
                    draft.set_last_good(provider, id);
                }
            });
            match written {
                Ok(()) => lock(&self.good).retain(|(of, provider), id| {
                    *of != folder || !good.contains(&(provider.clone(), id.clone()))
                }),
                Err(error) => {
                    let names: Vec<String> = usage.into_keys().collect();
                    self.forget_saving(&folder, &names);
                    tracing::warn!(
                        error.detail = crate::telemetry::with_causes(&error),
                        "the token sink can't be written"
                    );
                    lock(&self.unwritable).insert(folder, now + SAVE_AGAIN);
                }
            }
        }
    }

    fn unsaved(&self, extent: Extent) -> BTreeMap<PathBuf, BTreeMap<String, Usage>> {
        let unwritable = lock(&self.unwritable);
        let mut unsaved: BTreeMap<PathBuf, BTreeMap<String, Usage>> = BTreeMap::new();
        for (key, kept) in lock(&self.fares).iter_mut() {
            let Some(folder) = &key.folder else { continue };
            if unwritable.contains_key(folder) {
                continue;
            }
            let is_due = match (kept.saved_use, kept.fare.last_used) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(saved), Some(used)) => {
                    saved != used && (extent == Extent::All || saved.until(used) >= SAVE_USE_EVERY)
                }
            };
            if !kept.is_saved || is_due {
                // A key of a pool has it in its name.
                let of = match key.pool_fingerprint() {
                    Some(_) => None,
                    None => kept.mark.limits.clone(),
                };
                let usage = kept.fare.to_usage(of);
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
}

impl Kept {
    /// How the secret of this mark fares: what was learnt of another is none of it.
    fn fare_of(&self, mark: &Mark) -> Fare {
        let mut fare = self.fare;
        if self.mark.limits != mark.limits {
            fare.cooldown = Cooldown::default();
        }
        if self.mark.refusals != mark.refusals {
            fare.is_rejected = false;
        }
        fare
    }

    /// Takes how the secret of this mark fares now. An answer to one that has been
    /// replaced meanwhile says nothing of the next.
    fn learn(&mut self, mark: &Mark, fare: Fare) {
        if self.mark.limits == mark.limits {
            self.is_saved &= self.fare.cooldown == fare.cooldown;
            self.fare.cooldown = fare.cooldown;
        }
        if self.mark.refusals == mark.refusals {
            self.fare.is_rejected = fare.is_rejected;
        }
    }

    /// Forgets what was learnt of another secret of this name.
    fn becomes(&mut self, mark: &Mark) {
        if self.mark == *mark {
            return;
        }
        let fare = self.fare_of(mark);
        self.is_saved &= fare.cooldown == self.fare.cooldown;
        self.fare = fare;
        self.mark = mark.clone();
    }
}

/// Whole whatever panicked while it was held: each entry is set by itself.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
