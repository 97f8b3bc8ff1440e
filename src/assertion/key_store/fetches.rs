//! One fetch at a time, none too soon after another, and what became of the last.

use super::{FetchError, Layout, unix_now};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How soon after a fetch an unknown key may cause another.
pub(super) const GAP: Duration = Duration::from_secs(10);
/// Unknown keys that may be asked for within [`GAP`] where each is fetched by itself: a
/// false one must not take the place of one that is new.
pub(super) const MOST_SOUGHT: usize = 10;

/// Keeps a store's fetches apart.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    log: Mutex<Log>,
    /// Told when a fetch has ended.
    ended: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Log {
    is_under_way: bool,
    began: Option<Instant>,
    /// The keys that were asked for a moment ago, where each is by itself.
    sought: Vec<(Box<str>, Instant)>,
    error: Option<FetchError>,
    succeeded: Option<u64>,
}

/// Whether a key that isn't known may be fetched.
pub(super) enum Clearance {
    Given(Fetching),
    /// Another fetch is under way.
    UnderWay,
    /// The same was tried a moment ago, or too much else was.
    TooSoon,
}

/// A fetch that is under way until this is dropped, however it ends.
pub(super) struct Fetching(Arc<Fetches>);

impl Fetches {
    /// Begins to fetch what is known, unless something is being fetched.
    pub(super) fn begin(self: &Arc<Self>) -> Option<Fetching> {
        let mut log = self.log();
        (!log.is_under_way).then(|| self.begun(&mut log, Instant::now()))
    }

    /// Begins to fetch the key `id`, which isn't known, or all, if that may be.
    pub(super) fn seek(self: &Arc<Self>, id: &str, layout: Layout) -> Clearance {
        let mut log = self.log();
        if log.is_under_way {
            return Clearance::UnderWay;
        }
        let now = Instant::now();
        let is_late = |began: Instant| now.duration_since(began) >= GAP;
        let is_early = match layout {
            Layout::Set => log.began.is_some_and(|began| !is_late(began)),
            Layout::Each => {
                log.sought.retain(|(_, began)| !is_late(*began));
                let is_again = log.sought.iter().any(|(earlier, _)| **earlier == *id);
                is_again || log.sought.len() >= MOST_SOUGHT
            }
        };
        if is_early {
            return Clearance::TooSoon;
        }
        if layout == Layout::Each {
            log.sought.push((id.into(), now));
        }
        Clearance::Given(self.begun(&mut log, now))
    }

    fn begun(self: &Arc<Self>, log: &mut Log, now: Instant) -> Fetching {
        log.is_under_way = true;
        log.began = Some(now);
        Fetching(self.clone())
    }

    /// Tells when the next one that is under way ends.
    pub(super) fn ended(&self) -> watch::Receiver<()> {
        self.ended.subscribe()
    }

    /// When one last succeeded, in seconds since the Unix epoch, and why the last failed.
    pub(super) fn outcome(&self) -> (Option<u64>, Option<FetchError>) {
        let log = self.log();
        (log.succeeded, log.error.clone())
    }

    /// Several together have failed, whatever the last of them did.
    pub(super) fn failed(&self, error: &FetchError) {
        self.log().error = Some(error.clone());
    }

    /// Whole whatever panicked while it was held: each field is set by itself.
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fetching {
    pub(super) fn report(self, fetched: Result<(), FetchError>) -> Result<(), FetchError> {
        let mut log = self.0.log();
        match &fetched {
            Ok(()) => {
                log.error = None;
                log.succeeded = Some(unix_now());
            }
            Err(error) => {
                tracing::warn!(error.detail = %error, "the issuer's keys can't be fetched");
                log.error = Some(error.clone());
            }
        }
        drop(log);
        fetched
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.0.log().is_under_way = false;
        self.0.ended.send_replace(());
    }
}
