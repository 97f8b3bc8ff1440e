//! HTTP/2 connections: Pingora's session for each stream, our decision and our
//! exchange for each request.

use super::admission::{Admission, Refused, RequestView};
use super::forward::{Next, Served};
use super::http2_stream::Http2Stream;
use super::request_body::RequestBody;
use super::response::ResponseSink;
use super::{ConnectionFacts, FrontDoor};
use crate::authority::Authority;
use crate::http1::body::Framing;
use crate::http1::request::{FieldList, HeadError, check_expect, check_line, parse_length};
use crate::policy::{Field, Upgrade};
use crate::snapshot::Snapshot;
use crate::transport::Transport;
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::v2::server::{
    H2Accept, H2Options, HttpSession, default_h2_options, handshake,
};
use pingora_http::RequestHeader;
use pingora_timeout::timeout;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Malformed streams that a connection may have before it is closed: each costs
/// an answer or a reset, and a flood of them is an attack.
const MAX_MALFORMED_STREAMS: u32 = 32;
/// Streams that a connection may have open.
const MAX_STREAMS: u32 = 100;
/// Per stream; more would let a hundred streams hold a lot of memory.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const SEND_BUFFER: usize = 64 * 1024;

fn options(snapshot: &Snapshot) -> H2Options {
    let max_header_bytes = snapshot.limits.max_header_bytes.bytes();
    let mut options = default_h2_options();
    options
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(max_header_bytes).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER);
    options
}

/// Serves one connection until it ends: by the client, by idleness, by too many
/// malformed streams, or by the drain, which lets its streams end.
///
/// The loop is ours rather than Pingora's because the preface needs a deadline:
/// a client that finishes TLS and then says nothing would be waited for for ever.
pub(super) async fn serve(door: Arc<FrontDoor>, transport: Transport, facts: ConnectionFacts) {
    let facts = Arc::new(facts);
    let snapshot = door.snapshot();
    let greeting = handshake(Box::new(transport), Some(options(&snapshot)));
    let keepalive = snapshot.limits.keepalive_timeout;
    let Ok(Ok(mut connection)) = timeout(snapshot.limits.header_timeout, greeting).await else {
        return;
    };
    drop(snapshot);
    let digest = Arc::new(Digest::default());
    let streams = Arc::new(Semaphore::new(MAX_STREAMS as usize));
    let mut malformed = 0;
    let mut drain = door.drain.watch();
    let mut is_draining = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = drain.begun(), if !is_draining => {
                connection.graceful_shutdown();
                is_draining = true;
                continue;
            }
            accepted = HttpSession::from_h2_conn(&mut connection, digest.clone()) => accepted,
            () = idle(&streams, keepalive) => return,
        };
        match accepted {
            Err(_) | Ok(None) => return,
            Ok(Some(H2Accept::Rejected)) => {
                malformed += 1;
                door.note_malformed(&facts, "a malformed HTTP/2 request");
                if malformed >= MAX_MALFORMED_STREAMS {
                    return;
                }
            }
            Ok(Some(H2Accept::Session(session))) => {
                // h2 itself holds clients to the limit, less what is being closed.
                let running = streams.clone().try_acquire_owned();
                let (door, facts) = (door.clone(), facts.clone());
                tokio::spawn(async move {
                    serve_stream(&door, &facts, session).await;
                    drop(running);
                });
            }
        }
    }
}

/// Ends when no stream has run for `after`.
async fn idle(streams: &Semaphore, after: Duration) {
    loop {
        // Granted only while no stream holds a permit.
        drop(streams.acquire_many(MAX_STREAMS).await);
        pingora_timeout::sleep(after).await;
        if streams.available_permits() == MAX_STREAMS as usize {
            return;
        }
    }
}

