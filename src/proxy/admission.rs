//! What becomes of a request: decided on, and written anew for the upstream or
//! answered by us. All of it between two awaits, for it borrows the head.

use super::denied;
use super::grant::Grant;
use super::record::Record;
use super::respond::{self, Answer, Problem, Refusal};
use super::response::AnswerFields;
use super::{ConnectionFacts, FrontDoor};
use crate::assertion::{Examination, KeyStore};
use crate::forwarded::{Facts, Scheme, write_field};
use crate::http1::body::Framing;
use crate::http1::request::HeadError;
use crate::http1::response::RequestKind;
use crate::policy::{
    Code, Denial, Field, Identity, Keyless, Permit, Request, Standing, Upgrade, Verify,
};
use crate::request_id::RequestId;
use crate::snapshot::{Exceeded, SignedIdentity, Snapshot};
use crate::telemetry::metrics::{Limit, Outcome};
use bytes::Bytes;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Why a connection's requests are refused after a change of what it had to prove.
const BEFORE_TLS_CHANGED: &str = "the connection is from before `gateway.tls` changed";

/// A request's head, from HTTP/1.1 or HTTP/2, read and checked.
pub(crate) struct RequestView<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) host: &'a str,
    pub(crate) framing: Framing,
    pub(crate) upgrade: Upgrade,
    pub(crate) websocket_key: Option<&'a [u8]>,
    pub(crate) expects_continue: bool,
    pub(crate) protocol: &'static str,
}

/// What becomes of a request.
pub(super) enum Admission {
    Admitted(Admitted),
    Refused(Refused),
}

/// Why a request can't be decided on yet: its assertion is signed with a key that isn't
/// known, which may be new.
pub(super) struct SoughtKey {
    keys: Arc<KeyStore>,
    id: Box<str>,
    denial: Denial,
}

impl SoughtKey {
    /// Looks for it, for a while; what came of it shows in the next decision.
    pub(super) async fn seek(self) {
        self.keys.seek(&self.id).await;
    }
}

/// A permitted request, ready to go out. It borrows nothing of its head.
pub(super) struct Admitted {
    /// The upstream's head, whole.
    pub(super) head: Vec<u8>,
    pub(super) framing: Framing,
    pub(super) kind: RequestKind,
    pub(super) expects_continue: bool,
    /// What proves the upstream's 101.
    pub(super) websocket_accept: Option<String>,
    /// May be sent a second time when a reused connection turns out dead.
    pub(super) is_replayable: bool,
    /// The client's `Accept`, for an answer of ours.
    pub(super) accept: Option<Vec<u8>>,
    pub(super) ours: AnswerFields,
    pub(super) grant: Grant,
    pub(super) record: Record,
}

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

/// A request as it arrived: where, and with which fields.
pub(super) struct Arrival<'a> {
    door: &'a FrontDoor,
    pub(super) snapshot: &'a Snapshot,
    pub(super) facts: &'a ConnectionFacts,
    pub(super) view: &'a RequestView<'a>,
    pub(super) fields: &'a [Field<'a>],
}

