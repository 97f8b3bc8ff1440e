//! The accept loop: sockets in, connections with facts out.
//!
//! It is ours rather than Pingora's because Pingora's has no minimum TLS version,
//! no limit of connections, no deadline that can be set for the handshake and no
//! known port when it was asked for port 0.

mod interfaces;
mod redirect;

pub use redirect::Redirect;

use crate::drain::Drain;
use crate::forwarded::Scheme;
use crate::policy::Source;
use crate::proxy::respond::Problem;
use crate::proxy::{ConnectionFacts, FrontDoor, overload_answer};
use crate::telemetry::metrics::Metrics;
use crate::transport::{Transport, keep_alive};
use pingora_timeout::timeout;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

/// Connections that the kernel holds for us while we are busy.
const BACKLOG: i32 = 4096;
/// How long to wait after the system refused a connection for want of
/// descriptors or memory: trying again at once would only burn the processor.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Binds a listener; port 0 is whatever is free.
///
/// # Errors
/// The system's, where the address is taken, not ours or not permitted.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` means both families only where the kernel says so; whoever wants
        // both writes both.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// What the connections of all listeners share.
pub struct Shared {
    /// Who serves them.
    pub door: Arc<FrontDoor>,
    /// How many there may be (`limits.maxConnections`).
    pub slots: Arc<Semaphore>,
    /// Counts them.
    pub metrics: Arc<Metrics>,
    /// Ends the accepting.
    pub drain: Drain,
}

/// Accepts until the drain begins, and then what had reached the kernel before.
pub async fn run(listener: TcpListener, shared: Arc<Shared>) {
    let mut drain = shared.drain.watch();
    loop {
        let accepted = tokio::select! {
            biased;
            () = drain.begun() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, address)) => admit(tcp, address, &shared),
            Err(error) => pause_after(&error).await,
        }
    }
    for _ in 0..BACKLOG {
        let Some(Ok((tcp, address))) = accept_waiting(&listener).await else {
            return;
        };
        admit(tcp, address, &shared);
    }
}

/// A connection that is waiting in the backlog, if there is one.
async fn accept_waiting(listener: &TcpListener) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    tokio::select! {
        biased;
        accepted = listener.accept() => Some(accepted),
        () = std::future::ready(()) => None,
    }
}

async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    // These concern one connection that is gone; the next may be fine.
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    ) {
        tracing::warn!(error.detail = %error, "a connection could not be accepted");
        tokio::time::sleep(EXHAUSTED_PAUSE).await;
    }
}

fn admit(tcp: TcpStream, address: SocketAddr, shared: &Arc<Shared>) {
    let slot = shared.slots.clone().try_acquire_owned();
    let shared = shared.clone();
    tokio::spawn(async move {
        match slot {
            Ok(slot) => serve(tcp, address, shared, slot).await,
            Err(_) => turn_away(tcp, &shared).await,
        }
    });
}

async fn serve(
    tcp: TcpStream,
    address: SocketAddr,
    shared: Arc<Shared>,
    slot: OwnedSemaphorePermit,
) {
    let open = shared.metrics.connection_opened();
    // Answers are whole when they are written: nothing is won by waiting.
    let _ = tcp.set_nodelay(true);
    keep_alive(&tcp);
    let snapshot = shared.door.snapshot();
    let local = tcp.local_addr().ok();
    let source = Source::new(address.ip(), interfaces::whose(address, local));
    let (transport, scheme) = match &snapshot.tls {
        None => (Transport::Tcp(tcp), Scheme::Http),
        Some(config) => {
            let handshake = TlsAcceptor::from(config.clone()).accept(tcp);
            match timeout(snapshot.limits.handshake_timeout, handshake).await {
                Ok(Ok(tls)) => (Transport::TlsServer(Box::new(tls)), Scheme::Https),
                Ok(Err(error)) => {
                    tracing::info!(source.ip = %source.address(), error.detail = %error, "TLS handshake failed");
                    return;
                }
                Err(_) => {
                    tracing::info!(source.ip = %source.address(), "TLS handshake timed out");
                    return;
                }
            }
        }
    };
    let facts = ConnectionFacts {
        source,
        scheme,
        terms: snapshot.terms.clone(),
    };
    drop(snapshot);
    shared
        .door
        .clone()
        .serve(transport, facts, (open, slot))
        .await;
}

/// Beyond the limit: a plain client is told, a TLS one would cost a handshake.
async fn turn_away(mut tcp: TcpStream, shared: &Shared) {
    if shared.door.snapshot().tls.is_none() {
        let answer = overload_answer(Problem::Overloaded);
        // Whoever doesn't take it goes without.
        let _ = timeout(Duration::from_secs(1), async {
            tcp.write_all(&answer).await?;
            tcp.shutdown().await
        })
        .await;
    }
}
