//! The accept loop: sockets in, connections with facts out.
//!
//! It is ours rather than Pingora's because Pingora's has no minimum TLS version,
//! no limit of connections, no deadline that can be set for the handshake, no PROXY
//! protocol, no credentials of a Unix socket's peer, and no known port when it was
//! asked for port 0.

mod interfaces;
mod redirect;
mod socket;
mod unix_socket;

pub use interfaces::hold_settings;
pub use redirect::Redirect;
pub use socket::{Listener, bind};
pub use unix_socket::SocketFile;

use crate::drain::Drain;
use crate::forwarded::Scheme;
use crate::policy::Source;
use crate::proxy::respond::Problem;
use crate::proxy::{ConnectionFacts, FrontDoor, overload_answer};
use crate::proxy_protocol::{self, HeaderError};
use crate::snapshot::Snapshot;
use crate::telemetry::metrics::{Limit, Metrics, Refused};
use crate::throttle::{Crowd, Party, Place};
use crate::tls::client_names;
use crate::transport::{Transport, keep_alive};
use pingora_timeout::timeout;
use socket::{Accepted, BACKLOG};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

/// How long to wait after the system refused a connection for want of
/// descriptors or memory: trying again at once would only burn the processor.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);
/// How often it is said that connections can't be accepted, while they can't.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);
/// How long a client that is turned away may take to be told.
const PARTING: Duration = Duration::from_secs(1);

/// What the connections of all listeners share.
pub struct Shared {
    /// Who serves them.
    pub door: Arc<FrontDoor>,
    /// How many there may be (`limits.maxConnections`).
    pub slots: Arc<Semaphore>,
    /// How many of those untrusted sources may have together: whoever is trusted must
    /// find room beside them.
    pub strangers: Arc<Semaphore>,
    /// How many each untrusted source has (`limits.maxConnectionsPerSource`).
    pub crowd: Arc<Crowd>,
    /// Counts them.
    pub metrics: Arc<Metrics>,
    /// Ends the accepting.
    pub drain: Drain,
}

/// Accepts until the drain begins, and then what had reached the kernel before.
pub async fn run(listener: Listener, shared: Arc<Shared>) {
    let mut drain = shared.drain.watch();
    let mut exhaustion = Exhaustion::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = drain.begun() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => admit(accepted, &shared),
            Err(error) => exhaustion.pause_after(&error).await,
        }
    }
    for _ in 0..BACKLOG {
        let Some(Ok(accepted)) = accept_waiting(&listener).await else {
            return;
        };
        admit(accepted, &shared);
    }
}

/// A connection that is waiting in the backlog, if there is one.
async fn accept_waiting(listener: &Listener) -> Option<io::Result<Accepted>> {
    tokio::select! {
        biased;
        accepted = listener.accept() => Some(accepted),
        () = std::future::ready(()) => None,
    }
}

/// The system refuses connections, for want of descriptors or memory.
#[derive(Debug, Default)]
struct Exhaustion {
    complained: Option<Instant>,
}

impl Exhaustion {
    async fn pause_after(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        // These concern one connection that is gone; the next may be fine.
        if matches!(
            error.kind(),
            ConnectionAborted | ConnectionReset | Interrupted
        ) {
            return;
        }
        if self
            .complained
            .is_none_or(|complained| complained.elapsed() >= COMPLAIN_EVERY)
        {
            self.complained = Some(Instant::now());
            tracing::warn!(error.detail = %error, "connections could not be accepted");
        }
        tokio::time::sleep(EXHAUSTED_PAUSE).await;
    }
}

fn admit(accepted: Accepted, shared: &Arc<Shared>) {
    let slot = shared.slots.clone().try_acquire_owned();
    let shared = shared.clone();
    tokio::spawn(async move {
        match (slot, accepted) {
            (Ok(slot), accepted) => serve(accepted, shared, slot).await,
            (Err(_), Accepted::Tcp(tcp, _)) => {
                let is_plain = shared.door.snapshot().tls.is_none();
                turn_away(tcp, is_plain, Limit::MaxConnections, &shared.metrics).await;
            }
            (Err(_), Accepted::Unix(unix, _)) => {
                turn_away(unix, true, Limit::MaxConnections, &shared.metrics).await;
            }
        }
    });
}

async fn serve(accepted: Accepted, shared: Arc<Shared>, slot: OwnedSemaphorePermit) {
    let open = shared.metrics.connection_opened();
    let snapshot = shared.door.snapshot();
    let ready = match accepted {
        Accepted::Tcp(tcp, address) => receive(tcp, address, &shared, &snapshot).await,
        Accepted::Unix(unix, source) => receive_unix(unix, source, &shared, &snapshot).await,
    };
    let Some(Ready {
        transport,
        who,
        scheme,
        standing,
    }) = ready
    else {
        return;
    };
    let facts = ConnectionFacts {
        source: who.source,
        announced_by: who.announced_by,
        certificate: transport
            .client_certificate()
            .map(|certificate| client_names(certificate).into()),
        scheme,
        terms: snapshot.terms.clone(),
    };
    drop(snapshot);
    shared
        .door
        .clone()
        .serve(transport, facts, (open, slot, standing))
        .await;
}

/// Who connected, and on whose word.
#[derive(Clone, Copy)]
struct Who {
    source: Source,
    announced_by: Option<Source>,
}

/// A connection whose source is known and whose handshake is done.
struct Ready {
    transport: Transport,
    who: Who,
    scheme: Scheme,
    standing: Option<Stranger>,
}

/// What an untrusted source's connection holds for as long as it lives.
struct Stranger {
    _room: OwnedSemaphorePermit,
    _place: Option<Place>,
}

