//! One request and its answer over one upstream connection, both directions at
//! once: the upstream may answer while the body is still on its way (an early
//! 413 most of all), and a client that goes away ends the whole.

mod download;
mod upload;

use super::request_body::RequestBody;
use super::response::{AnswerFields, ResponseSink, WriteError};
use crate::http1::Persistence;
use crate::http1::body::Framing;
use crate::http1::response::RequestKind;
use crate::upstream::UpstreamConnection;
use download::download;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use upload::upload;

/// What an exchange needs to know of its request.
pub(super) struct ExchangePlan<'a> {
    /// The request's head as it goes to the upstream.
    pub(super) head: &'a [u8],
    pub(super) framing: Framing,
    pub(super) kind: RequestKind,
    /// The client waits for `100 Continue`.
    pub(super) expects_continue: bool,
    /// The `Sec-WebSocket-Accept` that makes a 101 valid; none: no 101 is.
    pub(super) websocket_accept: Option<&'a str>,
    pub(super) answer: &'a AnswerFields,
    pub(super) limits: ExchangeLimits,
}

/// How long and how much.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExchangeLimits {
    /// Content bytes of a request body.
    pub(super) max_body: u64,
    /// Between two pieces of a request body, and between two takes of an answer.
    pub(super) stall: Duration,
    /// From the whole request sent to the answer's head, and between two pieces of an
    /// answer of known length.
    pub(super) first_byte: Duration,
}

/// Why an exchange has no whole answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error("the client went away")]
    ClientGone,
    #[error("the client does not read the answer")]
    ClientStalled,
    #[error("the request body is longer than `limits.maxBodyBytes`")]
    BodyTooLarge,
    #[error("the request body stalled for longer than `limits.bodyStallTimeout`")]
    BodyStalled,
    #[error("{0}")]
    BodyMalformed(crate::http1::body::BodyError),
    #[error("no answer within `limits.upstreamFirstByteTimeout`")]
    UpstreamTimeout,
    #[error("the upstream took none of the request for longer than `limits.bodyStallTimeout`")]
    UpstreamStalled,
    #[error("the upstream closed the connection without an answer")]
    UpstreamClosed,
    #[error("the upstream's answer is unusable: {0}")]
    UpstreamMalformed(&'static str),
    #[error("the upstream's answer stalled for longer than `limits.upstreamFirstByteTimeout`")]
    AnswerStalled,
    #[error("the client sends requests without measure before it has its answer")]
    Pipelined,
    #[error("the upstream's answer ended early")]
    UpstreamTruncated,
}

impl From<WriteError> for ExchangeError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Gone => Self::ClientGone,
            WriteError::Stalled => Self::ClientStalled,
            WriteError::Unusable => Self::UpstreamMalformed("a field that HTTP/2 can't carry"),
        }
    }
}

/// How far an exchange got, success or not.
#[derive(Debug, Default)]
pub(super) struct Progressed {
    /// The status that the client was told, once it was.
    pub(super) status: Option<u16>,
    /// From the start of the exchange to the answer's head.
    pub(super) first_byte: Option<Duration>,
    /// Content bytes of the request that were read.
    pub(super) body_in: u64,
    /// Bytes of an answer were seen.
    pub(super) answered: bool,
}

/// How an exchange ended well.
#[derive(Debug)]
pub(super) enum Ended {
    /// The answer is out. Says whether the upstream's connection can be used again.
    Answered(Persistence),
    /// The upstream switched protocols; what it sent beyond its head.
    Switched(Vec<u8>),
}

/// What the two directions tell each other.
#[derive(Default)]
struct Shared {
    is_sent: AtomicBool,
    sent: Notify,
    has_head: AtomicBool,
    /// The answer is one whose end nobody announced.
    endless: Notify,
    body_in: AtomicU64,
}

/// Sends the request and brings back the answer.
pub(super) async fn run(
    plan: &ExchangePlan<'_>,
    body: &mut RequestBody<'_>,
    sink: &mut ResponseSink<'_>,
    upstream: &mut UpstreamConnection,
    progressed: &mut Progressed,
) -> Result<Ended, ExchangeError> {
    let shared = Shared::default();
    let UpstreamConnection { reader, writer, .. } = upstream;
    let result = {
        let mut upload = pin!(upload(plan, body, writer, &shared));
        let mut download = pin!(download(plan, sink, reader, &shared, progressed));
        let mut overdue = pin!(overdue(&shared, plan.limits.first_byte));
        tokio::select! {
            biased;
            error = &mut upload => Err(error),
            downloaded = &mut download => downloaded,
            () = &mut overdue => Err(ExchangeError::UpstreamTimeout),
        }
    };
    progressed.body_in = shared.body_in.load(Ordering::Relaxed);
    let is_sent = shared.is_sent.load(Ordering::Relaxed);
    match result {
        // What is left of the request would be read as the start of the next.
        Ok(Ended::Answered(_)) if !is_sent => Ok(Ended::Answered(Persistence::Close)),
        other => other,
    }
}

/// Ends when the answer's head is late: the wait counts from the request's last
/// byte, for an upload takes its time, and no interim answer prolongs it.
async fn overdue(shared: &Shared, limit: Duration) {
    shared.sent.notified().await;
    pingora_timeout::sleep(limit).await;
    if shared.has_head.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}
