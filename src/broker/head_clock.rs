//! How long a request's head takes, from its first byte to its last: hyper's own
//! deadline also counts the time in which a kept connection waits for a request, which
//! may be minutes.

use super::answer::AnswerBody;
use crate::http_client::BoxError;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// When the head that is coming in began.
#[derive(Debug, Default)]
pub(super) struct HeadClock {
    state: Mutex<State>,
    began: Notify,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    /// Nothing of the next request is there.
    #[default]
    Idle,
    /// Some of its head is.
    Head(Instant),
    /// Its head is whole; what comes in is its body.
    Request,
}

/// A connection whose reads start the clock.
#[derive(Debug)]
pub(super) struct Timed {
    stream: TcpStream,
    clock: Arc<HeadClock>,
}

/// An answer: when it is over, what is read is the next head.
pub(super) struct TimedAnswer {
    body: AnswerBody,
    clock: Arc<HeadClock>,
}

impl HeadClock {
    /// A request's head is there.
    pub(super) fn head_is_whole(&self) {
        self.set(State::Request);
    }

    /// Ends when a head takes longer than `limit`.
    pub(super) async fn is_late(&self, limit: Duration) {
        loop {
            match self.get() {
                State::Head(began) if began.elapsed() >= limit => return,
                State::Head(began) => sleep_until(began + limit).await,
                State::Idle | State::Request => self.began.notified().await,
            }
        }
    }

    fn read(&self) {
        if matches!(self.get(), State::Idle) {
            self.set(State::Head(Instant::now()));
            self.began.notify_one();
        }
    }

    fn get(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

impl Timed {
    pub(super) fn new(stream: TcpStream, clock: Arc<HeadClock>) -> Self {
        Self { stream, clock }
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let timed = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut timed.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            timed.clock.read();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Timed {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl TimedAnswer {
    pub(super) fn new(body: AnswerBody, clock: Arc<HeadClock>) -> Self {
        Self { body, clock }
    }
}

impl Drop for TimedAnswer {
    fn drop(&mut self) {
        self.clock.set(State::Idle);
    }
}

impl Body for TimedAnswer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
