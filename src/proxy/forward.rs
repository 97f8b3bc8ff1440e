//! A permitted request on its way: a connection to the gateway, the exchange, and
//! what it means for the client when that fails.

use super::FrontDoor;
use super::admission::Admitted;
use super::exchange::{self, Ended, ExchangeError, ExchangeLimits, ExchangePlan, Progressed};
use super::request_body::RequestBody;
use super::respond::{Answer, Problem};
use super::response::ResponseSink;
use crate::snapshot::Snapshot;
use crate::upstream::UpstreamConnection;
use std::time::Duration;

/// The status in log and metrics of a request whose client left before an answer
/// (nginx's number for it).
const CLIENT_CLOSED_REQUEST: u16 = 499;

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

impl FrontDoor {
    /// Sends an admitted request to the gateway and its answer to the sink.
    pub(super) async fn forward(
        &self,
        snapshot: &Snapshot,
        admitted: &mut Admitted,
        body: &mut RequestBody<'_>,
        sink: &mut ResponseSink<'_>,
    ) -> Forwarded {
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
            let mut progressed = Progressed::default();
            let connection = match idle.take() {
                Some(connection) => Ok(connection),
                None => tokio::select! {
                    biased;
                    connected = upstream.connect() => connected,
                    () = body.gone() => {
                        return Failure::from(ExchangeError::ClientGone).settle(admitted, &progressed);
                    }
                },
            };
            let mut connection = match connection {
                Ok(connection) => connection,
                Err(error) => {
                    let unreachable = Failure {
                        problem: Some(Problem::UpstreamUnreachable),
                        detail: error.to_string(),
                    };
                    return unreachable.settle(admitted, &progressed);
                }
            };
            let ended = exchange::run(&plan, body, sink, &mut connection, &mut progressed).await;
            let served = Served {
                status: progressed.status.unwrap_or(CLIENT_CLOSED_REQUEST),
                bytes_in: progressed.body_in,
                bytes_out: 0,
                first_byte: progressed.first_byte,
            };
            let next = match ended {
                Ok(Ended::Answered(persistence)) => {
                    upstream.release(connection, persistence);
                    Next::Answered
                }
                Ok(Ended::Switched(early)) => Next::Tunnel(connection, early),
                Err(ExchangeError::UpstreamClosed)
                    if connection.is_reused && !progressed.answered && admitted.is_replayable =>
                {
                    continue;
                }
                Err(error) => return Failure::from(error).settle(admitted, &progressed),
            };
            return Forwarded { served, next };
        }
    }
}

/// An exchange that did not end well.
struct Failure {
    /// What the client is told; none where the client is the one that left.
    problem: Option<Problem>,
    detail: String,
}

impl From<ExchangeError> for Failure {
    fn from(error: ExchangeError) -> Self {
        let problem = match error {
            ExchangeError::ClientGone | ExchangeError::ClientStalled => None,
            ExchangeError::BodyTooLarge => Some(Problem::RequestTooLarge),
            ExchangeError::BodyStalled => Some(Problem::RequestTimeout),
            ExchangeError::BodyMalformed(_) => Some(Problem::BadRequest),
            ExchangeError::Pipelined => Some(Problem::BadRequest),
            ExchangeError::UpstreamTimeout
            | ExchangeError::UpstreamStalled
            | ExchangeError::AnswerStalled => Some(Problem::UpstreamTimeout),
            ExchangeError::UpstreamClosed
            | ExchangeError::UpstreamMalformed(_)
            | ExchangeError::UpstreamTruncated => Some(Problem::UpstreamUnreachable),
        };
        Self {
            problem,
            detail: error.to_string(),
        }
    }
}

impl Failure {
    fn settle(self, admitted: &mut Admitted, progressed: &Progressed) -> Forwarded {
        let request_id = admitted.ours.request_id;
        let code = self.problem.map_or("client_closed_request", Problem::code);
        admitted.record.fail(code);
        if self.problem.is_some() {
            tracing::warn!(
                request.id = request_id.as_str(),
                error.code = code,
                error.detail = self.detail,
                "request failed"
            );
        }
        let next = match (self.problem, progressed.status) {
            (_, Some(_)) => Next::Abort,
            (None, None) => Next::ClientGone,
            (Some(problem), None) => {
                Next::Answer(problem.answer(request_id.as_str(), admitted.accept.as_deref()))
            }
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
