//! One request, whichever protocol brought it: decided on, written anew for the
//! upstream, exchanged.

use super::exchange::{self, Ended, ExchangeError, ExchangeLimits, ExchangePlan, Progressed};
use super::record::{Record, Who};
use super::request_body::RequestBody;
use super::request_id::RequestId;
use super::respond::{self, Answer, Problem, Refusal};
use super::response::{AnswerFields, ResponseSink, write_field};
use super::{ConnectionFacts, FrontDoor};
use crate::forwarded::{Facts, Scheme};
use crate::http1::body::Framing;
use crate::http1::request::HeadError;
use crate::http1::response::RequestKind;
use crate::policy::{Code, Denial, Field, Identity, Request, Upgrade};
use crate::snapshot::Snapshot;
use crate::telemetry::metrics::Outcome;
use crate::upstream::UpstreamConnection;
use std::time::Duration;

/// The status in log and metrics of a request whose client left before an answer
/// (nginx's number for it).
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// A request's head, from HTTP/1.1 or HTTP/2, read and checked.
pub(super) struct RequestView<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) host: &'a str,
    pub(super) framing: Framing,
    pub(super) upgrade: Upgrade,
    pub(super) websocket_key: Option<&'a [u8]>,
    pub(super) expects_continue: bool,
    pub(super) protocol: &'static str,
}

/// What becomes of a request.
pub(super) enum Admission {
    Admitted(Admitted),
    Refused(Refused),
}

/// A permitted request, ready to go out. It borrows nothing of its head.
pub(super) struct Admitted {
    head: Vec<u8>,
    pub(super) framing: Framing,
    pub(super) kind: RequestKind,
    expects_continue: bool,
    websocket_accept: Option<String>,
    /// May be sent a second time when a reused connection turns out dead.
    is_replayable: bool,
    accept: Option<Vec<u8>>,
    pub(super) ours: AnswerFields,
    pub(super) record: Record,
}

/// A request that gets an answer of ours.
pub(super) struct Refused {
    pub(super) answer: Answer,
    pub(super) ours: AnswerFields,
    pub(super) kind: RequestKind,
    pub(super) record: Record,
}

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
    /// An answer went out in part, or nobody is there to read one: give up the
    /// connection or stream.
    Abort,
    /// The 101 went out: both sides talk frames from here on.
    Tunnel(UpstreamConnection, Vec<u8>),
}

