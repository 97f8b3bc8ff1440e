//! Requests that get an answer of ours: why, and what that means for their connection.

use super::admission::{Admission, Arrival, accept, kind};
use super::belief::{Belief, hsts};
use super::denied;
use super::record::Record;
use super::respond::{self, Answer, Problem, Refusal};
use super::response::AnswerFields;
use super::{ConnectionFacts, FrontDoor};
use crate::forwarded::Scheme;
use crate::http1::request::HeadError;
use crate::http1::response::RequestKind;
use crate::policy::{Denial, Standing};
use crate::request_id::RequestId;
use crate::snapshot::Snapshot;
use crate::telemetry::metrics::{Limit, Outcome};
use std::time::Duration;

/// Why a connection's requests are refused after a change of what it had to prove.
const BEFORE_TLS_CHANGED: &str = "the connection is from before `gateway.tls` changed";

/// A request that gets an answer of ours.
pub(super) struct Refused {
    pub(super) answer: Answer,
    pub(super) ours: AnswerFields,
    pub(super) kind: RequestKind,
    pub(super) fault: Fault,
    pub(super) record: Record,
}

/// What a refusal means for the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing: the next request may be a better one.
    Request,
    /// The source has no business here: its connection isn't worth its place.
    Source,
    /// The connection is from before the terms of now: it ends with what it has begun.
    Outdated,
    /// The request is nothing that is served: too large, or of a method that is not
    /// for us. Over HTTP/1 nobody knows where the next one begins.
    Unserved,
    /// The request could not be read with certainty.
    Syntax,
}

impl FrontDoor {
    pub(super) fn deny(&self, arrival: &Arrival<'_>, denial: &Denial) -> Admission {
        self.metrics.denial(denial.code().as_str());
        Admission::Refused(arrival.denied(denial))
    }

    /// Refuses a head that could not be read; there is nothing to decide on.
    pub(super) fn refuse_head(
        &self,
        snapshot: &Snapshot,
        facts: &ConnectionFacts,
        error: &HeadError,
    ) -> Admission {
        let limit = match error {
            HeadError::TooLarge => Some(Limit::MaxHeaderBytes),
            HeadError::TooManyFields => Some(Limit::MaxHeaders),
            HeadError::Malformed(_)
            | HeadError::MethodNotAllowed
            | HeadError::ExpectationFailed => None,
        };
        if let Some(limit) = limit {
            self.metrics.limit_reached(limit);
        }
        let problem = (Problem::from(*error), limit);
        self.refuse_unread(snapshot, facts, problem, &error.to_string())
    }

    /// Refuses what has no head that could be read.
    pub(super) fn refuse_unread(
        &self,
        snapshot: &Snapshot,
        facts: &ConnectionFacts,
        (problem, limit): (Problem, Option<Limit>),
        detail: &str,
    ) -> Admission {
        let request_id = RequestId::generate();
        let refused = denied::for_problem(problem, limit, detail);
        self.keep(snapshot, facts, None, request_id, refused);
        tracing::info!(
            request.id = request_id.as_str(),
            source.ip = %facts.source,
            error.code = problem.code(),
            error.detail = detail,
            "request refused"
        );
        let outcome = (Outcome::Error, problem.code());
        Admission::Refused(Refused {
            answer: problem.answer(request_id.as_str(), None),
            ours: AnswerFields {
                request_id,
                hsts: hsts(snapshot, facts.scheme),
            },
            kind: RequestKind::Other,
            fault: match problem {
                Problem::BadRequest => Fault::Syntax,
                _ => Fault::Unserved,
            },
            record: Record::new(snapshot, facts, outcome, request_id, None, None),
        })
    }

    /// Counts and logs a request that Pingora has answered by itself.
    ///
    /// What h2 refuses below the level of requests (RFC 9113 section 8.1.1) is a
    /// reset of the stream or the connection's end, and not seen here.
    pub(super) fn note_malformed(&self, facts: &ConnectionFacts, detail: &'static str) {
        self.metrics.request(Outcome::Error, 400, Duration::ZERO);
        tracing::info!(
            source.ip = %facts.source,
            error.code = Problem::BadRequest.code(),
            error.detail = detail,
            "request refused"
        );
    }

