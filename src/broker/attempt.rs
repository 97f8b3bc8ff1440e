//! One call: sent with one credential after the other until an answer is there that is
//! no limit's, or none is left.

use super::answer::{AnswerBody, Passing, Reading, Watch};
use super::candidates::{Candidate, Candidates};
use super::events::Events;
use super::keeper::{Keeper, SavedAnswer, now};
use super::outgoing::{answer_headers, put_on};
use super::problem::{Problem, id_value, set_retry_after};
use super::rate_limit::{Limited, judge, judge_event, may_be_limited};
use super::record::Record;
use super::request_body::RequestBody;
use crate::http_client::CallError;
use crate::snapshot::Provider;
use crate::telemetry::metrics::ModelOutcome;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::response::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// How much of an error's body is read to judge it, and for how long.
const MAX_ERROR_BYTES: usize = 256 * 1024;
const ERROR_BODY: Duration = Duration::from_secs(10);
/// How much of a stream's first event may be held back, and for how long, to see
/// whether it is an error that another credential can mend.
const MAX_FIRST_EVENT: usize = 64 * 1024;
const FIRST_EVENT: Duration = Duration::from_secs(1);

/// A call as it goes to the provider, but for its credential.
pub(super) struct Call {
    pub(super) keeper: Arc<Keeper>,
    pub(super) provider: Arc<Provider>,
    pub(super) agent: Option<String>,
    pub(super) method: Method,
    pub(super) target: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: RequestBody,
    /// For the answer's head, from the request's first byte on.
    pub(super) first_byte: Duration,
}

/// An answer that is there, or begins to be.
struct Answered {
    head: Parts,
    /// What has been read of the body.
    ahead: VecDeque<Bytes>,
    /// The rest.
    body: Incoming,
}

impl Call {
    /// Has an answer for the caller.
    pub(super) async fn run(
        self,
        mut candidates: Candidates,
        record: &mut Option<Record>,
    ) -> Result<Response<AnswerBody>, (Problem, Option<Duration>)> {
        let mut refusal = None;
        let mut renewed = BTreeSet::new();
        let mut next = candidates.next().await;
        while let Some(candidate) = next {
            if let Some(record) = record {
                record.attempts += 1;
                record.credential = Some(candidate.name.clone());
            }
            self.keeper.used(&candidate.key, now());
            let answered = self.send(&candidate).await.map_err(|it| (it, None))?;
            let status = answered.head.status;
            let may_renew = candidate
                .profile
                .as_ref()
                .is_some_and(|_| self.body.can_be_sent_again());
            if status == StatusCode::UNAUTHORIZED
                && may_renew
                && let Some(id) = candidate.profile.clone()
                && renewed.insert(id)
            {
                next = match candidates.renewed(&candidate).await {
                    Some(renewed) => Some(renewed),
                    None if candidate.is_login() => candidates.next().await,
                    None => None,
                };
                if next.is_some() {
                    continue;
                }
                return Ok(self.pass(answered, &candidate, record));
            }
            let (answered, limited) = self
                .judge(answered, &candidates)
                .await
                .map_err(|it| (it, None))?;
            let Some(limited) = limited else {
                if status.is_success() {
                    self.worked(&candidate);
                }
                return Ok(self.pass(answered, &candidate, record));
            };
            self.rotate(&candidate, limited);
            if !self.body.can_be_sent_again() {
                return Ok(self.pass(answered, &candidate, record));
            }
            let saved = answered.into_saved();
            if status != StatusCode::OK {
                let agent = self.agent.as_deref();
                self.keeper
                    .refused(agent, &self.provider.name, saved.clone());
            }
            refusal = Some(saved);
            next = candidates.next().await;
        }
        self.exhausted(&candidates, refusal, record)
    }

    async fn send(&self, candidate: &Candidate) -> Result<Answered, Problem> {
        let mut request = Request::new(self.body.to_send());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        let mut headers = self.headers.clone();
        put_on(&mut headers, &candidate.headers);
        *request.headers_mut() = headers;
        let sent = timeout(self.first_byte, self.provider.client.send(request)).await;
        let failed = |error: CallError| {
            tracing::warn!(
                model.provider = self.provider.name,
                error.detail = crate::telemetry::with_causes(&error),
                "a model call failed"
            );
            let provider = self.provider.name.clone();
            match error {
                CallError::TimedOut(_) => Problem::UpstreamTimeout { provider },
                CallError::Unconnected(_) | CallError::Broken(_) => {
                    Problem::UpstreamUnreachable { provider }
                }
            }
        };
        let answer = match sent {
            Ok(answer) => answer.map_err(failed)?,
            Err(_) => return Err(failed(CallError::TimedOut(self.first_byte))),
        };
        let (head, body) = answer.into_parts();
        Ok(Answered {
            head,
            ahead: VecDeque::new(),
            body,
        })
    }

