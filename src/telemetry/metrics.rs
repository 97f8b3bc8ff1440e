//! Every metric by its name, counted without a lookup: the request path picks
//! counters by index, since a label lookup by string costs more than the whole
//! policy decision.

mod limits;
mod models;

pub use limits::{Limit, Refused};
pub use models::{ModelMetrics, ModelOutcome, TokenKind};

use crate::unix_time::unix_seconds;
use limits::Refusals;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector,
};

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How a request ended, as the label `outcome` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The policy permitted a user; the status is the upstream's.
    Permitted,
    /// The policy denied; the status is ours.
    Denied,
    /// A public route, passed on without a user; the status is the upstream's.
    Public,
    /// Portcullis answered for another reason than the policy's: a malformed
    /// request, or an upstream that could not be reached.
    Error,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Permitted, Self::Denied, Self::Public, Self::Error];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permitted => "permitted",
            Self::Denied => "denied",
            Self::Public => "public",
            Self::Error => "error",
        }
    }
}

/// All metrics of one process. Share it in an `Arc`; every method takes `&self`.
pub struct Metrics {
    registry: Registry,
    requests: Requests,
    denials: Denials,
    refusals: Refusals,
    requests_in_flight: IntGauge,
    revoked: IntCounter,
    request_duration: Histogram,
    upstream_first_byte: Histogram,
    connections: IntGauge,
    websockets: IntGauge,
    config_generation: IntGauge,
    reload_success: IntGauge,
    reload_timestamp: IntGauge,
    secret_refs: IntGaugeVec,
    certificate_expiry: OnceLock<IntGauge>,
    assertion_keys_expiry: OnceLock<IntGauge>,
    models: ModelMetrics,
}

impl Metrics {
    /// Registers all metrics. `denial_codes` are the values that
    /// `portcullis_denials_total` may take; each starts at zero, so that a rate
    /// sees the first denial.
    pub fn new(version: &str, commit: &str, denial_codes: &[&'static str]) -> Self {
        let registry = Registry::new();
        let build_info = register(
            &registry,
            IntGaugeVec::new(
                Opts::new(
                    "portcullis_build_info",
                    "Always 1; the labels say which build runs.",
                ),
                &["version", "commit"],
            ),
        );
        build_info.with_label_values(&[version, commit]).set(1);
        Self {
            requests: Requests::new(&registry),
            denials: Denials::new(&registry, denial_codes),
            refusals: Refusals::new(&registry),
            requests_in_flight: gauge(
                &registry,
                "portcullis_requests_in_flight",
                "Requests with the gateway now; WebSockets are counted apart.",
            ),
            revoked: register(
                &registry,
                IntCounter::new(
                    "portcullis_revoked_total",
                    "WebSockets and requests under way that a reload ended, for it took away \
                     what had permitted them.",
                ),
            ),
            request_duration: histogram(
                &registry,
                "portcullis_request_duration_seconds",
                "Time from a request's head to the end of its answer.",
            ),
            upstream_first_byte: histogram(
                &registry,
                "portcullis_upstream_first_byte_seconds",
                "Time from a request sent upstream to the first byte of the answer.",
            ),
            connections: gauge(
                &registry,
                "portcullis_connections",
                "Open connections from sources.",
            ),
            websockets: gauge(
                &registry,
                "portcullis_websockets",
                "Open WebSocket sessions.",
            ),
            config_generation: gauge(
                &registry,
                "portcullis_config_generation",
                "Number of the configuration in force; 1 is the one at start.",
            ),
            reload_success: gauge(
                &registry,
                "portcullis_reload_success",
                "1 when the last load of the configuration succeeded, else 0.",
            ),
            reload_timestamp: gauge(
                &registry,
                "portcullis_reload_timestamp_seconds",
                "Unix time at which the configuration in force was loaded.",
            ),
            secret_refs: register(
                &registry,
                IntGaugeVec::new(
                    Opts::new(
                        "portcullis_secret_refs",
                        "References to secrets in the configuration, by what became of them.",
                    ),
                    &["state"],
                ),
            ),
            certificate_expiry: OnceLock::new(),
            assertion_keys_expiry: OnceLock::new(),
            models: ModelMetrics::new(&registry),
            registry,
        }
    }

    /// Counts a request that has ended, with the status its source got.
    pub fn request(&self, outcome: Outcome, status: u16, duration: Duration) {
        self.requests.counter(outcome, status).inc();
        self.request_duration.observe(duration.as_secs_f64());
    }

    /// Counts a denial; a code not named at construction counts as `other`.
    pub fn denial(&self, code: &str) {
        self.denials.counter(code).inc();
    }

    /// Counts a connection, request or WebSocket that a limit refused or ended.
    pub fn limit_reached(&self, limit: Limit) {
        self.refusals.limit(limit).inc();
    }

    /// Counts a connection that was refused or ended, but for no limit.
    pub fn connection_refused(&self, refused: Refused) {
        self.refusals.connection(refused).inc();
    }

    /// Counts what a reload ended.
    pub fn revoked(&self) {
        self.revoked.inc();
    }

    /// Counts a request that is with the gateway until the guard is dropped; none where
    /// there are `max` already.
    pub fn request_begun(&self, max: usize) -> Option<InFlight<'_>> {
        self.requests_in_flight.inc();
        let guard = InFlight(&self.requests_in_flight);
        let count = usize::try_from(self.requests_in_flight.get()).unwrap_or(0);
        (count <= max).then_some(guard)
    }

