//! One call: sent with one credential after the other until an answer is there that is
//! no limit's, or none is left.

use super::answer::{AnswerBody, Passing, Reading, Watch};
use super::answered::Answered;
use super::candidate::Candidate;
use super::candidates::{Candidates, Renewal};
use super::events::Events;
use super::keeper::{Keeper, SavedAnswer};
use super::outgoing::{answer_headers, put_on};
use super::problem::{Problem, id_value, set_retry_after};
use super::rate_limit::{Limited, judge, may_be_limited};
use super::record::Record;
use super::request_body::RequestBody;
use crate::credentials::UnixMillis;
use crate::http_client::CallError;
use crate::request_id::RequestId;
use crate::snapshot::Provider;
use crate::telemetry::metrics::ModelOutcome;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A call as it goes to the provider, but for its credential.
pub(super) struct Call {
    pub(super) request_id: RequestId,
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
            self.keeper
                .used(&candidate.key, &candidate.mark, UnixMillis::now());
            let answered = self.send(&candidate).await.map_err(|it| (it, None))?;
            let status = answered.head.status;
            if status == StatusCode::UNAUTHORIZED && self.body.can_be_sent_again() {
                let is_first = candidate
                    .profile
                    .iter()
                    .all(|id| renewed.insert(id.clone()));
                next = match is_first {
                    true => self.renew(&mut candidates, &candidate).await,
                    false => {
                        candidates.refresh_was_useless(&candidate);
                        None
                    }
                };
                if next.is_some() {
                    continue;
                }
            }
            if status == StatusCode::UNAUTHORIZED {
                self.reject(&candidate);
                return Ok(self.pass(answered, &candidate, record));
            }
            if status == StatusCode::SWITCHING_PROTOCOLS {
                // Nobody asked for that.
                return Err((self.unreachable(), None));
            }
            let (answered, limited) = self
                .judge(answered, &candidates)
                .await
                .map_err(|it| (it, None))?;
            let Some(limited) = limited else {
                if status.is_success() {
                    self.worked(&candidate);
                    candidates.refresh_is_taken(&candidate);
                }
                return Ok(self.pass(answered, &candidate, record));
            };
            self.cool_down(&candidate, limited);
            if !self.body.can_be_sent_again() {
                return Ok(self.pass(answered, &candidate, record));
            }
            refusal = answered.into_saved();
            if let Some(saved) = &refusal
                && status != StatusCode::OK
            {
                let agent = self.agent.as_deref();
                let provider = &self.provider.name;
                self.keeper.refused(agent, provider, saved.clone());
            }
            next = candidates.next().await;
            if next.is_some() {
                let reason = limited.limit.as_str();
                let models = self.keeper.metrics.models();
                models.rotation(&self.provider.name, reason);
            }
        }
        self.exhausted(&candidates, refusal, record)
    }

    /// What to try after a 401: the same profile with a fresh token; the next one only
    /// where the login is over, for an account's refusal is none of another's.
    async fn renew(&self, candidates: &mut Candidates, candidate: &Candidate) -> Option<Candidate> {
        match candidates.renewed(candidate).await {
            Renewal::Ready(renewed) => Some(*renewed),
            Renewal::NeedsLogin => candidates.next().await,
            Renewal::NotNow => None,
        }
    }

    fn unreachable(&self) -> Problem {
        Problem::UpstreamUnreachable {
            provider: self.provider.name.clone(),
        }
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
                request.id = self.request_id.as_str(),
                model.provider = self.provider.name,
                error.detail = crate::telemetry::with_causes(&error),
                "a model call failed"
            );
            match error {
                CallError::TimedOut(_) => Problem::UpstreamTimeout {
                    provider: self.provider.name.clone(),
                },
                CallError::Unconnected(_) | CallError::Broken(_) => self.unreachable(),
            }
        };
        let answer = match sent {
            Ok(answer) => answer.map_err(failed)?,
            Err(_) => return Err(failed(CallError::TimedOut(self.first_byte))),
        };
        let (head, body) = answer.into_parts();
        Ok(Answered::new(head, body))
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
            let limited = judge(status, &answered.head.headers, &body, UnixMillis::now());
            return Ok((answered, limited));
        }
        let may_tell = status.is_success() && is_plain && answered.is_events();
        // The dearest question last: it looks at the secret of each that is left.
        if may_tell && self.body.can_be_sent_again() && candidates.has_more() {
            let limited = answered.read_first_event().await.map_err(|error| {
                tracing::warn!(
                    request.id = self.request_id.as_str(),
                    model.provider = self.provider.name,
                    error.detail = %error,
                    "an answer broke off before its first event"
                );
                self.unreachable()
            })?;
            return Ok((answered, limited));
        }
        Ok((answered, None))
    }

    fn cool_down(&self, candidate: &Candidate, limited: Limited) {
        let wait = self
            .keeper
            .limited(&candidate.key, &candidate.mark, limited, UnixMillis::now());
        tracing::info!(
            request.id = self.request_id.as_str(),
            model.provider = self.provider.name,
            model.credential = candidate.name,
            reason = limited.limit.as_str(),
            cooldown_s = wait.as_secs(),
            "a credential hit a limit"
        );
    }

    /// Tells of a credential that its provider doesn't take, once.
    fn reject(&self, candidate: &Candidate) {
        if self.keeper.rejected(&candidate.key, &candidate.mark) {
            tracing::warn!(
                request.id = self.request_id.as_str(),
                model.provider = self.provider.name,
                model.credential = candidate.name,
                "the provider answers 401 to a credential"
            );
        }
    }

    fn worked(&self, candidate: &Candidate) {
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
        let reading = if is_plain && answered.is_events() {
            Reading::Events(Events::default())
        } else if is_plain && answered.is_json() {
            Reading::Json(Vec::new(), 0)
        } else {
            Reading::Nothing
        };
        let Answered {
            head,
            ahead,
            body,
            broken,
            ..
        } = answered;
        let mut record = record.take().expect("an answer is passed on once");
        record.status = Some(head.status.as_u16());
        let mut headers = answer_headers(&head.headers);
        headers
            .entry("x-request-id")
            .or_insert_with(|| id_value(&record.request_id));
        let watch = Watch {
            keeper: self.keeper.clone(),
            key: candidate.key.clone(),
            mark: candidate.mark.clone(),
            is_limited: false,
        };
        let passing = Passing {
            ahead,
            body,
            broken,
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
