//! One request of the back door, from its head to an answer.

use super::Broker;
use super::admission::{Admitted, Ends, admit, one_pin};
use super::answer::AnswerBody;
use super::attempt::Call;
use super::candidates::Candidates;
use super::model_name::{NamedModel, TwoModels};
use super::outgoing;
use super::problem::Problem;
use super::record::Record;
use super::request_body::{Bounds, RequestBody, discard};
use super::standing::Standing;
use crate::config::ByteSize;
use crate::credentials::ProfileId;
use crate::request_id::RequestId;
use crate::snapshot::Snapshot;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Incoming;
use std::time::Duration;

/// A request's answer; or why there is none, and when to come again.
pub(super) type Outcome = Result<Response<AnswerBody>, (Problem, Option<Duration>)>;

impl Broker {
    /// Answers a request.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        ends: Ends,
        standing: &Standing,
    ) -> Response<AnswerBody> {
        let snapshot = self.snapshot();
        let record = Record::new(
            self.metrics.clone(),
            snapshot.access_log,
            ends.source.ip(),
            request.method().as_str(),
            request.uri().path(),
        );
        let mut record = Some(record);
        let responded = self.respond(&snapshot, request, ends, standing, &mut record);
        match responded.await {
            Ok(response) => response,
            Err((problem, retry_after)) => {
                let mut record = record.expect("who answers has taken it, and nobody did");
                record.outcome = problem.outcome();
                record.code = Some(problem.code());
                record.status = Some(problem.status().as_u16());
                let response = problem.answer(&record.request_id, retry_after);
                response.map(|body| AnswerBody::Whole {
                    body,
                    _record: Box::new(record),
                })
            }
        }
    }

    async fn respond(
        &self,
        snapshot: &Snapshot,
        request: Request<Incoming>,
        ends: Ends,
        standing: &Standing,
        record: &mut Option<Record>,
    ) -> Outcome {
        let refused = |problem| (problem, None);
        let request_id = record
            .as_ref()
            .map_or_else(RequestId::generate, |it| it.request_id);
        let (head, body) = request.into_parts();
        let head = Request::from_parts(head, ());
        let Some(door) = snapshot.back_door.clone() else {
            return Err(refused(Problem::UnknownProvider {
                got: String::new(),
                known: Vec::new(),
            }));
        };
        let admitted = match admit(&door, &head, ends) {
            Ok(admitted) => admitted,
            Err(problem) => {
                discard(body).await;
                return Err(refused(problem));
            }
        };
        let Admitted {
            caller,
            provider,
            pin,
            rest,
        } = admitted;
        standing.note(caller, &door);
        if let Some(record) = record {
            record.provider.clone_from(&provider.name);
            record.agent = caller.agent().map(str::to_owned);
        }
        let gather = |pin| Candidates::gather(&self.keeper, &door, &provider, caller, pin);
        // What can be told before the body is read costs no memory for it.
        let candidates = match gather(pin.clone()).await {
            Ok(candidates) if candidates.are_none() => Err(Problem::NoCredential {
                provider: provider.name.clone(),
                why: candidates.why_none(),
            }),
            other => other,
        };
        let mut candidates = match candidates {
            Ok(candidates) => candidates,
            Err(problem) => {
                discard(body).await;
                return Err(refused(problem));
            }
        };
        let bounds = Bounds {
            // JSON is looked through for a pin, and so read whole; all else may stream.
            most: match may_be_json(head.headers()) {
                true => in_memory(snapshot.limits.max_body_bytes).max(door.max_replay_bytes),
                false => door.max_replay_bytes,
            },
            most_again: door.max_replay_bytes,
            stall: snapshot.limits.body_stall_timeout,
        };
        let budgets = self.budgets(caller.agent());
        let mut body = RequestBody::read(body, bounds, &budgets)
            .await
            .map_err(refused)?;
        if let Some(record) = record {
            record.bytes_in = body.start.len() as u64;
        }
        let (model, whole_pin) = match read_model(head.headers(), &body, pin.clone()) {
            Ok(read) => read,
            Err(problem) => {
                body.refuse().await;
                return Err(refused(problem));
            }
        };
        if let Some(pinned) = model.as_ref().filter(|model| model.profile.is_some()) {
            body.start = pinned.without_pin(&body.start);
        }
        if let Some(record) = record {
            record.model = model.and_then(NamedModel::loggable);
        }
        if whole_pin != pin {
            candidates = gather(whole_pin).await.map_err(refused)?;
        }
        let base = &provider.client.service().base;
        let target = outgoing::target(base.path(), &rest, head.uri().query(), provider.dialect);
        let target = target.ok_or((Problem::BadRequest("the path can't be sent on"), None))?;
        let call = Call {
            request_id,
            keeper: self.keeper.clone(),
            headers: outgoing::request_headers(head.headers(), &door.credential_headers),
            method: head.method().clone(),
            target,
            body,
            agent: caller.agent().map(str::to_owned),
            provider: provider.clone(),
            first_byte: snapshot.limits.upstream_first_byte_timeout,
        };
        call.run(candidates, record).await
    }
}

/// The model that the body names, and the profile that path, header or model pin.
fn read_model(
    headers: &HeaderMap,
    body: &RequestBody,
    pinned: Option<ProfileId>,
) -> Result<(Option<NamedModel>, Option<ProfileId>), Problem> {
    if !body.is_whole() {
        return match may_be_json(headers) {
            // A pin in the part that has not come would be another account's.
            true => Err(Problem::RequestTooLarge),
            false => Ok((None, pinned)),
        };
    }
    // Whatever it is called: providers differ in what they take for JSON.
    if headers.contains_key(CONTENT_ENCODING) {
        return Ok((None, pinned));
    }
    let model = NamedModel::find(&body.start)
        .map_err(|TwoModels| Problem::BadRequest("expected one `model` in the body, got two"))?;
    let of_model = model.as_ref().and_then(|model| model.profile.clone());
    Ok((model, one_pin(pinned, of_model)?))
}

/// Whether a body may be JSON that names a model. Many a client names no media type, or
/// `text/plain`, as `fetch` does of itself; providers read it all the same.
fn may_be_json(headers: &HeaderMap) -> bool {
    let is_text = |value: &HeaderValue| {
        let text = value.as_bytes().to_ascii_lowercase();
        text.starts_with(b"text/") || memchr::memmem::find(&text, b"json").is_some()
    };
    let mut media_types = headers.get_all(CONTENT_TYPE).iter().peekable();
    let may_be = media_types.peek().is_none() || media_types.any(is_text);
    may_be && !headers.contains_key(CONTENT_ENCODING)
}

/// A size that fits into memory.
pub(super) fn in_memory(size: ByteSize) -> usize {
    usize::try_from(size.bytes()).unwrap_or(usize::MAX)
}
