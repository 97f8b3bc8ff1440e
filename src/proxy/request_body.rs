//! The request's body on its way in, from HTTP/1.1 or HTTP/2.

use super::http2_stream::Http2Stream;
use super::inbound::Inbound;
use crate::http1::body::{BodyError, Decoder, Framing, write_chunk};
use std::io;

/// How the body goes out to the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutFraming {
    /// As it is: there is none, or its length was announced.
    Raw,
    /// In chunks of our own.
    Chunked,
}

impl From<Framing> for OutFraming {
    fn from(framing: Framing) -> Self {
        match framing {
            Framing::Empty | Framing::Length(_) => Self::Raw,
            Framing::Chunked | Framing::UntilClose => Self::Chunked,
        }
    }
}

impl OutFraming {
    fn write(self, piece: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Raw => out.extend_from_slice(piece),
            Self::Chunked => write_chunk(piece, out),
        }
    }
}

/// Why the body did not come whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("the client went away")]
    Gone,
    #[error(transparent)]
    Malformed(#[from] BodyError),
}

impl From<io::Error> for ReadError {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Why the client is no longer watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Departure {
    /// It went away.
    Left,
    /// It has sent more than there is room for, so its end can't be seen.
    NoRoom,
}

/// Whether more is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    Done,
}

/// Where the body comes from.
pub(super) enum RequestBody<'a> {
    Http1 {
        inbound: &'a mut Inbound,
        decoder: Decoder,
        pipeline_room: usize,
    },
    Http2(&'a Http2Stream),
}

impl RequestBody<'_> {
    /// Appends the next piece to `out` in its outgoing framing, and says how
    /// many bytes of content that was.
    pub(super) async fn next(
        &mut self,
        framing: OutFraming,
        out: &mut Vec<u8>,
    ) -> Result<(Progress, u64), ReadError> {
        match self {
            Self::Http1 {
                inbound, decoder, ..
            } => loop {
                let mut content = 0;
                let unread = inbound.unread();
                let mut rest = unread;
                while let Some(piece) = decoder.next(&mut rest)? {
                    content += piece.len() as u64;
                    framing.write(piece, out);
                }
                let used = unread.len() - rest.len();
                inbound.consume(used);
                if decoder.is_done() {
                    return Ok((Progress::Done, content));
                }
                if content > 0 {
                    return Ok((Progress::More, content));
                }
                if inbound.fill_body().await? == 0 {
                    return Err(ReadError::Gone);
                }
            },
            Self::Http2(stream) => match stream.read().await? {
                Some(piece) => {
                    framing.write(&piece, out);
                    Ok((Progress::More, piece.len() as u64))
                }
                None => Ok((Progress::Done, 0)),
            },
        }
    }

    /// Ends when the client has gone away, or can't be watched any more. What it
    /// sends meanwhile is kept for its turn.
    pub(super) async fn departure(&mut self) -> Departure {
        match self {
            Self::Http1 {
                inbound,
                pipeline_room,
                ..
            } => loop {
                match inbound.fill_pipelined(*pipeline_room).await {
                    Ok(Some(0)) | Err(_) => return Departure::Left,
                    Ok(Some(_)) => {}
                    Ok(None) => return Departure::NoRoom,
                }
            },
            Self::Http2(stream) => {
                stream.reset().await;
                Departure::Left
            }
        }
    }

    /// Ends when the client has gone away, as far as that can be seen.
    pub(super) async fn gone(&mut self) {
        if self.departure().await == Departure::NoRoom {
            std::future::pending().await
        }
    }
}