impl Stranger {
    /// Room for one more connection of `source`; or the limit that leaves none.
    fn admit(source: Source, shared: &Shared, snapshot: &Snapshot) -> Result<Self, Limit> {
        let party = match (source.address(), source.uid()) {
            (None, Some(uid)) => Party::User(uid),
            _ => Party::at(source.place()),
        };
        let place = match snapshot.limits.max_connections_per_source {
            0 => None,
            max => {
                let place = shared.crowd.enter(party, max);
                Some(place.ok_or(Limit::MaxConnectionsPerSource)?)
            }
        };
        let room = shared.strangers.clone().try_acquire_owned();
        Ok(Self {
            _room: room.map_err(|_| Limit::MaxConnections)?,
            _place: place,
        })
    }
}

/// What a connection of `source` holds, if it is a stranger's.
fn standing(
    source: Source,
    shared: &Shared,
    snapshot: &Snapshot,
) -> Result<Option<Stranger>, Limit> {
    if snapshot.policy.lists(source) {
        return Ok(None);
    }
    Stranger::admit(source, shared, snapshot).map(Some)
}

/// TLS would prove nothing here: the bytes don't leave the host, and the kernel says who
/// sends them.
async fn receive_unix(
    unix: UnixStream,
    source: Source,
    shared: &Shared,
    snapshot: &Snapshot,
) -> Option<Ready> {
    match standing(source, shared, snapshot) {
        Ok(standing) => Some(Ready {
            transport: Transport::Unix(unix),
            who: Who {
                source,
                announced_by: None,
            },
            scheme: Scheme::Http,
            standing,
        }),
        Err(limit) => {
            turn_away(unix, true, limit, &shared.metrics).await;
            None
        }
    }
}

/// Finds out who connected, and gets as far as the first request; none where it
/// doesn't come to that.
async fn receive(
    mut tcp: TcpStream,
    peer: SocketAddr,
    shared: &Shared,
    snapshot: &Snapshot,
) -> Option<Ready> {
    // Answers are whole when they are written: nothing is won by waiting.
    let _ = tcp.set_nodelay(true);
    keep_alive(&tcp);
    let patience = snapshot.limits.handshake_timeout;
    let local = tcp.local_addr().ok();
    let peer_source = Source::new(peer.ip(), interfaces::whose(peer, local));
    let who = if snapshot.proxy_protocol_from.contains(peer.ip()) {
        let announced = announced(&mut tcp, peer_source, patience, snapshot).await;
        match announced {
            Ok(address) => Who {
                source: Source::new(address.ip(), interfaces::whose(address, local)),
                announced_by: Some(peer_source),
            },
            Err(unannounced) => {
                match unannounced {
                    Unannounced::Late => shared.metrics.limit_reached(Limit::HandshakeTimeout),
                    _ => shared.metrics.connection_refused(Refused::ProxyHeader),
                }
                tracing::info!(source.ip = %peer_source, error.detail = %unannounced, "a load balancer's connection is closed");
                return None;
            }
        }
    } else {
        Who {
            source: peer_source,
            announced_by: None,
        }
    };
    let source = who.source;
    let standing = match standing(source, shared, snapshot) {
        Ok(standing) => standing,
        Err(limit) => {
            turn_away(tcp, snapshot.tls.is_none(), limit, &shared.metrics).await;
            return None;
        }
    };
    let (transport, scheme) = match &snapshot.tls {
        None => (Transport::Tcp(tcp), Scheme::Http),
        Some(config) => {
            let handshake = TlsAcceptor::from(config.clone()).accept(tcp);
            match timeout(patience, handshake).await {
                Ok(Ok(tls)) => (Transport::TlsServer(Box::new(tls)), Scheme::Https),
                Ok(Err(error)) => {
                    shared.metrics.connection_refused(Refused::TlsHandshake);
                    tracing::info!(source.ip = %source, error.detail = %error, "TLS handshake failed");
                    return None;
                }
                Err(_) => {
                    shared.metrics.limit_reached(Limit::HandshakeTimeout);
                    tracing::info!(source.ip = %source, "TLS handshake timed out");
                    return None;
                }
            }
        }
    };
    Some(Ready {
        transport,
        who,
        scheme,
        standing,
    })
}

/// Why nobody knows whose connection a load balancer passes on.
#[derive(Debug, thiserror::Error)]
enum Unannounced {
    #[error("a process of this host may not speak for others: {0}")]
    OwnHost(String),
    #[error("the PROXY header did not come in time")]
    Late,
    #[error(transparent)]
    Unusable(#[from] HeaderError),
}

/// The source that a load balancer announces. One on this host must itself be let in
/// from here: any process could pass for it, and then for everybody.
async fn announced(
    tcp: &mut TcpStream,
    balancer: Source,
    patience: Duration,
    snapshot: &Snapshot,
) -> Result<SocketAddr, Unannounced> {
    if let Err(denial) = snapshot.policy.permits_place(balancer) {
        return Err(Unannounced::OwnHost(denial.detail()));
    }
    match timeout(patience, proxy_protocol::read(tcp)).await {
        Ok(read) => Ok(read?),
        Err(_) => Err(Unannounced::Late),
    }
}

/// Beyond a limit: a plain client is told, a TLS one would cost a handshake.
async fn turn_away(
    mut stream: impl AsyncWrite + Unpin,
    is_plain: bool,
    limit: Limit,
    metrics: &Metrics,
) {
    metrics.limit_reached(limit);
    if is_plain {
        let answer = overload_answer(Problem::Overloaded);
        // Whoever doesn't take it goes without.
        let _ = timeout(PARTING, async {
            stream.write_all(&answer).await?;
            stream.shutdown().await
        })
        .await;
    }
}
