//! Connections of the back door: taken, served, and let end.

use super::Broker;
use super::admission::Ends;
use super::head_clock::{HeadClock, Timed, TimedAnswer};
use super::standing::Standing;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Connections served at once; further ones wait in the listen queue.
const MAX_CONNECTIONS: usize = 4096;
/// Largest head, in bytes: an agent's metadata is longer than a browser's.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// After a failed accept, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Broker {
    /// Serves until the drain begins, and then what is under way.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut drain = self.drain.watch();
        loop {
            let slot = slots.clone().acquire_owned();
            let (slot, accepted) = tokio::select! {
                biased;
                () = drain.begun() => break,
                Some(_) = connections.join_next() => continue,
                next = async { (slot.await, listener.accept().await) } => next,
            };
            match accepted {
                Ok((stream, source)) => {
                    let broker = self.clone();
                    connections.spawn(async move {
                        broker.serve_connection(stream, source).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(error.detail = %error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    async fn serve_connection(self: Arc<Self>, stream: TcpStream, source: SocketAddr) {
        let Ok(local) = stream.local_addr() else {
            return;
        };
        // Events are small, and each is to arrive by itself.
        let _ = stream.set_nodelay(true);
        crate::transport::keep_alive(&stream);
        let ends = Ends { source, local };
        let limits = self.snapshot().limits.clone();
        let mut drain = self.drain.watch();
        let clock = Arc::new(HeadClock::default());
        let standing = Arc::new(Standing::default());
        let revoked = standing.revoked(&self);
        let io = TokioIo::new(Timed::new(stream, clock.clone()));
        let (of_service, broker, caller) = (clock.clone(), self.clone(), standing.clone());
        let service = service_fn(move |request| {
            of_service.head_is_whole();
            let (broker, clock, caller) = (broker.clone(), of_service.clone(), caller.clone());
            async move {
                let response = broker.answer(request, ends, &caller).await;
                Ok::<_, Infallible>(response.map(|body| TimedAnswer::new(body, clock)))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // For an idle connection; a head that has begun has its own, shorter time.
            .header_read_timeout(limits.keepalive_timeout)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(io, service);
        tokio::pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = clock.is_late(limits.header_timeout) => {
                tracing::info!(source.ip = %source.ip(), "a request's head did not come in time");
                return;
            }
            () = revoked => {
                tracing::info!(source.ip = %source.ip(), "ended by a reload, which took the caller's token away");
                return;
            }
            () = drain.begun() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(error.detail = %error, "a connection of the back door ended");
        }
    }
}
