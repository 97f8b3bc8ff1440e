//! A permitted request on its way: a connection to the gateway, the exchange, and
//! what it means for the client when that fails.

use super::admission::Admitted;
use super::exchange::{self, Ended, ExchangeError, ExchangeLimits, ExchangePlan, Progressed};
use super::grant::{Changes, Revoked};
use super::request_body::RequestBody;
use super::respond::{Answer, Problem};
use super::response::ResponseSink;
use super::{ConnectionFacts, FrontDoor};
use crate::request_id::RequestId;
use crate::snapshot::Snapshot;
use crate::telemetry::metrics::Limit;
use crate::upstream::{ConnectError, UpstreamConnection};
use std::time::Duration;

/// The status in log and metrics of a request whose client left before an answer
/// (nginx's number for it).
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Public routes take at most one of so many places with the gateway: they are open to
/// whoever comes, and the users must find room beside them.
const PUBLIC_SHARE: usize = 4;

/// The numbers of a request that is over.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Served {
    pub(super) status: u16,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) first_byte: Option<Duration>,
}

impl Served {
    pub(super) fn own(status: u16, bytes_out: u64) -> Self {
        Self {
            status,
            bytes_out,
            ..Self::default()
        }
    }
}

/// How an exchange left things.
pub(super) struct Forwarded {
    pub(super) served: Served,
    pub(super) next: Next,
}

/// What the connection's protocol has to do now.
pub(super) enum Next {
    /// The answer went out whole.
    Answered,
    /// Nothing went out: this is to be sent.
    Answer(Answer),
    /// An answer went out in part: give up the connection or stream.
    Abort,
    /// The client left before there was an answer.
    ClientGone,
    /// The 101 went out: both sides talk frames from here on.
    Tunnel(UpstreamConnection, Vec<u8>),
}

/// How an attempt ended that did not fail.
enum Settled {
    Answered,
    Tunnel(UpstreamConnection, Vec<u8>),
}

/// Where a request came in: its connection's facts, and what its connection has heard of
/// changes.
pub(super) struct Ground<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) facts: &'a ConnectionFacts,
    pub(super) changes: &'a mut Changes,
}

impl FrontDoor {
    /// Sends an admitted request to the gateway and its answer to the sink, for as long
    /// as no reload takes away what permitted it.
    pub(super) async fn forward(
        &self,
        ground: Ground<'_>,
        admitted: &mut Admitted,
        body: &mut RequestBody<'_>,
        sink: &mut ResponseSink<'_>,
    ) -> Forwarded {
        let Ground {
            snapshot,
            facts,
            changes,
        } = ground;
        let mut progressed = Progressed::default();
        let max = snapshot.limits.max_requests_in_flight.min(self.room);
        let public = match admitted.grant.is_public() {
            true => self
                .public_in_flight
                .take(max.div_ceil(PUBLIC_SHARE))
                .map(Some),
            false => Some(None),
        };
        let Some(_in_flight) = public.zip(self.metrics.request_begun(max)) else {
            let failure = Failure {
                cause: Cause::Problem(Problem::Overloaded),
                limit: Some(Limit::MaxRequestsInFlight),
                detail: "as many requests as may be are with the gateway already".to_owned(),
            };
            return failure.settle(self, admitted, &progressed);
        };
        let settled = tokio::select! {
            biased;
            settled = self.attempt(snapshot, admitted, body, sink, &mut progressed) => settled,
            revoked = changes.revoked(self, facts, &admitted.grant) => Err(revoked.into()),
        };
        let next = match settled {
            Ok(Settled::Answered) => Next::Answered,
            Ok(Settled::Tunnel(connection, early)) => Next::Tunnel(connection, early),
            Err(failure) => return failure.settle(self, admitted, &progressed),
        };
        let served = Served {
            status: progressed.status.unwrap_or(CLIENT_CLOSED_REQUEST),
            bytes_in: progressed.body_in,
            bytes_out: 0,
            first_byte: progressed.first_byte,
        };
        Forwarded { served, next }
    }

