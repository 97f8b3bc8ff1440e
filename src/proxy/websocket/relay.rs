//! One direction of a tunnel.

use super::frames::{Frames, close_frame};
use crate::transport::Transport;
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

thread_local! {
    /// Bytes on their way from one socket to another within one poll.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; 64 * 1024].into_boxed_slice());
}

/// Where a direction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Bytes pass.
    Open,
    /// At the next frame boundary a Close frame with this code ends it.
    Closing(u16),
    /// The source has ended; what is pending goes out, then the end.
    Ending,
    /// Nothing more of the source is wanted: the end goes out at once.
    CuttingOff,
    /// The end went out; what the source still sends is thrown away until it ends, for a
    /// reset would take from it what it was told last.
    Discarding,
    /// The end went out.
    Ended,
}

/// Carries bytes from one transport to the other, in order, one poll at a time.
#[derive(Debug)]
pub(super) struct Relay {
    state: State,
    frames: Frames,
    pending: Vec<u8>,
    written: usize,
    needs_flush: bool,
    bytes: u64,
}

impl Relay {
    /// A relay whose source has sent `early` already.
    pub(super) fn new(early: Vec<u8>) -> Self {
        let mut frames = Frames::new();
        frames.follow(&early);
        let bytes = early.len() as u64;
        Self {
            state: State::Open,
            frames,
            pending: early,
            written: 0,
            needs_flush: false,
            bytes,
        }
    }

    /// Bytes taken from the source so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends this direction with a Close frame at the next boundary, unless it has
    /// ended or said so itself.
    pub(super) fn close_with(&mut self, code: u16) {
        if self.state == State::Open {
            self.state = State::Closing(code);
        }
    }

    /// Ends this direction where it is: what is pending is lost.
    pub(super) fn cut_off(&mut self) {
        if self.state != State::Ended {
            self.pending = Vec::new();
            self.written = 0;
            self.state = State::CuttingOff;
        }
    }

    /// Carries what can be carried now; ready when the end has been passed on.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut from: Pin<&mut Transport>,
        mut to: Pin<&mut Transport>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_pending(cx, to.as_mut()))?;
            match self.state {
                State::Ended => return Poll::Ready(Ok(())),
                State::Ending => {
                    ready!(to.as_mut().poll_shutdown(cx))?;
                    self.state = State::Ended;
                }
                State::CuttingOff => {
                    // It may take no more; then it finds out by itself.
                    let _ = ready!(to.as_mut().poll_shutdown(cx));
                    self.state = State::Discarding;
                }
                State::Discarding => {
                    ready!(poll_discard(cx, from.as_mut()))?;
                    self.state = State::Ended;
                }
                State::Closing(code) if self.frames.is_at_boundary() => {
                    if !self.frames.saw_close() {
                        self.pending.extend_from_slice(&close_frame(code));
                    }
                    self.state = State::Ending;
                }
                State::Open | State::Closing(_) => {
                    match self.poll_carry(cx, from.as_mut(), to.as_mut()) {
                        Poll::Ready(carried) => carried?,
                        Poll::Pending => return self.poll_flush(cx, to),
                    }
                }
            }
        }
    }

    /// Writes what was put aside, and gives its memory back.
    fn poll_pending(
        &mut self,
        cx: &mut Context<'_>,
        mut to: Pin<&mut Transport>,
    ) -> Poll<io::Result<()>> {
        while self.written < self.pending.len() {
            let count = ready!(to.as_mut().poll_write(cx, &self.pending[self.written..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            self.needs_flush = true;
        }
        if self.written > 0 {
            self.pending = Vec::new();
            self.written = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once and writes what was read, as far as it is taken.
    fn poll_carry(
        &mut self,
        cx: &mut Context<'_>,
        from: Pin<&mut Transport>,
        to: Pin<&mut Transport>,
    ) -> Poll<io::Result<()>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(from.poll_read(cx, &mut buffer))?;
            let read = buffer.filled();
            if read.is_empty() {
                self.state = State::Ending;
                return Poll::Ready(Ok(()));
            }
            self.bytes += read.len() as u64;
            let passing = match self.state {
                // What comes after the boundary is what the Close frame cuts off.
                State::Closing(_) => &read[..self.frames.follow_frame(read)],
                _ => {
                    self.frames.follow(read);
                    read
                }
            };
            let count = match to.poll_write(cx, passing) {
                Poll::Ready(count) => count?,
                Poll::Pending => 0,
            };
            self.needs_flush |= count > 0;
            self.pending.extend_from_slice(&passing[count..]);
            Poll::Ready(Ok(()))
        })
    }

    /// Waiting for the source: whatever TLS has put aside goes out first.
    fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        to: Pin<&mut Transport>,
    ) -> Poll<io::Result<()>> {
        if self.needs_flush {
            ready!(to.poll_flush(cx))?;
            self.needs_flush = false;
        }
        Poll::Pending
    }
}

/// Reads and forgets, to the source's end.
fn poll_discard(cx: &mut Context<'_>, mut from: Pin<&mut Transport>) -> Poll<io::Result<()>> {
    SCRATCH.with_borrow_mut(|scratch| {
        loop {
            let mut buffer = ReadBuf::new(scratch);
            ready!(from.as_mut().poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    })
}
