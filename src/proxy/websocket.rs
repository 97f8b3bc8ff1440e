//! The tunnel after a WebSocket handshake (RFC 6455): bytes both ways, untouched,
//! and frames followed just far enough to close with a code between two of them.
//!
//! An idle tunnel holds no buffer: bytes pass through one that its worker thread
//! keeps, and only what the other side does not take at once is put aside.

mod frames;
mod relay;

use crate::drain::DrainWatch;
use crate::transport::Transport;
use relay::Relay;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// RFC 6455 section 7.4.1: the endpoint goes away.
const GOING_AWAY: u16 = 1001;
/// IANA's registry: service restart; what the gateway itself says on SIGTERM.
const SERVICE_RESTART: u16 = 1012;
/// How long a client that was told to close may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// One end of a tunnel, and what it has sent already.
pub(super) struct Side {
    pub(super) transport: Transport,
    pub(super) early: Vec<u8>,
}

/// Both ends.
pub(super) struct Tunnel {
    client: Transport,
    upstream: Transport,
    to_upstream: Relay,
    to_client: Relay,
    last_activity: Instant,
}

/// Bytes that went through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relayed {
    pub(super) to_upstream: u64,
    pub(super) to_client: u64,
}

impl Tunnel {
    pub(super) fn new(client: Side, upstream: Side) -> Self {
        Self {
            to_upstream: Relay::new(client.early),
            to_client: Relay::new(upstream.early),
            client: client.transport,
            upstream: upstream.transport,
            last_activity: Instant::now(),
        }
    }

    /// Relays until both sides have ended, one has failed, nothing has passed for
    /// `idle_timeout`, or the grace time of a drain is over.
    pub(super) async fn run(mut self, mut drain: DrainWatch, idle_timeout: Duration) -> Relayed {
        let mut closing = pin!(drain.closing());
        let mut timer = pin!(tokio::time::sleep(idle_timeout));
        let mut is_closing = false;
        loop {
            tokio::select! {
                biased;
                () = &mut closing, if !is_closing => {
                    is_closing = true;
                    self.to_client.close_with(SERVICE_RESTART);
                    timer.as_mut().reset(tokio::time::Instant::now() + GOODBYE);
                }
                () = &mut timer => {
                    let quiet = self.last_activity.elapsed();
                    if is_closing {
                        break;
                    }
                    if quiet < idle_timeout {
                        timer.as_mut().reset(tokio::time::Instant::now() + (idle_timeout - quiet));
                        continue;
                    }
                    is_closing = true;
                    self.to_client.close_with(GOING_AWAY);
                    timer.as_mut().reset(tokio::time::Instant::now() + GOODBYE);
                }
                () = poll_fn(|cx| self.poll(cx)) => break,
            }
        }
        Relayed {
            to_upstream: self.to_upstream.bytes(),
            to_client: self.to_client.bytes(),
        }
    }

    /// Ready when nothing more can pass.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let before = self.to_upstream.bytes() + self.to_client.bytes();
        let (client, upstream) = (&mut self.client, &mut self.upstream);
        let up = self
            .to_upstream
            .poll(cx, Pin::new(client), Pin::new(upstream));
        let (client, upstream) = (&mut self.client, &mut self.upstream);
        let down = self
            .to_client
            .poll(cx, Pin::new(upstream), Pin::new(client));
        if before != self.to_upstream.bytes() + self.to_client.bytes() {
            self.last_activity = Instant::now();
        }
        match (up, down) {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(()),
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}
