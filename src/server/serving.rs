//! The account of what is served: which configuration, since when, and what came
//! of the last attempt to replace it.

use crate::admin::{ReloadFailure, ReloadOutcome, ReloadProblem, Reloaded};
use crate::secrets::SecretSource;
use crate::snapshot::{IGNORED_INACTIVE, SecretState, Snapshot, State};
use crate::telemetry::metrics::Metrics;
use crate::unix_time::unix_seconds;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// The gateway's words for a configuration that can't be replaced, and for one
/// that can be again.
const DEGRADED: &str = "SECRETS_RELOADER_DEGRADED";
const RECOVERED: &str = "SECRETS_RELOADER_RECOVERED";

/// What asked for a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trigger {
    /// SIGHUP.
    Hangup,
    /// `POST /reload`.
    Request,
    /// Files have changed.
    Files,
    /// Files had changed, and what came of it failed.
    Retry,
}

impl Trigger {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Hangup => "signal",
            Self::Request => "request",
            Self::Files => "files",
            Self::Retry => "retry",
        }
    }
}

/// What is served.
pub(super) struct Serving {
    metrics: Arc<Metrics>,
    account: Mutex<Account>,
}

struct Account {
    generation: u64,
    since: SystemTime,
    secrets: Vec<SecretState>,
    secrets_locked: bool,
    restart_required: Vec<&'static str>,
    degraded_since: Option<SystemTime>,
    reloading_since: Option<SystemTime>,
    last_reload: Value,
}

impl Serving {
    /// The first configuration took force.
    pub(super) fn new(snapshot: &Snapshot, metrics: Arc<Metrics>) -> Self {
        let now = SystemTime::now();
        let serving = Self {
            metrics,
            account: Mutex::new(Account {
                generation: 1,
                since: now,
                secrets: Vec::new(),
                secrets_locked: true,
                restart_required: Vec::new(),
                degraded_since: None,
                reloading_since: None,
                last_reload: Value::Null,
            }),
        };
        serving.take(&mut serving.lock(), snapshot, now);
        serving
    }

    /// A further configuration is being built.
    pub(super) fn reloading(&self) {
        self.lock().reloading_since = Some(SystemTime::now());
    }

    /// A further configuration took force.
    pub(super) fn replaced(
        &self,
        trigger: &Trigger,
        snapshot: &Snapshot,
        restart_required: Vec<&'static str>,
    ) -> ReloadOutcome {
        let now = SystemTime::now();
        let mut account = self.lock();
        account.generation += 1;
        account.reloading_since = None;
        account.restart_required.clone_from(&restart_required);
        self.take(&mut account, snapshot, now);
        let reloaded = Reloaded {
            generation: account.generation,
            restart_required,
        };
        account.last_reload = json!({
            "at": unix_seconds(now),
            "trigger": trigger.as_str(),
            "ok": true,
            "problems": [],
        });
        tracing::info!(
            config.generation = reloaded.generation,
            reload.trigger = trigger.as_str(),
            "reloaded"
        );
        if !reloaded.restart_required.is_empty() {
            tracing::warn!(
                config.keys = reloaded.restart_required.join(", "),
                "these keys have changed and keep their old value until a restart"
            );
        }
        if account.degraded_since.take().is_some() {
            tracing::info!(
                code = RECOVERED,
                config.generation = reloaded.generation,
                "the configuration can be reloaded again"
            );
        }
        Ok(reloaded)
    }

    /// A further configuration can't be used.
    pub(super) fn kept(
        &self,
        trigger: &Trigger,
        problems: Vec<ReloadProblem>,
        unresolved: usize,
    ) -> ReloadOutcome {
        let now = SystemTime::now();
        let mut account = self.lock();
        self.metrics.reload_failed();
        self.metrics
            .secret_refs(State::Unresolved.as_str(), unresolved);
        account.degraded_since.get_or_insert(now);
        account.reloading_since = None;
        account.last_reload = json!({
            "at": unix_seconds(now),
            "trigger": trigger.as_str(),
            "ok": false,
            "problems": problems,
        });
        tracing::warn!(
            code = DEGRADED,
            config.generation = account.generation,
            config.age_s = age(account.since),
            reload.trigger = trigger.as_str(),
            reload.problems = problems.len(),
            "the reload failed: the last good configuration is served on"
        );
        for problem in &problems {
            tracing::warn!(
                config.file = problem
                    .file
                    .as_deref()
                    .map(|file| tracing::field::display(file.display())),
                config.key = problem.key,
                config.line = problem.line,
                error.code = problem.code,
                error.detail = problem.message,
                "the new configuration can't be used"
            );
        }
        Err(ReloadFailure {
            generation: account.generation,
            problems,
        })
    }

    /// Adds to the status what is known here.
    pub(super) fn describe(&self, status: &mut Value) {
        let account = self.lock();
        status["generation"] = json!(account.generation);
        status["servedSince"] = json!(unix_seconds(account.since));
        status["servedForSeconds"] = json!(age(account.since));
        status["secrets"] = json!(account.secrets);
        status["secretsLockedInMemory"] = json!(account.secrets_locked);
        status["restartRequired"] = json!(account.restart_required);
        status["degraded"] = json!(account.degraded_since.is_some());
        status["degradedSince"] = json!(account.degraded_since.map(unix_seconds));
        status["reloadingSince"] = json!(account.reloading_since.map(unix_seconds));
        status["lastReload"] = account.last_reload.clone();
    }

    fn take(&self, account: &mut Account, snapshot: &Snapshot, now: SystemTime) {
        account.since = now;
        account.secrets.clone_from(&snapshot.secrets);
        account.secrets_locked = snapshot.secrets_locked;
        self.metrics.config_loaded(account.generation, now);
        if let Some(expiry) = snapshot.certificate_expiry {
            self.metrics.certificate_expiry(expiry);
        }
        // A plain secret is no reference.
        for state in State::ALL
            .into_iter()
            .filter(|state| *state != State::Plain)
        {
            let is_in = |secret: &&SecretState| secret.state == state && secret.provider.is_some();
            let count = snapshot.secrets.iter().filter(is_in).count();
            self.metrics.secret_refs(state.as_str(), count);
        }
        for secret in &snapshot.secrets {
            if secret.state == State::Inactive && secret.provider.is_some() {
                tracing::info!(
                    code = IGNORED_INACTIVE,
                    secret.surface = secret.surface,
                    secret.source = secret.source.map(SecretSource::as_str),
                    secret.provider = secret.provider,
                    secret.id = secret.id,
                    "a reference is not resolved: nothing uses it"
                );
            }
        }
    }

    /// Whole whatever panicked while it was held: each field is set by itself.
    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock that was set back makes nothing younger than new.
fn age(since: SystemTime) -> u64 {
    since.elapsed().map_or(0, |age| age.as_secs())
}
