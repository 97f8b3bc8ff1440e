//! Which limits are reached, and which connections are refused.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use super::register;

/// A limit of the config, as the label `limit` names it: its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// A head had more bytes.
    MaxHeaderBytes,
    /// A head had more fields.
    MaxHeaders,
    /// A body was longer.
    MaxBodyBytes,
    /// A head took longer, or never began.
    HeaderTimeout,
    /// A TLS handshake or a PROXY header took longer.
    HandshakeTimeout,
    /// A body, or the taking of an answer, stalled for longer.
    BodyStallTimeout,
    /// The gateway took no connection in time.
    UpstreamConnectTimeout,
    /// The gateway's answer came no further in time.
    UpstreamFirstByteTimeout,
    /// A WebSocket was silent for longer.
    WebsocketIdleTimeout,
    /// A WebSocket lived for longer.
    WebsocketMaxLifetime,
    /// There were as many connections already.
    MaxConnections,
    /// An untrusted source had as many connections already.
    MaxConnectionsPerSource,
    /// There were as many requests under way already.
    MaxRequestsInFlight,
    /// An HTTP/2 connection had as many streams already.
    Http2MaxStreams,
    /// An HTTP/2 connection cancelled as many streams already.
    Http2MaxResets,
    /// A user sent requests faster.
    RequestsPerSecondPerUser,
    /// A client's address sent requests faster.
    RequestsPerSecondPerClient,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 17] = [
        Self::MaxHeaderBytes,
        Self::MaxHeaders,
        Self::MaxBodyBytes,
        Self::HeaderTimeout,
        Self::HandshakeTimeout,
        Self::BodyStallTimeout,
        Self::UpstreamConnectTimeout,
        Self::UpstreamFirstByteTimeout,
        Self::WebsocketIdleTimeout,
        Self::WebsocketMaxLifetime,
        Self::MaxConnections,
        Self::MaxConnectionsPerSource,
        Self::MaxRequestsInFlight,
        Self::Http2MaxStreams,
        Self::Http2MaxResets,
        Self::RequestsPerSecondPerUser,
        Self::RequestsPerSecondPerClient,
    ];

    /// The key in `[limits]`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxHeaderBytes => "maxHeaderBytes",
            Self::MaxHeaders => "maxHeaders",
            Self::MaxBodyBytes => "maxBodyBytes",
            Self::HeaderTimeout => "headerTimeout",
            Self::HandshakeTimeout => "handshakeTimeout",
            Self::BodyStallTimeout => "bodyStallTimeout",
            Self::UpstreamConnectTimeout => "upstreamConnectTimeout",
            Self::UpstreamFirstByteTimeout => "upstreamFirstByteTimeout",
            Self::WebsocketIdleTimeout => "websocketIdleTimeout",
            Self::WebsocketMaxLifetime => "websocketMaxLifetime",
            Self::MaxConnections => "maxConnections",
            Self::MaxConnectionsPerSource => "maxConnectionsPerSource",
            Self::MaxRequestsInFlight => "maxRequestsInFlight",
            Self::Http2MaxStreams => "http2MaxStreams",
            Self::Http2MaxResets => "http2MaxResets",
            Self::RequestsPerSecondPerUser => "requestsPerSecondPerUser",
            Self::RequestsPerSecondPerClient => "requestsPerSecondPerClient",
        }
    }
}

/// Why a connection was refused or ended, beside the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The TLS handshake failed.
    TlsHandshake,
    /// A load balancer's PROXY header was absent or unusable, or somebody else sent one.
    ProxyHeader,
    /// An HTTP/2 connection brought floods of frames that move nothing, or of requests
    /// that can't be read.
    Http2Abuse,
}

impl Refused {
    const ALL: [Self; 3] = [Self::TlsHandshake, Self::ProxyHeader, Self::Http2Abuse];

    const fn as_str(self) -> &'static str {
        match self {
            Self::TlsHandshake => "tls_handshake",
            Self::ProxyHeader => "proxy_header",
            Self::Http2Abuse => "http2_abuse",
        }
    }
}

/// A counter for each, at zero from the start: a rate sees the first one.
pub(super) struct Refusals {
    limits: [IntCounter; Limit::ALL.len()],
    connections: [IntCounter; Refused::ALL.len()],
}

impl Refusals {
    pub(super) fn new(registry: &Registry) -> Self {
        let family = |name: &str, help: &str, label: &str| {
            register(
                registry,
                IntCounterVec::new(Opts::new(name, help), &[label]),
            )
        };
        let limits = family(
            "portcullis_limit_reached_total",
            "Connections, requests and WebSockets that a limit refused or ended, by its key.",
            "limit",
        );
        let connections = family(
            "portcullis_connections_refused_total",
            "Connections that were refused or ended, by what was wrong with them.",
            "reason",
        );
        Self {
            limits: Limit::ALL.map(|limit| limits.with_label_values(&[limit.as_str()])),
            connections: Refused::ALL
                .map(|refused| connections.with_label_values(&[refused.as_str()])),
        }
    }

    pub(super) fn limit(&self, limit: Limit) -> &IntCounter {
        &self.limits[limit as usize]
    }

    pub(super) fn connection(&self, refused: Refused) -> &IntCounter {
        &self.connections[refused as usize]
    }
}