    /// Whether the answer says that the credential has hit a limit. Reads as much of it
    /// as that takes, and of a good answer nothing where no other credential is left.
    async fn judge(
        &self,
        mut answered: Answered,
        candidates: &Candidates,
    ) -> Result<(Answered, Option<Limited>), Problem> {
        let status = answered.head.status;
        let is_plain = !answered.head.headers.contains_key(CONTENT_ENCODING);
        if may_be_limited(status) {
            answered.read_error().await;
            let body = match is_plain {
                true => answered.read(),
                false => Bytes::new(),
            };
            let limited = judge(status, &answered.head.headers, &body, now());
            return Ok((answered, limited));
        }
        let can_rotate = self.body.can_be_sent_again() && candidates.has_more();
        if status.is_success() && is_plain && can_rotate && answered.is_events() {
            let limited = answered.read_first_event().await.map_err(|error| {
                tracing::warn!(
                    model.provider = self.provider.name,
                    error.detail = %error,
                    "an answer broke off before its first event"
                );
                Problem::UpstreamUnreachable {
                    provider: self.provider.name.clone(),
                }
            })?;
            return Ok((answered, limited));
        }
        Ok((answered, None))
    }

    fn rotate(&self, candidate: &Candidate, limited: Limited) {
        let wait = self.keeper.limited(&candidate.key, limited, now());
        let reason = limited.limit.as_str();
        let provider = self.provider.name.as_str();
        self.keeper.metrics.models().rotation(provider, reason);
        tracing::info!(
            model.provider = provider,
            model.credential = candidate.name,
            reason,
            cooldown_s = wait.as_secs(),
            "a credential hit a limit"
        );
    }

    fn worked(&self, candidate: &Candidate) {
        self.keeper.succeeded(&candidate.key, now());
        if let (Some(folder), Some(id)) = (&candidate.key.folder, &candidate.profile) {
            self.keeper.was_good(folder, &self.provider.name, id);
        }
    }

    /// The answer, as it comes.
    fn pass(
        &self,
        answered: Answered,
        candidate: &Candidate,
        record: &mut Option<Record>,
    ) -> Response<AnswerBody> {
        let is_plain = !answered.head.headers.contains_key(CONTENT_ENCODING);
        let reading = match () {
            () if !is_plain => Reading::Nothing,
            () if answered.is_events() => Reading::Events(Events::default()),
            () if answered.is_json() => Reading::Json(Vec::new(), 0),
            () => Reading::Nothing,
        };
        let Answered { head, ahead, body } = answered;
        let mut record = record.take().expect("an answer is passed on once");
        record.status = Some(head.status.as_u16());
        let mut headers = answer_headers(&head.headers);
        headers
            .entry("x-request-id")
            .or_insert_with(|| id_value(&record.request_id));
        let watch = Watch {
            keeper: self.keeper.clone(),
            key: candidate.key.clone(),
        };
        let passing = Passing {
            ahead,
            body,
            reading,
            dialect: self.provider.dialect,
            record,
            watch,
        };
        let mut response = Response::new(passing.begin());
        *response.status_mut() = head.status;
        *response.headers_mut() = headers;
        response
    }

