//! HTTP/2 connections: Pingora's session for each stream, our decision and our
//! exchange for each request.

use super::admission::{Admission, RequestView};
use super::forward::{Ground, Next, Served};
use super::grant::Changes;
use super::http2_leaving::Leaving;
use super::http2_ledger::{Abuse, Event, Ledger, Terms, Verdict};
use super::http2_stream::Http2Stream;
use super::http2_transport::Http2Transport;
use super::refusal::{Fault, Refused};
use super::request_body::RequestBody;
use super::response::ResponseSink;
use super::{ConnectionFacts, FrontDoor};
use crate::authority::Authority;
use crate::config::Limits;
use crate::http1::body::Framing;
use crate::http1::request::{FieldList, HeadError, check_expect, check_line, parse_length};
use crate::policy::{Field, Upgrade};
use crate::snapshot::Snapshot;
use crate::telemetry::metrics::{self, Limit};
use crate::transport::Transport;
use h2::Reason;
use http::{HeaderName, HeaderValue};
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::v2::server::{
    H2Accept, H2Options, HttpSession, default_h2_options, handshake,
};
use pingora_http::RequestHeader;
use pingora_timeout::timeout;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Requests that may run for each stream that may be open: h2 counts a stream as closed
/// as soon as the client has reset it, a moment before its request ends here.
const TASKS_PER_STREAM: u32 = 2;
/// How long a connection that has been told to leave may be idle: something may be on
/// its way.
const LEAVING_SILENCE: Duration = Duration::from_millis(500);
/// Per stream; more would let a hundred streams hold a lot of memory.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const SEND_BUFFER: usize = 64 * 1024;

fn options(snapshot: &Snapshot) -> H2Options {
    // h2 answers what is beyond its own limit with a bare 431: up to twice ours the
    // answer is our own.
    let max_header_bytes = snapshot.limits.max_header_bytes.bytes().saturating_mul(2);
    let mut options = default_h2_options();
    options
        .max_concurrent_streams(snapshot.limits.http2_max_streams)
        .max_header_list_size(u32::try_from(max_header_bytes).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER);
    options
}

