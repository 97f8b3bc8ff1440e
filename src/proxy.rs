//! The front door: from an accepted connection to the gateway and back.
//!
//! **Why the engine is ours.** `ProxyHttp` can't keep what is promised here, and
//! its hooks come too late to mend that: a head with two readings has lost its
//! second reading before a filter sees it, an early answer is not read while the
//! upload blocks, nothing is called on an idle WebSocket that must be closed with
//! a code, and such a WebSocket holds 249 kB of buffers. So Pingora serves HTTP/2
//! (its session over h2, with its checks of authority and malformed streams), its
//! timers and its `IO` stream; HTTP/1.1 is read once, strictly, by `http1`, the
//! policy decides on the bytes in the connection's buffer, and the upstream's head
//! is written straight from them: no header map, no channel, no task per request.
//! `make bench-compare` prints what that costs beside nginx.

mod admission;
mod belief;
mod denied;
mod exchange;
mod forward;
mod grant;
mod http1_connection;
mod http2;
mod http2_leaving;
mod http2_ledger;
mod http2_meter;
mod http2_stream;
mod http2_transport;
mod inbound;
mod probed;
mod record;
mod refusal;
mod request_body;
pub mod respond;
mod response;
mod websocket;

pub(crate) use admission::write_upgrade;
#[cfg(fuzzing)]
pub(crate) use {
    admission::{RequestView, finish_head},
    websocket::Frames,
};

use crate::request_id::RequestId;

use crate::denials::DenialBook;
use crate::drain::Drain;
use crate::forwarded::Scheme;
use crate::policy::{AltName, Peer, Source};
use crate::probe::Probe;
use crate::snapshot::{Snapshot, Terms};
use crate::telemetry::metrics::Metrics;
use crate::throttle::Places;
use crate::transport::Transport;
use arc_swap::ArcSwap;
use grant::Announcer;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is known of a connection before its first request.
#[derive(Debug, Clone)]
pub struct ConnectionFacts {
    /// Who connected.
    pub source: Source,
    /// The load balancer on whose word that rests; none where the system says it.
    pub announced_by: Option<Source>,
    /// The names of the certificate that its source showed; none where it showed none.
    pub certificate: Option<Arc<[AltName]>>,
    /// Whether the listener speaks TLS.
    pub scheme: Scheme,
    /// On what terms it was taken.
    pub terms: Arc<Terms>,
}

impl ConnectionFacts {
    fn peer(&self) -> Peer<'_> {
        Peer::new(self.source, self.certificate.as_deref())
    }

    /// Whether whoever said who the source is would be believed under `now`.
    fn is_vouched_for(&self, now: &Snapshot) -> bool {
        self.announced_by
            .is_none_or(|balancer| now.believes(balancer))
    }

    /// Whether the connection proved less than one must prove under `now`. A Unix
    /// socket's peer is proven by the kernel, whatever TLS asks for.
    fn is_outdated(&self, now: &Snapshot) -> bool {
        let is_current = Arc::ptr_eq(&self.terms, &now.terms) || self.source.uid().is_some();
        !self.is_vouched_for(now) || !is_current && !self.terms.suffice_for(&now.terms)
    }
}

/// Serves connections under the current snapshot.
pub struct FrontDoor {
    snapshot: ArcSwap<Snapshot>,
    /// Requests that there are descriptors for, whatever the limits say.
    room: usize,
    public_in_flight: Places,
    announcer: Announcer,
    metrics: Arc<Metrics>,
    drain: Drain,
    /// The number of the configuration that is served, from 1.
    generation: AtomicU64,
    denials: Arc<DenialBook>,
    probe: Arc<Probe>,
}

impl FrontDoor {
    /// A door that decides by `snapshot`, counts in `metrics` and ends with `drain`. It
    /// has at most `room` requests with the gateway at a time.
    pub fn new(snapshot: Arc<Snapshot>, metrics: Arc<Metrics>, drain: Drain, room: usize) -> Self {
        Self {
            room,
            public_in_flight: Places::default(),
            snapshot: ArcSwap::new(snapshot),
            announcer: Announcer::new(),
            metrics,
            drain,
            generation: AtomicU64::new(1),
            denials: Arc::default(),
            probe: Arc::default(),
        }
    }

    /// The requests that were refused last.
    pub fn denials(&self) -> Arc<DenialBook> {
        self.denials.clone()
    }

    /// The probe that an operator may arm.
    pub fn probe(&self) -> Arc<Probe> {
        self.probe.clone()
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// What new requests are decided by.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Decides new requests by `snapshot` from here on. Those under way end under the
    /// one that they began with, but for those that it would not permit: they end now.
    pub fn replace(&self, snapshot: Arc<Snapshot>) {
        self.snapshot.store(snapshot);
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.announcer.announce();
    }

    /// Serves one connection to its end. `slot` is what the connection holds (its
    /// place under the connection limit) and is dropped with it.
    pub async fn serve<S>(self: Arc<Self>, transport: Transport, facts: ConnectionFacts, slot: S)
    where
        S: Send + Sync + 'static,
    {
        // Boxed, so that a connection still in its handshake doesn't hold the room for
        // what comes after: thousands of those are the cheapest attack there is.
        if transport.is_http2() {
            Box::pin(http2::serve(self, transport, facts, slot)).await;
        } else {
            Box::pin(http1_connection::serve(self, transport, facts, slot)).await;
        }
    }
}

/// A whole answer for a connection that is turned away before it has a request.
pub fn overload_answer(problem: respond::Problem) -> Vec<u8> {
    use crate::http1::response::RequestKind;
    use crate::http1::{Persistence, Version};
    let ours = response::AnswerFields {
        request_id: RequestId::generate(),
        hsts: None,
    };
    let answer = problem.answer(ours.request_id.as_str(), None);
    response::own_answer(
        &answer,
        RequestKind::Other,
        Version::Http11,
        Persistence::Close,
        &ours,
    )
}
