//! `[limits]`: how much and how long, each with a default that lets long
//! WebSocket and SSE sessions live.

use std::num::NonZeroU32;
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
    /// For a WebSocket as a whole: its user was verified when it was opened, and is again
    /// when the client comes back. Default 24 h.
    pub websocket_max_lifetime: Duration,
    /// Connections of the front door at a time, at most half of them from sources that
    /// are not trusted. Default 20,000.
    pub max_connections: usize,
    /// Of those, connections of one source that isn't trusted: an IPv4 address, or the
    /// /64 of an IPv6 one. Default 100; 0 is no limit.
    pub max_connections_per_source: usize,
    /// Requests that are with the gateway at a time, at most a quarter of them by public
    /// routes. Default 4,096.
    pub max_requests_in_flight: usize,
    /// Streams of an HTTP/2 connection at a time. Default 100.
    pub http2_max_streams: u32,
    /// Streams that an HTTP/2 connection may cancel in 10 s beyond those whose answer
    /// it takes. Default 200.
    pub http2_max_resets: u32,
    /// Requests a second of one user. Default none: no limit.
    pub requests_per_second_per_user: Option<NonZeroU32>,
    /// Requests a second from one client's address, unless it is a trusted source's own.
    /// Default none: no limit.
    pub requests_per_second_per_client: Option<NonZeroU32>,
    /// Requests at once beyond those rates. Default 100: a page's worth.
    pub request_burst: NonZeroU32,
}

const MILLIS_100: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

const BURST: NonZeroU32 = NonZeroU32::new(100).expect("it is not zero");

/// Descriptors for what is no connection of a client: listeners, files, the admin
/// listener's connections.
pub const RESERVED_DESCRIPTORS: u64 = 256;

impl Limits {
    /// The descriptors that these limits need: a connection has one, and one more as a
    /// WebSocket; each request with the gateway has one.
    #[must_use]
    pub fn descriptors(&self) -> u64 {
        self.max_connections as u64 * 2 + self.max_requests_in_flight as u64 + RESERVED_DESCRIPTORS
    }
}

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
            websocket_max_lifetime: DAY,
            max_connections: 20_000,
            max_connections_per_source: 100,
            max_requests_in_flight: 4096,
            http2_max_streams: 100,
            http2_max_resets: 200,
            requests_per_second_per_user: None,
            requests_per_second_per_client: None,
            request_burst: BURST,
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
        websocket_max_lifetime,
        max_connections,
        max_connections_per_source,
        max_requests_in_flight,
        http2_max_streams,
        http2_max_resets,
        requests_per_second_per_user,
        requests_per_second_per_client,
        request_burst,
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
            "websocketMaxLifetime",
            "maxConnections",
            "maxConnectionsPerSource",
            "maxRequestsInFlight",
            "http2MaxStreams",
            "http2MaxResets",
            "requestsPerSecondPerUser",
            "requestsPerSecondPerClient",
            "requestBurst",
        ],
        &[],
    );
    let default = Limits::default();
    let count = |number: Option<u64>| number.and_then(|number| usize::try_from(number).ok());
    let small = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok());
    let rate = |number: Option<u64>| small(number).and_then(NonZeroU32::new);
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
        websocket_max_lifetime: websocket_max_lifetime
            .duration(walk, MINUTE..=365 * DAY)
            .unwrap_or(default.websocket_max_lifetime),
        max_connections: count(max_connections.integer(walk, 1..=1_000_000))
            .unwrap_or(default.max_connections),
        max_connections_per_source: count(max_connections_per_source.integer(walk, 0..=1_000_000))
            .unwrap_or(default.max_connections_per_source),
        max_requests_in_flight: count(max_requests_in_flight.integer(walk, 1..=1_000_000))
            .unwrap_or(default.max_requests_in_flight),
        http2_max_streams: small(http2_max_streams.integer(walk, 1..=1000))
            .unwrap_or(default.http2_max_streams),
        http2_max_resets: small(http2_max_resets.integer(walk, 10..=100_000))
            .unwrap_or(default.http2_max_resets),
        requests_per_second_per_user: rate(
            requests_per_second_per_user.integer(walk, 0..=1_000_000),
        ),
        requests_per_second_per_client: rate(
            requests_per_second_per_client.integer(walk, 0..=1_000_000),
        ),
        request_burst: rate(request_burst.integer(walk, 1..=1_000_000))
            .unwrap_or(default.request_burst),
    }
}
