//! An answer on its way to the caller, looked through as it passes: nothing of it waits
//! for that.

use super::credential_key::{CredentialKey, Mark};
use super::events::Events;
use super::keeper::Keeper;
use super::rate_limit::judge_event;
use super::record::Record;
use super::usage::has_content;
use crate::credentials::{Dialect, UnixMillis};
use crate::http_client::BoxError;
use crate::telemetry::metrics::ModelOutcome;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The longest answer that is kept to be read for tokens, in bytes.
const MAX_READ: usize = 4 << 20;

/// The body of an answer.
pub(super) enum AnswerBody {
    /// One that is there already. Its record is over when it has been sent.
    Whole {
        body: Full<Bytes>,
        _record: Box<Record>,
    },
    /// A provider's, as it comes.
    Passing(Box<Passing>),
}

/// A provider's answer as it comes.
pub(super) struct Passing {
    /// Pieces that were read ahead.
    pub(super) ahead: VecDeque<Bytes>,
    pub(super) body: Incoming,
    /// Why it ends after the pieces that were read ahead.
    pub(super) broken: Option<BoxError>,
    pub(super) reading: Reading,
    pub(super) dialect: Dialect,
    pub(super) record: Record,
    pub(super) watch: Watch,
}

/// What comes of the credential is noted at.
pub(super) struct Watch {
    pub(super) keeper: Arc<Keeper>,
    pub(super) key: CredentialKey,
    pub(super) mark: Mark,
    /// It was.
    pub(super) is_limited: bool,
}

/// How an answer is read.
pub(super) enum Reading {
    /// It is a stream of events.
    Events(Events),
    /// It is JSON, and kept until its end.
    Json(Vec<Bytes>, usize),
    /// It is something else.
    Nothing,
}

impl Passing {
    /// The body, which may be over before it began.
    pub(super) fn begin(mut self) -> AnswerBody {
        if self.is_over() {
            self.finish(true);
        }
        AnswerBody::Passing(Box::new(self))
    }

    fn is_over(&self) -> bool {
        self.ahead.is_empty() && self.broken.is_none() && self.body.is_end_stream()
    }

    fn look(&mut self, piece: &Bytes) {
        self.record.bytes_out += piece.len() as u64;
        let (record, watch, dialect) = (&mut self.record, &mut self.watch, self.dialect);
        match &mut self.reading {
            Reading::Events(events) => events.feed(piece, |data| {
                if has_content(dialect, data) {
                    record.content();
                }
                record.usage.take(data);
                // An error that comes late can't be undone; it can be remembered.
                let may_be = memchr::memmem::find(data, b"\"error\"").is_some()
                    || memchr::memmem::find(data, b"response.failed").is_some();
                if may_be && let Some(limited) = judge_event(data) {
                    watch.is_limited = true;
                    watch
                        .keeper
                        .limited(&watch.key, &watch.mark, limited, UnixMillis::now());
                }
            }),
            Reading::Json(pieces, length) => {
                *length += piece.len();
                if *length > MAX_READ {
                    self.reading = Reading::Nothing;
                } else {
                    pieces.push(piece.clone());
                }
            }
            Reading::Nothing => {}
        }
    }

    fn finish(&mut self, is_whole: bool) {
        if let (Reading::Json(pieces, _), true) = (&self.reading, is_whole) {
            match pieces.as_slice() {
                [whole] => self.record.usage.take(whole),
                _ => self.record.usage.take(&pieces.concat()),
            }
        }
        self.reading = Reading::Nothing;
        self.record.outcome = match self.record.status {
            _ if !is_whole => ModelOutcome::UpstreamError,
            Some(200..=399) => {
                if !self.watch.is_limited {
                    let Watch {
                        keeper, key, mark, ..
                    } = &self.watch;
                    keeper.succeeded(key, mark, UnixMillis::now());
                }
                ModelOutcome::Ok
            }
            Some(429) => ModelOutcome::RateLimited,
            Some(400..=499) => ModelOutcome::ClientError,
            _ => ModelOutcome::UpstreamError,
        };
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let passing = match self.get_mut() {
            Self::Whole { body, .. } => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                return Poll::Ready(frame.map(|frame| frame.map_err(|never| match never {})));
            }
            Self::Passing(passing) => passing,
        };
        if let Some(piece) = passing.ahead.pop_front() {
            passing.look(&piece);
            if passing.is_over() {
                passing.finish(true);
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if let Some(error) = passing.broken.take() {
            passing.finish(false);
            return Poll::Ready(Some(Err(error)));
        }
        match ready!(Pin::new(&mut passing.body).poll_frame(cx)) {
            None => {
                passing.finish(true);
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                passing.finish(false);
                Poll::Ready(Some(Err(error.into())))
            }
            // They are not passed on, and nothing comes after them.
            Some(Ok(frame)) if frame.is_trailers() => {
                passing.finish(true);
                Poll::Ready(None)
            }
            Some(Ok(frame)) => {
                if let Some(piece) = frame.data_ref().cloned() {
                    passing.look(&piece);
                }
                if passing.is_over() {
                    // Nobody asks again for what is said to have ended.
                    passing.finish(true);
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole { body, .. } => body.is_end_stream(),
            Self::Passing(passing) => passing.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole { body, .. } => body.size_hint(),
            Self::Passing(passing) if passing.ahead.is_empty() => passing.body.size_hint(),
            Self::Passing(_) => SizeHint::default(),
        }
    }
}
