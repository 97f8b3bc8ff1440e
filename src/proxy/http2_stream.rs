//! One HTTP/2 stream, read and written at the same time.
//!
//! Pingora's session wants `&mut self` for either direction; a lock that is held
//! for a single poll at a time lets the two halves of an exchange, which are one
//! task, take turns. Nobody ever waits for it.

use super::http2_ledger::{Event, Ledger};
use super::request_body::ReadError;
use super::respond::Answer;
use super::response::{AnswerFields, WriteError, passing_fields};
use crate::http1::body::Framing;
use crate::http1::response::{RequestKind, ResponseHead};
use crate::policy::Field;
use bytes::Bytes;
use h2::SendStream;
use http::HeaderName;
use pingora_core::protocols::http::v2::server::HttpSession;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_timeout::timeout;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A stream whose head has been read.
pub(super) struct Http2Stream {
    inner: Mutex<Inner>,
}

struct Inner {
    session: HttpSession,
    /// Taken from the session once the answer's head is out.
    writer: Option<SendStream<Bytes>>,
}

impl Http2Stream {
    pub(super) fn new(session: HttpSession) -> Self {
        Self {
            inner: Mutex::new(Inner {
                session,
                writer: None,
            }),
        }
    }

    /// Looks at the request's head.
    pub(super) fn with_header<T>(&self, look: impl FnOnce(&RequestHeader) -> T) -> T {
        look(self.lock().session.req_header())
    }

    /// The next piece of the request's body. Trailers are dropped.
    pub(super) async fn read(&self) -> Result<Option<Bytes>, ReadError> {
        poll_fn(|cx| self.lock().session.poll_read_body_bytes(cx))
            .await
            .transpose()
            .map_err(|_| ReadError::Gone)
    }

    /// Ends when the client has reset the stream or is gone.
    pub(super) async fn reset(&self) {
        poll_fn(|cx| {
            let mut inner = self.lock();
            match &mut inner.writer {
                Some(writer) => writer.poll_reset(cx).map(|_| ()),
                None => std::pin::pin!(inner.session.idle()).poll(cx).map(|_| ()),
            }
        })
        .await;
    }

    /// Sends a whole answer of our own; says the bytes of its body.
    pub(super) async fn answer(
        &self,
        answer: &Answer,
        ours: &AnswerFields,
        kind: RequestKind,
        stall: Duration,
    ) -> Result<u64, WriteError> {
        let mut header = head_of(answer.status, answer.extra.len() + 6)?;
        append(&mut header, "content-type", answer.content_type.as_bytes())?;
        append(
            &mut header,
            "content-length",
            answer.body.len().to_string().as_bytes(),
        )?;
        for (name, value) in &answer.extra {
            append(&mut header, name, value.as_bytes())?;
        }
        append_ours(&mut header, ours)?;
        let has_body = kind != RequestKind::Head && !answer.body.is_empty();
        self.send_head(header, !has_body)?;
        if has_body {
            let body = Bytes::copy_from_slice(&answer.body);
            let length = body.len() as u64;
            self.send(body, stall).await?;
            self.send_end()?;
            return Ok(length);
        }
        Ok(0)
    }

    fn send_head(&self, header: ResponseHeader, is_all: bool) -> Result<(), WriteError> {
        let mut inner = self.lock();
        inner
            .session
            .write_response_header(Box::new(header), is_all)
            .map_err(|_| WriteError::Gone)?;
        inner.writer = inner.session.take_response_body_writer();
        Ok(())
    }

    async fn send(&self, mut data: Bytes, stall: Duration) -> Result<(), WriteError> {
        while !data.is_empty() {
            timeout(stall, poll_fn(|cx| self.lock().poll_send(cx, &mut data)))
                .await
                .map_err(|_| WriteError::Stalled)??;
        }
        Ok(())
    }

    fn send_end(&self) -> Result<(), WriteError> {
        match &mut self.lock().writer {
            Some(writer) => writer
                .send_data(Bytes::new(), true)
                .map_err(|_| WriteError::Gone),
            None => Err(WriteError::Gone),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Sends as much of `data` as the client's window takes now.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        data: &mut Bytes,
    ) -> Poll<Result<(), WriteError>> {
        let Some(writer) = &mut self.writer else {
            return Poll::Ready(Err(WriteError::Gone));
        };
        writer.reserve_capacity(data.len());
        while writer.capacity() == 0 {
            match ready!(writer.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(WriteError::Gone)),
            }
        }
        let piece = data.split_to(writer.capacity().min(data.len()));
        Poll::Ready(writer.send_data(piece, false).map_err(|_| WriteError::Gone))
    }
}

/// The upstream's answer on its way into a stream.
pub(super) struct Http2Answer<'a> {
    stream: &'a Http2Stream,
    ledger: &'a Ledger,
    stall: Duration,
    is_all: bool,
    bytes: u64,
}

impl<'a> Http2Answer<'a> {
    pub(super) fn new(stream: &'a Http2Stream, ledger: &'a Ledger, stall: Duration) -> Self {
        Self {
            stream,
            ledger,
            stall,
            is_all: false,
            bytes: 0,
        }
    }

    pub(super) fn head(
        &mut self,
        head: &ResponseHead<'_>,
        fields: &[Field<'_>],
        kind: RequestKind,
        ours: &AnswerFields,
    ) -> Result<(), WriteError> {
        let mut header = head_of(head.status, fields.len() + 3)?;
        for field in passing_fields(head, fields, kind, ours) {
            append(&mut header, field.name, field.value)?;
        }
        append_ours(&mut header, ours)?;
        self.is_all = head.framing == Framing::Empty;
        self.stream.send_head(header, self.is_all)?;
        self.ledger.note(Event::Answered);
        Ok(())
    }

    pub(super) async fn data(&mut self, piece: &[u8]) -> Result<(), WriteError> {
        self.bytes += piece.len() as u64;
        self.stream
            .send(Bytes::copy_from_slice(piece), self.stall)
            .await
    }

    pub(super) async fn finish(&mut self) -> Result<(), WriteError> {
        if self.is_all {
            Ok(())
        } else {
            self.stream.send_end()
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn head_of(status: u16, fields: usize) -> Result<ResponseHeader, WriteError> {
    ResponseHeader::build(status, Some(fields)).map_err(|_| WriteError::Unusable)
}

fn append(header: &mut ResponseHeader, name: &str, value: &[u8]) -> Result<(), WriteError> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| WriteError::Unusable)?;
    header
        .append_header(name, value)
        .map(drop)
        .map_err(|_| WriteError::Unusable)
}

fn append_ours(header: &mut ResponseHeader, ours: &AnswerFields) -> Result<(), WriteError> {
    if let Some(hsts) = &ours.hsts {
        append(header, "strict-transport-security", hsts)?;
    }
    append(header, "x-request-id", ours.request_id.as_bytes())
}
