//! Clients that send exactly what they are told to.

use crate::sidecar::PATIENCE;
use bytes::Bytes;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::timeout;

trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// An HTTP/1.1 answer.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// All values of a field.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| {
            panic!(
                "no JSON: {}\n{}",
                self.head,
                String::from_utf8_lossy(&self.body)
            )
        })
    }

    /// The code of an answer of Portcullis' own.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// A connection.
pub(crate) struct Connection {
    stream: Box<dyn Duplex>,
    buffer: Vec<u8>,
}

impl Connection {
    /// Plain TCP.
    pub(crate) async fn tcp(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    /// Plain TCP from another address of this host, such as 127.0.0.2.
    pub(crate) async fn tcp_from(source: &str, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        let source = SocketAddr::new(source.parse().unwrap(), 0);
        socket.bind(source).unwrap();
        let stream = socket.connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    /// A Unix socket.
    pub(crate) async fn unix(path: &Path) -> Self {
        Self::over(UnixStream::connect(path).await.unwrap())
    }

    /// Whatever carries bytes.
    pub(crate) fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            buffer: Vec::new(),
        }
    }

    /// TLS that trusts the certificate in `ca` and offers `alpn`.
    pub(crate) async fn tls(address: SocketAddr, ca: &Path, alpn: &[u8]) -> Self {
        Self::over(tls_stream(address, client_config(ca, alpn)).await.unwrap())
    }

    /// Sends bytes as they are.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Sends bytes that may meet a closed connection.
    pub(crate) async fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await?;
        self.stream.flush().await
    }

    /// Closes the sending side.
    pub(crate) async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Sends a request (line and fields, without `Host` and the empty line) and
    /// reads its answer.
    pub(crate) async fn exchange(&mut self, request: &str) -> Response {
        self.write(complete(request)).await;
        self.response(request.starts_with("HEAD ")).await
    }

    /// Reads one answer.
    pub(crate) async fn response(&mut self, is_head: bool) -> Response {
        timeout(PATIENCE, self.read_response(is_head))
            .await
            .expect("no answer")
            .expect("closed")
    }

    /// Reads one answer, or the end.
    pub(crate) async fn try_response(&mut self) -> Option<Response> {
        timeout(PATIENCE, self.read_response(false))
            .await
            .expect("neither answer nor end")
    }

    async fn read_response(&mut self, is_head: bool) -> Option<Response> {
        let head = self.read_until(b"\r\n\r\n").await?;
        let head = String::from_utf8(head[..head.len() - 4].to_vec()).unwrap();
        let status = head[9..12].parse().unwrap();
        let mut response = Response {
            status,
            head,
            body: Vec::new(),
        };
        let has_none = is_head || matches!(status, 100..=199 | 204 | 304);
        if has_none {
            return Some(response);
        }
        if response.values("transfer-encoding") == ["chunked"] {
            loop {
                let line = self.read_until(b"\r\n").await?;
                let size =
                    usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
                let chunk = self.read_exactly(size + 2).await?;
                if size == 0 {
                    return Some(response);
                }
                response.body.extend_from_slice(&chunk[..size]);
            }
        }
        let length = response
            .values("content-length")
            .first()
            .map(|length| length.parse().unwrap());
        response.body = match length {
            Some(length) => self.read_exactly(length).await?,
            None => self.read_to_end().await,
        };
        Some(response)
    }

    /// Reads up to and with `end`.
    pub(crate) async fn read_until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self
                .buffer
                .windows(end.len())
                .position(|window| window == end)
            {
                return Some(self.buffer.drain(..at + end.len()).collect());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// Reads `count` bytes.
    pub(crate) async fn read_exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            if !self.fill().await {
                return None;
            }
        }
        Some(self.buffer.drain(..count).collect())
    }

    /// Reads until the other side closes.
    pub(crate) async fn read_to_end(&mut self) -> Vec<u8> {
        timeout(PATIENCE, async { while self.fill().await {} })
            .await
            .expect("it is not closed");
        std::mem::take(&mut self.buffer)
    }

    async fn fill(&mut self) -> bool {
        matches!(timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await, Ok(Ok(count)) if count > 0)
    }
}

/// A request with its `Host` and empty line.
pub(crate) fn complete(request: &str) -> String {
    let (line, fields) = request.split_once("\r\n").unwrap_or((request, ""));
    format!("{line}\r\nHost: claw.example.com\r\n{fields}\r\n")
}

/// A client's TLS settings.
pub(crate) fn client_config(ca: &Path, alpn: &[u8]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    config
}

/// A TLS connection.
pub(crate) async fn tls_stream(
    address: SocketAddr,
    config: ClientConfig,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    tls_over(TcpStream::connect(address).await?, config).await
}

/// TLS over a connection that there is.
pub(crate) async fn tls_over<S>(
    stream: S,
    config: ClientConfig,
) -> std::io::Result<tokio_rustls::client::TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from("claw.example.com").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// An HTTP/2 client on one connection.
pub(crate) struct Http2Client {
    sender: h2::client::SendRequest<Bytes>,
}

impl Http2Client {
    /// Connects over TLS.
    pub(crate) async fn connect(address: SocketAddr, ca: &Path) -> Self {
        let stream = tls_stream(address, client_config(ca, b"h2")).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Self::over(stream).await
    }

    /// Speaks it on whatever carries bytes.
    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self { sender }
    }

    /// How many streams it may have at a time, as it was told so far.
    pub(crate) fn max_streams(&self) -> usize {
        self.sender.current_max_send_streams()
    }

    /// Sends a request without a body; its answer's body is left to be read.
    pub(crate) async fn begin(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<h2::RecvStream>, h2::Error> {
        let (parts, _) = request.into_parts();
        let mut sender = self.sender.clone().ready().await?;
        let (response, _) = sender.send_request(http::Request::from_parts(parts, ()), true)?;
        timeout(PATIENCE, response).await.expect("no answer")
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, h2::Error> {
        let (parts, body) = request.into_parts();
        let mut sender = self.sender.clone().ready().await?;
        let is_bodiless = body.is_empty();
        let (response, mut stream) =
            sender.send_request(http::Request::from_parts(parts, ()), is_bodiless)?;
        if !is_bodiless {
            stream.send_data(body, true)?;
        }
        let (parts, mut incoming) = timeout(PATIENCE, response)
            .await
            .expect("no answer")?
            .into_parts();
        let mut body = Vec::new();
        while let Some(piece) = incoming.data().await {
            let piece = piece?;
            incoming.flow_control().release_capacity(piece.len())?;
            body.extend_from_slice(&piece);
        }
        Ok(http::Response::from_parts(parts, body.into()))
    }
}

/// An HTTP/2 request with fields given as in HTTP/1.1 (`name: value\r\n`).
pub(crate) fn http2_request(method: &str, path: &str, fields: &str) -> http::Request<Bytes> {
    let mut builder = http::Request::builder()
        .method(method)
        .uri(format!("https://claw.example.com{path}"))
        .version(http::Version::HTTP_2);
    for (name, value) in fields.lines().filter_map(|line| line.split_once(": ")) {
        builder = builder.header(name, value);
    }
    builder.body(Bytes::new()).unwrap()
}