    /// No credential is left: the provider's own no, with the time when the first of
    /// them may be tried again.
    fn exhausted(
        &self,
        candidates: &Candidates,
        refusal: Option<SavedAnswer>,
        record: &mut Option<Record>,
    ) -> Result<Response<AnswerBody>, (Problem, Option<Duration>)> {
        let provider = self.provider.name.clone();
        let soonest = candidates.soonest();
        if refusal.is_none() && soonest.is_none() {
            let why = candidates.why_none();
            return Err((Problem::NoCredential { provider, why }, None));
        }
        let known = || self.keeper.last_refusal(self.agent.as_deref(), &provider);
        let Some(saved) = refusal.or_else(known) else {
            return Err((Problem::RateLimited { provider }, soonest));
        };
        let mut record = record.take().expect("an answer is given once");
        record.status = Some(saved.status.as_u16());
        record.outcome = ModelOutcome::RateLimited;
        record.bytes_out = saved.body.len() as u64;
        let mut headers = answer_headers(&saved.headers);
        headers.remove(CONTENT_LENGTH);
        headers.remove("retry-after-ms");
        // Where none cools down any more, a pause has just ended.
        set_retry_after(&mut headers, soonest.unwrap_or_default());
        headers
            .entry("x-request-id")
            .or_insert_with(|| id_value(&record.request_id));
        let body = AnswerBody::Whole {
            body: Full::new(saved.body),
            _record: Box::new(record),
        };
        let mut response = Response::new(body);
        *response.status_mut() = saved.status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

impl Answered {
    fn media_type(&self) -> &str {
        let value = self.head.headers.get(CONTENT_TYPE);
        let text = value.and_then(|value| value.to_str().ok());
        let media_type = text.and_then(|text| text.split(';').next());
        media_type.unwrap_or_default().trim()
    }

    fn is_events(&self) -> bool {
        self.media_type().eq_ignore_ascii_case("text/event-stream")
    }

    fn is_json(&self) -> bool {
        self.media_type().eq_ignore_ascii_case("application/json")
    }

    /// What has been read.
    fn read(&self) -> Bytes {
        match self.ahead.len() {
            0 => Bytes::new(),
            1 => self.ahead[0].clone(),
            _ => self
                .ahead
                .iter()
                .fold(Vec::new(), |mut whole, piece| {
                    whole.extend_from_slice(piece);
                    whole
                })
                .into(),
        }
    }

    fn into_saved(self) -> SavedAnswer {
        SavedAnswer {
            status: self.head.status,
            body: self.read(),
            headers: self.head.headers,
        }
    }

    /// Reads the body, as far as it is of a sane size and comes in time.
    async fn read_error(&mut self) {
        let deadline = Instant::now() + ERROR_BODY;
        let mut length = 0;
        while length < MAX_ERROR_BYTES && !self.body.is_end_stream() {
            match timeout_at(deadline, self.body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    let Ok(piece) = frame.into_data() else {
                        continue;
                    };
                    length += piece.len();
                    self.ahead.push_back(piece);
                }
                // What is broken or late is judged by what there is.
                Ok(Some(Err(_)) | None) | Err(_) => return,
            }
        }
    }

    /// Reads as far as it takes to see that the stream doesn't begin with an error, or
    /// that it does, and whether that is a limit's.
    async fn read_first_event(&mut self) -> Result<Option<Limited>, hyper::Error> {
        let mut events = Events::default();
        let mut seen = Vec::new();
        let mut deadline = None;
        loop {
            let frame = self.body.frame();
            let frame = match deadline {
                None => frame.await,
                Some(deadline) => match timeout_at(deadline, frame).await {
                    Ok(frame) => frame,
                    Err(_) => return Ok(None),
                },
            };
            let Some(frame) = frame else { return Ok(None) };
            let Ok(piece) = frame?.into_data() else {
                continue;
            };
            let mut judged = None;
            events.feed(&piece, |data| {
                judged.get_or_insert_with(|| judge_event(data));
            });
            seen.extend_from_slice(&piece[..piece.len().min(MAX_FIRST_EVENT)]);
            self.ahead.push_back(piece);
            if let Some(judged) = judged {
                return Ok(judged);
            }
            if seen.len() >= MAX_FIRST_EVENT || !may_be_error(&seen) {
                return Ok(None);
            }
            deadline.get_or_insert(Instant::now() + FIRST_EVENT);
        }
    }
}

/// Whether a stream that begins like this could begin with an error: not with a comment,
/// which keeps a connection alive and must not wait, nor with an event of another name.
fn may_be_error(start: &[u8]) -> bool {
    let line = start.split(|byte| matches!(byte, b'\n' | b'\r')).next();
    let line = line.unwrap_or_default();
    match line.strip_prefix(b"event:") {
        Some(name) => {
            let (name, error) = (name.trim_ascii_start(), b"error");
            name.starts_with(&error[..name.len().min(error.len())])
        }
        None => !line.starts_with(b":"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_an_error_is_held_back() {
        for (start, may_be) in [
            ("", true),
            ("da", true),
            ("data: {\"id\"", true),
            ("data: {\"error\"", true),
            ("event:", true),
            ("event: err", true),
            ("event: error\ndata: {", true),
            ("id: 1\ndata: {", true),
            ("event: message_start\ndata: {", false),
            ("event:ping", false),
            (": OPENROUTER PROCESSING\n\n", false),
        ] {
            assert_eq!(may_be_error(start.as_bytes()), may_be, "{start:?}");
        }
    }
}
