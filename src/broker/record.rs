//! What is left of a model call once it is over: its counters and its log line.

use super::usage::Usage;
use crate::request_id::RequestId;
use crate::telemetry::logging::milliseconds;
use crate::telemetry::metrics::{Metrics, ModelOutcome, TokenKind};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// A call under way, as the log and the metrics will tell it. Dropped, it is over; what
/// nobody has said more of by then was left by its caller.
pub(super) struct Record {
    metrics: Arc<Metrics>,
    began: Instant,
    is_logged: bool,
    pub(super) request_id: RequestId,
    source: IpAddr,
    method: String,
    path: String,
    /// The provider's name, or `unknown`.
    pub(super) provider: String,
    pub(super) agent: Option<String>,
    /// The model that the request names.
    pub(super) model: Option<String>,
    /// The credential that was used last.
    pub(super) credential: Option<String>,
    pub(super) attempts: u32,
    pub(super) status: Option<u16>,
    pub(super) outcome: ModelOutcome,
    /// The code of an answer of our own.
    pub(super) code: Option<&'static str>,
    pub(super) usage: Usage,
    pub(super) first_content: Option<Instant>,
    pub(super) last_content: Option<Instant>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

impl Record {
    /// A call begins. `path` is its path without a query, which may hold a key.
    pub(super) fn new(
        metrics: Arc<Metrics>,
        is_logged: bool,
        source: IpAddr,
        method: &str,
        path: &str,
    ) -> Self {
        Self {
            metrics,
            began: Instant::now(),
            is_logged,
            request_id: RequestId::generate(),
            source,
            method: method.to_owned(),
            path: path.to_owned(),
            provider: "unknown".to_owned(),
            agent: None,
            model: None,
            credential: None,
            attempts: 0,
            status: None,
            outcome: ModelOutcome::ClientGone,
            code: None,
            usage: Usage::default(),
            first_content: None,
            last_content: None,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// An event with content passes.
    pub(super) fn content(&mut self) {
        let now = Instant::now();
        self.first_content.get_or_insert(now);
        self.last_content = Some(now);
    }

    fn count(&self) {
        let models = self.metrics.models();
        let provider = self.provider.as_str();
        models.request(provider, self.outcome, self.began.elapsed());
        let Usage { input, output } = self.usage;
        if let Some(input) = input {
            models.tokens(provider, TokenKind::Input, input);
        }
        if let Some(output) = output {
            models.tokens(provider, TokenKind::Output, output);
        }
        if let Some(first) = self.first_content {
            models.first_token(provider, first - self.began);
        }
        if let (Some(first), Some(last), Some(output @ 2..)) =
            (self.first_content, self.last_content, output)
        {
            let further = u32::try_from(output - 1).unwrap_or(u32::MAX);
            models.per_output_token(provider, (last - first) / further);
        }
    }

    fn log(&self) {
        tracing::info!(
            request.id = self.request_id.as_str(),
            source.ip = %self.source,
            agent = self.agent,
            method = self.method,
            path = self.path,
            model.provider = self.provider,
            model.name = self.model,
            model.credential = self.credential,
            model.attempts = self.attempts,
            status = self.status,
            outcome = self.outcome.as_str(),
            error.code = self.code,
            duration_ms = milliseconds(self.began.elapsed()),
            first_token_ms = self.first_content.map(|at| milliseconds(at - self.began)),
            tokens.input = self.usage.input,
            tokens.output = self.usage.output,
            bytes_in = self.bytes_in,
            bytes_out = self.bytes_out,
            "model request"
        );
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.count();
        if self.is_logged {
            self.log();
        }
    }
}
