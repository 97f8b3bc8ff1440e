//! The answer on its way out: which fields of the upstream's pass, which are
//! ours, and how the body is framed for HTTP/1.1 and HTTP/2.

use super::http2_ledger::Ledger;
use super::http2_stream::{Http2Answer, Http2Stream};
use crate::drain::{Drain, Phase};
use crate::forwarded::write_field;
use crate::http1::body::{Framing, LAST_CHUNK, write_chunk};
use crate::http1::response::{RequestKind, ResponseHead};
use crate::http1::{Persistence, Version, list_elements};
use crate::policy::Field;
use crate::transport::Transport;
use bytes::Bytes;
use pingora_timeout::timeout;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, WriteHalf};

/// What every answer of a request carries, whoever made it.
#[derive(Debug, Clone)]
pub(super) struct AnswerFields {
    pub(super) request_id: crate::request_id::RequestId,
    /// `Strict-Transport-Security`, where this answer has it.
    pub(super) hsts: Option<Bytes>,
}

/// The client does not take the answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("the client went away")]
    Gone,
    #[error("the client does not read")]
    Stalled,
    #[error("the answer can't be carried")]
    Unusable,
}

impl From<io::Error> for WriteError {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Where an answer goes.
pub(super) enum ResponseSink<'a> {
    Http1(Http1Sink<'a>),
    Http2(Http2Answer<'a>),
}

impl<'a> ResponseSink<'a> {
    pub(super) fn http2(stream: &'a Http2Stream, ledger: &'a Ledger, stall: Duration) -> Self {
        Self::Http2(Http2Answer::new(stream, ledger, stall))
    }

    /// Takes the head; nothing is sent before [`flush`](Self::flush).
    pub(super) fn head(
        &mut self,
        head: &ResponseHead<'_>,
        fields: &[Field<'_>],
        kind: RequestKind,
        ours: &AnswerFields,
    ) -> Result<(), WriteError> {
        match self {
            Self::Http1(sink) => {
                sink.head(head, fields, kind, ours);
                Ok(())
            }
            Self::Http2(sink) => sink.head(head, fields, kind, ours),
        }
    }

    /// Passes `100 Continue` on to a client that waits for it.
    pub(super) fn interim_continue(&mut self) {
        // HTTP/2 clients are never told to wait: `Expect` is not passed on.
        if let Self::Http1(sink) = self {
            sink.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    /// Takes a piece of the body.
    pub(super) async fn data(&mut self, piece: &[u8]) -> Result<(), WriteError> {
        match self {
            Self::Http1(sink) => {
                sink.data(piece);
                Ok(())
            }
            Self::Http2(sink) => sink.data(piece).await,
        }
    }

    /// Takes the end of the body.
    pub(super) async fn finish(&mut self) -> Result<(), WriteError> {
        match self {
            Self::Http1(sink) => sink.finish(),
            Self::Http2(sink) => sink.finish().await?,
        }
        self.flush().await
    }

    /// Sends what has been taken.
    pub(super) async fn flush(&mut self) -> Result<(), WriteError> {
        match self {
            Self::Http1(sink) => sink.flush().await,
            Self::Http2(_) => Ok(()),
        }
    }

    /// Closes the connection after this answer: the request's body is still on
    /// its way, and nobody will read it.
    pub(super) fn close_after(&mut self) {
        if let Self::Http1(sink) = self {
            sink.persistence = Persistence::Close;
        }
    }

    /// What the connection may do after this answer.
    pub(super) fn persistence(&self) -> Persistence {
        match self {
            Self::Http1(sink) => sink.persistence,
            // A stream ends; its connection has its own life.
            Self::Http2(_) => Persistence::KeepAlive,
        }
    }

    /// Bytes of content taken so far.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Http1(sink) => sink.bytes,
            Self::Http2(sink) => sink.bytes(),
        }
    }
}

/// An answer to an HTTP/1 client.
pub(super) struct Http1Sink<'a> {
    writer: &'a mut WriteHalf<Transport>,
    out: Vec<u8>,
    version: Version,
    persistence: Persistence,
    drain: &'a Drain,
    chunked: bool,
    stall: Duration,
    bytes: u64,
}

impl<'a> Http1Sink<'a> {
    pub(super) fn new(
        writer: &'a mut WriteHalf<Transport>,
        version: Version,
        persistence: Persistence,
        drain: &'a Drain,
        stall: Duration,
    ) -> Self {
        Self {
            writer,
            out: Vec::new(),
            version,
            persistence,
            drain,
            chunked: false,
            stall,
            bytes: 0,
        }
    }

    fn head(
        &mut self,
        head: &ResponseHead<'_>,
        fields: &[Field<'_>],
        kind: RequestKind,
        ours: &AnswerFields,
    ) {
        let has_no_end = matches!(head.framing, Framing::Chunked | Framing::UntilClose);
        self.chunked = has_no_end && self.version == Version::Http11;
        if has_no_end && self.version == Version::Http10 {
            self.persistence = Persistence::Close;
        }
        self.persistence = after_drain(self.persistence, self.drain);
        let out = &mut self.out;
        out.reserve(1024);
        write_status_line(self.version, head.status, head.reason, out);
        for field in passing_fields(head, fields, kind, ours) {
            write_field(out, field.name, field.value);
        }
        if self.chunked {
            write_field(out, "transfer-encoding", b"chunked");
        }
        if head.status == 101 {
            write_field(out, "connection", b"Upgrade");
            write_field(out, "upgrade", b"websocket");
        } else {
            write_persistence(self.version, self.persistence, out);
        }
        write_ours(ours, out);
        out.extend_from_slice(b"\r\n");
    }

    fn data(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        if self.chunked {
            write_chunk(piece, &mut self.out);
        } else {
            self.out.extend_from_slice(piece);
        }
    }

    fn finish(&mut self) {
        if self.chunked {
            self.out.extend_from_slice(LAST_CHUNK);
        }
    }

    async fn flush(&mut self) -> Result<(), WriteError> {
        if self.out.is_empty() {
            return Ok(());
        }
        write_flushed(self.writer, &self.out, self.stall).await?;
        self.out.clear();
        Ok(())
    }
}

/// Every answer of a drain is its connection's last.
pub(super) fn after_drain(persistence: Persistence, drain: &Drain) -> Persistence {
    match drain.phase() {
        Phase::Running => persistence,
        Phase::Draining | Phase::Closing => Persistence::Close,
    }
}

/// Writes all of `bytes`, as long as the other side keeps taking some of them.
pub(super) async fn write_flushed(
    writer: &mut WriteHalf<Transport>,
    mut bytes: &[u8],
    stall: Duration,
) -> Result<(), WriteError> {
    while !bytes.is_empty() {
        let written = timeout(stall, writer.write(bytes))
            .await
            .map_err(|_| WriteError::Stalled)??;
        if written == 0 {
            return Err(WriteError::Gone);
        }
        bytes = &bytes[written..];
    }
    timeout(stall, writer.flush())
        .await
        .map_err(|_| WriteError::Stalled)??;
    Ok(())
}

/// The fields of an upstream's answer that reach the client: end-to-end ones,
/// less those that we set ourselves.
pub(super) fn passing_fields<'f, 'a: 'f>(
    head: &ResponseHead<'_>,
    fields: &'f [Field<'a>],
    kind: RequestKind,
    ours: &'f AnswerFields,
) -> impl Iterator<Item = &'f Field<'a>> {
    // Without a body of its own the announced length is a fact about another
    // answer (HEAD, 304), and passes; a 204 or 1xx has none.
    let has_a_length = matches!(head.framing, Framing::Length(_) | Framing::Empty);
    let length_passes =
        kind == RequestKind::Head || (has_a_length && head.status >= 200 && head.status != 204);
    fields.iter().filter(move |field| {
        let name = field.name;
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let is_end_to_end = match name.len() {
            2 => !is("te"),
            6 => !is("server"),
            7 => !is("trailer") && !is("upgrade"),
            10 => !is("connection") && !is("keep-alive"),
            12 => !is("x-request-id"),
            14 => !is("content-length") || length_passes,
            16 => !is("proxy-connection"),
            17 => !is("transfer-encoding"),
            25 => !(is("strict-transport-security") && ours.hsts.is_some()),
            _ => true,
        };
        is_end_to_end && !is_named_by_connection(name, fields)
    })
}

/// What the upstream's `Connection` names is for its hop alone (RFC 9110 section 7.6.1).
fn is_named_by_connection(name: &str, fields: &[Field<'_>]) -> bool {
    fields
        .iter()
        .filter(|field| field.name.len() == 10 && field.name.eq_ignore_ascii_case("connection"))
        .flat_map(|field| list_elements(field.value))
        .any(|token| token.eq_ignore_ascii_case(name.as_bytes()))
}

fn write_status_line(version: Version, status: u16, reason: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(match version {
        Version::Http10 => b"HTTP/1.0 ",
        Version::Http11 => b"HTTP/1.1 ",
    });
    let digits = [status / 100 % 10, status / 10 % 10, status % 10].map(|digit| b'0' + digit as u8);
    out.extend_from_slice(&digits);
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_persistence(version: Version, persistence: Persistence, out: &mut Vec<u8>) {
    match (version, persistence) {
        (_, Persistence::Close) => write_field(out, "connection", b"close"),
        (Version::Http10, Persistence::KeepAlive) => write_field(out, "connection", b"keep-alive"),
        (Version::Http11, Persistence::KeepAlive) => {}
    }
}

fn write_ours(ours: &AnswerFields, out: &mut Vec<u8>) {
    if let Some(hsts) = &ours.hsts {
        write_field(out, "strict-transport-security", hsts);
    }
    write_field(out, "x-request-id", ours.request_id.as_bytes());
}

/// A whole answer of our own for an HTTP/1 client.
pub(super) fn own_answer(
    answer: &super::respond::Answer,
    kind: RequestKind,
    version: Version,
    persistence: Persistence,
    ours: &AnswerFields,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(answer.body.len() + 512);
    let reason = http::StatusCode::from_u16(answer.status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error");
    write_status_line(version, answer.status, reason, &mut out);
    write_field(
        &mut out,
        "date",
        pingora_core::protocols::http::date::get_cached_date().as_bytes(),
    );
    write_field(&mut out, "content-type", answer.content_type.as_bytes());
    write_field(
        &mut out,
        "content-length",
        answer.body.len().to_string().as_bytes(),
    );
    for (name, value) in &answer.extra {
        write_field(&mut out, name, value.as_bytes());
    }
    write_persistence(version, persistence, &mut out);
    write_ours(ours, &mut out);
    out.extend_from_slice(b"\r\n");
    if kind != RequestKind::Head {
        out.extend_from_slice(&answer.body);
    }
    out
}
