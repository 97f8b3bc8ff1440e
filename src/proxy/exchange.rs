//! One request and its answer over one upstream connection, both directions at
//! once: the upstream may answer while the body is still on its way (an early
//! 413 most of all), and a client that goes away ends the whole.

use super::request_body::{OutFraming, Progress, ReadError, RequestBody};
use super::response::{AnswerFields, ResponseSink, WriteError};
use crate::http1::Persistence;
use crate::http1::body::{Decoder, Framing};
use crate::http1::request::FieldList;
use crate::http1::response::{self, RequestKind, ResponseHead};
use crate::http1::scan::HeadScanner;
use crate::transport::Transport;
use crate::upstream::UpstreamConnection;
use pingora_timeout::timeout;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

/// An upstream's head beyond this is refused: Node's own limit is 16 KiB.
const MAX_RESPONSE_HEAD: usize = 64 * 1024;
const READ_ROOM: usize = 16 * 1024;

/// What an exchange needs to know of its request.
pub(super) struct ExchangePlan<'a> {
    /// The request's head as it goes to the upstream.
    pub(super) head: &'a [u8],
    pub(super) framing: Framing,
    pub(super) kind: RequestKind,
    /// The client waits for `100 Continue`.
    pub(super) expects_continue: bool,
    /// The `Sec-WebSocket-Accept` that makes a 101 valid; none: no 101 is.
    pub(super) websocket_accept: Option<&'a str>,
    pub(super) answer: &'a AnswerFields,
    pub(super) limits: ExchangeLimits,
}

/// How long and how much.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExchangeLimits {
    /// Content bytes of a request body.
    pub(super) max_body: u64,
    /// Between two pieces of a request body, and between two takes of an answer.
    pub(super) stall: Duration,
    /// From the whole request sent to the answer's head.
    pub(super) first_byte: Duration,
}

/// Why an exchange has no whole answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error("the client went away")]
    ClientGone,
    #[error("the client does not read the answer")]
    ClientStalled,
    #[error("the request body is longer than `limits.maxBodyBytes`")]
    BodyTooLarge,
    #[error("the request body stalled for longer than `limits.bodyStallTimeout`")]
    BodyStalled,
    #[error("{0}")]
    BodyMalformed(crate::http1::body::BodyError),
    #[error("no answer within `limits.upstreamFirstByteTimeout`")]
    UpstreamTimeout,
    #[error("the upstream closed the connection without an answer")]
    UpstreamClosed,
    #[error("the upstream's answer is unusable: {0}")]
    UpstreamMalformed(&'static str),
    #[error("the upstream's answer ended early")]
    UpstreamTruncated,
}

impl From<WriteError> for ExchangeError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Gone => Self::ClientGone,
            WriteError::Stalled => Self::ClientStalled,
        }
    }
}

/// How far an exchange got, success or not.
#[derive(Debug, Default)]
pub(super) struct Progressed {
    /// The status that the client was told, once it was.
    pub(super) status: Option<u16>,
    /// From the start of the exchange to the answer's head.
    pub(super) first_byte: Option<Duration>,
    /// Content bytes of the request that were read.
    pub(super) body_in: u64,
    /// The request went out whole.
    pub(super) request_sent: bool,
    /// Bytes of an answer were seen.
    pub(super) answered: bool,
}

/// How an exchange ended well.
#[derive(Debug)]
pub(super) enum Ended {
    /// The answer is out. Says whether the upstream's connection can be used again.
    Answered(Persistence),
    /// The upstream switched protocols; what it sent beyond its head.
    Switched(Vec<u8>),
}

struct Shared {
    request_sent: AtomicBool,
    body_in: AtomicU64,
}

