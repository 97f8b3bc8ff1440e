//! The body of `/status`: what an operator wants to know, and never a secret.

use super::assertion_keys;
use super::listeners::Addresses;
use super::lockdown;
use super::serving::Serving;
use crate::admin::Health;
use crate::broker::Broker;
use crate::confinement::Confinement;
use crate::proxy::FrontDoor;
use crate::telemetry::metrics::Metrics;
use crate::unix_time::unix_seconds;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// What the status is made from.
pub(super) struct Facts {
    pub(super) commit: &'static str,
    pub(super) door: Arc<FrontDoor>,
    pub(super) began: SystemTime,
    pub(super) began_instant: Instant,
    pub(super) listeners: Addresses,
    pub(super) serving: Arc<Serving>,
    pub(super) health: Arc<Health>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) broker: Option<Arc<Broker>>,
    pub(super) confinement: Arc<Confinement>,
}

impl Facts {
    pub(super) fn render(&self) -> Value {
        let mut status = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "commit": self.commit,
            "pid": std::process::id(),
            "startedAt": unix_seconds(self.began),
            "uptimeSeconds": self.began_instant.elapsed().as_secs(),
            "ready": self.health.is_ready(),
            "notReadyBecause": self.health.reasons(),
            "draining": self.health.is_draining(),
            "upstream": self.health.upstream().map(|probe| probe.to_json()),
            "connections": self.metrics.connections(),
            "websockets": self.metrics.websockets(),
            "listeners": self.listeners,
            "confinement": lockdown::status(&self.confinement),
        });
        self.serving.describe(&mut status);
        let snapshot = self.door.snapshot();
        let signed = snapshot.signed_identity.as_deref();
        status["assertion"] = json!(signed.map(assertion_keys::describe));
        let broker = self.broker.as_ref();
        status["credentials"] = json!(broker.map(|broker| broker.credentials()));
        status["tokenSinkProblems"] = json!(broker.map(|broker| broker.sink_problems()));
        status
    }
}