impl FrontDoor {
    /// Decides on a request and, if it is permitted, writes its upstream head.
    ///
    /// All that borrows the head happens in here, between two awaits.
    pub(super) fn admit(
        &self,
        snapshot: &Snapshot,
        facts: &ConnectionFacts,
        view: &RequestView<'_>,
        fields: &[Field<'_>],
    ) -> Admission {
        let request = Request {
            method: view.method,
            target: view.target,
            upgrade: view.upgrade,
            fields,
        };
        let permit = match snapshot.policy.decide(&facts.source, &request) {
            Ok(permit) => permit,
            Err(denial) => return self.deny(snapshot, facts, view, fields, &denial),
        };
        if matches!(view.framing, Framing::Length(length) if length > snapshot.limits.max_body_bytes.bytes())
        {
            return self.refuse_too_large(snapshot, facts, view, fields);
        }
        let request_id = request_id(fields);
        let mut head = Vec::with_capacity(1024);
        for part in [view.method, " ", view.target, " HTTP/1.1\r\n"] {
            head.extend_from_slice(part.as_bytes());
        }
        let written = snapshot.rewriter.rewrite(
            &permit,
            &Facts {
                scheme: facts.scheme,
                host: view.host,
                request_id: request_id.as_str(),
            },
            &mut head,
        );
        finish_head(view, &mut head);
        let (outcome, decision, user) = match permit.identity() {
            Identity::User { user, .. } => (Outcome::Permitted, "permitted", Some(user.as_str())),
            Identity::Public => (Outcome::Public, "public", None),
        };
        let who = Who {
            client: Some(written.client),
            user,
        };
        Admission::Admitted(Admitted {
            head,
            framing: view.framing,
            kind: kind(view),
            expects_continue: view.expects_continue,
            websocket_accept: view.websocket_key.map(websocket_accept),
            is_replayable: view.framing == Framing::Empty
                && matches!(view.method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE"),
            accept: accept(fields).map(<[u8]>::to_vec),
            ours: AnswerFields {
                request_id,
                hsts: hsts(
                    snapshot,
                    facts.scheme == Scheme::Https || written.scheme == Scheme::Https,
                ),
            },
            record: Record::new(
                snapshot,
                facts,
                outcome,
                decision,
                request_id,
                Some(view),
                who,
            ),
        })
    }

    fn deny(
        &self,
        snapshot: &Snapshot,
        facts: &ConnectionFacts,
        view: &RequestView<'_>,
        fields: &[Field<'_>],
        denial: &Denial,
    ) -> Admission {
        self.metrics.denial(denial.code().as_str());
        // An id from a source that nobody trusts would let it write into the log.
        let request_id = match denial.code() {
            Code::UntrustedSource => RequestId::generate(),
            _ => request_id(fields),
        };
        tracing::info!(
            request.id = request_id.as_str(),
            source.ip = %facts.source.address(),
            denial.code = denial.code().as_str(),
            denial.reason = %denial.reason(),
            denial.detail = %denial.detail(),
            "request denied"
        );
        let refusal = Refusal {
            status: denial.code().status(),
            kind: denial.code().kind(),
            code: denial.code().as_str(),
            reason: &denial.reason(),
            message: denial.message(),
        };
        let answer = respond::answer(&refusal, request_id.as_str(), accept(fields));
        let record = Record::new(
            snapshot,
            facts,
            Outcome::Denied,
            denial.reason().into_owned(),
            request_id,
            Some(view),
            Who::default(),
        );
        let is_https = facts.scheme == Scheme::Https
            || (denial.code() != Code::UntrustedSource && forwarded_https(fields));
        Admission::Refused(Refused {
            answer,
            ours: AnswerFields {
                request_id,
                hsts: hsts(snapshot, is_https),
            },
            kind: kind(view),
            record,
        })
    }

    /// Refuses an announced body before any of it is read.
    fn refuse_too_large(
        &self,
        snapshot: &Snapshot,
        facts: &ConnectionFacts,
        view: &RequestView<'_>,
        fields: &[Field<'_>],
    ) -> Admission {
        let problem = Problem::RequestTooLarge;
        let request_id = request_id(fields);
        let record = Record::new(
            snapshot,
            facts,
            Outcome::Error,
            problem.code(),
            request_id,
            Some(view),
            Who::default(),
        );
        let is_https = facts.scheme == Scheme::Https || forwarded_https(fields);
        Admission::Refused(Refused {
            answer: problem.answer(request_id.as_str(), accept(fields)),
            ours: AnswerFields {
                request_id,
                hsts: hsts(snapshot, is_https),
            },
            kind: kind(view),
            record,
        })
    }

    /// Refuses a head that could not be read; there is nothing to decide on.
    pub(super) fn refuse_head(
        &self,
        snapshot: &Snapshot,
        facts: &ConnectionFacts,
        error: &HeadError,
    ) -> Admission {
        let problem = match error {
            HeadError::Malformed(_) => Problem::BadRequest,
            HeadError::TooLarge => Problem::HeadersTooLarge,
            HeadError::MethodNotAllowed => Problem::MethodNotAllowed,
            HeadError::ExpectationFailed => Problem::ExpectationFailed,
        };
        self.refuse_unread(snapshot, facts, problem, &error.to_string())
    }

    /// Refuses what has no head that could be read.
    pub(super) fn refuse_unread(
        &self,
        snapshot: &Snapshot,
        facts: &ConnectionFacts,
        problem: Problem,
        detail: &str,
    ) -> Admission {
        let request_id = RequestId::generate();
        tracing::info!(
            request.id = request_id.as_str(),
            source.ip = %facts.source.address(),
            error.code = problem.code(),
            error.detail = detail,
            "request refused"
        );
        let record = Record::new(
            snapshot,
            facts,
            Outcome::Error,
            problem.code(),
            request_id,
            None,
            Who::default(),
        );
        Admission::Refused(Refused {
            answer: problem.answer(request_id.as_str(), None),
            ours: AnswerFields {
                request_id,
                hsts: hsts(snapshot, facts.scheme == Scheme::Https),
            },
            kind: RequestKind::Other,
            record,
        })
    }

    /// Counts and logs what HTTP/2 refused below the level of requests.
    pub(super) fn note_malformed(&self, facts: &ConnectionFacts, detail: &'static str) {
        self.metrics.request(Outcome::Error, 400, Duration::ZERO);
        tracing::info!(source.ip = %facts.source.address(), error.code = "bad_request", error.detail = detail, "request refused");
    }

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
                None => upstream.connect().await,
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
            ExchangeError::UpstreamTimeout => Some(Problem::UpstreamTimeout),
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
        let next = match self.problem {
            Some(problem) if progressed.status.is_none() => {
                Next::Answer(problem.answer(request_id.as_str(), admitted.accept.as_deref()))
            }
            _ => Next::Abort,
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

/// Framing and connection fields are this hop's, so they are written here.
fn finish_head(view: &RequestView<'_>, head: &mut Vec<u8>) {
    match view.framing {
        Framing::Length(length) => {
            write_field(b"content-length", length.to_string().as_bytes(), head);
        }
        Framing::Chunked => write_field(b"transfer-encoding", b"chunked", head),
        // A method that usually has a body says so when it has none (RFC 9110
        // section 8.6).
        Framing::Empty if matches!(view.method, "POST" | "PUT" | "PATCH") => {
            write_field(b"content-length", b"0", head);
        }
        Framing::Empty | Framing::UntilClose => {}
    }
    if view.upgrade == Upgrade::Websocket {
        write_field(b"connection", b"Upgrade", head);
        write_field(b"upgrade", b"websocket", head);
    }
    head.extend_from_slice(b"\r\n");
}

fn kind(view: &RequestView<'_>) -> RequestKind {
    if view.method == "HEAD" {
        RequestKind::Head
    } else {
        RequestKind::Other
    }
}

fn hsts(snapshot: &Snapshot, is_https: bool) -> Option<bytes::Bytes> {
    is_https.then(|| snapshot.hsts.clone()).flatten()
}

/// The trusted proxy's id when it sent exactly one that is sane.
fn request_id(fields: &[Field<'_>]) -> RequestId {
    only(fields, "x-request-id")
        .and_then(RequestId::accept)
        .unwrap_or_else(RequestId::generate)
}

fn forwarded_https(fields: &[Field<'_>]) -> bool {
    only(fields, "x-forwarded-proto").is_some_and(|value| value.trim_ascii() == b"https")
}

fn accept<'a>(fields: &[Field<'a>]) -> Option<&'a [u8]> {
    fields
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("accept"))
        .map(|field| field.value)
}

fn only<'a>(fields: &[Field<'a>], name: &str) -> Option<&'a [u8]> {
    let mut found = fields
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (Some(field), None) => Some(field.value),
        _ => None,
    }
}

/// `Sec-WebSocket-Accept` for a key (RFC 6455 section 4.2.2).
fn websocket_accept(key: &[u8]) -> String {
    tokio_tungstenite::tungstenite::handshake::derive_accept_key(key)
}
