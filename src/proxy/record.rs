//! What is left of a request once it is over: its counters and its log line.

use super::admission::RequestView;
use super::forward::Served;
use super::{ConnectionFacts, FrontDoor};
use crate::policy::{Source, Upgrade};
use crate::request_id::RequestId;
use crate::snapshot::Snapshot;
use crate::telemetry::logging::{Access, access};
use crate::telemetry::metrics::Outcome;
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Instant;

/// A request under way, as the log and the metrics will tell it.
pub(super) struct Record {
    began: Instant,
    outcome: Outcome,
    decision: Cow<'static, str>,
    /// Only with an access log: without one, nothing is copied.
    line: Option<Box<Line>>,
}

struct Line {
    request_id: RequestId,
    source: Source,
    client: Option<IpAddr>,
    method: String,
    target: String,
    protocol: &'static str,
}

impl Record {
    pub(super) fn new(
        snapshot: &Snapshot,
        facts: &ConnectionFacts,
        (outcome, decision): (Outcome, impl Into<Cow<'static, str>>),
        request_id: RequestId,
        view: Option<&RequestView<'_>>,
        client: Option<IpAddr>,
    ) -> Self {
        let line = snapshot.access_log.then(|| {
            Box::new(Line {
                request_id,
                source: facts.source,
                client,
                method: view.map_or("-", |view| view.method).to_owned(),
                target: view.map_or("-", |view| view.target).to_owned(),
                protocol: match view {
                    Some(view) if view.upgrade == Upgrade::Websocket => "HTTP/1.1 websocket",
                    Some(view) => view.protocol,
                    None => "-",
                },
            })
        });
        Self {
            began: Instant::now(),
            outcome,
            decision: decision.into(),
            line,
        }
    }

    /// Marks a permitted request that ended in an error of ours or the upstream's.
    pub(super) fn fail(&mut self, code: &'static str) {
        self.outcome = Outcome::Error;
        self.decision = code.into();
    }

    /// Counts the request; a WebSocket is counted when it opens.
    pub(super) fn count(&self, door: &FrontDoor, served: &Served) {
        door.metrics
            .request(self.outcome, served.status, self.began.elapsed());
        if let Some(waited) = served.first_byte {
            door.metrics.upstream_first_byte(waited);
        }
    }

    /// Writes the line of a request that is over. `user` is the verified one.
    pub(super) fn log(self, user: Option<&str>, served: &Served) {
        let Some(line) = self.line else { return };
        access(&Access {
            request_id: line.request_id.as_str(),
            source: line.source,
            client: line.client,
            user,
            method: &line.method,
            path: &line.target,
            status: served.status,
            decision: &self.decision,
            duration: self.began.elapsed(),
            upstream_first_byte: served.first_byte,
            bytes_in: served.bytes_in,
            bytes_out: served.bytes_out,
            protocol: line.protocol,
        });
    }

    /// Counts and logs.
    pub(super) fn finish(self, door: &FrontDoor, user: Option<&str>, served: &Served) {
        self.count(door, served);
        self.log(user, served);
    }
}