    /// Finds a connection that works, and runs the exchange on it.
    async fn attempt(
        &self,
        snapshot: &Snapshot,
        admitted: &Admitted,
        body: &mut RequestBody<'_>,
        sink: &mut ResponseSink<'_>,
        progressed: &mut Progressed,
    ) -> Result<Settled, Failure> {
        let plan = ExchangePlan {
            head: &admitted.head,
            framing: admitted.framing,
            kind: admitted.kind,
            expects_continue: admitted.expects_continue,
            websocket_accept: admitted.websocket_accept.as_deref(),
            answer: &admitted.ours,
            limits: ExchangeLimits {
                max_body: snapshot.limits.max_body_bytes.bytes(),
                stall: snapshot.limits.body_stall_timeout,
                first_byte: snapshot.limits.upstream_first_byte_timeout,
            },
        };
        let upstream = &snapshot.upstream;
        let mut idle = upstream.reuse().await;
        loop {
            let mut connection = match idle.take() {
                Some(connection) => connection,
                None => tokio::select! {
                    biased;
                    connected = upstream.connect() => connected?,
                    () = body.gone() => return Err(ExchangeError::ClientGone.into()),
                },
            };
            match exchange::run(&plan, body, sink, &mut connection, progressed).await {
                Ok(Ended::Answered(persistence)) => {
                    upstream.release(connection, persistence);
                    return Ok(Settled::Answered);
                }
                Ok(Ended::Switched(early)) => return Ok(Settled::Tunnel(connection, early)),
                Err(ExchangeError::UpstreamClosed)
                    if connection.is_reused && !progressed.answered && admitted.is_replayable =>
                {
                    *progressed = Progressed::default();
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// An exchange that did not end well.
struct Failure {
    cause: Cause,
    /// The limit that ended it.
    limit: Option<Limit>,
    detail: String,
}

/// What the client is to be told.
enum Cause {
    /// Nothing: it is the client that left.
    ClientGone,
    Problem(Problem),
    Revoked(Revoked),
}

impl From<ExchangeError> for Failure {
    fn from(error: ExchangeError) -> Self {
        let problem = |problem| (Cause::Problem(problem), None);
        let limited = |limit, problem| (Cause::Problem(problem), Some(limit));
        let (cause, limit) = match error {
            ExchangeError::ClientGone => (Cause::ClientGone, None),
            ExchangeError::ClientStalled => (Cause::ClientGone, Some(Limit::BodyStallTimeout)),
            ExchangeError::BodyTooLarge => limited(Limit::MaxBodyBytes, Problem::RequestTooLarge),
            ExchangeError::BodyStalled => limited(Limit::BodyStallTimeout, Problem::RequestTimeout),
            ExchangeError::BodyMalformed(_) | ExchangeError::Pipelined => {
                problem(Problem::BadRequest)
            }
            ExchangeError::UpstreamTimeout | ExchangeError::AnswerStalled => {
                limited(Limit::UpstreamFirstByteTimeout, Problem::UpstreamTimeout)
            }
            ExchangeError::UpstreamStalled => {
                limited(Limit::BodyStallTimeout, Problem::UpstreamTimeout)
            }
            ExchangeError::UpstreamClosed
            | ExchangeError::UpstreamMalformed(_)
            | ExchangeError::UpstreamTruncated => problem(Problem::UpstreamUnreachable),
        };
        Self {
            cause,
            limit,
            detail: error.to_string(),
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let timed_out = matches!(error, ConnectError::TimedOut { .. });
        Self {
            cause: Cause::Problem(Problem::UpstreamUnreachable),
            limit: timed_out.then_some(Limit::UpstreamConnectTimeout),
            detail: error.to_string(),
        }
    }
}

impl From<Revoked> for Failure {
    fn from(revoked: Revoked) -> Self {
        Self {
            detail: revoked.to_string(),
            cause: Cause::Revoked(revoked),
            limit: None,
        }
    }
}

impl Cause {
    fn code(&self) -> &'static str {
        match self {
            Self::ClientGone => "client_closed_request",
            Self::Problem(problem) => problem.code(),
            Self::Revoked(revoked) => revoked.code(),
        }
    }

    /// The answer for a client that has none yet.
    fn answer(&self, request_id: RequestId, accept: Option<&[u8]>) -> Option<Answer> {
        match self {
            Self::ClientGone => None,
            Self::Problem(problem) => Some(problem.answer(request_id.as_str(), accept)),
            Self::Revoked(revoked) => Some(revoked.answer(request_id, accept)),
        }
    }
}

impl Failure {
    fn settle(
        self,
        door: &FrontDoor,
        admitted: &mut Admitted,
        progressed: &Progressed,
    ) -> Forwarded {
        let request_id = admitted.ours.request_id;
        let code = self.cause.code();
        admitted.record.fail(code);
        if let Some(limit) = self.limit {
            door.metrics.limit_reached(limit);
        }
        if matches!(self.cause, Cause::Problem(_)) {
            tracing::warn!(
                request.id = request_id.as_str(),
                error.code = code,
                error.detail = self.detail,
                "request failed"
            );
        }
        let answer = self.cause.answer(request_id, admitted.accept.as_deref());
        let next = match (answer, progressed.status) {
            (_, Some(_)) => Next::Abort,
            (None, None) => Next::ClientGone,
            (Some(answer), None) => Next::Answer(answer),
        };
        let status = match &next {
            Next::Answer(answer) => answer.status,
            _ => progressed.status.unwrap_or(CLIENT_CLOSED_REQUEST),
        };
        let served = Served {
            status,
            bytes_in: progressed.body_in,
            bytes_out: 0,
            first_byte: progressed.first_byte,
        };
        Forwarded { served, next }
    }
}
