//! An HTTP/1 connection: head after head, each decided on by itself, until one
//! side has enough.

mod head;

use super::admission::{Admission, Admitted, RequestView};
use super::forward::{Ground, Next, Served};
use super::grant::{Changes, Grant};
use super::inbound::Inbound;
use super::record::Record;
use super::refusal::Fault;
use super::request_body::RequestBody;
use super::respond::Answer;
use super::response::{
    AnswerFields, Http1Sink, ResponseSink, after_drain, own_answer, write_flushed,
};
use super::websocket::{self, Bounds, Closed, Tunnel};
use super::{ConnectionFacts, FrontDoor};
use crate::drain::DrainWatch;
use crate::http1::body::{Decoder, Framing};
use crate::http1::request::{self, FieldList, HeadError};
use crate::http1::response::RequestKind;
use crate::http1::{Persistence, Version};
use crate::snapshot::Snapshot;
use crate::transport::Transport;
use crate::upstream::UpstreamConnection;
use head::{Head, HeadLimits};
use pingora_timeout::timeout;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncWriteExt, WriteHalf};

/// What a refused upload may still send while it reads our answer (a reset would
/// destroy the answer in its socket): nginx's lingering close.
const LINGER: Duration = Duration::from_secs(10);
const LINGER_SILENCE: Duration = Duration::from_secs(2);

/// Serves the connection to its end.
pub(super) async fn serve<S>(
    door: Arc<FrontDoor>,
    transport: Transport,
    facts: ConnectionFacts,
    slot: S,
) where
    S: Send + 'static,
{
    let (reader, writer) = tokio::io::split(transport);
    let mut connection = Connection {
        drain: door.drain.watch(),
        changes: door.announcer.changes(),
        inbound: Inbound::new(reader),
        writer,
        is_first: true,
    };
    loop {
        // Read anew for each request, and not held while it is waited for.
        let limits = HeadLimits::of(&door.snapshot());
        let head = match connection.read_head(limits).await {
            Ok(head) => head,
            Err(end) => return end.note(&door, &facts),
        };
        connection.changes.catch_up();
        let mut snapshot = door.snapshot();
        let (admission, line) = match head {
            Head::Whole(length) => {
                let head = &connection.inbound.unread()[..length];
                let admitted =
                    admit(&door, &mut snapshot, &mut connection.changes, &facts, head).await;
                connection.inbound.consume(length);
                admitted
            }
            Head::Broken(problem, limit, detail) => {
                if let Some(limit) = limit {
                    door.metrics.limit_reached(limit);
                }
                let refused = door.refuse_unread(&snapshot, &facts, (problem, limit), detail);
                (refused, Line::UNREAD)
            }
        };
        connection.is_first = false;
        let after = match admission {
            Admission::Refused(refused) => {
                let own = Own {
                    answer: &refused.answer,
                    ours: &refused.ours,
                    kind: refused.kind,
                };
                let persistence = match refused.fault {
                    Fault::Request => line.persistence,
                    Fault::Source | Fault::Outdated | Fault::Unserved | Fault::Syntax => {
                        Persistence::Close
                    }
                };
                let line = Line {
                    persistence,
                    ..line
                };
                let (bytes, after) = connection.answer(&door, &snapshot, own, line).await;
                let served = Served::own(refused.answer.status, bytes);
                refused.record.finish(&door, None, &served);
                after
            }
            Admission::Admitted(admitted) => {
                connection
                    .exchange(&door, &snapshot, &facts, admitted, line)
                    .await
            }
        };
        match after {
            After::NextRequest => connection.inbound.shrink(),
            After::Close if connection.inbound.unread().is_empty() => {
                return connection.close().await;
            }
            After::Close | After::Linger => return connection.linger().await,
            After::Abort => return,
            After::Tunnel(tunnel) => {
                return connection.tunnel(door, facts, &snapshot, *tunnel, slot);
            }
        }
    }
}

