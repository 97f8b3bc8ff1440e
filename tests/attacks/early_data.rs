//! 0-RTT: a request that anybody on the way could send again.

use crate::client::client_config;
use crate::fire::Mark;
use crate::front_end::{FrontEnd, Portcullis, cast};
use crate::sidecar::write_certificate;
use crate::upstream::Upstream;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Whether a client that has been there once may send early data.
async fn is_offered(mark: &Mark) -> bool {
    let (address, mut config) = mark.tls.clone().unwrap();
    config.enable_early_data = true;
    let config = Arc::new(config);
    let name = ServerName::try_from("claw.example.com").unwrap();
    let connector = tokio_rustls::TlsConnector::from(config.clone());
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream = connector.connect(name.clone(), stream).await.unwrap();
    // Tickets come behind the handshake: an answer has them read.
    let request = mark
        .cast
        .request("/")
        .replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    let mut next = rustls::ClientConnection::new(config, name).unwrap();
    next.early_data().is_some()
}

/// A server that takes early data.
async fn careless() -> Mark {
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    let certificate = CertificateDer::from_pem_file(folder.path().join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.path().join("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.max_early_data_size = 1024;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mark = Mark {
        plain: None,
        tls: Some((
            listener.local_addr().unwrap(),
            client_config(&folder.path().join("cert.pem"), b"http/1.1"),
        )),
        cast: cast(),
        preamble: String::new(),
        patience: crate::sidecar::PATIENCE,
    };
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        let _ = stream.shutdown().await;
    });
    mark
}

#[tokio::test]
async fn no_ticket_allows_early_data() {
    let upstream = Upstream::spawn().await.unwrap();
    let mut portcullis = Portcullis::new(&upstream);
    let mark = portcullis.mark("plain").unwrap();
    assert!(!is_offered(&mark).await);
    assert!(is_offered(&careless().await).await, "the look is blind");
}
