//! An issuer's keys, fetched and kept fresh.

mod fetches;

use fetches::{Clearance, Fetches};

use super::key_set::{Held, Key, KeySet, KeySetError, parse_jwks, parse_pem};
use crate::unix_time::unix_seconds;
use arc_swap::{ArcSwap, Guard};
use async_trait::async_trait;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};
use tokio::time::{sleep, timeout};

/// How often keys are fetched anew.
const REFRESH_EVERY: Duration = Duration::from_secs(600);
/// How soon again after a failure, doubling up to the other.
const FIRST_RETRY: Duration = Duration::from_secs(10);
const LAST_RETRY: Duration = Duration::from_secs(300);
/// How long keys are good that couldn't be fetched again, in seconds.
const GOOD_FOR: u64 = 24 * 3600;
/// How long a request waits for its unknown key.
const PATIENCE: Duration = Duration::from_secs(5);
/// Keys that are kept where each is fetched by itself.
const MOST_EACH: usize = 16;
/// Between those that are fetched again one by one: whoever waits goes first.
const BREATH: Duration = Duration::from_millis(50);

/// Gets what is published.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// The document with all keys, or that of the key `id`.
    async fn fetch(&self, id: Option<&str>) -> Result<Vec<u8>, FetchError>;
}

/// Why there are no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// There was no good answer. The text holds no secret: there is none in the request.
    #[error("{0}")]
    Unanswered(String),
    /// The answer holds no keys.
    #[error(transparent)]
    Unusable(#[from] KeySetError),
}

/// How keys are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// All in one JWK Set.
    Set,
    /// Each in a PEM document of its own, by its id.
    Each,
}

/// Keeps an issuer's keys.
pub struct KeyStore {
    fetch: Box<dyn Fetch>,
    layout: Layout,
    keys: ArcSwap<KeySet>,
    fetches: Arc<Fetches>,
}

/// What a wait was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sought {
    It,
    Another,
}

/// What is known of the keys, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// How many can be verified with.
    pub good: usize,
    /// When they were last fetched, in seconds since the Unix epoch.
    pub fetched: Option<u64>,
    /// Until when they are good without being fetched again, likewise; none: there are
    /// none.
    pub good_until: Option<u64>,
    /// Why the last fetch failed.
    pub error: Option<String>,
    /// Whether requests can be verified, as far as keys go.
    pub is_ready: bool,
}

impl KeyStore {
    /// A store that holds nothing yet.
    #[must_use]
    pub fn new(fetch: Box<dyn Fetch>, layout: Layout) -> Arc<Self> {
        Arc::new(Self {
            fetch,
            layout,
            keys: ArcSwap::default(),
            fetches: Arc::default(),
        })
    }

    pub(super) fn current(&self) -> Guard<Arc<KeySet>> {
        self.keys.load()
    }

    /// What is known of the keys.
    #[must_use]
    pub fn state(&self) -> State {
        let keys = self.current();
        let good = keys.good(unix_now());
        let (fetched, error) = self.fetches.outcome();
        State {
            good,
            fetched,
            good_until: (!keys.keys.is_empty()).then_some(keys.good_until),
            error: error.map(|error| error.to_string()),
            // Where each is fetched when it is met, there is none to begin with; and a token
            // that names none that exists says nothing about those that do.
            is_ready: good > 0 || self.layout == Layout::Each,
        }
    }

    /// Fetches what is known: all keys, unless that is under way; or those met before.
    ///
    /// # Errors
    /// [`FetchError`]; what was there stays for as long as it is good.
    pub async fn fetch_known(&self) -> Result<(), FetchError> {
        match self.layout {
            Layout::Set => match self.fetches.begin() {
                Some(fetching) => fetching.report(self.fetch_set().await),
                None => Ok(()),
            },
            Layout::Each => self.fetch_each().await,
        }
    }

    /// Fetches the key `id`, which isn't known, unless that was tried a moment ago; gives
    /// up waiting after a while.
    pub async fn seek(self: &Arc<Self>, id: &str) {
        if self.layout == Layout::Each && !is_plain(id) {
            return;
        }
        // Where each is fetched by itself, what is under way may be another's.
        let _ = timeout(PATIENCE, async {
            while self.seek_once(id).await == Sought::Another {}
        })
        .await;
    }