async fn serve_stream(door: &FrontDoor, facts: &ConnectionFacts, session: HttpSession) {
    let snapshot = door.snapshot();
    let has_body = !session.is_body_empty();
    let stream = Http2Stream::new(session);
    let admission = stream.with_header(|header| admit(door, &snapshot, facts, header, has_body));
    let stall = snapshot.limits.body_stall_timeout;
    match admission {
        Admission::Refused(refused) => {
            let Refused {
                answer,
                ours,
                kind,
                record,
            } = refused;
            let sent = stream
                .answer(&answer, &ours, kind, stall)
                .await
                .unwrap_or_default();
            record.finish(door, &Served::own(answer.status, sent));
        }
        Admission::Admitted(mut admitted) => {
            let mut body = RequestBody::Http2(&stream);
            let mut sink = ResponseSink::http2(&stream, stall);
            let forwarded = door
                .forward(&snapshot, &mut admitted, &mut body, &mut sink)
                .await;
            let mut served = Served {
                bytes_out: sink.bytes(),
                ..forwarded.served
            };
            match forwarded.next {
                Next::Answer(answer) => {
                    let sent = stream
                        .answer(&answer, &admitted.ours, admitted.kind, stall)
                        .await;
                    served.bytes_out = sent.unwrap_or_default();
                }
                // A stream that is dropped unfinished is reset. No tunnel can come:
                // no handshake went out.
                Next::Answered | Next::Abort | Next::Tunnel(..) => {}
            }
            admitted.record.finish(door, &served);
        }
    }
}

fn admit(
    door: &FrontDoor,
    snapshot: &Snapshot,
    facts: &ConnectionFacts,
    header: &RequestHeader,
    has_body: bool,
) -> Admission {
    let mut fields = FieldList::default();
    match view(header, has_body, snapshot.limits.max_headers, &mut fields) {
        Ok(view) => door.admit(snapshot, facts, &view, fields.as_slice()),
        Err(error) => door.refuse_head(snapshot, facts, &error),
    }
}

/// The same facts that an HTTP/1.1 head gives, under the same rules. Pingora and
/// h2 have seen to what HTTP/2 forbids by itself: connection fields, upper case,
/// an authority that differs from `host` (RFC 9113 sections 8.2 and 8.3).
fn view<'a>(
    header: &'a RequestHeader,
    has_body: bool,
    max_fields: usize,
    fields: &mut FieldList<'a>,
) -> Result<RequestView<'a>, HeadError> {
    use HeadError::{Malformed, TooLarge};
    let target =
        std::str::from_utf8(header.raw_path()).map_err(|_| Malformed("the path is not ASCII"))?;
    let method = header.method.as_str();
    check_line(method, target)?;
    let mut authority = header.uri.authority().map(|authority| authority.as_str());
    let mut content_length = None;
    let mut authorizations = 0;
    if header.headers.len() > max_fields {
        return Err(TooLarge);
    }
    for (name, value) in &header.headers {
        let (name, value) = (name.as_str(), value.as_bytes());
        match name {
            "host" => {
                let host =
                    std::str::from_utf8(value).map_err(|_| Malformed("`host` is not ASCII"))?;
                authority = authority.or(Some(host));
            }
            "authorization" => authorizations += 1,
            "content-length" => {
                content_length =
                    Some(parse_length(value).ok_or(Malformed("`content-length` is not a number"))?);
            }
            // The client is never kept waiting here, so the upstream isn't asked.
            "expect" => {
                check_expect(value)?;
                continue;
            }
            _ => {}
        }
        if !fields.push(Field { name, value }) {
            return Err(TooLarge);
        }
    }
    if authorizations > 1 {
        return Err(Malformed("`authorization` comes more than once"));
    }
    let host = authority
        .and_then(|authority| Authority::parse(authority.as_bytes()))
        .ok_or(Malformed("`:authority` is absent or not one host and port"))?;
    let framing = match (has_body, content_length) {
        (false, _) | (true, Some(0)) => Framing::Empty,
        (true, Some(length)) => Framing::Length(length),
        (true, None) => Framing::Chunked,
    };
    Ok(RequestView {
        method,
        target,
        host: host.as_str(),
        framing,
        upgrade: Upgrade::None,
        websocket_key: None,
        expects_continue: false,
        protocol: "HTTP/2",
    })
}