    /// Records how long the upstream took to begin its answer.
    pub fn upstream_first_byte(&self, waited: Duration) {
        self.upstream_first_byte.observe(waited.as_secs_f64());
    }

    /// Counts an open connection until the guard is dropped.
    #[must_use = "the connection counts as open until this is dropped"]
    pub fn connection_opened(&self) -> Open {
        Open::new(&self.connections)
    }

    /// Connections open now.
    pub fn connections(&self) -> u64 {
        self.connections.get().try_into().unwrap_or(0)
    }

    /// Counts an open WebSocket until the guard is dropped.
    #[must_use = "the WebSocket counts as open until this is dropped"]
    pub fn websocket_opened(&self) -> Open {
        Open::new(&self.websockets)
    }

    /// WebSockets open now.
    pub fn websockets(&self) -> u64 {
        self.websockets.get().try_into().unwrap_or(0)
    }

    /// Records that a configuration was refused: the one in force stays.
    pub fn reload_failed(&self) {
        self.reload_success.set(0);
    }

    /// Sets how many references to secrets are in `state`.
    pub fn secret_refs(&self, state: &'static str, count: usize) {
        self.secret_refs
            .with_label_values(&[state])
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Records that a configuration took force.
    pub fn config_loaded(&self, generation: u64, at: SystemTime) {
        self.config_generation
            .set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.reload_success.set(1);
        self.reload_timestamp
            .set(i64::try_from(unix_seconds(at)).unwrap_or(i64::MAX));
    }

    /// Sets when the listener's certificate expires. Until the first call the
    /// metric is absent: a zero would set off every alert on expiry.
    pub fn certificate_expiry(&self, unix_seconds: i64) {
        self.certificate_expiry
            .get_or_init(|| {
                gauge(
                    &self.registry,
                    "portcullis_tls_certificate_expiry_timestamp_seconds",
                    "Unix time at which the listener's certificate expires.",
                )
            })
            .set(unix_seconds);
    }

    /// Sets until when the issuer's keys are good without being fetched again. Absent until
    /// the first call, for the same reason.
    pub fn assertion_keys_expiry(&self, unix_seconds: i64) {
        self.assertion_keys_expiry
            .get_or_init(|| {
                gauge(
                    &self.registry,
                    "portcullis_assertion_keys_expiry_timestamp_seconds",
                    "Unix time until which the issuer's keys are good without being fetched again.",
                )
            })
            .set(unix_seconds);
    }

    /// The metrics of model calls.
    pub fn models(&self) -> &ModelMetrics {
        &self.models
    }

    /// The Prometheus text exposition, of media type [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        TextEncoder::new()
            .encode_utf8(&self.registry.gather(), &mut text)
            .expect("gathered families have a name and at least one sample");
        text
    }
}

