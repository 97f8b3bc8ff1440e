//! Connections to the gateway: resolved, made, kept warm and thrown away.
//!
//! There is one upstream, so the pool is a stack: the connection used last is
//! the one least likely to have been closed meanwhile, and what lies below it
//! falls out of the bottom by age.

use crate::http1::Persistence;
use crate::tls::UpstreamTrust;
use crate::transport::Transport;
use pingora_timeout::timeout;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// How long a resolved name is believed before the next new connection asks again.
const RESOLVED_FOR: Duration = Duration::from_secs(5);
/// Idle connections kept at most; beyond that the oldest are closed.
const MAX_IDLE: usize = 512;

/// Where the gateway is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An address, known once and for all.
    Address(SocketAddr),
    /// A name, resolved again as it may change.
    Name {
        /// The DNS name.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix stream socket.
    Unix(PathBuf),
}

/// TLS towards the gateway: settings and the name that its certificate must bear.
#[derive(Debug, Clone)]
pub struct UpstreamTls {
    /// Roots and versions, made from `trust`.
    pub config: Arc<ClientConfig>,
    /// The name to verify.
    pub name: ServerName<'static>,
    /// Who may vouch for it.
    pub trust: UpstreamTrust,
}

impl PartialEq for UpstreamTls {
    /// By what is verified: settings made twice from it are not compared.
    fn eq(&self, other: &Self) -> bool {
        let Self {
            config: _,
            name,
            trust,
        } = self;
        (name, trust) == (&other.name, &other.trust)
    }
}

/// What [`Upstream::new`] needs.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamConfig {
    /// Where it is.
    pub target: Target,
    /// `https` upstreams.
    pub tls: Option<UpstreamTls>,
    /// How long a connection is kept for the next request. Below the gateway's
    /// own five seconds, so that no request meets a connection being closed.
    pub idle_timeout: Duration,
    /// Name resolution, connect and TLS handshake together.
    pub connect_timeout: Duration,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("`{host}` can't be resolved: {source}")]
    Unresolved {
        /// The name.
        host: String,
        /// The resolver's answer.
        #[source]
        source: io::Error,
    },
    /// Refused, unreachable, reset.
    #[error("can't connect to {target}: {source}")]
    Refused {
        /// Who was called.
        target: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The TLS handshake failed; a certificate that doesn't verify is this.
    #[error("TLS handshake with {target} failed: {source}")]
    Tls {
        /// Who was called.
        target: String,
        /// What rustls says.
        #[source]
        source: io::Error,
    },
    /// It took longer than `limits.upstreamConnectTimeout`.
    #[error("no connection to {target} within {after:?}")]
    TimedOut {
        /// Who was called.
        target: String,
        /// The limit.
        after: Duration,
    },
}

/// The gateway and the connections to it.
#[derive(Debug)]
pub struct Upstream {
    config: UpstreamConfig,
    idle: Mutex<Vec<Idle>>,
    resolved: Mutex<Option<Resolved>>,
}

#[derive(Debug)]
struct Idle {
    reader: ReadHalf<Transport>,
    writer: WriteHalf<Transport>,
    since: Instant,
}

#[derive(Debug, Clone)]
struct Resolved {
    addresses: Arc<[IpAddr]>,
    at: Instant,
}

/// A connection for one exchange.
#[derive(Debug)]
pub struct UpstreamConnection {
    /// What the gateway sends.
    pub reader: ReadHalf<Transport>,
    /// What the gateway gets.
    pub writer: WriteHalf<Transport>,
    /// It has carried an exchange before: the gateway may have closed it by now.
    pub is_reused: bool,
}

impl UpstreamConnection {
    /// Both halves as one stream again.
    pub fn into_transport(self) -> Transport {
        self.reader.unsplit(self.writer)
    }
}

impl Upstream {
    /// An upstream without connections.
    pub fn new(config: UpstreamConfig) -> Self {
        Self {
            config,
            idle: Mutex::new(Vec::new()),
            resolved: Mutex::new(None),
        }
    }

    /// Whether a connection can be made now: a fact for `/readyz`.
    ///
    /// # Errors
    /// [`ConnectError`] says why not.
    pub async fn probe(&self) -> Result<(), ConnectError> {
        self.connect().await.map(drop)
    }

    /// Whether connections made for `config` are these.
    pub fn serves(&self, config: &UpstreamConfig) -> bool {
        self.config == *config
    }

    /// Closes the connections that have been idle too long.
    pub fn close_expired(&self) {
        let expired: Vec<Idle> = {
            let mut idle = lock(&self.idle);
            let count = idle.partition_point(|entry| self.has_expired(entry));
            idle.drain(..count).collect()
        };
        drop(expired);
    }

    fn has_expired(&self, entry: &Idle) -> bool {
        entry.since.elapsed() >= self.config.idle_timeout
    }

    /// A connection that was idle and still is open, if there is one.
    pub async fn reuse(&self) -> Option<UpstreamConnection> {
        loop {
            let mut entry = lock(&self.idle).pop()?;
            if !self.has_expired(&entry) && is_quiet(&mut entry.reader).await {
                let Idle { reader, writer, .. } = entry;
                return Some(UpstreamConnection {
                    reader,
                    writer,
                    is_reused: true,
                });
            }
        }
    }