    async fn seek_once(self: &Arc<Self>, id: &str) -> Sought {
        let mut ended = self.fetches.ended();
        let waited_for = match self.fetches.seek(id, self.layout) {
            Clearance::TooSoon => return Sought::It,
            // Which has all keys, or one that is another's.
            Clearance::UnderWay => match self.layout {
                Layout::Set => Sought::It,
                Layout::Each => Sought::Another,
            },
            Clearance::Given(fetching) => {
                // The end of an earlier one is not what is waited for.
                ended.mark_unchanged();
                let (store, id) = (self.clone(), Box::<str>::from(id));
                // By itself: whoever asked may leave, and others wait for it.
                tokio::spawn(async move {
                    let fetched = match store.layout {
                        Layout::Set => store.fetch_set().await,
                        Layout::Each => store.fetch_one(&id).await,
                    };
                    // Said in the log.
                    let _ = fetching.report(fetched);
                });
                Sought::It
            }
        };
        // It ends whatever becomes of it, and the store outlives this.
        let _ = ended.changed().await;
        waited_for
    }

    async fn fetch_set(&self) -> Result<(), FetchError> {
        let keys = parse_jwks(&self.fetch.fetch(None).await?)?;
        self.put(keys);
        Ok(())
    }

    async fn fetch_one(&self, id: &str) -> Result<(), FetchError> {
        let key = parse_pem(id, &self.fetch.fetch(Some(id)).await?)?;
        let known = self.current();
        let now = unix_now();
        let is_kept = |held: &&Held| *held.key.id != *id && now < held.good_until;
        let others = known.keys.iter().filter(is_kept);
        // The one that was met first goes first.
        let excess = (others.clone().count() + 1).saturating_sub(MOST_EACH);
        let mut held: Vec<Held> = others.skip(excess).cloned().collect();
        held.push(hold(key));
        self.replace(held);
        Ok(())
    }

    /// One after the other, so that a new key which somebody waits for has to wait for one
    /// at most.
    async fn fetch_each(&self) -> Result<(), FetchError> {
        let ids: Vec<Box<str>> = {
            let known = self.current();
            known.keys.iter().map(|held| held.key.id.clone()).collect()
        };
        let mut outcome = Ok(());
        for id in ids {
            let mut ended = self.fetches.ended();
            let fetching = loop {
                match self.fetches.begin() {
                    Some(fetching) => break fetching,
                    // It ends whatever becomes of it, and the store outlives this.
                    None => drop(ended.changed().await),
                }
            };
            outcome = outcome.and(fetching.report(self.fetch_one(&id).await));
            sleep(BREATH).await;
        }
        if let Err(error) = &outcome {
            // Another one's success is none of this.
            self.fetches.failed(error);
        }
        outcome
    }

    fn put(&self, keys: Vec<Key>) {
        self.replace(keys.into_iter().map(hold).collect());
    }

    /// Puts these in the place of those that were there. Only other keys are another
    /// generation: what the same ones have verified stays verified.
    pub(super) fn replace(&self, keys: Vec<Held>) {
        let known = self.current();
        let bare = |keys: &[Held]| keys.iter().map(|held| held.key.clone()).collect::<Vec<_>>();
        let is_same = bare(&known.keys) == bare(&keys);
        if !is_same {
            tracing::info!(keys = keys.len(), "the issuer's keys are new");
        }
        let good_until = keys.iter().map(|held| held.good_until).min();
        self.keys.store(Arc::new(KeySet {
            generation: known.generation + u64::from(!is_same),
            good_until: good_until.unwrap_or_default(),
            keys,
        }));
    }
}

/// Fetches the keys again and again, for as long as there is a use for them. They are
/// there already if they could be had.
pub async fn keep_fresh(store: Weak<KeyStore>) {
    let mut retry = FIRST_RETRY;
    let mut pause = match store.upgrade() {
        Some(store) if store.state().error.is_some() => FIRST_RETRY,
        _ => REFRESH_EVERY,
    };
    loop {
        sleep(pause).await;
        let Some(store) = store.upgrade() else {
            return;
        };
        pause = match store.fetch_known().await {
            Ok(()) => {
                retry = FIRST_RETRY;
                REFRESH_EVERY
            }
            Err(_) => {
                let pause = retry;
                retry = (retry * 2).min(LAST_RETRY);
                pause
            }
        };
    }
}

fn hold(key: Key) -> Held {
    Held {
        key,
        good_until: unix_now().saturating_add(GOOD_FOR),
    }
}

/// Whether an id may stand in a path: AWS's are UUIDs. A dot or a slash could lead to
/// another document.
fn is_plain(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn unix_now() -> u64 {
    unix_seconds(SystemTime::now())
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStore")
            .field("layout", &self.layout)
            .field("keys", &self.current().keys.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
