//! A request's body, read so that it can be sent more than once.

use super::problem::Problem;
use crate::http_client::{BoxError, OutgoingBody, whole};
use bytes::{Bytes, BytesMut};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The unit in which memory for bodies is counted.
const UNIT: usize = 16 * 1024;

/// The memory that all bodies together may take.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<Semaphore>);

/// A body that is there, at least in part.
pub(super) struct RequestBody {
    /// What has been read.
    pub(super) start: Bytes,
    rest: Rest,
    /// The longest that may be sent again, in bytes.
    most_again: usize,
    _memory: Option<OwnedSemaphorePermit>,
}

enum Rest {
    /// Nothing: the body can be sent as often as need be.
    Read,
    /// More is to come, and can be sent once.
    Streams(Arc<Mutex<Option<Incoming>>>),
}

impl Budget {
    /// For `bytes` in all.
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.div_ceil(UNIT))))
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let taken = self.0.clone().try_acquire_many_owned(units);
        taken.map_err(|_| Problem::Overloaded)
    }
}

impl RequestBody {
    /// Reads up to `most` bytes, of which `most_again` may be sent more than once; a
    /// piece may be `stall` late.
    pub(super) async fn read(
        mut body: Incoming,
        (most, most_again): (usize, usize),
        stall: Duration,
        budget: &Budget,
    ) -> Result<Self, Problem> {
        let ready = |start, rest, memory| Self {
            start,
            rest,
            most_again,
            _memory: memory,
        };
        if body.is_end_stream() {
            return Ok(ready(Bytes::new(), Rest::Read, None));
        }
        let announced = body.size_hint().exact();
        let announced = announced.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        // What is announced and never comes takes nothing from others.
        let mut memory = budget.take(UNIT)?;
        let mut read = BytesMut::with_capacity(announced.unwrap_or(UNIT).min(most));
        loop {
            let frame = timeout(stall, body.frame()).await;
            let frame = frame.map_err(|_| Problem::RequestTimeout)?;
            let Some(frame) = frame else {
                return Ok(ready(read.freeze(), Rest::Read, Some(memory)));
            };
            let frame = frame.map_err(|_| Problem::BadRequest("the body is malformed"))?;
            // Trailers are not passed on.
            let Ok(piece) = frame.into_data() else {
                continue;
            };
            let held = memory.num_permits() * UNIT;
            if read.len() + piece.len() > held {
                let further = read.len() + piece.len() - held;
                memory.merge(budget.take(further.max(held))?);
            }
            read.extend_from_slice(&piece);
            if read.len() > most {
                let rest = Rest::Streams(Arc::new(Mutex::new(Some(body))));
                return Ok(ready(read.freeze(), rest, Some(memory)));
            }
        }
    }

    /// Whether all of it has been read.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.rest, Rest::Read)
    }

    /// Whether it may be sent more than once.
    pub(super) fn can_be_sent_again(&self) -> bool {
        self.is_whole() && self.start.len() <= self.most_again
    }

    /// The body to send; of one that streams, there is one.
    pub(super) fn to_send(&self) -> OutgoingBody {
        match &self.rest {
            Rest::Read => whole(self.start.clone()),
            Rest::Streams(rest) => {
                let rest = rest.lock().unwrap_or_else(PoisonError::into_inner).take();
                chained(self.start.clone(), rest)
            }
        }
    }
}

fn chained(start: Bytes, rest: Option<Incoming>) -> OutgoingBody {
    let first = Full::new(start).map_err(|never| match never {});
    let frames = futures_util::stream::unfold(
        (Some(UnsyncBoxBody::<Bytes, BoxError>::new(first)), rest),
        |(mut first, mut rest)| async move {
            loop {
                if let Some(body) = &mut first {
                    match body.frame().await {
                        Some(frame) => return Some((frame, (first, rest))),
                        None => first = None,
                    }
                    continue;
                }
                let frame = rest.as_mut()?.frame().await?;
                let frame = frame.map_err(BoxError::from).map(only_data);
                return Some((frame, (first, rest)));
            }
        },
    );
    UnsyncBoxBody::new(StreamBody::new(frames))
}

fn only_data(frame: Frame<Bytes>) -> Frame<Bytes> {
    Frame::data(frame.into_data().unwrap_or_default())
}
