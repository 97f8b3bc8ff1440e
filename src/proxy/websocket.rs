//! The tunnel after a WebSocket handshake (RFC 6455): bytes both ways, untouched,
//! and frames followed just far enough to close with a code between two of them.
//!
//! An idle tunnel holds no buffer: bytes pass through one that its worker thread
//! keeps, and only what the other side does not take at once is put aside.

mod frames;
mod relay;

#[cfg(fuzzing)]
pub(crate) use frames::Frames;

use crate::drain::DrainWatch;
use crate::telemetry::metrics::Limit;
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
/// What the gateway itself says when its policy changes.
const POLICY_CHANGED: u16 = 4001;
/// How long a client that was told to close may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
/// The same for a client that may no longer be here. Its session ends within a second of
/// the reload, and a part of that is gone by now; the rest of a frame still reaches it.
const REVOKED_GOODBYE: Duration = Duration::from_millis(500);

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
    began: Instant,
    last_activity: Instant,
}

/// How long a tunnel may live.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Without a byte either way.
    pub(super) idle: Duration,
    /// In all.
    pub(super) lifetime: Duration,
}

/// What we closed a tunnel for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// The grace time of a drain was over.
    Drain,
    /// Nothing had passed for too long.
    Idle,
    /// It had lived for as long as one may.
    Lifetime,
    /// A reload took away what had permitted it.
    Revoked,
}

impl Closed {
    fn code(self) -> u16 {
        match self {
            Self::Drain => SERVICE_RESTART,
            Self::Idle | Self::Lifetime => GOING_AWAY,
            Self::Revoked => POLICY_CHANGED,
        }
    }

    /// How long the tunnel may still take.
    fn goodbye(self) -> Duration {
        match self {
            Self::Drain | Self::Idle | Self::Lifetime => GOODBYE,
            Self::Revoked => REVOKED_GOODBYE,
        }
    }

    /// The limit that was reached, if it was one.
    pub(super) fn limit(self) -> Option<Limit> {
        match self {
            Self::Idle => Some(Limit::WebsocketIdleTimeout),
            Self::Lifetime => Some(Limit::WebsocketMaxLifetime),
            Self::Drain | Self::Revoked => None,
        }
    }
}

/// What came of a tunnel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relayed {
    /// Bytes that went through.
    pub(super) to_upstream: u64,
    pub(super) to_client: u64,
    /// None: one of its ends ended it.
    pub(super) closed_for: Option<Closed>,
}

impl Tunnel {
    pub(super) fn new(client: Side, upstream: Side) -> Self {
        Self {
            to_upstream: Relay::new(client.early),
            to_client: Relay::new(upstream.early),
            client: client.transport,
            upstream: upstream.transport,
            began: Instant::now(),
            last_activity: Instant::now(),
        }
    }

    /// Relays until both sides have ended, one has failed, a bound is reached, the grace
    /// time of a drain is over, or `revoked` ends: then nothing that the client sends
    /// goes to the upstream any more.
    pub(super) async fn run<R>(
        mut self,
        mut drain: DrainWatch,
        revoked: impl Future<Output = R>,
        bounds: Bounds,
    ) -> Relayed {
        let mut closing = pin!(drain.closing());
        let mut revoked = pin!(revoked);
        let mut timer = pin!(tokio::time::sleep(bounds.idle.min(bounds.lifetime)));
        let mut closed_for = None;
        loop {
            let reason = tokio::select! {
                biased;
                _ = &mut revoked, if closed_for.is_none() => Closed::Revoked,
                () = &mut closing, if closed_for.is_none() => Closed::Drain,
                () = &mut timer => match self.due(bounds) {
                    _ if closed_for.is_some() => break,
                    Ok(reason) => reason,
                    Err(left) => {
                        timer.as_mut().reset(tokio::time::Instant::now() + left);
                        continue;
                    }
                },
                () = poll_fn(|cx| self.poll(cx)) => break,
            };
            closed_for = Some(reason);
            self.to_client.close_with(reason.code());
            if reason == Closed::Revoked {
                self.to_upstream.cut_off();
            }
            timer
                .as_mut()
                .reset(tokio::time::Instant::now() + reason.goodbye());
        }
        Relayed {
            to_upstream: self.to_upstream.bytes(),
            to_client: self.to_client.bytes(),
            closed_for,
        }
    }

    /// The bound that is reached, or how long there is until one may be.
    fn due(&self, bounds: Bounds) -> Result<Closed, Duration> {
        let (age, quiet) = (self.began.elapsed(), self.last_activity.elapsed());
        if age >= bounds.lifetime {
            Ok(Closed::Lifetime)
        } else if quiet >= bounds.idle {
            Ok(Closed::Idle)
        } else {
            Err((bounds.lifetime - age).min(bounds.idle - quiet))
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

#[cfg(test)]
mod tests;
