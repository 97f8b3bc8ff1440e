//! The metrics of model calls. Their label `provider` comes from the config, which
//! bounds it; a path that names none counts as `unknown`.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
};

use super::register;

/// How a model call ended, as the label `outcome` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelOutcome {
    /// The provider answered with 2xx or 3xx.
    Ok,
    /// Every credential is at its limit.
    RateLimited,
    /// The provider answered with another 4xx.
    ClientError,
    /// The provider answered with 5xx, or broke its answer off.
    UpstreamError,
    /// There was no connection to the provider, or it broke before an answer.
    Unreachable,
    /// The provider did not answer in time.
    Timeout,
    /// Portcullis refused the call.
    Refused,
    /// There was no credential to use.
    NoCredential,
    /// The caller left before the end.
    ClientGone,
}

impl ModelOutcome {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::RateLimited => "rate_limited",
            Self::ClientError => "client_error",
            Self::UpstreamError => "upstream_error",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::NoCredential => "no_credential",
            Self::ClientGone => "client_gone",
        }
    }
}

/// Which tokens of a model call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Of the prompt, cached ones included.
    Input,
    /// Of the answer.
    Output,
}

/// The metrics of model calls.
pub struct ModelMetrics {
    requests: IntCounterVec,
    rotations: IntCounterVec,
    credentials: IntGaugeVec,
    refreshes: IntCounterVec,
    tokens: HistogramVec,
    first_token: HistogramVec,
    per_output_token: HistogramVec,
    duration: Histogram,
}

/// From a short question to a full context window.
const TOKEN_BUCKETS: [f64; 12] = [
    1.0,
    10.0,
    50.0,
    100.0,
    500.0,
    1000.0,
    5000.0,
    10_000.0,
    50_000.0,
    100_000.0,
    500_000.0,
    1_000_000.0,
];
/// From a cached answer to a model that thinks for minutes.
const FIRST_TOKEN_BUCKETS: [f64; 14] = [
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];
/// From a thousand tokens a second to one in two.
const PER_TOKEN_BUCKETS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 2.0,
];

impl ModelMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let histogram = |name: &str, help: &str, labels: &[&str], buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            register(registry, HistogramVec::new(options, labels))
        };
        Self {
            requests: counter(
                "portcullis_model_requests_total",
                "Model calls that have ended, by provider and outcome.",
                &["provider", "outcome"],
            ),
            rotations: counter(
                "portcullis_model_rotations_total",
                "Calls sent on with the next credential because one hit a limit, by provider and kind of limit.",
                &["provider", "reason"],
            ),
            credentials: register(
                registry,
                IntGaugeVec::new(
                    Opts::new(
                        "portcullis_model_credentials",
                        "Credentials of model providers, by state.",
                    ),
                    &["provider", "state"],
                ),
            ),
            refreshes: counter(
                "portcullis_model_refreshes_total",
                "OAuth refreshes, by provider and outcome.",
                &["provider", "outcome"],
            ),
            tokens: histogram(
                "portcullis_model_tokens",
                "Tokens of a model call as the provider counts them, by kind (input, output).",
                &["provider", "kind"],
                &TOKEN_BUCKETS,
            ),
            first_token: histogram(
                "portcullis_model_time_to_first_token_seconds",
                "Time from a streamed call's head to the first event with content.",
                &["provider"],
                &FIRST_TOKEN_BUCKETS,
            ),
            per_output_token: histogram(
                "portcullis_model_time_per_output_token_seconds",
                "Time between a streamed answer's first and last event with content, per output token after the first.",
                &["provider"],
                &PER_TOKEN_BUCKETS,
            ),
            duration: register(
                registry,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "portcullis_model_request_duration_seconds",
                        "Time from a model call's head to the end of its answer.",
                    )
                    .buckets(FIRST_TOKEN_BUCKETS.to_vec()),
                ),
            ),
        }
    }

    /// A provider is there: what is counted for it starts at zero, so that a rate sees
    /// the first one. `reasons` are those of rotations.
    pub fn provider(&self, provider: &str, reasons: &[&'static str]) {
        self.requests
            .with_label_values(&[provider, ModelOutcome::Ok.as_str()]);
        for reason in reasons {
            self.rotations.with_label_values(&[provider, reason]);
        }
    }

    /// Counts a call that has ended.
    pub fn request(&self, provider: &str, outcome: ModelOutcome, duration: Duration) {
        self.requests
            .with_label_values(&[provider, outcome.as_str()])
            .inc();
        self.duration.observe(duration.as_secs_f64());
    }

    /// Counts a call that goes on with the next credential.
    pub fn rotation(&self, provider: &str, reason: &'static str) {
        self.rotations.with_label_values(&[provider, reason]).inc();
    }

    /// Sets how many credentials of `provider` are in `state`.
    pub fn credentials(&self, provider: &str, state: &'static str, count: usize) {
        self.credentials
            .with_label_values(&[provider, state])
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts an OAuth refresh.
    pub fn refresh(&self, provider: &str, outcome: &'static str) {
        self.refreshes.with_label_values(&[provider, outcome]).inc();
    }

    /// Records the tokens of a call.
    pub fn tokens(&self, provider: &str, kind: TokenKind, count: u64) {
        let kind = match kind {
            TokenKind::Input => "input",
            TokenKind::Output => "output",
        };
        self.tokens
            .with_label_values(&[provider, kind])
            .observe(count as f64);
    }

    /// Records how long the first content took.
    pub fn first_token(&self, provider: &str, waited: Duration) {
        self.first_token
            .with_label_values(&[provider])
            .observe(waited.as_secs_f64());
    }

    /// Records how long each output token after the first took.
    pub fn per_output_token(&self, provider: &str, each: Duration) {
        self.per_output_token
            .with_label_values(&[provider])
            .observe(each.as_secs_f64());
    }
}
