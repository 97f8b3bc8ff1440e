//! The issuer's keys while the server runs: fetched at the start, kept fresh, watched.

use crate::admin::{Condition, Health};
use crate::assertion::{FetchError, keep_fresh};
use crate::config::KeysPlace;
use crate::proxy::FrontDoor;
use crate::snapshot::{SignedIdentity, Snapshot};
use crate::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked whether they are still good.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Fetches the keys that a snapshot needs and `serving` hasn't, if any, and keeps them
/// fresh from then on.
///
/// # Errors
/// [`FetchError`]: they can't be had now. They are still asked for.
pub(super) async fn provide(
    snapshot: &Snapshot,
    serving: Option<&Snapshot>,
) -> Result<(), FetchError> {
    let keys_of = |snapshot: &Snapshot| {
        let signed = snapshot.signed_identity.as_ref();
        signed.map(|signed| signed.verifier().keys().clone())
    };
    let Some(keys) = keys_of(snapshot) else {
        return Ok(());
    };
    let known = serving.and_then(keys_of);
    if known.is_some_and(|known| Arc::ptr_eq(&known, &keys)) {
        return Ok(());
    }
    let fetched = keys.fetch_known().await;
    tokio::spawn(keep_fresh(Arc::downgrade(&keys)));
    fetched
}

/// Tells health and metrics about the keys, for ever.
pub(super) async fn watch(door: Arc<FrontDoor>, health: Arc<Health>, metrics: Arc<Metrics>) {
    loop {
        look(&door.snapshot(), &health, &metrics);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The same once.
pub(super) fn look(snapshot: &Snapshot, health: &Health, metrics: &Metrics) {
    let signed = snapshot.signed_identity.as_ref();
    let state = signed.map(|signed| signed.verifier().keys().state());
    if let Some(until) = state.as_ref().and_then(|state| state.good_until) {
        metrics.assertion_keys_expiry(i64::try_from(until).unwrap_or(i64::MAX));
    }
    match state.is_none_or(|state| state.is_ready) {
        true => health.met(Condition::AssertionKeysAtHand),
        false => health.unmet(Condition::AssertionKeysAtHand),
    }
}

/// What an operator wants to know of them.
pub(super) fn describe(signed: &SignedIdentity) -> Value {
    let state = signed.verifier().keys().state();
    let url = signed.keys().url().as_str();
    let is_discovered = matches!(signed.keys(), KeysPlace::Discovered { .. });
    json!({
        "keysUrl": (!is_discovered).then_some(url),
        "discoveryUrl": is_discovered.then_some(url),
        "keys": state.good,
        "fetchedAt": state.fetched,
        "goodUntil": state.good_until.filter(|_| state.good > 0),
        "error": state.error,
    })
}