/// Reads the head and decides, while nothing else can touch the buffer. Where that took
/// time, by the snapshot that is in force then, which takes the place of the other.
async fn admit(
    door: &FrontDoor,
    snapshot: &mut Arc<Snapshot>,
    changes: &mut Changes,
    facts: &ConnectionFacts,
    bytes: &[u8],
) -> (Admission, Line) {
    let sought = {
        let mut fields = FieldList::default();
        let (view, line) = match read(bytes, snapshot, &mut fields) {
            Ok(read) => read,
            Err(error) => return (door.refuse_head(snapshot, facts, &error), Line::UNREAD),
        };
        match door.admit(snapshot, facts, &view, fields.as_slice()) {
            Ok(admission) => return (admission, line),
            Err(sought) => sought,
        }
    };
    // Read again afterwards, rather than held by every request meanwhile.
    sought.seek().await;
    changes.catch_up();
    *snapshot = door.snapshot();
    let mut fields = FieldList::default();
    match read(bytes, snapshot, &mut fields) {
        Ok((view, line)) => {
            let fields = fields.as_slice();
            (door.admit_finally(snapshot, facts, &view, fields), line)
        }
        Err(error) => (door.refuse_head(snapshot, facts, &error), Line::UNREAD),
    }
}

fn read<'a>(
    bytes: &'a [u8],
    snapshot: &Snapshot,
    fields: &mut FieldList<'a>,
) -> Result<(RequestView<'a>, Line), HeadError> {
    let head = request::parse(bytes, snapshot.limits.max_headers, fields)?;
    let line = Line {
        version: head.version,
        persistence: head.persistence,
        framing: head.framing,
    };
    let view = RequestView {
        method: head.method,
        target: head.target,
        host: head.host.as_str(),
        framing: head.framing,
        upgrade: head.upgrade,
        websocket_key: head.websocket_key,
        // RFC 9110 section 10.1.1: HTTP/1.0 clients don't know the answer.
        expects_continue: head.expects_continue && head.version == Version::Http11,
        protocol: match head.version {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        },
    };
    Ok((view, line))
}

/// What the connection needs to know of a request beyond its admission.
#[derive(Clone, Copy)]
struct Line {
    version: Version,
    persistence: Persistence,
    framing: Framing,
}

impl Line {
    /// Nothing certain is known of where a next request would start.
    const UNREAD: Self = Self {
        version: Version::Http11,
        persistence: Persistence::Close,
        framing: Framing::UntilClose,
    };
}

enum After {
    NextRequest,
    Close,
    Linger,
    Abort,
    Tunnel(Box<Switch>),
}

struct Switch {
    upstream: UpstreamConnection,
    early: Vec<u8>,
    grant: Grant,
    record: Record,
    served: Served,
}

struct Own<'a> {
    answer: &'a Answer,
    ours: &'a AnswerFields,
    kind: RequestKind,
}

struct Connection {
    inbound: Inbound,
    writer: WriteHalf<Transport>,
    drain: DrainWatch,
    changes: Changes,
    is_first: bool,
}

impl Connection {
    async fn exchange(
        &mut self,
        door: &FrontDoor,
        snapshot: &Snapshot,
        facts: &ConnectionFacts,
        mut admitted: Admitted,
        line: Line,
    ) -> After {
        let stall = snapshot.limits.body_stall_timeout;
        let mut body = RequestBody::Http1 {
            inbound: &mut self.inbound,
            decoder: Decoder::new(line.framing),
            pipeline_room: usize::try_from(snapshot.limits.max_header_bytes.bytes()).unwrap_or(0),
        };
        let mut sink = ResponseSink::Http1(Http1Sink::new(
            &mut self.writer,
            line.version,
            line.persistence,
            &door.drain,
            stall,
        ));
        let ground = Ground {
            snapshot,
            facts,
            changes: &mut self.changes,
        };
        let forwarded = door
            .forward(ground, &mut admitted, &mut body, &mut sink)
            .await;
        let persistence = sink.persistence();
        let mut served = Served {
            bytes_out: sink.bytes(),
            ..forwarded.served
        };
        let after = match forwarded.next {
            Next::Answered if persistence == Persistence::KeepAlive => After::NextRequest,
            Next::Answered if line.framing == Framing::Empty => After::Close,
            Next::Answered => After::Linger,
            Next::Abort | Next::ClientGone => After::Abort,
            Next::Answer(answer) => {
                let own = Own {
                    answer: &answer,
                    ours: &admitted.ours,
                    kind: admitted.kind,
                };
                let line = Line {
                    persistence,
                    ..line
                };
                let (bytes, after) = self.answer(door, snapshot, own, line).await;
                served.bytes_out = bytes;
                after
            }
            Next::Tunnel(upstream, early) => {
                admitted.record.count(door, &served);
                return After::Tunnel(Box::new(Switch {
                    upstream,
                    early,
                    grant: admitted.grant,
                    record: admitted.record,
                    served,
                }));
            }
        };
        admitted.record.finish(door, admitted.grant.user(), &served);
        after
    }

