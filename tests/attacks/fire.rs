//! Sends a row over a connection and says what came back.

mod http1;
mod http2;

use crate::corpus::{Allowed, CorpusError, Ending, Pieces, Protocol, Row};
use crate::frames::{self, Pair};
use crate::placeholder::Cast;
use crate::wire;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// What became of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Status(u16),
    /// The stream was reset.
    Reset,
    /// The connection ended without an answer to it.
    Closed,
    /// Nothing came in time.
    Silence,
}

/// What the client saw.
#[derive(Debug)]
pub(crate) struct Sight {
    /// An answer for each one that is due, then those that are not.
    pub(crate) answers: Vec<Answer>,
    /// The other side closed before the client did.
    pub(crate) closed: bool,
}

/// What is attacked.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    /// Where it speaks HTTP without TLS.
    pub(crate) plain: Option<SocketAddr>,
    /// Where it speaks it over TLS, and how to connect.
    pub(crate) tls: Option<(SocketAddr, rustls::ClientConfig)>,
    pub(crate) cast: Cast,
    /// Sent on every connection first where a row has none of its own to send.
    pub(crate) preamble: String,
    /// How long something that must come may take.
    pub(crate) patience: Duration,
}

/// Why nothing was fired.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FireError {
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    #[error("no connection: {0}")]
    Connect(#[from] io::Error),
    #[error("there is no listener for this protocol")]
    Nowhere,
}

/// What is waited for over HTTP/1.1.
struct Wanted {
    answers: usize,
    close: bool,
}

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

impl Mark {
    /// Sends `row` over `protocol`, and waits for the connection's end where it is
    /// due and `close` asks for it.
    pub(crate) async fn fire(
        &self,
        row: &Row,
        protocol: Protocol,
        close: bool,
    ) -> Result<Sight, FireError> {
        let due = row.due().len();
        let start = Start {
            from: row.from,
            preamble: self
                .cast
                .expand(row.preamble.as_deref().unwrap_or_default())?,
        };
        if protocol == Protocol::H2 {
            let bytes = http2_bytes(row, &self.cast)?;
            let stream = self.tls(&start, b"h2").await?;
            return Ok(http2::fire(stream, &bytes, due, self.patience).await);
        }
        let pieces = http1_pieces(row, &self.cast)?;
        let stream = match self.http1(&start, protocol).await {
            // Turned away before TLS: nothing was asked, and nothing answered.
            Err(FireError::Connect(_)) if allows_no_connection(row) => {
                return Ok(Sight {
                    answers: vec![Answer::Closed; due],
                    closed: true,
                });
            }
            connected => connected?,
        };
        let wanted = Wanted {
            answers: due,
            close: row.closed && close,
        };
        Ok(http1::fire(stream, &pieces, wanted, self.patience).await)
    }

    /// An ordinary request on a connection of its own.
    pub(crate) async fn ask(&self, path: &str, protocol: Protocol) -> Result<Sight, FireError> {
        let start = Start {
            from: None,
            preamble: self.cast.expand(&self.preamble)?,
        };
        if protocol == Protocol::H2 {
            let mut pairs = frames::request_line("GET", path, &self.cast);
            pairs.extend(identity(&self.cast));
            let bytes = [http2_opening(), http2_request(&pairs)].concat();
            let stream = self.tls(&start, b"h2").await?;
            return Ok(http2::fire(stream, &bytes, 1, self.patience).await);
        }
        let piece = self.cast.request(path).into_bytes();
        let stream = self.http1(&start, protocol).await?;
        let wanted = Wanted {
            answers: 1,
            close: false,
        };
        Ok(http1::fire(stream, &[piece], wanted, self.patience).await)
    }

    /// A connection for HTTP/1.1, over TLS where `protocol` says so.
    async fn http1(&self, start: &Start, protocol: Protocol) -> Result<Box<dyn Duplex>, FireError> {
        match protocol {
            Protocol::H1 => self.plain(start).await,
            Protocol::Tls | Protocol::H2 => self.tls(start, b"http/1.1").await,
        }
    }

    async fn plain(&self, start: &Start) -> Result<Box<dyn Duplex>, FireError> {
        let address = self.plain.ok_or(FireError::Nowhere)?;
        Ok(Box::new(start.tcp(address).await?))
    }

    async fn tls(&self, start: &Start, alpn: &[u8]) -> Result<Box<dyn Duplex>, FireError> {
        let (address, mut config) = self.tls.clone().ok_or(FireError::Nowhere)?;
        config.alpn_protocols = vec![alpn.to_vec()];
        let name = rustls::pki_types::ServerName::try_from(self.cast.host.clone())
            .map_err(io::Error::other)?;
        let stream = start.tcp(address).await?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let connecting = timeout(self.patience, connector.connect(name, stream));
        Ok(Box::new(connecting.await.map_err(io::Error::other)??))
    }
}

/// How a connection begins.
struct Start {
    from: Option<IpAddr>,
    preamble: Vec<u8>,
}

impl Start {
    async fn tcp(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(from) = self.from {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        let mut stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(&self.preamble).await?;
        Ok(stream)
    }
}

/// Whether `row` may end before there is a connection to send it on.
fn allows_no_connection(row: &Row) -> bool {
    let closed = Allowed::Ending(Ending::Closed);
    row.due().iter().all(|due| due.contains(&closed))
}

fn http1_pieces(row: &Row, cast: &Cast) -> Result<Vec<Vec<u8>>, CorpusError> {
    if let Some(pieces) = &row.h1 {
        let pieces = Pieces::as_slice(pieces).iter();
        return pieces.map(|piece| cast.expand(piece)).collect();
    }
    let identity = if row.anonymous { "" } else { "${identity}" };
    let fields: String = row
        .fields
        .iter()
        .map(|field| format!("{field}\r\n"))
        .collect();
    let (method, target) = (&row.method, &row.target);
    let text = format!("{method} {target} HTTP/1.1\r\nHost: ${{host}}\r\n{identity}{fields}\r\n");
    Ok(vec![cast.expand(&text)?])
}

fn http2_bytes(row: &Row, cast: &Cast) -> Result<Vec<u8>, CorpusError> {
    let mut bytes = http2_opening();
    if let Some(list) = &row.h2 {
        for frame in list {
            bytes.extend(frame.encode(cast)?);
        }
        return Ok(bytes);
    }
    let target = String::from_utf8_lossy(&cast.expand(&row.target)?).into_owned();
    let mut pairs = frames::request_line(&row.method, &target, cast);
    if !row.anonymous {
        pairs.extend(identity(cast));
    }
    for field in &row.fields {
        let (name, value) = frames::pair(&cast.expand(field)?);
        pairs.push((name.to_ascii_lowercase(), value));
    }
    bytes.extend(http2_request(&pairs));
    Ok(bytes)
}

/// Preface and settings.
fn http2_opening() -> Vec<u8> {
    // No dynamic table on the way back: an answer's status can be read by itself.
    [wire::PREFACE, &wire::settings(&[(1, 0)])].concat()
}

/// A request without a body, in one frame.
fn http2_request(pairs: &[Pair]) -> Vec<u8> {
    let flags = wire::END_STREAM | wire::END_HEADERS;
    wire::frame(wire::HEADERS, flags, 1, &wire::block(pairs))
}

fn identity(cast: &Cast) -> impl Iterator<Item = Pair> {
    let pairs = cast.identity().into_iter();
    pairs.map(|(name, value)| (name.into(), value.into()))
}