/// Serves one connection until it ends: by the client, by idleness, by abuse, or by
/// the drain, which lets its streams end. `slot` is held until the last of them has.
///
/// The loop is ours rather than Pingora's because preface and first request need a
/// deadline: a client that finishes TLS and then says nothing would be waited for for
/// ever, and one that has sent no request yet for `keepaliveTimeout`, with 40 kB of
/// buffers that others pay for.
pub(super) async fn serve<S>(
    door: Arc<FrontDoor>,
    transport: Transport,
    facts: ConnectionFacts,
    slot: S,
) where
    S: Send + Sync + 'static,
{
    let snapshot = door.snapshot();
    let ledger = Arc::new(Ledger::new(Terms {
        max_cancelled: snapshot.limits.http2_max_resets,
        is_trusted: snapshot.policy.trusts(facts.peer()),
    }));
    let transport = Box::new(Http2Transport::new(transport, ledger.clone()));
    let greeting = handshake(transport, Some(options(&snapshot)));
    let limits = &snapshot.limits;
    let (keepalive, first) = (limits.keepalive_timeout, limits.header_timeout);
    let mut connection = match timeout(snapshot.limits.header_timeout, greeting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(_)) => return,
        Err(_) => return door.metrics.limit_reached(Limit::HeaderTimeout),
    };
    let max_tasks = snapshot.limits.http2_max_streams * TASKS_PER_STREAM;
    drop(snapshot);
    let shared = Arc::new((door.clone(), facts, slot));
    let digest = Arc::new(Digest::default());
    let streams = Arc::new(Semaphore::new(max_tasks as usize));
    let mut drain = door.drain.watch();
    let changes = door.announcer.changes();
    let mut is_draining = false;
    let mut has_begun = false;
    let mut leaving = Leaving::No;
    loop {
        let patience = match leaving {
            Leaving::WhenIdle | Leaving::By(_) => LEAVING_SILENCE,
            Leaving::No if has_begun => keepalive,
            Leaving::No => first,
        };
        let accepted = tokio::select! {
            biased;
            () = drain.begun(), if !is_draining => {
                connection.graceful_shutdown();
                is_draining = true;
                continue;
            }
            verdict = ledger.verdict() => {
                let (door, facts, _) = &*shared;
                match verdict {
                    Verdict::Abusive(abuse) => {
                        note_abuse(door, facts, abuse);
                        connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    }
                    Verdict::Unwelcome => {
                        connection.graceful_shutdown();
                        leaving = leaving.refused(Instant::now());
                    }
                    Verdict::Outdated if !is_draining => {
                        connection.graceful_shutdown();
                        is_draining = true;
                    }
                    Verdict::Outdated => {}
                }
                continue;
            }
            accepted = HttpSession::from_h2_conn(&mut connection, digest.clone()) => accepted,
            () = idle(&streams, max_tasks, patience) => {
                let Some(told) = leaving.idle() else {
                    return;
                };
                leaving = told;
                if !has_begun {
                    door.metrics.limit_reached(Limit::HeaderTimeout);
                }
                // A request that is on its way is answered still, or may be sent again
                // elsewhere (RFC 9113 section 6.8).
                connection.graceful_shutdown();
                continue;
            }
            () = leaving.overdue() => return,
        };
        has_begun = true;
        match accepted {
            Err(error) => {
                let (door, facts, _) = &*shared;
                if is_abuse(&error) {
                    note_abuse(door, facts, Abuse::Resets);
                } else {
                    tracing::debug!(source.ip = %facts.source, error.detail = %error, "an HTTP/2 connection broke");
                }
                return;
            }
            Ok(None) => return,
            Ok(Some(H2Accept::Rejected)) => {
                let (door, facts, _) = &*shared;
                door.note_malformed(facts, "a request without one clear authority");
                ledger.note(Event::Malformed);
            }
            Ok(Some(H2Accept::Session(mut session))) => {
                match streams.clone().try_acquire_owned() {
                    Ok(running) => {
                        let (shared, ledger) = (shared.clone(), ledger.clone());
                        let changes = changes.clone();
                        tokio::spawn(async move {
                            let (door, facts, _) = &*shared;
                            serve_stream(door, facts, changes, &ledger, session).await;
                            drop(running);
                        });
                    }
                    // A refused stream may be sent again elsewhere (RFC 9113 section 8.7).
                    Err(_) => {
                        let (door, facts, _) = &*shared;
                        door.note_excess(facts);
                        session.shutdown_with_reason(Reason::REFUSED_STREAM);
                    }
                }
            }
        }
    }
}

fn note_abuse(door: &FrontDoor, facts: &ConnectionFacts, abuse: Abuse) {
    match abuse {
        Abuse::Resets => door.metrics.limit_reached(Limit::Http2MaxResets),
        Abuse::Flood => door
            .metrics
            .connection_refused(metrics::Refused::Http2Abuse),
    }
    tracing::warn!(source.ip = %facts.source, "an HTTP/2 connection is closed for abuse");
}

/// Whether it is h2 that had enough: streams that are reset as soon as they are opened
/// never come to the ledger. Its bounds on CONTINUATION and small DATA end the same way,
/// and which it was it doesn't say.
fn is_abuse(error: &pingora_core::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<h2::Error>();
    cause.is_some_and(|cause| {
        cause.is_library() && cause.reason() == Some(Reason::ENHANCE_YOUR_CALM)
    })
}

/// Ends when no stream has run for `after`.
async fn idle(streams: &Semaphore, all: u32, after: Duration) {
    // Granted only while no stream holds a permit; a new one ends this wait.
    drop(streams.acquire_many(all).await);
    pingora_timeout::sleep(after).await;
}

