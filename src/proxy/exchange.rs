//! One request and its answer over one upstream connection, both directions at
//! once: the upstream may answer while the body is still on its way (an early
//! 413 most of all), and a client that goes away ends the whole.

use super::request_body::{Departure, OutFraming, Progress, ReadError, RequestBody};
use super::response::{AnswerFields, ResponseSink, WriteError, write_flushed};
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
use tokio::io::{AsyncReadExt, ReadHalf, WriteHalf};
use tokio::sync::Notify;

/// An upstream's head beyond this is refused: Node's own limit is 16 KiB.
const MAX_RESPONSE_HEAD: usize = 64 * 1024;
/// Interim answers and the final one; nobody needs more, and each is work.
const MAX_HEADS: usize = 16;
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
    /// From the whole request sent to the answer's head, and between two pieces of an
    /// answer of known length.
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
    #[error("the upstream took none of the request for longer than `limits.bodyStallTimeout`")]
    UpstreamStalled,
    #[error("the upstream closed the connection without an answer")]
    UpstreamClosed,
    #[error("the upstream's answer is unusable: {0}")]
    UpstreamMalformed(&'static str),
    #[error("the upstream's answer stalled for longer than `limits.upstreamFirstByteTimeout`")]
    AnswerStalled,
    #[error("the client sends requests without measure before it has its answer")]
    Pipelined,
    #[error("the upstream's answer ended early")]
    UpstreamTruncated,
}

impl From<WriteError> for ExchangeError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Gone => Self::ClientGone,
            WriteError::Stalled => Self::ClientStalled,
            WriteError::Unusable => Self::UpstreamMalformed("a field that HTTP/2 can't carry"),
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

/// What the two directions tell each other.
#[derive(Default)]
struct Shared {
    is_sent: AtomicBool,
    sent: Notify,
    has_head: AtomicBool,
    /// The answer is one whose end nobody announced.
    endless: Notify,
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
    let shared = Shared::default();
    let UpstreamConnection { reader, writer, .. } = upstream;
    let result = {
        let mut upload = pin!(upload(plan, body, writer, &shared));
        let mut download = pin!(download(plan, sink, reader, &shared, progressed));
        let mut overdue = pin!(overdue(&shared, plan.limits.first_byte));
        tokio::select! {
            biased;
            error = &mut upload => Err(error),
            downloaded = &mut download => downloaded,
            () = &mut overdue => Err(ExchangeError::UpstreamTimeout),
        }
    };
    progressed.body_in = shared.body_in.load(Ordering::Relaxed);
    let is_sent = shared.is_sent.load(Ordering::Relaxed);
    match result {
        // What is left of the request would be read as the start of the next.
        Ok(Ended::Answered(_)) if !is_sent => Ok(Ended::Answered(Persistence::Close)),
        other => other,
    }
}

/// Ends when the answer's head is late: the wait counts from the request's last
/// byte, for an upload takes its time, and no interim answer prolongs it.
async fn overdue(shared: &Shared, limit: Duration) {
    shared.sent.notified().await;
    pingora_timeout::sleep(limit).await;
    if shared.has_head.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}

/// Why an upload ended.
enum UploadError {
    UpstreamClosed,
    Failed(ExchangeError),
}

impl From<ExchangeError> for UploadError {
    fn from(error: ExchangeError) -> Self {
        Self::Failed(error)
    }
}

impl From<ReadError> for UploadError {
    fn from(error: ReadError) -> Self {
        Self::Failed(match error {
            ReadError::Gone => ExchangeError::ClientGone,
            ReadError::Malformed(error) => ExchangeError::BodyMalformed(error),
        })
    }
}

/// Sends head and body, then watches the client. Never ends while all is well.
async fn upload(
    plan: &ExchangePlan<'_>,
    body: &mut RequestBody<'_>,
    writer: &mut WriteHalf<Transport>,
    shared: &Shared,
) -> ExchangeError {
    use ExchangeError::{BodyStalled, ClientGone, Pipelined, UpstreamStalled};
    let is_sent = match send(plan, body, writer, shared).await {
        Ok(()) => true,
        // The upstream reads no more; its answer may be under way.
        Err(UploadError::UpstreamClosed) => false,
        // It is: whoever has it already may leave the rest of the request be.
        Err(UploadError::Failed(BodyStalled | UpstreamStalled))
            if shared.has_head.load(Ordering::Relaxed) =>
        {
            false
        }
        Err(UploadError::Failed(error)) => return error,
    };
    shared.is_sent.store(is_sent, Ordering::Relaxed);
    shared.sent.notify_one();
    if !is_sent {
        body.gone().await;
        return ClientGone;
    }
    match body.departure().await {
        Departure::Left => ClientGone,
        Departure::NoRoom => {
            // An answer with an end will have it. One without could go on for ever
            // to a client that has left unseen.
            shared.endless.notified().await;
            pingora_timeout::sleep(plan.limits.stall).await;
            Pipelined
        }
    }
}

async fn send(
    plan: &ExchangePlan<'_>,
    body: &mut RequestBody<'_>,
    writer: &mut WriteHalf<Transport>,
    shared: &Shared,
) -> Result<(), UploadError> {
    let stall = plan.limits.stall;
    write_watched(writer, plan.head, body, stall).await?;
    if plan.framing == Framing::Empty {
        return Ok(());
    }
    let framing = OutFraming::from(plan.framing);
    let mut out = Vec::new();
    let mut total = 0;
    loop {
        out.clear();
        let (progress, content) = timeout(stall, body.next(framing, &mut out))
            .await
            .map_err(|_| ExchangeError::BodyStalled)??;
        total += content;
        shared.body_in.store(total, Ordering::Relaxed);
        if total > plan.limits.max_body {
            return Err(ExchangeError::BodyTooLarge.into());
        }
        if progress == Progress::Done && framing == OutFraming::Chunked {
            out.extend_from_slice(crate::http1::body::LAST_CHUNK);
        }
        write_watched(writer, &out, body, stall).await?;
        if progress == Progress::Done {
            return Ok(());
        }
    }
}

/// Writes to the upstream as long as it keeps taking some, and as long as the
/// client is there to want it.
async fn write_watched(
    writer: &mut WriteHalf<Transport>,
    bytes: &[u8],
    body: &mut RequestBody<'_>,
    stall: Duration,
) -> Result<(), UploadError> {
    tokio::select! {
        biased;
        written = write_flushed(writer, bytes, stall) => written.map_err(|error| match error {
            WriteError::Stalled => ExchangeError::UpstreamStalled.into(),
            WriteError::Gone | WriteError::Unusable => UploadError::UpstreamClosed,
        }),
        () = body.gone() => Err(ExchangeError::ClientGone.into()),
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
