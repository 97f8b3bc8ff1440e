//! The body of `/status`: what an operator wants to know, and never a secret.

use crate::admin::Health;
use crate::snapshot::SecretState;
use crate::telemetry::metrics::Metrics;
use serde::Serialize;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where each listener is.
#[derive(Debug, Serialize)]
pub(super) struct Listeners {
    pub(super) front: Vec<SocketAddr>,
    pub(super) redirect: Option<SocketAddr>,
    pub(super) admin: SocketAddr,
    pub(super) probe: Option<SocketAddr>,
}

/// What the status is made from.
pub(super) struct Facts {
    pub(super) commit: &'static str,
    pub(super) began: SystemTime,
    pub(super) began_instant: Instant,
    pub(super) listeners: Listeners,
    pub(super) secrets: Vec<SecretState>,
    pub(super) health: Arc<Health>,
    pub(super) metrics: Arc<Metrics>,
}

/// The generation of the configuration: it is read once.
pub(super) const GENERATION: u64 = 1;

impl Facts {
    pub(super) fn render(&self) -> Value {
        let began = self
            .began
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "commit": self.commit,
            "generation": GENERATION,
            "startedAt": began,
            "uptimeSeconds": self.began_instant.elapsed().as_secs(),
            "ready": self.health.is_ready(),
            "notReadyBecause": self.health.reasons(),
            "draining": self.health.is_draining(),
            "upstream": self.health.upstream().map(|probe| probe.to_json()),
            "connections": self.metrics.connections(),
            "websockets": self.metrics.websockets(),
            "listeners": self.listeners,
            "secrets": self.secrets,
            "lastReload": Value::Null,
        })
    }
}
