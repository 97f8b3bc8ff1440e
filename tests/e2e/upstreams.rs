//! Gateways by name, over a Unix socket and over TLS.

use crate::recorder::Recorder;
use crate::sidecar::{IDENTITY, Setup, acceptor, write_certificate};
use std::net::SocketAddr;
use std::path::Path;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut head = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut head).await {
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            let _ = stream.write_all(OK).await;
            let _ = stream.flush().await;
        }
    }
}

async fn tls_upstream(folder: &Path) -> SocketAddr {
    let acceptor = acceptor(folder);
    // All of loopback, so that it can be reached by an address that it has no name for.
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(tcp).await {
                    answer(stream).await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_name_is_resolved() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&format!("http://localhost:{}", upstream.address.port()));
    let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{IDENTITY}")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_name_without_an_address_is_502_and_named_in_the_log() {
    let sidecar = Setup::new().spawn("http://gateway.invalid:18789");
    let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{IDENTITY}")).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "upstream_unreachable")
    );
    let line = sidecar
        .logged(|line| line["message"] == "request failed")
        .await;
    assert!(
        line["error.detail"]
            .as_str()
            .unwrap()
            .contains("gateway.invalid"),
        "{line}"
    );
}

#[tokio::test]
async fn a_unix_socket_serves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    let sidecar = Setup::new().spawn(&format!("unix:{}", path.display()));
    let mut connection = sidecar.connect().await;
    for _ in 0..3 {
        let answer = connection
            .exchange(&format!("GET / HTTP/1.1\r\n{IDENTITY}"))
            .await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]));
    }
}

#[tokio::test]
async fn a_tls_upstream_is_believed_only_with_its_authority_and_name() {
    let (right, wrong) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_certificate(right.path());
    write_certificate(wrong.path());
    let port = tls_upstream(right.path()).await.port();
    let cases = [
        ("127.0.0.1", right.path(), 200),
        ("localhost", right.path(), 200),
        // The certificate names 127.0.0.1, and this is another address.
        ("127.0.0.2", right.path(), 502),
        ("127.0.0.1", wrong.path(), 502),
    ];
    for (host, ca, status) in cases {
        let sidecar = Setup::new()
            .upstream(&format!("caFile = \"{}/cert.pem\"", ca.display()))
            .spawn(&format!("https://{host}:{port}"));
        let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{IDENTITY}")).await;
        assert_eq!(answer.status, status, "{host} {}", ca.display());
        if status == 502 {
            let line = sidecar
                .logged(|line| line["message"] == "request failed")
                .await;
            assert!(
                line["error.detail"]
                    .as_str()
                    .unwrap()
                    .contains("TLS handshake"),
                "{line}"
            );
        }
    }
}

#[tokio::test]
async fn a_replaced_authority_is_asked_at_once_and_not_only_of_new_connections() {
    let (right, wrong) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_certificate(right.path());
    write_certificate(wrong.path());
    let port = tls_upstream(right.path()).await.port();
    let authority = right.path().join("ca.pem");
    let replace = |by: &Path| std::fs::copy(by.join("cert.pem"), &authority).unwrap();
    replace(right.path());
    let sidecar = Setup::new()
        .upstream(&format!("caFile = \"{}\"", authority.display()))
        .spawn(&format!("https://127.0.0.1:{port}"));
    let ask = format!("GET / HTTP/1.1\r\n{IDENTITY}");
    for (served, status) in [
        (right.path(), 200),
        (wrong.path(), 502),
        (right.path(), 200),
    ] {
        replace(served);
        assert_eq!(sidecar.reload().await.0, 200);
        assert_eq!(sidecar.send(&ask).await.status, status);
    }
}

#[tokio::test]
async fn a_reload_keeps_the_connections_to_the_same_upstream() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let ask = format!("GET / HTTP/1.1\r\n{IDENTITY}");
    assert_eq!(sidecar.send(&ask).await.status, 200);
    let connections = upstream.connections();
    assert_eq!(sidecar.reload().await.0, 200);
    assert_eq!(sidecar.send(&ask).await.status, 200);
    assert_eq!(upstream.connections(), connections);
}