impl FrontDoor {
    /// Decides on a request and, if it is permitted, writes its upstream head.
    ///
    /// # Errors
    /// [`SoughtKey`]: to be looked for, and then [`FrontDoor::admit_finally`].
    pub(super) fn admit(
        &self,
        snapshot: &Snapshot,
        facts: &ConnectionFacts,
        view: &RequestView<'_>,
        fields: &[Field<'_>],
    ) -> Result<Admission, SoughtKey> {
        self.decide(&Arrival {
            door: self,
            snapshot,
            facts,
            view,
            fields,
        })
    }

    /// The same once its key has been looked for: one that isn't known now is none.
    pub(super) fn admit_finally(
        &self,
        snapshot: &Snapshot,
        facts: &ConnectionFacts,
        view: &RequestView<'_>,
        fields: &[Field<'_>],
    ) -> Admission {
        let arrival = Arrival {
            door: self,
            snapshot,
            facts,
            view,
            fields,
        };
        match self.decide(&arrival) {
            Ok(admission) => admission,
            Err(sought) => self.deny(&arrival, &sought.denial),
        }
    }

    fn decide(&self, arrival: &Arrival<'_>) -> Result<Admission, SoughtKey> {
        let Arrival {
            snapshot,
            facts,
            view,
            fields,
            ..
        } = *arrival;
        if facts.is_outdated(snapshot) {
            return Ok(Admission::Refused(arrival.outdated()));
        }
        let request = Request {
            method: view.method,
            target: view.target,
            upgrade: view.upgrade,
            fields,
        };
        let verifier = snapshot.signed_identity.as_deref();
        let verifier = verifier.map(SignedIdentity::verifier);
        let examination = verifier.map(|verifier| verifier.examine(SystemTime::now()));
        let proof: &dyn Verify = match &examination {
            Some(examination) => examination,
            None => &Keyless,
        };
        let permit = match snapshot.policy.decide(facts.peer(), &request, proof) {
            Ok(permit) => permit,
            Err(denial) => {
                let unknown = examination.as_ref().and_then(Examination::unknown_key);
                return match verifier.zip(unknown) {
                    Some((verifier, id)) => Err(SoughtKey {
                        keys: verifier.keys().clone(),
                        id,
                        denial,
                    }),
                    None => Ok(self.deny(arrival, &denial)),
                };
            }
        };
        Ok(match arrival.reached(&permit) {
            Some((limit, problem)) => {
                self.metrics.limit_reached(limit);
                Admission::Refused(arrival.refuse(problem, limit, permit.standing()))
            }
            None => {
                let admitted = arrival.write(&permit);
                match self.probed(arrival, &permit, &admitted) {
                    None => Admission::Admitted(admitted),
                    Some(answer) => Admission::Refused(admitted.answered(answer)),
                }
            }
        })
    }

    fn deny(&self, arrival: &Arrival<'_>, denial: &Denial) -> Admission {
        self.metrics.denial(denial.code().as_str());
        Admission::Refused(arrival.deny(denial))
    }

    /// Refuses a head that could not be read; there is nothing to decide on.
    pub(super) fn refuse_head(
        &self,
        snapshot: &Snapshot,
        facts: &ConnectionFacts,
        error: &HeadError,
    ) -> Admission {
        let (problem, limit) = match error {
            HeadError::Malformed(_) => (Problem::BadRequest, None),
            HeadError::TooLarge => (Problem::HeadersTooLarge, Some(Limit::MaxHeaderBytes)),
            HeadError::TooManyFields => (Problem::HeadersTooLarge, Some(Limit::MaxHeaders)),
            HeadError::MethodNotAllowed => (Problem::MethodNotAllowed, None),
            HeadError::ExpectationFailed => (Problem::ExpectationFailed, None),
        };
        if let Some(limit) = limit {
            self.metrics.limit_reached(limit);
        }
        self.refuse_unread(snapshot, facts, (problem, limit), &error.to_string())
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
}

impl FrontDoor {
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

impl Admitted {
    /// It gets an answer of ours instead of the upstream's.
    fn answered(self, answer: Answer) -> Refused {
        Refused {
            answer,
            ours: self.ours,
            kind: self.kind,
            fault: Fault::Request,
            record: self.record,
        }
    }
}

impl Arrival<'_> {
    /// The limit that a permitted request has reached, and what that makes of it.
    fn reached(&self, permit: &Permit<'_>) -> Option<(Limit, Problem)> {
        let Snapshot { limits, rates, .. } = self.snapshot;
        let max_body = limits.max_body_bytes.bytes();
        if matches!(self.view.framing, Framing::Length(length) if length > max_body) {
            return Some((Limit::MaxBodyBytes, Problem::RequestTooLarge));
        }
        // The client first: one that comes too often takes nothing of its user's.
        let by_client = self
            .client_to_count(permit)
            .map_or(Ok(()), |client| rates.client(client));
        let exceeded = by_client.and_then(|()| match permit.user() {
            Some(user) => rates.user(user.as_str()),
            None => Ok(()),
        });
        let Exceeded { limit, retry_after } = exceeded.err()?;
        tracing::info!(
            source.ip = %self.facts.source,
            limit = limit.as_str(),
            "a request is refused, for more have come than may"
        );
        Some((limit, Problem::RateLimited { retry_after }))
    }

    /// The client's address, if there is a rate for it. A trusted source's own is not
    /// counted: every user behind an identity proxy would share one bucket.
    fn client_to_count(&self, permit: &Permit<'_>) -> Option<IpAddr> {
        if !self.snapshot.rates.limits_clients() {
            return None;
        }
        let client = self.snapshot.rewriter.client(permit);
        let is_trusted_source =
            permit.standing() == Standing::TrustedProxy && client == self.facts.source.place();
        (!is_trusted_source).then_some(client)
    }

    /// Writes the upstream's head of a permitted request.
    fn write(&self, permit: &Permit<'_>) -> Admitted {
        let Self {
            snapshot,
            facts,
            view,
            fields,
            ..
        } = *self;
        let (request_id, _) = self.believed(Belief::from(permit.standing()));
        let mut head = Vec::with_capacity(1024);
        for part in [view.method, " ", view.target, " HTTP/1.1\r\n"] {
            head.extend_from_slice(part.as_bytes());
        }
        let as_received = Facts {
            scheme: facts.scheme,
            host: view.host,
            request_id: request_id.as_str(),
        };
        let written = snapshot.rewriter.rewrite(permit, &as_received, &mut head);
        finish_head(view, &mut head);
        let outcome = match permit.identity() {
            Identity::User { .. } => (Outcome::Permitted, "permitted"),
            Identity::Public => (Outcome::Public, "public"),
        };
        Admitted {
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
                hsts: hsts(snapshot, either(facts.scheme, written.scheme)),
            },
            grant: Grant::of(permit, snapshot),
            record: Record::new(
                snapshot,
                facts,
                outcome,
                request_id,
                Some(view),
                Some(written.client),
            ),
        }
    }

    /// The policy's denial as an answer.
    fn deny(&self, denial: &Denial) -> Refused {
        let code = denial.code();
        let belief = Belief::from(code);
        let (request_id, scheme) = self.believed(belief);
        let reason = denial.reason();
        tracing::info!(
            request.id = request_id.as_str(),
            source.ip = %self.facts.source,
            denial.code = code.as_str(),
            denial.reason = %reason,
            denial.detail = %denial.detail(),
            "request denied"
        );
        self.keep(request_id, denied::by_policy(&self.snapshot.policy, denial));
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
    fn outdated(&self) -> Refused {
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
    fn refuse(&self, problem: Problem, limit: Limit, standing: Standing) -> Refused {
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

    /// The request's id and how its client connected, told by whom they may be
    /// told: anyone else would write into the log with the one, and decide on HSTS
    /// with the other.
    fn believed(&self, belief: Belief) -> (RequestId, Scheme) {
        let listener = self.facts.scheme;
        match belief {
            Belief::Nobody => (RequestId::generate(), listener),
            Belief::TrustedProxy => (
                request_id(self.fields),
                either(listener, forwarded_scheme(self.view.upgrade, self.fields)),
            ),
        }
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

/// Whether what a source says of its client is believed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Belief {
    TrustedProxy,
    Nobody,
}

impl From<Standing> for Belief {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::TrustedProxy => Self::TrustedProxy,
            Standing::RouteSource => Self::Nobody,
        }
    }
}

impl From<Code> for Belief {
    fn from(code: Code) -> Self {
        match code {
            Code::UntrustedSource
            | Code::UntrustedCertificate
            | Code::LoopbackSource
            | Code::LocalInterfaceSource
            | Code::LocalInterfaceCheckFailed => Self::Nobody,
            Code::AmbiguousHeader
            | Code::UnexpectedScopes
            | Code::MissingHeader
            | Code::AssertionMissing
            | Code::AssertionInvalid
            | Code::AssertionExpired
            | Code::UserMissing
            | Code::UserInvalid
            | Code::AssertionUserMismatch
            | Code::UserNotAllowed => Self::TrustedProxy,
        }
    }
}

/// Framing and connection fields are this hop's, so they are written here.
pub(crate) fn finish_head(view: &RequestView<'_>, head: &mut Vec<u8>) {
    match view.framing {
        Framing::Length(length) => {
            write_field(head, "content-length", length.to_string().as_bytes());
        }
        Framing::Chunked => write_field(head, "transfer-encoding", b"chunked"),
        // A method that usually has a body says so when it has none (RFC 9110
        // section 8.6).
        Framing::Empty if matches!(view.method, "POST" | "PUT" | "PATCH") => {
            write_field(head, "content-length", b"0");
        }
        Framing::Empty | Framing::UntilClose => {}
    }
    write_upgrade(view.upgrade, head);
    head.extend_from_slice(b"\r\n");
}

/// What asks the upstream for the protocol that the client wants.
pub(crate) fn write_upgrade(upgrade: Upgrade, head: &mut Vec<u8>) {
    if upgrade == Upgrade::Websocket {
        write_field(head, "connection", b"Upgrade");
        write_field(head, "upgrade", b"websocket");
    }
}

fn kind(view: &RequestView<'_>) -> RequestKind {
    if view.method == "HEAD" {
        RequestKind::Head
    } else {
        RequestKind::Other
    }
}

/// HSTS belongs to answers that reach the client over TLS, here or at the trusted
/// proxy, and to no other (RFC 6797 section 7.2).
fn hsts(snapshot: &Snapshot, scheme: Scheme) -> Option<Bytes> {
    match scheme {
        Scheme::Https => snapshot.hsts.clone(),
        Scheme::Http => None,
    }
}

/// Https if either is.
fn either(listener: Scheme, forwarded: Scheme) -> Scheme {
    match (listener, forwarded) {
        (Scheme::Http, Scheme::Http) => Scheme::Http,
        _ => Scheme::Https,
    }
}

/// The trusted proxy's id when it sent exactly one that is sane.
fn request_id(fields: &[Field<'_>]) -> RequestId {
    only(fields, "x-request-id")
        .and_then(RequestId::accept)
        .unwrap_or_else(RequestId::generate)
}

/// What the trusted proxy says of a request that is not rewritten.
fn forwarded_scheme(upgrade: Upgrade, fields: &[Field<'_>]) -> Scheme {
    only(fields, "x-forwarded-proto")
        .and_then(|value| Scheme::forwarded(value, upgrade))
        .unwrap_or(Scheme::Http)
}

fn accept<'a>(fields: &[Field<'a>]) -> Option<&'a [u8]> {
    fields
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("accept"))
        .map(|field| field.value)
}

pub(super) fn only<'a>(fields: &[Field<'a>], name: &str) -> Option<&'a [u8]> {
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
