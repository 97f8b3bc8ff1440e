//! An issuer's keys, fetched and kept fresh.

use super::key_set::{Held, Key, KeySet, KeySetError, parse_jwks, parse_pem};
use crate::unix_time::unix_seconds;
use arc_swap::{ArcSwap, Guard};
use async_trait::async_trait;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// How often keys are fetched anew.
const REFRESH_EVERY: Duration = Duration::from_secs(600);
/// How soon again after a failure, doubling up to the other.
const FIRST_RETRY: Duration = Duration::from_secs(10);
const LAST_RETRY: Duration = Duration::from_secs(300);
/// How long keys are good that couldn't be fetched again, in seconds.
const GOOD_FOR: u64 = 24 * 3600;
/// How soon after a fetch an unknown key may cause another.
const GAP: Duration = Duration::from_secs(10);
/// How long a request waits for its unknown key.
const PATIENCE: Duration = Duration::from_secs(5);
/// Keys that are kept where each is fetched by itself.
const MOST_EACH: usize = 16;
/// Between those that are fetched again one by one: whoever waits goes first.
const BREATH: Duration = Duration::from_millis(50);
/// Unknown keys that may be asked for within [`GAP`] there: a false one must not take the
/// place of one that is new.
const MOST_SOUGHT: usize = 10;

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
    flight: Mutex<Flight>,
    /// Told when a fetch has ended.
    ended: watch::Sender<()>,
}

/// The fetch that is under way, and what became of the last one.
#[derive(Debug, Default)]
struct Flight {
    is_under_way: bool,
    began: Option<Instant>,
    /// The keys that were asked for a moment ago, where each is by itself.
    sought: Vec<(Box<str>, Instant)>,
    error: Option<FetchError>,
    succeeded: Option<u64>,
}

/// Whether a fetch may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clearance {
    Given,
    /// Another one is under way.
    UnderWay,
    /// The same was tried a moment ago, or too much else was.
    TooSoon,
}

/// What a wait was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sought {
    It,
    Another,
}

/// A fetch that is under way until this is dropped, however it ends.
struct Flying<'s>(&'s KeyStore);

impl Flying<'_> {
    fn report(self, fetched: Result<(), FetchError>) -> Result<(), FetchError> {
        let mut flight = self.0.flight.lock().unwrap_or_else(PoisonError::into_inner);
        match &fetched {
            Ok(()) => {
                flight.error = None;
                flight.succeeded = Some(unix_now());
            }
            Err(error) => {
                tracing::warn!(error.detail = %error, "the issuer's keys can't be fetched");
                flight.error = Some(error.clone());
            }
        }
        fetched
    }
}

impl Drop for Flying<'_> {
    fn drop(&mut self) {
        let mut flight = self.0.flight.lock().unwrap_or_else(PoisonError::into_inner);
        flight.is_under_way = false;
        drop(flight);
        self.0.ended.send_replace(());
    }
}

/// What is known of the keys, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// How many can be verified with.
    pub good: usize,
    /// When they were last fetched, in seconds since the Unix epoch.
    pub fetched: Option<u64>,
    /// Until when they are good without being fetched again, likewise.
    pub good_until: u64,
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
            flight: Mutex::default(),
            ended: watch::Sender::new(()),
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
        let flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
        State {
            good,
            fetched: flight.succeeded,
            good_until: keys.good_until,
            error: flight.error.as_ref().map(ToString::to_string),
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
            Layout::Set => match self.take_off(None) {
                Clearance::Given => Flying(self).report(self.fetch_set().await),
                Clearance::UnderWay | Clearance::TooSoon => Ok(()),
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
        let mut ended = self.ended.subscribe();
        let clearance = self.take_off(Some(id));
        match clearance {
            Clearance::TooSoon => return Sought::It,
            Clearance::UnderWay => {}
            Clearance::Given => {
                // The end of an earlier one is not what is waited for.
                ended.mark_unchanged();
                let (store, id) = (self.clone(), Box::<str>::from(id));
                // By itself: whoever asked may leave, and others wait for it.
                tokio::spawn(async move {
                    let flying = Flying(&store);
                    let fetched = match store.layout {
                        Layout::Set => store.fetch_set().await,
                        Layout::Each => store.fetch_one(&id).await,
                    };
                    // Said in the log.
                    let _ = flying.report(fetched);
                });
            }
        }
        // It ends whatever becomes of it, and the store outlives this.
        let _ = ended.changed().await;
        match (self.layout, clearance) {
            (Layout::Each, Clearance::UnderWay) => Sought::Another,
            _ => Sought::It,
        }
    }

    /// Whether a fetch may begin: of what is known, or of the key `sought`, which isn't.
    fn take_off(&self, sought: Option<&str>) -> Clearance {
        let mut flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
        if flight.is_under_way {
            return Clearance::UnderWay;
        }
        let now = Instant::now();
        if let Some(id) = sought {
            let is_late = |began: Instant| now.duration_since(began) >= GAP;
            let is_early = match self.layout {
                Layout::Set => flight.began.is_some_and(|began| !is_late(began)),
                Layout::Each => {
                    flight.sought.retain(|(_, began)| !is_late(*began));
                    let is_again = flight.sought.iter().any(|(earlier, _)| **earlier == *id);
                    is_again || flight.sought.len() >= MOST_SOUGHT
                }
            };
            if is_early {
                return Clearance::TooSoon;
            }
            if self.layout == Layout::Each {
                flight.sought.push((id.into(), now));
            }
        }
        flight.is_under_way = true;
        flight.began = Some(now);
        Clearance::Given
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
            let mut ended = self.ended.subscribe();
            while self.take_off(None) != Clearance::Given {
                // It ends whatever becomes of it, and the store outlives this.
                let _ = ended.changed().await;
            }
            let flying = Flying(self);
            outcome = outcome.and(flying.report(self.fetch_one(&id).await));
            sleep(BREATH).await;
        }
        if let Err(error) = &outcome {
            // Another one's success is none of this.
            let mut flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
            flight.error = Some(error.clone());
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