    /// Takes a connection back after an exchange that left it in order.
    pub fn release(&self, connection: UpstreamConnection, persistence: Persistence) {
        if persistence == Persistence::Close || self.config.idle_timeout.is_zero() {
            return;
        }
        let UpstreamConnection { reader, writer, .. } = connection;
        let mut idle = lock(&self.idle);
        let evicted = (idle.len() >= MAX_IDLE).then(|| idle.remove(0));
        idle.push(Idle {
            reader,
            writer,
            since: Instant::now(),
        });
        drop(idle);
        drop(evicted);
    }

    /// A new connection.
    pub async fn connect(&self) -> Result<UpstreamConnection, ConnectError> {
        let after = self.config.connect_timeout;
        let deadline = Instant::now() + after;
        let transport = timeout(after, self.dial(deadline)).await.map_err(|_| {
            *lock(&self.resolved) = None;
            ConnectError::TimedOut {
                target: self.target(),
                after,
            }
        })??;
        let (reader, writer) = tokio::io::split(transport);
        Ok(UpstreamConnection {
            reader,
            writer,
            is_reused: false,
        })
    }

    async fn dial(&self, deadline: Instant) -> Result<Transport, ConnectError> {
        let tcp = match &self.config.target {
            Target::Unix(path) => {
                let unix = UnixStream::connect(path)
                    .await
                    .map_err(|source| self.refused(source))?;
                return Ok(Transport::Unix(unix));
            }
            Target::Address(address) => TcpStream::connect(address)
                .await
                .map_err(|source| self.refused(source))?,
            Target::Name { host, port } => self.dial_name(host, *port, deadline).await?,
        };
        // Small writes are whole messages here: waiting for more helps nobody.
        tcp.set_nodelay(true)
            .map_err(|source| self.refused(source))?;
        crate::transport::keep_alive(&tcp);
        match &self.config.tls {
            None => Ok(Transport::Tcp(tcp)),
            Some(UpstreamTls { config, name, .. }) => TlsConnector::from(config.clone())
                .connect(name.clone(), tcp)
                .await
                .map(|tls| Transport::TlsClient(Box::new(tls)))
                .map_err(|source| ConnectError::Tls {
                    target: self.target(),
                    source,
                }),
        }
    }

    async fn dial_name(
        &self,
        host: &str,
        port: u16,
        deadline: Instant,
    ) -> Result<TcpStream, ConnectError> {
        let addresses = self.resolve(host).await?;
        let mut last = io::Error::other("no address");
        let mut untried = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for &address in addresses.iter() {
            // A share of the time left, so that a silent address leaves some to the next.
            let left = deadline.saturating_duration_since(Instant::now());
            match timeout(left / untried.max(1), TcpStream::connect((address, port))).await {
                Ok(Ok(tcp)) => return Ok(tcp),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
            untried -= 1;
        }
        // What was resolved does not answer: ask again next time.
        *lock(&self.resolved) = None;
        Err(self.refused(last))
    }

    /// The addresses of `host`. The system's resolver runs on a thread of its
    /// own; while it fails, the last answer stands.
    async fn resolve(&self, host: &str) -> Result<Arc<[IpAddr]>, ConnectError> {
        let known = lock(&self.resolved).clone();
        if let Some(known) = known
            .as_ref()
            .filter(|known| known.at.elapsed() < RESOLVED_FOR)
        {
            return Ok(known.addresses.clone());
        }
        let answer = tokio::net::lookup_host((host, 0)).await;
        match answer.map(|found| found.map(|address| address.ip()).collect::<Arc<[IpAddr]>>()) {
            Ok(addresses) if !addresses.is_empty() => {
                *lock(&self.resolved) = Some(Resolved {
                    addresses: addresses.clone(),
                    at: Instant::now(),
                });
                Ok(addresses)
            }
            Ok(_) => Err(self.unresolved(host, io::Error::other("no address"))),
            Err(error) => match known {
                Some(known) => Ok(known.addresses),
                None => Err(self.unresolved(host, error)),
            },
        }
    }

    fn unresolved(&self, host: &str, source: io::Error) -> ConnectError {
        ConnectError::Unresolved {
            host: host.to_owned(),
            source,
        }
    }

    fn refused(&self, source: io::Error) -> ConnectError {
        ConnectError::Refused {
            target: self.target(),
            source,
        }
    }

    fn target(&self) -> String {
        match &self.config.target {
            Target::Address(address) => address.to_string(),
            Target::Name { host, port } => format!("{host}:{port}"),
            Target::Unix(path) => format!("unix:{}", path.display()),
        }
    }
}

/// Whether nothing has come in on an idle connection: neither its end nor bytes
/// that nobody asked for.
async fn is_quiet(reader: &mut ReadHalf<Transport>) -> bool {
    let mut byte = [0_u8; 1];
    poll_fn(|cx| {
        let mut buffer = ReadBuf::new(&mut byte);
        Poll::Ready(
            Pin::new(&mut *reader)
                .poll_read(cx, &mut buffer)
                .is_pending(),
        )
    })
    .await
}

/// The pool and the cache stay whole whatever panicked while it held them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
