//! The answer's way to the client.

use super::{Ended, ExchangeError, ExchangePlan, Progressed, Shared};
use crate::http1::Persistence;
use crate::http1::body::{Decoder, Framing};
use crate::http1::request::FieldList;
use crate::http1::response::{self, ResponseHead};
use crate::http1::scan::HeadScanner;
use crate::proxy::response::ResponseSink;
use crate::transport::Transport;
use pingora_timeout::timeout;
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, ReadHalf};

/// An upstream's head beyond this is refused: Node's own limit is 16 KiB.
const MAX_RESPONSE_HEAD: usize = 64 * 1024;
/// Interim answers and the final one; nobody needs more, and each is work.
const MAX_HEADS: usize = 16;
const READ_ROOM: usize = 16 * 1024;

/// Passes the answer on, head and body.
pub(super) async fn download(
    plan: &ExchangePlan<'_>,
    sink: &mut ResponseSink<'_>,
    reader: &mut ReadHalf<Transport>,
    shared: &Shared,
    progressed: &mut Progressed,
) -> Result<Ended, ExchangeError> {
    let began = Instant::now();
    let mut incoming = Incoming {
        reader,
        buffer: Vec::new(),
    };
    for _ in 0..MAX_HEADS {
        let length = read_head(&mut incoming, progressed).await?;
        let head = hand_on(plan, sink, &incoming.buffer[..length], shared)?;
        match head.status {
            100 if plan.expects_continue => {
                sink.interim_continue();
                sink.flush().await?;
            }
            101 => {
                progressed.status = Some(101);
                progressed.first_byte = Some(began.elapsed());
                sink.flush().await?;
                return Ok(Ended::Switched(incoming.buffer.split_off(length)));
            }
            // Early hints and the like are for nobody here (RFC 9110 section 15.2
            // lets a proxy drop what it did not ask for).
            100..=199 => {}
            status => {
                progressed.status = Some(status);
                progressed.first_byte = Some(began.elapsed());
                incoming.buffer.drain(..length);
                let limit = plan.limits.first_byte;
                if matches!(head.framing, Framing::Chunked | Framing::UntilClose) {
                    shared.endless.notify_one();
                }
                return pass_body(sink, incoming, head.framing, head.persistence, limit).await;
            }
        }
        incoming.buffer.drain(..length);
    }
    Err(ExchangeError::UpstreamMalformed("too many interim answers"))
}

/// The upstream's bytes as they come in.
struct Incoming<'a> {
    reader: &'a mut ReadHalf<Transport>,
    buffer: Vec<u8>,
}

impl Incoming<'_> {
    async fn read(&mut self) -> io::Result<usize> {
        if self.buffer.capacity() - self.buffer.len() < READ_ROOM / 4 {
            self.buffer.reserve(READ_ROOM);
        }
        self.reader.read_buf(&mut self.buffer).await
    }
}

/// What is left to know of a head once it has been handed on.
struct Handed {
    status: u16,
    framing: Framing,
    persistence: Persistence,
}

/// Reads a head and gives it to the sink, unless it is an interim one. Apart from
/// `download`, so that the fields never live in a task.
fn hand_on(
    plan: &ExchangePlan<'_>,
    sink: &mut ResponseSink<'_>,
    bytes: &[u8],
    shared: &Shared,
) -> Result<Handed, ExchangeError> {
    let mut fields = FieldList::default();
    let head = response::parse(bytes, plan.kind, &mut fields)
        .map_err(|error| ExchangeError::UpstreamMalformed(error.0))?;
    if head.status == 101 {
        check_switch(plan, &head)?;
    }
    if head.status == 101 || head.status >= 200 {
        shared.has_head.store(true, Ordering::Relaxed);
        if !shared.is_sent.load(Ordering::Relaxed) {
            sink.close_after();
        }
        sink.head(&head, fields.as_slice(), plan.kind, plan.answer)?;
    }
    Ok(Handed {
        status: head.status,
        framing: head.framing,
        persistence: head.persistence,
    })
}

async fn read_head(
    incoming: &mut Incoming<'_>,
    progressed: &mut Progressed,
) -> Result<usize, ExchangeError> {
    let mut scanner = HeadScanner::default();
    loop {
        match scanner.advance(&incoming.buffer) {
            Ok(Some(length)) => return Ok(length),
            Ok(None) if incoming.buffer.len() > MAX_RESPONSE_HEAD => {
                return Err(ExchangeError::UpstreamMalformed("its head is too large"));
            }
            Ok(None) => {}
            Err(_) => return Err(ExchangeError::UpstreamMalformed("a bare line feed")),
        }
        match incoming.read().await {
            Ok(0) | Err(_) => return Err(ExchangeError::UpstreamClosed),
            Ok(_) => progressed.answered = true,
        }
    }
}

/// A 101 is an answer to our handshake or to nothing (RFC 6455 section 4.1): a
/// tunnel opened for anything else would let later requests by unseen.
fn check_switch(plan: &ExchangePlan<'_>, head: &ResponseHead<'_>) -> Result<(), ExchangeError> {
    match (plan.websocket_accept, head.websocket_accept) {
        (Some(expected), Some(got)) if expected.as_bytes() == got => Ok(()),
        (Some(_), _) => Err(ExchangeError::UpstreamMalformed(
            "a 101 that does not prove the handshake",
        )),
        (None, _) => Err(ExchangeError::UpstreamMalformed(
            "a 101 that nobody asked for",
        )),
    }
}

async fn pass_body(
    sink: &mut ResponseSink<'_>,
    mut incoming: Incoming<'_>,
    framing: Framing,
    persistence: Persistence,
    limit: Duration,
) -> Result<Ended, ExchangeError> {
    let mut decoder = Decoder::new(framing);
    loop {
        let mut rest = incoming.buffer.as_slice();
        while let Some(piece) = decoder
            .next(&mut rest)
            .map_err(|_| ExchangeError::UpstreamMalformed("a broken chunked body"))?
        {
            sink.data(piece).await?;
        }
        let is_over_read = !rest.is_empty();
        if decoder.is_done() {
            sink.finish().await?;
            // Bytes that nobody asked for would be taken for the next answer.
            return Ok(Ended::Answered(if is_over_read {
                Persistence::Close
            } else {
                persistence
            }));
        }
        sink.flush().await?;
        incoming.buffer.clear();
        let read = match framing {
            // A body of known length is there already; one without may be a stream
            // of events that has nothing to say for hours.
            Framing::Length(_) => timeout(limit, incoming.read())
                .await
                .map_err(|_| ExchangeError::AnswerStalled)?,
            _ => incoming.read().await,
        };
        match read {
            Ok(0) if decoder.ends_with_connection() => {
                sink.finish().await?;
                return Ok(Ended::Answered(Persistence::Close));
            }
            Ok(0) | Err(_) => return Err(ExchangeError::UpstreamTruncated),
            Ok(_) => {}
        }
    }
}
