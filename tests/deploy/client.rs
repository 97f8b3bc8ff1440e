//! A client that writes just what it is told, over TLS, and reads one answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// The example key of RFC 6455 §1.3.
pub(crate) const WEBSOCKET_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// An answer, its body read by Content-Length or chunks.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Every value of a header.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.trim())
            .collect()
    }

    /// The code of Portcullis' own answers.
    pub(crate) fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body)
            .unwrap_or_else(|_| panic!("expected Portcullis' JSON, got {self:?}"));
        body["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// Who connects to whom: the name asked for, the CA believed, and a certificate to show.
pub(crate) struct Client {
    server: SocketAddr,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl Client {
    /// A client without a certificate, as a browser is.
    pub(crate) fn new(server: SocketAddr, name: &str, ca: &Path) -> Self {
        Self::with(server, name, |builder| {
            builder
                .with_root_certificates(roots(ca))
                .with_no_client_auth()
        })
    }

    /// A client that shows a certificate, as an identity proxy does.
    pub(crate) fn with_certificate(
        server: SocketAddr,
        name: &str,
        ca: &Path,
        certificate: &Path,
        key: &Path,
    ) -> Self {
        let chain = CertificateDer::pem_file_iter(certificate)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        Self::with(server, name, |builder| {
            builder
                .with_root_certificates(roots(ca))
                .with_client_auth_cert(chain, key)
                .unwrap()
        })
    }

    /// Sends one request as it is written and reads the answer.
    pub(crate) fn send(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        read_answer(&mut stream)
    }

    /// Upgrades to a WebSocket, sends `text` in one frame and returns what comes back.
    pub(crate) fn websocket_echo(&self, host: &str, headers: &str, text: &str) -> String {
        let mut stream = self.connect();
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {WEBSOCKET_KEY}\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let answer = read_answer(&mut stream);
        assert_eq!(answer.status, 101, "{answer:?}");

        let mask = [7, 11, 13, 17];
        let length = u8::try_from(text.len()).unwrap();
        let mut frame = vec![0x81, 0x80 | length];
        frame.extend(mask);
        frame.extend(
            text.bytes()
                .zip(mask.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        stream.write_all(&frame).unwrap();
        let mut start = [0; 2];
        stream.read_exact(&mut start).unwrap();
        let mut payload = vec![0; usize::from(start[1])];
        stream.read_exact(&mut payload).unwrap();
        String::from_utf8(payload).unwrap()
    }

    /// Whether the server closes without an answer, as it does where a certificate is wanted.
    pub(crate) fn is_turned_away(&self) -> bool {
        let mut stream = self.connect();
        let sent = stream.write_all(b"GET / HTTP/1.1\r\nHost: claw.example.com\r\n\r\n");
        let mut byte = [0];
        sent.is_err() || !matches!(stream.read(&mut byte), Ok(1))
    }

    fn with(
        server: SocketAddr,
        name: &str,
        finish: impl FnOnce(rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>) -> ClientConfig,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let mut config = finish(builder);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self {
            server,
            name: ServerName::try_from(name.to_owned()).unwrap(),
            config: Arc::new(config),
        }
    }

    fn connect(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let socket = TcpStream::connect(self.server).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(15)))
            .unwrap();
        let session = ClientConnection::new(Arc::clone(&self.config), self.name.clone()).unwrap();
        StreamOwned::new(session, socket)
    }
}

/// Fetches a plain page, such as the metrics.
pub(crate) fn fetch(server: SocketAddr, path: &str) -> Option<Answer> {
    let mut socket = TcpStream::connect(server).ok()?;
    socket
        .set_read_timeout(Some(Duration::from_secs(15)))
        .ok()?;
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    Some(read_answer(&mut socket))
}

fn roots(ca: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    roots
}

fn read_answer(stream: &mut impl Read) -> Answer {
    let head = read_until(stream, b"\r\n\r\n");
    let status = head
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|s| s.parse().ok());
    let mut answer = Answer {
        status: status.unwrap_or_else(|| panic!("expected an answer, got `{head}`")),
        head,
        body: String::new(),
    };
    if answer.values("transfer-encoding") == ["chunked"] {
        loop {
            let size = read_until(stream, b"\r\n");
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            let chunk = read_exactly(stream, size + 2);
            if size == 0 {
                break;
            }
            answer.body.push_str(chunk.trim_end_matches("\r\n"));
        }
    } else if let Some(length) = answer
        .values("content-length")
        .first()
        .map(|v| v.parse().unwrap())
    {
        answer.body = read_exactly(stream, length);
    }
    answer
}

fn read_until(stream: &mut impl Read, end: &[u8]) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(end) {
        match stream.read(&mut byte) {
            Ok(1) => bytes.push(byte[0]),
            other => panic!("{other:?} after `{}`", String::from_utf8_lossy(&bytes)),
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn read_exactly(stream: &mut impl Read, length: usize) -> String {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}
