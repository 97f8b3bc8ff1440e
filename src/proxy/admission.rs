//! What becomes of a request: decided on, and written anew for the upstream or
//! answered by us. All of it between two awaits, for it borrows the head.

use super::belief::{Belief, either, hsts};
use super::grant::Grant;
use super::record::Record;
use super::refusal::{Fault, Refused};
use super::respond::{Answer, Problem};
use super::response::AnswerFields;
use super::{ConnectionFacts, FrontDoor};
use crate::assertion::{Examination, KeyStore};
use crate::forwarded::{Facts, write_field};
use crate::http1::body::Framing;
use crate::http1::response::RequestKind;
use crate::policy::{Denial, Field, Identity, Keyless, Permit, Request, Standing, Upgrade, Verify};
use crate::snapshot::{Exceeded, SignedIdentity, Snapshot};
use crate::telemetry::metrics::{Limit, Outcome};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

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

/// A request as it arrived: where, and with which fields.
pub(super) struct Arrival<'a> {
    pub(super) door: &'a FrontDoor,
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
                let unknown = examination.as_ref().and_then(Examination::take_unknown_key);
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

pub(super) fn kind(view: &RequestView<'_>) -> RequestKind {
    if view.method == "HEAD" {
        RequestKind::Head
    } else {
        RequestKind::Other
    }
}

pub(super) fn accept<'a>(fields: &[Field<'a>]) -> Option<&'a [u8]> {
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
