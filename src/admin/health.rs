//! Whether Portcullis is ready, and what it knows of the upstream.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::telemetry::NotReady;
use serde_json::{Value, json};

/// What must hold before requests are welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Every listener is bound.
    ListenersBound,
    /// Every active secret has a value.
    SecretsResolved,
    /// Signed assertions can be verified, or none are asked for.
    AssertionKeysAtHand,
}

/// Facts that `/readyz` reports. They start out as: nothing bound, nothing
/// resolved, no keys at hand, not draining, upstream never probed.
#[derive(Debug, Default)]
pub struct Health {
    listeners_bound: AtomicBool,
    secrets_resolved: AtomicBool,
    assertion_keys_at_hand: AtomicBool,
    draining: AtomicBool,
    upstream: Mutex<Option<UpstreamProbe>>,
}

/// The last attempt to reach the upstream.
#[derive(Clone, Debug)]
pub struct UpstreamProbe {
    /// When it ended.
    pub at: Instant,
    /// What came of it; an error is shown to the operator, so it must hold no
    /// secret.
    pub result: Result<(), String>,
}

impl Health {
    /// Records that `condition` holds from now on.
    pub fn met(&self, condition: Condition) {
        self.flag(condition).store(true, Ordering::Release);
    }

    /// Records that `condition` holds no longer.
    pub fn unmet(&self, condition: Condition) {
        self.flag(condition).store(false, Ordering::Release);
    }

    /// Records that the process is stopping; there is no way back.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the process is stopping.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Whether requests are welcome.
    pub fn is_ready(&self) -> bool {
        self.reasons().is_empty()
    }

    /// Why requests are not welcome; empty when they are.
    pub fn reasons(&self) -> Vec<&'static str> {
        use NotReady::{AssertionKeysMissing, Draining, ListenersNotBound, SecretsUnresolved};
        let unless = |flag: &AtomicBool, reason| (!flag.load(Ordering::Acquire)).then_some(reason);
        let reasons = [
            unless(&self.listeners_bound, ListenersNotBound),
            unless(&self.secrets_resolved, SecretsUnresolved),
            unless(&self.assertion_keys_at_hand, AssertionKeysMissing),
            self.is_draining().then_some(Draining),
        ];
        let reasons = reasons.into_iter().flatten();
        reasons.map(NotReady::as_str).collect()
    }

    /// Records an attempt to reach the upstream.
    pub fn upstream_probed(&self, probe: UpstreamProbe) {
        *self.upstream.lock().unwrap_or_else(PoisonError::into_inner) = Some(probe);
    }

    /// The last attempt to reach the upstream.
    pub fn upstream(&self) -> Option<UpstreamProbe> {
        self.upstream
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn flag(&self, condition: Condition) -> &AtomicBool {
        match condition {
            Condition::ListenersBound => &self.listeners_bound,
            Condition::SecretsResolved => &self.secrets_resolved,
            Condition::AssertionKeysAtHand => &self.assertion_keys_at_hand,
        }
    }
}

impl UpstreamProbe {
    /// Whether the upstream took the connection.
    pub fn is_reachable(&self) -> bool {
        self.result.is_ok()
    }

    /// `reachable`, `checkedSecondsAgo`, and `error` where there was one.
    pub fn to_json(&self) -> Value {
        let mut json = json!({
            "reachable": self.is_reachable(),
            "checkedSecondsAgo": self.at.elapsed().as_secs(),
        });
        if let Err(error) = &self.result {
            json["error"] = json!(error);
        }
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_ready_when_bound_and_resolved_and_until_it_drains() {
        let health = Health::default();
        assert_eq!(
            health.reasons(),
            [
                "listeners_not_bound",
                "secrets_unresolved",
                "assertion_keys_missing"
            ]
        );
        health.met(Condition::SecretsResolved);
        health.met(Condition::AssertionKeysAtHand);
        assert_eq!(health.reasons(), ["listeners_not_bound"]);
        health.met(Condition::ListenersBound);
        assert!(health.is_ready());
        health.unmet(Condition::SecretsResolved);
        assert_eq!(health.reasons(), ["secrets_unresolved"]);
        health.met(Condition::SecretsResolved);
        health.drain();
        assert_eq!(health.reasons(), ["draining"]);
        assert!(!health.is_ready());
    }

    #[test]
    fn an_unreachable_upstream_is_a_fact_and_no_condition() {
        let health = Health::default();
        health.met(Condition::ListenersBound);
        health.met(Condition::SecretsResolved);
        health.met(Condition::AssertionKeysAtHand);
        health.upstream_probed(UpstreamProbe {
            at: Instant::now(),
            result: Err("connection refused".to_owned()),
        });
        assert!(health.is_ready());
        assert_eq!(
            health.upstream().unwrap().to_json(),
            json!({"reachable": false, "checkedSecondsAgo": 0, "error": "connection refused"})
        );
    }
}
