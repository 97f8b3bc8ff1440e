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
use tokio::time::{Instant, timeout, timeout_at};

/// The unit in which memory for bodies is counted.
const UNIT: usize = 16 * 1024;
/// What is set aside for a body before any of it is there, in bytes.
const FIRST_ROOM: usize = 256 * 1024;
/// For a whole body: who sends a byte now and then holds memory all the while.
const LONGEST: Duration = Duration::from_secs(600);
/// How much of a refused body is read, and for how long, lest closing the connection
/// over it resets it before the caller has the answer.
const DISCARD_BYTES: usize = 64 << 20;
const DISCARD: Duration = Duration::from_secs(5);

/// The memory that all bodies of some callers together may take.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<Semaphore>);

/// A part of a [`Budget`], given back when dropped.
#[derive(Debug)]
struct Share(Vec<OwnedSemaphorePermit>);

/// How much of a body is read, how often it may be sent, and how late it may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// What is longer is read in part, in bytes.
    pub(super) most: usize,
    /// What is longer is sent once, in bytes.
    pub(super) most_again: usize,
    /// Between two pieces.
    pub(super) stall: Duration,
}

/// A body that is there, at least in part.
pub(super) struct RequestBody {
    /// What has been read.
    pub(super) start: Bytes,
    rest: Rest,
    most_again: usize,
    _memory: Option<Share>,
}

enum Rest {
    /// Nothing: the body can be sent as often as need be.
    Read,
    /// More is to come, and can be sent once.
    Streams(Mutex<Option<Incoming>>),
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

impl Share {
    /// So much of each of `budgets`.
    fn of(budgets: &[Budget], bytes: usize) -> Result<Self, Problem> {
        let taken: Result<Vec<_>, _> = budgets.iter().map(|budget| budget.take(bytes)).collect();
        taken.map(Self)
    }

    fn bytes(&self) -> usize {
        self.0
            .first()
            .map_or(usize::MAX, |permit| permit.num_permits() * UNIT)
    }

    fn grow(&mut self, further: Self) {
        for (permit, further) in self.0.iter_mut().zip(further.0) {
            permit.merge(further);
        }
    }
}

impl RequestBody {
    /// Reads it, within each of `budgets`. What is refused is read as far as it takes
    /// for the caller to have the answer.
    pub(super) async fn read(
        mut body: Incoming,
        bounds: Bounds,
        budgets: &[Budget],
    ) -> Result<Self, Problem> {
        let read = Self::read_within(&mut body, bounds, budgets).await;
        match read {
            Ok((start, true, memory)) => Ok(Self::new(start, Rest::Read, bounds, memory)),
            Ok((start, false, memory)) => {
                let rest = Rest::Streams(Mutex::new(Some(body)));
                Ok(Self::new(start, rest, bounds, memory))
            }
            Err(problem) => {
                discard(body).await;
                Err(problem)
            }
        }
    }

    fn new(start: Bytes, rest: Rest, bounds: Bounds, memory: Option<Share>) -> Self {
        Self {
            start,
            rest,
            most_again: bounds.most_again,
            _memory: memory,
        }
    }

    /// What has been read, whether that is all, and the memory that it takes.
    async fn read_within(
        body: &mut Incoming,
        bounds: Bounds,
        budgets: &[Budget],
    ) -> Result<(Bytes, bool, Option<Share>), Problem> {
        if body.is_end_stream() {
            return Ok((Bytes::new(), true, None));
        }
        let deadline = Instant::now() + LONGEST;
        let announced = body.size_hint().exact();
        let announced = announced.map_or(UNIT, |it| usize::try_from(it).unwrap_or(usize::MAX));
        let room = announced.min(bounds.most).min(FIRST_ROOM);
        // What is announced and never comes takes nothing from others.
        let mut memory = Share::of(budgets, room)?;
        let mut read = BytesMut::with_capacity(room);
        loop {
            let frame = timeout_at(deadline, timeout(bounds.stall, body.frame())).await;
            let frame = match frame {
                Ok(Ok(frame)) => frame,
                Ok(Err(_)) | Err(_) => return Err(Problem::RequestTimeout),
            };
            let Some(frame) = frame else {
                return Ok((read.freeze(), true, Some(memory)));
            };
            let frame = frame.map_err(|_| Problem::BadRequest("the body is malformed"))?;
            // Trailers are not passed on.
            let Ok(piece) = frame.into_data() else {
                continue;
            };
            let (held, needed) = (memory.bytes(), read.len() + piece.len());
            if needed > held {
                // Twice as much, as the buffer grows.
                memory.grow(Share::of(
                    budgets,
                    (needed - held).max(held.min(bounds.most)),
                )?);
            }
            read.extend_from_slice(&piece);
            if read.len() > bounds.most {
                return Ok((read.freeze(), false, Some(memory)));
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

    /// Reads on what will not be sent.
    pub(super) async fn refuse(self) {
        if let Rest::Streams(rest) = &self.rest {
            let rest = rest.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(rest) = rest {
                discard(rest).await;
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

/// Reads what nobody has a use for.
pub(super) async fn discard(mut body: Incoming) {
    let reading = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > DISCARD_BYTES {
                break;
            }
        }
    };
    // Who sends on for longer may have its connection reset.
    let _ = timeout(DISCARD, reading).await;
}
