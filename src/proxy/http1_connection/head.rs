//! Reads the head of a connection's next request, for as long as it may take.

use super::super::respond::Problem;
use super::super::{ConnectionFacts, FrontDoor};
use super::Connection;
use crate::http1::scan::HeadScanner;
use crate::proxy_protocol;
use crate::snapshot::Snapshot;
use crate::telemetry::metrics::{Limit, Refused};
use pingora_timeout::timeout;
use std::time::{Duration, Instant};

/// How long a connection that is idle when the drain begins may still bring the
/// request that is already on its way to us.
const LAST_REQUEST: Duration = Duration::from_millis(800);
/// What bounds the reading of a head.
#[derive(Clone, Copy)]
pub(super) struct HeadLimits {
    bytes: usize,
    timeout: Duration,
    keepalive: Duration,
}

impl HeadLimits {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let limits = &snapshot.limits;
        Self {
            bytes: usize::try_from(limits.max_header_bytes.bytes()).unwrap_or(usize::MAX),
            timeout: limits.header_timeout,
            keepalive: limits.keepalive_timeout,
        }
    }
}

/// A head, or why what came is none.
pub(super) enum Head {
    Whole(usize),
    Broken(Problem, Option<Limit>, &'static str),
}

/// Why there is no head, and nothing to say to the client.
pub(super) enum HeadEnd {
    /// It left, or was idle for as long as it may be.
    Gone,
    /// It never said a word.
    Mute,
    /// It speaks for others, and is none that may.
    ProxyHeader,
}

impl HeadEnd {
    /// Counts and logs it, where it tells of something.
    pub(super) fn note(self, door: &FrontDoor, facts: &ConnectionFacts) {
        match self {
            Self::Gone => {}
            Self::Mute => door.metrics.limit_reached(Limit::HeaderTimeout),
            Self::ProxyHeader => {
                door.metrics.connection_refused(Refused::ProxyHeader);
                tracing::info!(
                    source.ip = %facts.source,
                    "a connection is closed: it begins with a PROXY header, and its source is not in `listen.proxyProtocolFrom`"
                );
            }
        }
    }
}

impl Connection {
    /// The next head.
    pub(super) async fn read_head(&mut self, limits: HeadLimits) -> Result<Head, HeadEnd> {
        let max = limits.bytes;
        if self.inbound.unread().is_empty() {
            let patience = if self.is_first {
                limits.timeout
            } else {
                limits.keepalive
            };
            self.first_bytes(patience).await?;
        }
        let deadline = Instant::now() + limits.timeout;
        let mut scanner = HeadScanner::default();
        let mut passed_over = false;
        loop {
            if self.is_first && proxy_protocol::announces(self.inbound.unread()) {
                return Err(HeadEnd::ProxyHeader);
            }
            // Two empty lines are what a PROXY header begins with, too.
            let is_open = self.is_first && proxy_protocol::may_announce(self.inbound.unread());
            // RFC 9112 section 2.2: one empty line before a request is passed over.
            if !is_open && !passed_over && self.inbound.unread().starts_with(b"\r\n") {
                self.inbound.consume(2);
                scanner = HeadScanner::default();
                passed_over = true;
            }
            let scanned = if is_open {
                Ok(None)
            } else {
                scanner.advance(self.inbound.unread())
            };
            match scanned {
                Ok(Some(length)) if length <= max => return Ok(Head::Whole(length)),
                Ok(None) if self.inbound.unread().len() <= max => {}
                Ok(_) => {
                    return Ok(Head::Broken(
                        Problem::HeadersTooLarge,
                        Some(Limit::MaxHeaderBytes),
                        "the head is longer than `limits.maxHeaderBytes`",
                    ));
                }
                Err(_) => {
                    return Ok(Head::Broken(
                        Problem::BadRequest,
                        None,
                        "a line ends in a bare line feed",
                    ));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match timeout(left, self.inbound.fill_head()).await {
                Ok(Ok(0)) | Ok(Err(_)) => return Err(HeadEnd::Gone),
                Ok(Ok(_)) => {}
                Err(_) if self.inbound.unread().is_empty() => return Err(HeadEnd::Mute),
                Err(_) => {
                    return Ok(Head::Broken(
                        Problem::RequestTimeout,
                        Some(Limit::HeaderTimeout),
                        "the head took longer than `limits.headerTimeout`",
                    ));
                }
            }
        }
    }

    /// Waits for a request to begin: until `patience` ends, or the drain does not
    /// let it wait any longer.
    async fn first_bytes(&mut self, patience: Duration) -> Result<(), HeadEnd> {
        let late = if self.is_first {
            HeadEnd::Mute
        } else {
            HeadEnd::Gone
        };
        let read = tokio::select! {
            biased;
            read = timeout(patience, self.inbound.fill_head()) => read.map_err(|_| late)?,
            () = self.drain.begun() => {
                let last = timeout(LAST_REQUEST, self.inbound.fill_head()).await;
                // It is us who have no more time.
                last.map_err(|_| HeadEnd::Gone)?
            }
        };
        match read {
            Ok(count) if count > 0 => Ok(()),
            _ => Err(HeadEnd::Gone),
        }
    }
}