/// Sends the request and brings back the answer.
pub(super) async fn run(
    plan: &ExchangePlan<'_>,
    body: &mut RequestBody<'_>,
    sink: &mut ResponseSink<'_>,
    upstream: &mut UpstreamConnection,
    progressed: &mut Progressed,
) -> Result<Ended, ExchangeError> {
    let shared = Shared {
        request_sent: AtomicBool::new(false),
        body_in: AtomicU64::new(0),
    };
    let UpstreamConnection { reader, writer, .. } = upstream;
    let result = {
        let mut upload = pin!(upload(plan, body, writer, &shared));
        let mut download = pin!(download(plan, sink, reader, &shared, progressed));
        let mut uploading = true;
        loop {
            tokio::select! {
                biased;
                uploaded = &mut upload, if uploading => match uploaded {
                    // The upstream reads no more; its answer may be under way.
                    Uploaded::UpstreamClosed => uploading = false,
                    Uploaded::Failed(error) => break Err(error),
                },
                downloaded = &mut download => break downloaded,
            }
        }
    };
    progressed.request_sent = shared.request_sent.load(Ordering::Relaxed);
    progressed.body_in = shared.body_in.load(Ordering::Relaxed);
    match result {
        // What is left of the request would be read as the start of the next.
        Ok(Ended::Answered(_)) if !progressed.request_sent => {
            Ok(Ended::Answered(Persistence::Close))
        }
        other => other,
    }
}

enum Uploaded {
    UpstreamClosed,
    Failed(ExchangeError),
}

/// Sends head and body, then watches the client. Never ends while all is well.
async fn upload(
    plan: &ExchangePlan<'_>,
    body: &mut RequestBody<'_>,
    writer: &mut WriteHalf<Transport>,
    shared: &Shared,
) -> Uploaded {
    match send(plan, body, writer, shared).await {
        Ok(()) => {}
        Err(Uploaded::UpstreamClosed) => return Uploaded::UpstreamClosed,
        Err(failed) => return failed,
    }
    shared.request_sent.store(true, Ordering::Relaxed);
    body.gone().await;
    Uploaded::Failed(ExchangeError::ClientGone)
}

async fn send(
    plan: &ExchangePlan<'_>,
    body: &mut RequestBody<'_>,
    writer: &mut WriteHalf<Transport>,
    shared: &Shared,
) -> Result<(), Uploaded> {
    let closed = |_: io::Error| Uploaded::UpstreamClosed;
    writer.write_all(plan.head).await.map_err(closed)?;
    if plan.framing == Framing::Empty {
        return writer.flush().await.map_err(closed);
    }
    writer.flush().await.map_err(closed)?;
    let framing = OutFraming::from(plan.framing);
    let mut out = Vec::new();
    let mut total = 0;
    loop {
        out.clear();
        let (progress, content) = timeout(plan.limits.stall, body.next(framing, &mut out))
            .await
            .map_err(|_| Uploaded::Failed(ExchangeError::BodyStalled))?
            .map_err(|error| {
                Uploaded::Failed(match error {
                    ReadError::Gone => ExchangeError::ClientGone,
                    ReadError::Malformed(error) => ExchangeError::BodyMalformed(error),
                })
            })?;
        total += content;
        shared.body_in.store(total, Ordering::Relaxed);
        if total > plan.limits.max_body {
            return Err(Uploaded::Failed(ExchangeError::BodyTooLarge));
        }
        if progress == Progress::Done && framing == OutFraming::Chunked {
            out.extend_from_slice(crate::http1::body::LAST_CHUNK);
        }
        writer.write_all(&out).await.map_err(closed)?;
        writer.flush().await.map_err(closed)?;
        if progress == Progress::Done {
            return Ok(());
        }
    }
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

async fn download(
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
    loop {
        let length = read_head(plan, &mut incoming, shared, progressed).await?;
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
                return pass_body(sink, incoming, head.framing, head.persistence).await;
            }
        }
        incoming.buffer.drain(..length);
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
        if !shared.request_sent.load(Ordering::Relaxed) {
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
    plan: &ExchangePlan<'_>,
    incoming: &mut Incoming<'_>,
    shared: &Shared,
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
        match timeout(plan.limits.first_byte, incoming.read()).await {
            Ok(Ok(0)) | Ok(Err(_)) => return Err(ExchangeError::UpstreamClosed),
            Ok(Ok(_)) => progressed.answered = true,
            // The wait counts from the whole request: an upload takes its time.
            Err(_) if !shared.request_sent.load(Ordering::Relaxed) => {}
            Err(_) => return Err(ExchangeError::UpstreamTimeout),
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
        match incoming.read().await {
            Ok(0) if decoder.ends_with_connection() => {
                sink.finish().await?;
                return Ok(Ended::Answered(Persistence::Close));
            }
            Ok(0) | Err(_) => return Err(ExchangeError::UpstreamTruncated),
            Ok(_) => {}
        }
    }
}
