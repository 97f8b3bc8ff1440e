//! A provider's answer before it is passed on, and as much of it as a judgement takes.

use super::events::Events;
use super::keeper::SavedAnswer;
use super::rate_limit::{Limited, judge_event};
use crate::http_client::BoxError;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::response::Parts;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How much of an error's body is read to judge it, and for how long.
const MAX_ERROR_BYTES: usize = 256 * 1024;
const ERROR_BODY: Duration = Duration::from_secs(5);
/// How much of a stream may be held back, and for how long after its head, to see
/// whether its first event is an error that another credential can mend. A limit is
/// known at once; who says nothing for longer thinks.
const MAX_FIRST_EVENT: usize = 64 * 1024;
const FIRST_EVENT: Duration = Duration::from_secs(3);

/// An answer that is there, or begins to be.
pub(super) struct Answered {
    pub(super) head: Parts,
    /// What has been read of the body.
    pub(super) ahead: VecDeque<Bytes>,
    /// The rest.
    pub(super) body: Incoming,
    /// Why there is no rest.
    pub(super) broken: Option<BoxError>,
    /// All of the body is in `ahead`.
    is_whole: bool,
}

impl Answered {
    pub(super) fn new(head: Parts, body: Incoming) -> Self {
        Self {
            head,
            ahead: VecDeque::new(),
            body,
            broken: None,
            is_whole: false,
        }
    }

    fn media_type(&self) -> &str {
        let value = self.head.headers.get(CONTENT_TYPE);
        let text = value.and_then(|value| value.to_str().ok());
        let media_type = text.and_then(|text| text.split(';').next());
        media_type.unwrap_or_default().trim()
    }

    pub(super) fn is_events(&self) -> bool {
        self.media_type().eq_ignore_ascii_case("text/event-stream")
    }

    pub(super) fn is_json(&self) -> bool {
        self.media_type().eq_ignore_ascii_case("application/json")
    }

    /// What has been read.
    pub(super) fn read(&self) -> Bytes {
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

    /// The answer, to be given again, where all of it has been read.
    pub(super) fn into_saved(self) -> Option<SavedAnswer> {
        // A stream that began with an error has nothing more to say.
        let is_error_event = self.is_events();
        (self.is_whole || is_error_event).then(|| SavedAnswer {
            status: self.head.status,
            body: self.read(),
            headers: self.head.headers,
        })
    }

    /// Reads the body, as far as it is of a sane size and comes in time.
    pub(super) async fn read_error(&mut self) {
        let deadline = Instant::now() + ERROR_BODY;
        let mut length = 0;
        while length < MAX_ERROR_BYTES {
            match timeout_at(deadline, self.body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    let Ok(piece) = frame.into_data() else {
                        continue;
                    };
                    length += piece.len();
                    self.ahead.push_back(piece);
                }
                // What is broken or late is judged by what there is.
                Ok(Some(Err(error))) => {
                    self.broken = Some(error.into());
                    return;
                }
                Ok(None) => {
                    self.is_whole = true;
                    return;
                }
                Err(_) => return,
            }
        }
    }

    /// Reads as far as it takes to see that the stream doesn't begin with an error, or
    /// that it does, and whether that is a limit's.
    pub(super) async fn read_first_event(&mut self) -> Result<Option<Limited>, hyper::Error> {
        let mut events = Events::default();
        let mut seen = Vec::new();
        let deadline = Instant::now() + FIRST_EVENT;
        loop {
            let Ok(frame) = timeout_at(deadline, self.body.frame()).await else {
                return Ok(None);
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
        }
    }
}

/// Whether a stream that begins like this could begin with an error: not with a comment,
/// which keeps a connection alive and must not wait, nor with an event of another name.
pub(crate) fn may_be_error(start: &[u8]) -> bool {
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