/// One open connection or WebSocket; it is counted until this is dropped.
#[derive(Debug)]
pub struct Open(IntGauge);

impl Open {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A request that is with the gateway; it is counted until this is dropped.
#[derive(Debug)]
pub struct InFlight<'a>(&'a IntGauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

const FIRST_STATUS: u16 = 100;
const STATUSES: usize = 500;

/// A counter for each outcome and status, made when first needed: most of the
/// two thousand never occur, and a scrape should not carry them.
struct Requests {
    family: IntCounterVec,
    /// By outcome, then by status from 100 on; the last is `other`.
    counters: Box<[[OnceLock<IntCounter>; STATUSES + 1]; Outcome::ALL.len()]>,
}

impl Requests {
    fn new(registry: &Registry) -> Self {
        let family = register(
            registry,
            IntCounterVec::new(
                Opts::new(
                    "portcullis_requests_total",
                    "Requests that have ended, by outcome and by the status the source got.",
                ),
                &["outcome", "status"],
            ),
        );
        let requests = Self {
            family,
            counters: Box::new([const { [const { OnceLock::new() }; STATUSES + 1] }; 4]),
        };
        // A family without samples is left out of a scrape, and dashboards
        // take an absent metric for a broken one.
        for outcome in Outcome::ALL {
            let usual = match outcome {
                Outcome::Permitted | Outcome::Public => 200,
                Outcome::Denied => 403,
                Outcome::Error => 502,
            };
            requests.counter(outcome, usual);
        }
        requests
    }

    fn counter(&self, outcome: Outcome, status: u16) -> &IntCounter {
        let index = usize::from(status.wrapping_sub(FIRST_STATUS)).min(STATUSES);
        self.counters[outcome as usize][index].get_or_init(|| {
            let status = if index == STATUSES {
                "other".to_owned()
            } else {
                status.to_string()
            };
            self.family.with_label_values(&[outcome.as_str(), &status])
        })
    }
}

/// A counter for each denial code. There are about ten: comparing them beats
/// hashing.
struct Denials {
    known: Vec<(&'static str, IntCounter)>,
    other: IntCounter,
}

impl Denials {
    fn new(registry: &Registry, codes: &[&'static str]) -> Self {
        let family = register(
            registry,
            IntCounterVec::new(
                Opts::new(
                    "portcullis_denials_total",
                    "Requests that the policy denied, by code.",
                ),
                &["code"],
            ),
        );
        Self {
            known: codes
                .iter()
                .map(|code| (*code, family.with_label_values(&[code])))
                .collect(),
            other: family.with_label_values(&["other"]),
        }
    }

    fn counter(&self, code: &str) -> &IntCounter {
        self.known
            .iter()
            .find(|(known, _)| *known == code)
            .map_or(&self.other, |(_, counter)| counter)
    }
}

/// From a denial (microseconds) to an agent that thinks for minutes.
const BUCKETS: [f64; 20] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
];

fn histogram(registry: &Registry, name: &str, help: &str) -> Histogram {
    register(
        registry,
        Histogram::with_opts(HistogramOpts::new(name, help).buckets(BUCKETS.to_vec())),
    )
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    register(registry, IntGauge::new(name, help))
}

fn register<C>(registry: &Registry, made: prometheus::Result<C>) -> C
where
    C: Collector + Clone + 'static,
{
    let collector = made.expect("metric and label names here are valid literals");
    registry
        .register(Box::new(collector.clone()))
        .expect("each metric name is registered once");
    collector
}

#[cfg(test)]
mod tests;
