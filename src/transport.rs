//! The byte streams under HTTP: TCP, a Unix socket, TLS on either side.
//!
//! Pingora's own `Stream` keeps 64 KiB read buffers on each side of a
//! connection, which is most of what an idle WebSocket costs there. This one
//! has no buffer of its own.

use rustls_pki_types::CertificateDer;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{client, server};

/// An established connection, downstream or upstream.
#[derive(Debug)]
pub enum Transport {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A Unix stream socket.
    Unix(UnixStream),
    /// TLS that we terminate.
    TlsServer(Box<server::TlsStream<TcpStream>>),
    /// TLS that we began.
    TlsClient(Box<client::TlsStream<TcpStream>>),
}

impl Transport {
    /// Whether the peers agreed on HTTP/2 by ALPN.
    pub fn is_http2(&self) -> bool {
        matches!(self, Self::TlsServer(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2"))
    }
}

impl Transport {
    /// The certificate that the client showed, verified.
    pub fn client_certificate(&self) -> Option<&CertificateDer<'static>> {
        match self {
            Self::TlsServer(tls) => tls.get_ref().1.peer_certificates()?.first(),
            Self::Tcp(_) | Self::Unix(_) | Self::TlsClient(_) => None,
        }
    }
}

impl AsRawFd for Transport {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(tcp) => tcp.as_raw_fd(),
            Self::Unix(unix) => unix.as_raw_fd(),
            Self::TlsServer(tls) => tls.get_ref().0.as_raw_fd(),
            Self::TlsClient(tls) => tls.get_ref().0.as_raw_fd(),
        }
    }
}

macro_rules! each {
    ($transport:expr, $stream:ident => $body:expr) => {
        match $transport {
            Transport::Tcp($stream) => $body,
            Transport::Unix($stream) => $body,
            Transport::TlsServer($stream) => $body,
            Transport::TlsClient($stream) => $body,
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, stream => stream.is_write_vectored())
    }
}

/// Asks the kernel to notice a peer that is gone without a word: long-lived
/// WebSockets and event streams have no other sign of it.
pub fn keep_alive(tcp: &TcpStream) {
    let settings = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15));
    // Without it the connection still works; only its death goes unnoticed.
    let _ = socket2::SockRef::from(tcp).set_tcp_keepalive(&settings);
}
