//! A connection of a client behind a load balancer, whose header comes first.

use crate::sidecar::Sidecar;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection whose first bytes go out in one piece with what is written first.
#[derive(Debug)]
pub(crate) struct Prefixed {
    stream: TcpStream,
    prefix: Vec<u8>,
}

impl Prefixed {
    pub(crate) async fn connect(sidecar: &Sidecar, prefix: &[u8]) -> Self {
        let stream = TcpStream::connect(sidecar.address).await.unwrap();
        let prefix = prefix.to_vec();
        Self { stream, prefix }
    }
}

impl AsyncRead for Prefixed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let together = [&self.prefix[..], bytes].concat();
        let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &together))?;
        assert_eq!(count, together.len(), "an empty socket takes it all");
        self.prefix.clear();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
