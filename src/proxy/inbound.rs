//! The downstream connection's reading side: one buffer for heads, bodies and
//! what a client pipelines, each byte copied into it once.

use crate::transport::Transport;
use std::io;
use tokio::io::{AsyncReadExt, ReadHalf};

/// Room for a usual head; a larger one makes the buffer grow.
const HEAD_ROOM: usize = 2 * 1024;
/// Room for a read of body bytes.
pub(super) const BODY_ROOM: usize = 16 * 1024;

/// Bytes read from the client and not used up yet.
#[derive(Debug)]
pub(super) struct Inbound {
    reader: ReadHalf<Transport>,
    buffer: Vec<u8>,
    start: usize,
}

impl Inbound {
    pub(super) fn new(reader: ReadHalf<Transport>) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            start: 0,
        }
    }

    /// What has come in and is not used up.
    pub(super) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Marks the first `count` unread bytes as used.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.buffer.len());
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
    }

    /// Reads more of a head.
    pub(super) async fn fill_head(&mut self) -> io::Result<usize> {
        self.fill(HEAD_ROOM).await
    }

    /// Reads more of a body.
    pub(super) async fn fill_body(&mut self) -> io::Result<usize> {
        self.fill(BODY_ROOM).await
    }

    /// Reads what the client sends while none of it is due; none once `room` is
    /// full of it.
    pub(super) async fn fill_pipelined(&mut self, room: usize) -> io::Result<Option<usize>> {
        if self.unread().len() >= room {
            return Ok(None);
        }
        self.fill(HEAD_ROOM).await.map(Some)
    }

    /// Gives the memory back that a body or a large head needed.
    pub(super) fn shrink(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > HEAD_ROOM {
            self.buffer = Vec::new();
        }
    }

    /// The connection, and what had been read beyond what was used.
    pub(super) fn into_parts(mut self) -> (ReadHalf<Transport>, Vec<u8>) {
        self.buffer.drain(..self.start);
        (self.reader, self.buffer)
    }

    async fn fill(&mut self, room: usize) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        if self.buffer.capacity() - self.buffer.len() < room / 2 {
            self.buffer.reserve(room);
        }
        self.reader.read_buf(&mut self.buffer).await
    }
}
