//! `[limits]`: how much and how long, each with a default that lets long
//! WebSocket and SSE sessions live.

use std::time::Duration;

use super::quantity::ByteSize;
use super::section::Section;
use super::walk::Walk;

/// How much and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// A request's whole head. Default 16 KiB, as the gateway's own.
    pub max_header_bytes: ByteSize,
    /// Header fields of a request, 1 to 128. Default 100.
    pub max_headers: usize,
    /// A request's body. Default 64 MiB.
    pub max_body_bytes: ByteSize,
    /// For a whole request head, from its first byte. Default 10 s.
    pub header_timeout: Duration,
    /// For the TLS handshake. Default 10 s.
    pub handshake_timeout: Duration,
    /// For the next request on an idle connection. Default 180 s, longer than
    /// the pools of the proxies in front (Go 90 s, Caddy 120 s).
    pub keepalive_timeout: Duration,
    /// For the next piece of a request body to come, for the gateway to take it, and
    /// for a client to take the next piece of an answer. Default 60 s.
    pub body_stall_timeout: Duration,
    /// For a connection to the gateway. Default 5 s.
    pub upstream_connect_timeout: Duration,
    /// For the head of the gateway's answer, counted from the whole request, and for
    /// the next piece of an answer of known length. Default 15 min: a chat says
    /// nothing while a model thinks.
    pub upstream_first_byte_timeout: Duration,
    /// For requests to end after SIGTERM. Default 15 s.
    pub shutdown_grace: Duration,
    /// For a WebSocket without a frame in either direction. Default 10 min; the
    /// gateway pings every 25 s.
    pub websocket_idle_timeout: Duration,
    /// Connections of the front door at a time. Default 20,000.
    pub max_connections: usize,
}

const MILLIS_100: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_header_bytes: ByteSize::kib(16),
            max_headers: 100,
            max_body_bytes: ByteSize::mib(64),
            header_timeout: 10 * SECOND,
            handshake_timeout: 10 * SECOND,
            keepalive_timeout: 180 * SECOND,
            body_stall_timeout: MINUTE,
            upstream_connect_timeout: 5 * SECOND,
            upstream_first_byte_timeout: 15 * MINUTE,
            shutdown_grace: 15 * SECOND,
            websocket_idle_timeout: 10 * MINUTE,
            max_connections: 20_000,
        }
    }
}

pub(super) fn read(section: &Section<'_>, walk: &mut Walk<'_>) -> Limits {
    let [
        max_header_bytes,
        max_headers,
        max_body_bytes,
        header_timeout,
        handshake_timeout,
        keepalive_timeout,
        body_stall_timeout,
        upstream_connect_timeout,
        upstream_first_byte_timeout,
        shutdown_grace,
        websocket_idle_timeout,
        max_connections,
        requests_per_second_per_user,
    ] = section.fields(
        walk,
        [
            "maxHeaderBytes",
            "maxHeaders",
            "maxBodyBytes",
            "headerTimeout",
            "handshakeTimeout",
            "keepaliveTimeout",
            "bodyStallTimeout",
            "upstreamConnectTimeout",
            "upstreamFirstByteTimeout",
            "shutdownGrace",
            "websocketIdleTimeout",
            "maxConnections",
            "requestsPerSecondPerUser",
        ],
        &[],
    );
    if requests_per_second_per_user
        .integer(walk, 0..=1_000_000)
        .is_some_and(|rate| rate != 0)
    {
        requests_per_second_per_user.not_yet(walk, "a rate for each user (0 is off)");
    }
    let default = Limits::default();
    let count = |number: Option<u64>| number.and_then(|number| usize::try_from(number).ok());
    Limits {
        max_header_bytes: max_header_bytes
            .size(walk, ByteSize::kib(1)..=ByteSize::mib(1))
            .unwrap_or(default.max_header_bytes),
        max_headers: count(max_headers.integer(walk, 1..=128)).unwrap_or(default.max_headers),
        max_body_bytes: max_body_bytes
            .size(walk, ByteSize::kib(1)..=ByteSize(1 << 40))
            .unwrap_or(default.max_body_bytes),
        header_timeout: header_timeout
            .duration(walk, SECOND..=5 * MINUTE)
            .unwrap_or(default.header_timeout),
        handshake_timeout: handshake_timeout
            .duration(walk, SECOND..=5 * MINUTE)
            .unwrap_or(default.handshake_timeout),
        keepalive_timeout: keepalive_timeout
            .duration(walk, SECOND..=HOUR)
            .unwrap_or(default.keepalive_timeout),
        body_stall_timeout: body_stall_timeout
            .duration(walk, SECOND..=HOUR)
            .unwrap_or(default.body_stall_timeout),
        upstream_connect_timeout: upstream_connect_timeout
            .duration(walk, MILLIS_100..=2 * MINUTE)
            .unwrap_or(default.upstream_connect_timeout),
        upstream_first_byte_timeout: upstream_first_byte_timeout
            .duration(walk, SECOND..=DAY)
            .unwrap_or(default.upstream_first_byte_timeout),
        shutdown_grace: shutdown_grace
            .duration(walk, Duration::ZERO..=HOUR)
            .unwrap_or(default.shutdown_grace),
        websocket_idle_timeout: websocket_idle_timeout
            .duration(walk, 30 * SECOND..=7 * DAY)
            .unwrap_or(default.websocket_idle_timeout),
        max_connections: count(max_connections.integer(walk, 1..=1_000_000))
            .unwrap_or(default.max_connections),
    }
}