    /// Counts and logs a stream beyond those that a connection may have.
    pub(super) fn note_excess(&self, facts: &ConnectionFacts) {
        self.metrics.limit_reached(Limit::Http2MaxStreams);
        self.metrics.request(Outcome::Error, 503, Duration::ZERO);
        tracing::info!(
            source.ip = %facts.source,
            error.code = Problem::Overloaded.code(),
            error.detail = "more streams on one connection than allowed",
            "request refused"
        );
    }
}

impl Arrival<'_> {
    /// The policy's denial as an answer.
    pub(super) fn denied(&self, denial: &Denial) -> Refused {
        let code = denial.code();
        let belief = Belief::from(code);
        let (request_id, scheme) = self.believed(belief);
        let reason = denial.reason();
        let told = denied::by_policy(&self.snapshot.policy, denial);
        tracing::info!(
            request.id = request_id.as_str(),
            source.ip = %self.facts.source,
            denial.code = code.as_str(),
            denial.reason = %reason,
            denial.detail = %told.mismatch,
            "request denied"
        );
        self.keep(request_id, told);
        let answer = denial_answer(denial, request_id, accept(self.fields));
        let fault = match belief {
            Belief::TrustedProxy => Fault::Request,
            Belief::Nobody => Fault::Source,
        };
        Refused {
            fault,
            ..self.refused(answer, request_id, scheme, (Outcome::Denied, reason))
        }
    }

    /// Refuses a request of a connection that was opened on other terms: without the
    /// certificate, say, that the policy of now relies on.
    pub(super) fn outdated(&self) -> Refused {
        let (request_id, scheme) = self.believed(Belief::Nobody);
        tracing::info!(
            request.id = request_id.as_str(),
            source.ip = %self.facts.source,
            error.code = Problem::Outdated.code(),
            error.detail = BEFORE_TLS_CHANGED,
            "request refused"
        );
        let refused = denied::for_problem(Problem::Outdated, None, BEFORE_TLS_CHANGED);
        self.keep(request_id, refused);
        let answer = Problem::Outdated.answer(request_id.as_str(), accept(self.fields));
        let outcome = (Outcome::Error, Problem::Outdated.code());
        Refused {
            fault: Fault::Outdated,
            ..self.refused(answer, request_id, scheme, outcome)
        }
    }

    /// Refuses a permitted request for a reason of our own.
    pub(super) fn refuse(&self, problem: Problem, limit: Limit, standing: Standing) -> Refused {
        let (request_id, scheme) = self.believed(Belief::from(standing));
        let refused = denied::for_problem(problem, Some(limit), "more than the limit");
        self.keep(request_id, refused);
        let answer = problem.answer(request_id.as_str(), accept(self.fields));
        self.refused(answer, request_id, scheme, (Outcome::Error, problem.code()))
    }

    /// Keeps the request for whoever asks why it was refused.
    fn keep(&self, request_id: RequestId, refused: crate::denials::Refused) {
        let head = Some((self.view, self.fields));
        self.door
            .keep(self.snapshot, self.facts, head, request_id, refused);
    }

    fn refused(
        &self,
        answer: Answer,
        request_id: RequestId,
        scheme: Scheme,
        outcome: (Outcome, impl Into<std::borrow::Cow<'static, str>>),
    ) -> Refused {
        let Self {
            snapshot,
            facts,
            view,
            ..
        } = *self;
        Refused {
            answer,
            ours: AnswerFields {
                request_id,
                hsts: hsts(snapshot, scheme),
            },
            kind: kind(view),
            fault: Fault::Request,
            record: Record::new(snapshot, facts, outcome, request_id, Some(view), None),
        }
    }
}

/// What a denied client is told.
pub(super) fn denial_answer(
    denial: &Denial,
    request_id: RequestId,
    accept: Option<&[u8]>,
) -> Answer {
    let code = denial.code();
    let refusal = Refusal {
        status: code.status(),
        kind: code.kind(),
        code: code.as_str(),
        reason: &denial.reason(),
        message: denial.message(),
    };
    respond::answer(&refusal, request_id.as_str(), accept)
}
