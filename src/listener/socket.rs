//! The sockets that the front door listens on, and what comes out of them.

use super::unix_socket::{SocketFile, UnixSocket};
use crate::config::ListenAddress;
use crate::policy::Source;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream, UnixStream};

/// Connections that the kernel holds for us while we are busy.
pub(super) const BACKLOG: i32 = 4096;

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    /// An IP address and port.
    Tcp(TcpListener),
    /// A path.
    Unix(UnixSocket),
}

/// A connection, and who is at its other end.
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream, Source),
}

impl Listener {
    /// Binds; port 0 is whatever is free.
    ///
    /// # Errors
    /// The system's, where the address is taken, not ours or not permitted.
    pub fn bind(address: &ListenAddress) -> io::Result<Self> {
        match address {
            ListenAddress::Tcp(address) => bind(*address).map(Self::Tcp),
            ListenAddress::Unix(path) => UnixSocket::bind(path).map(Self::Unix),
        }
    }

    /// Where it is: what port 0 became.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<ListenAddress> {
        match self {
            Self::Tcp(tcp) => tcp.local_addr().map(ListenAddress::Tcp),
            Self::Unix(unix) => Ok(ListenAddress::Unix(unix.path().to_owned())),
        }
    }

    /// Which file it is, where it is one.
    #[must_use]
    pub fn socket_file(&self) -> Option<&SocketFile> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(unix) => Some(unix.file()),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(tcp) => {
                let (stream, address) = tcp.accept().await?;
                Ok(Accepted::Tcp(stream, address))
            }
            Self::Unix(unix) => {
                let (stream, _) = unix.listener.accept().await?;
                let source = Source::unix_peer(stream.peer_cred()?.uid());
                Ok(Accepted::Unix(stream, source))
            }
        }
    }
}

/// Binds a listener of TCP; port 0 is whatever is free.
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