    /// Sends an answer of our own.
    async fn answer(
        &mut self,
        door: &FrontDoor,
        snapshot: &Snapshot,
        own: Own<'_>,
        line: Line,
    ) -> (u64, After) {
        // A body that was not read would be taken for the next head.
        let persistence = match line.framing {
            Framing::Empty => after_drain(line.persistence, &door.drain),
            _ => Persistence::Close,
        };
        let bytes = own_answer(own.answer, own.kind, line.version, persistence, own.ours);
        let written =
            write_flushed(&mut self.writer, &bytes, snapshot.limits.body_stall_timeout).await;
        let after = match (written, persistence, line.framing) {
            (Err(_), ..) => After::Abort,
            (Ok(()), Persistence::KeepAlive, _) => After::NextRequest,
            (Ok(()), Persistence::Close, Framing::Empty) => After::Close,
            (Ok(()), Persistence::Close, _) => After::Linger,
        };
        let body = match own.kind {
            RequestKind::Other if !matches!(after, After::Abort) => own.answer.body.len() as u64,
            RequestKind::Head | RequestKind::Other => 0,
        };
        (body, after)
    }

    async fn close(&mut self) {
        // The client may be gone already; there is nobody left to tell.
        let _ = timeout(LINGER_SILENCE, self.writer.shutdown()).await;
    }

    /// Closes our side, and takes what the client still sends until it has read
    /// the answer and closes too.
    async fn linger(&mut self) {
        self.close().await;
        let deadline = Instant::now() + LINGER;
        while Instant::now() < deadline {
            self.inbound.consume(usize::MAX);
            match timeout(LINGER_SILENCE, self.inbound.fill_body()).await {
                Ok(Ok(count)) if count > 0 => {}
                _ => return,
            }
        }
    }

    /// Hands both connections over to a task of their own: this one's buffers
    /// and state are of no use to a tunnel that may live for weeks.
    fn tunnel<S>(
        self,
        door: Arc<FrontDoor>,
        facts: ConnectionFacts,
        snapshot: &Snapshot,
        switch: Switch,
        slot: S,
    ) where
        S: Send + 'static,
    {
        let Switch {
            upstream,
            early,
            grant,
            record,
            mut served,
        } = switch;
        let (reader, sent) = self.inbound.into_parts();
        let tunnel = Tunnel::new(
            websocket::Side {
                transport: reader.unsplit(self.writer),
                early: sent,
            },
            websocket::Side {
                transport: upstream.into_transport(),
                early,
            },
        );
        let bounds = Bounds {
            idle: snapshot.limits.websocket_idle_timeout,
            lifetime: snapshot.limits.websocket_max_lifetime,
        };
        let (drain, mut changes) = (self.drain, self.changes);
        tokio::spawn(async move {
            let open = door.metrics.websocket_opened();
            let revoked = changes.revoked(&door, &facts, &grant);
            let relayed = tunnel.run(drain, revoked, bounds).await;
            if let Some(limit) = relayed.closed_for.and_then(Closed::limit) {
                door.metrics.limit_reached(limit);
            }
            served.bytes_in = relayed.to_upstream;
            served.bytes_out = relayed.to_client;
            record.log(grant.user(), &served);
            drop((open, slot));
        });
    }
}
