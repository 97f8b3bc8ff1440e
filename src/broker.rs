//! The back door: model calls leave with a credential that the caller never holds.
//!
//! **Why hyper.** A call is read whole, so that it can be sent again with another
//! credential; its answer is judged before a byte of it goes out, and then passes as it
//! comes. Pingora's `ProxyHttp` keeps 64 KiB of a request for a retry, and its client
//! connector speaks to one peer at a time without any of what a client needs. hyper's
//! server and pooling client do just this, the admin listener uses them already, and
//! what a model call costs is the model.

mod admission;
mod answer;
mod answered;
mod attempt;
mod caller;
mod candidate;
mod candidates;
mod credential_key;
mod events;
mod head_clock;
mod keeper;
mod listener;
mod model_name;
mod outgoing;
mod overview;
mod problem;
mod profiles;
mod rate_limit;
mod record;
mod refresher;
mod request_body;
mod route;
mod service;
mod standing;
mod usage;

pub use overview::credentials_of_files;

#[cfg(fuzzing)]
pub(crate) use {
    answered::may_be_error,
    events::Events,
    rate_limit::{judge, judge_event},
};

use crate::credentials::UnixMillis;
use crate::credentials::status::{CredentialStatus, State};
use crate::drain::Drain;
use crate::secrets::Environment;
use crate::snapshot::{BackDoor, Snapshot};
use crate::telemetry::metrics::Metrics;
use arc_swap::ArcSwap;
use keeper::{Keeper, lock};
use profiles::Extent;
use request_body::Budget;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// The memory of all bodies together, in bytes, where two may not take more.
const BODY_BUDGET: usize = 256 << 20;
/// How often sinks are looked at, and what is due is done.
const TICK: Duration = Duration::from_secs(1);

/// Serves model calls under the current snapshot.
pub struct Broker {
    snapshot: ArcSwap<Snapshot>,
    keeper: Arc<Keeper>,
    metrics: Arc<Metrics>,
    budgets: Mutex<Budgets>,
    drain: Drain,
    /// Tells connections that there is another snapshot.
    replaced: watch::Sender<()>,
}

/// The memory of bodies: of all callers, and of each, who may take half.
struct Budgets {
    all: Budget,
    each: HashMap<Option<String>, Budget>,
    bytes: usize,
}

impl Budgets {
    fn new(snapshot: &Snapshot) -> Self {
        let again = snapshot.back_door.as_ref();
        let again = again.map_or(0, |door| door.max_replay_bytes);
        let most = again.max(service::in_memory(snapshot.limits.max_body_bytes));
        // A body grows by doubling.
        let bytes = BODY_BUDGET.max(most.saturating_mul(4));
        Self {
            all: Budget::new(bytes),
            each: HashMap::new(),
            bytes,
        }
    }
}

impl Broker {
    /// A back door that serves by `snapshot`, which has one.
    #[must_use]
    pub fn new(
        snapshot: Arc<Snapshot>,
        environment: Environment<'static>,
        metrics: Arc<Metrics>,
        drain: Drain,
    ) -> Arc<Self> {
        Arc::new(Self {
            budgets: Mutex::new(Budgets::new(&snapshot)),
            snapshot: ArcSwap::new(snapshot),
            keeper: Arc::new(Keeper::new(environment, metrics.clone())),
            metrics,
            drain,
            replaced: watch::Sender::new(()),
        })
    }

    /// Serves new calls by `snapshot` from here on. Calls under way whose caller's token
    /// it doesn't know end now.
    pub fn replace(&self, snapshot: Arc<Snapshot>) {
        let budgets = Budgets::new(&snapshot);
        let mut known = lock(&self.budgets);
        if known.bytes != budgets.bytes {
            *known = budgets;
        }
        drop(known);
        self.snapshot.store(snapshot);
        self.replaced.send_replace(());
        if let Some(door) = self.door() {
            let keeper = self.keeper.clone();
            // What profiles refer to may have been rotated with the rest.
            tokio::task::spawn_blocking(move || keeper.look(&door, Extent::All));
        }
    }

    /// A row for every credential. Waits for the file system, in a worker that hands its
    /// other work on.
    #[must_use]
    pub fn credentials(&self) -> Vec<CredentialStatus> {
        match self.door() {
            Some(door) => {
                tokio::task::block_in_place(|| self.keeper.status(&door, UnixMillis::now()))
            }
            None => Vec::new(),
        }
    }

    /// What is wrong with the token sinks.
    #[must_use]
    pub fn sink_problems(&self) -> Vec<String> {
        match self.door() {
            Some(door) => self.keeper.sink_problems(&door),
            None => Vec::new(),
        }
    }

    /// Looks after credentials, for ever: reads sinks that have changed, renews logins
    /// before they end, writes down how credentials fare.
    pub async fn keep(self: Arc<Self>) {
        let mut is_first = true;
        loop {
            if let Some(door) = self.door() {
                let rows = self.look_after(door).await;
                if std::mem::take(&mut is_first) {
                    rows.iter().for_each(warn_of);
                }
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Ends well: no refresh is cut off, and how credentials fare is written down.
    pub async fn settle(&self) {
        self.keeper.refresher.all_ended().await;
        let keeper = self.keeper.clone();
        let _ = tokio::task::spawn_blocking(move || keeper.save(Extent::All)).await;
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    fn door(&self) -> Option<Arc<BackDoor>> {
        self.snapshot.load().back_door.clone()
    }

    /// The memory that a caller's bodies come out of.
    fn budgets(&self, agent: Option<&str>) -> [Budget; 2] {
        let mut budgets = lock(&self.budgets);
        let half = budgets.bytes / 2;
        let own = budgets.each.entry(agent.map(str::to_owned));
        let own = own.or_insert_with(|| Budget::new(half)).clone();
        [budgets.all.clone(), own]
    }

    async fn look_after(&self, door: Arc<BackDoor>) -> Vec<CredentialStatus> {
        let (keeper, looked_at) = (self.keeper.clone(), door.clone());
        let work = tokio::task::spawn_blocking(move || {
            keeper.look(&looked_at, Extent::Due);
            keeper.save(Extent::Due);
            let rows = keeper.status(&looked_at, UnixMillis::now());
            keeper.show(&rows);
            rows
        });
        // A panic there is in the log; the next tick tries again.
        let rows = work.await.unwrap_or_default();
        for (_, folder) in door.sinks() {
            let Some(store) = self.keeper.known_store(folder) else {
                continue;
            };
            for (id, provider) in refresher::due(&self.keeper, &store, &door) {
                let (keeper, store) = (self.keeper.clone(), store.clone());
                tokio::spawn(async move {
                    refresher::refreshed(&keeper, &store, &id, None, &provider).await;
                });
            }
        }
        rows
    }
}

/// Tells of a credential that is of no use from the start.
fn warn_of(row: &CredentialStatus) {
    if !matches!(
        row.state,
        State::Ready | State::CoolingDown | State::LeftOut
    ) {
        tracing::warn!(
            model.provider = row.provider,
            model.credential = row.name,
            agent = row.agent,
            state = row.state.as_str(),
            error.detail = row.detail,
            "a credential can't be used"
        );
    }
}