async fn serve_stream(
    door: &FrontDoor,
    facts: &ConnectionFacts,
    mut changes: Changes,
    ledger: &Ledger,
    session: HttpSession,
) {
    changes.catch_up();
    let mut snapshot = door.snapshot();
    let has_body = !session.is_body_empty();
    let stream = Http2Stream::new(session);
    let admission = admit(
        door,
        &mut snapshot,
        &mut changes,
        facts,
        (&stream, has_body),
    )
    .await;
    let stall = snapshot.limits.body_stall_timeout;
    match admission {
        Admission::Refused(refused) => {
            let Refused {
                answer,
                ours,
                kind,
                fault,
                record,
            } = refused;
            let sent = stream
                .answer(&answer, &ours, kind, stall)
                .await
                .unwrap_or_default();
            record.finish(door, None, &Served::own(answer.status, sent));
            match fault {
                Fault::Request => {}
                Fault::Source => ledger.note(Event::SourceRefused),
                Fault::Outdated => ledger.note(Event::Outdated),
                Fault::Unserved => ledger.note(Event::Unserved),
                Fault::Syntax => ledger.note(Event::Malformed),
            }
        }
        Admission::Admitted(mut admitted) => {
            let mut body = RequestBody::Http2(&stream);
            let mut sink = ResponseSink::http2(&stream, ledger, stall);
            let ground = Ground {
                snapshot: &snapshot,
                facts,
                changes: &mut changes,
            };
            let forwarded = door
                .forward(ground, &mut admitted, &mut body, &mut sink)
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
                Next::ClientGone => ledger.note(Event::Cancelled),
                // A stream that is dropped unfinished is reset. No tunnel can come:
                // no handshake went out.
                Next::Answered | Next::Abort | Next::Tunnel(..) => {}
            }
            admitted.record.finish(door, admitted.grant.user(), &served);
        }
    }
}

/// Where deciding took time, it is by the snapshot that is in force then, which takes the
/// place of the other.
async fn admit(
    door: &FrontDoor,
    snapshot: &mut Arc<Snapshot>,
    changes: &mut Changes,
    facts: &ConnectionFacts,
    (stream, has_body): (&Http2Stream, bool),
) -> Admission {
    let decision = stream.with_header(|header| {
        let mut fields = FieldList::default();
        match view(header, has_body, &snapshot.limits, &mut fields) {
            Ok(view) => door.admit(snapshot, facts, &view, fields.as_slice()),
            Err(error) => Ok(door.refuse_head(snapshot, facts, &error)),
        }
    });
    let sought = match decision {
        Ok(admission) => return admission,
        Err(sought) => sought,
    };
    sought.seek().await;
    changes.catch_up();
    *snapshot = door.snapshot();
    stream.with_header(|header| {
        let mut fields = FieldList::default();
        match view(header, has_body, &snapshot.limits, &mut fields) {
            Ok(view) => door.admit_finally(snapshot, facts, &view, fields.as_slice()),
            Err(error) => door.refuse_head(snapshot, facts, &error),
        }
    })
}

/// The same facts that an HTTP/1.1 head gives, under the same rules. Pingora and
/// h2 have seen to what HTTP/2 forbids by itself: connection fields, upper case,
/// an authority that differs from `host` (RFC 9113 sections 8.2 and 8.3).
fn view<'a>(
    header: &'a RequestHeader,
    has_body: bool,
    limits: &Limits,
    fields: &mut FieldList<'a>,
) -> Result<RequestView<'a>, HeadError> {
    use HeadError::{Malformed, TooLarge, TooManyFields};
    let target =
        std::str::from_utf8(header.raw_path()).map_err(|_| Malformed("the path is not ASCII"))?;
    let method = header.method.as_str();
    check_line(method, target)?;
    let mut authority = header.uri.authority().map(|authority| authority.as_str());
    let mut content_length = None;
    let mut authorizations = 0;
    let field_bytes =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    let bytes = target.len() + header.headers.iter().map(field_bytes).sum::<usize>();
    if header.headers.len() > limits.max_headers {
        return Err(TooManyFields);
    }
    if bytes as u64 > limits.max_header_bytes.bytes() {
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
            "content-length" if content_length.is_some() => {
                return Err(Malformed("`content-length` comes more than once"));
            }
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
            return Err(TooManyFields);
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
