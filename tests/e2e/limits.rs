//! What a client may cost.

use crate::client::{Connection, Http2Client, complete, http2_request};
use crate::recorder::Recorder;
use crate::sidecar::{IDENTITY, Setup};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn heads_beyond_their_limits_are_431() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let many = "a: b\r\n".repeat(300);
    let large = format!("a: {}\r\n", "b".repeat(20_000));
    let huge = format!("a: {}\r\n", "b".repeat(1 << 20));
    for fields in [many, large, huge] {
        let mut connection = sidecar.connect().await;
        let _ = connection
            .try_write(complete(&format!("GET / HTTP/1.1\r\n{IDENTITY}{fields}")))
            .await;
        let answer = connection.response(false).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (431, "headers_too_large")
        );
    }
    let answer = sidecar
        .send(&format!(
            "GET / HTTP/1.1\r\nx-forwarded-proto: https\r\nx-forwarded-user: {}\r\n",
            "a".repeat(8000)
        ))
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (401, "trusted_proxy_user_invalid")
    );
    let client = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    let many: String = (0..110).map(|index| format!("a{index}: b\r\n")).collect();
    let answer = client
        .send(http2_request("GET", "/", &format!("{IDENTITY}{many}")))
        .await
        .unwrap();
    assert_eq!(answer.status(), 431);
    sidecar.reached("maxHeaders", 2).await;
    sidecar.reached("maxHeaderBytes", 2).await;
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn bodies_beyond_their_limit_are_413_announced_or_not() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .section("[limits]\nmaxBodyBytes = \"1KiB\"")
        .spawn(&upstream.url());
    let answer = sidecar
        .send(&format!(
            "POST / HTTP/1.1\r\n{IDENTITY}content-length: 1025\r\n"
        ))
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (413, "request_too_large")
    );
    let mut connection = sidecar.connect().await;
    connection
        .write(complete(&format!(
            "POST / HTTP/1.1\r\n{IDENTITY}transfer-encoding: chunked\r\n"
        )))
        .await;
    connection
        .write(format!("800\r\n{}\r\n0\r\n\r\n", "x".repeat(2048)))
        .await;
    let answer = connection.response(false).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (413, "request_too_large")
    );
    sidecar.reached("maxBodyBytes", 2).await;
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_head_that_comes_too_slowly_is_408() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .section("[limits]\nheaderTimeout = \"1s\"")
        .spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    connection.write("GET / HTTP/1.1\r\nHost: a\r\n").await;
    let answer = connection.response(false).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (408, "request_timeout")
    );
    // Nothing at all: nothing is said.
    let mut silent = sidecar.connect().await;
    assert!(silent.read_to_end().await.is_empty());
    sidecar.reached("headerTimeout", 2).await;
}

#[tokio::test]
async fn whoever_says_nothing_after_the_handshake_is_closed_over_http_1_and_2() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .tls()
        .section("[limits]\nheaderTimeout = \"1s\"")
        .spawn(&upstream.url());
    let mut silent = Vec::new();
    for alpn in [&b"http/1.1"[..], b"h2"] {
        let certificate = sidecar.certificate();
        silent.push(Connection::tls(sidecar.address, &certificate, alpn).await);
    }
    for mut connection in silent {
        connection.read_to_end().await;
    }
    sidecar.reached("headerTimeout", 2).await;
    // One that has asked is idle, not slow: that is no limit's matter.
    let mut connection = sidecar.connect().await;
    let ask = format!("GET / HTTP/1.1\r\n{IDENTITY}connection: close\r\n");
    assert_eq!(connection.exchange(&ask).await.status, 200);
    connection.read_to_end().await;
    sidecar.reached("headerTimeout", 2).await;
}

#[tokio::test]
async fn whoever_says_nothing_when_the_drain_begins_has_reached_no_limit() {
    let upstream = Recorder::silent().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut silent = sidecar.connect().await;
    let mut held = sidecar.connect().await;
    held.write(complete(&format!("GET / HTTP/1.1\r\n{IDENTITY}")))
        .await;
    upstream.nth(1).await;
    sidecar.signal("TERM");
    assert!(silent.read_to_end().await.is_empty());
    sidecar.counts("portcullis_connections", 1.0).await;
    sidecar.reached("headerTimeout", 0).await;
}

#[tokio::test]
async fn a_body_that_stalls_is_408() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .section("[limits]\nbodyStallTimeout = \"1s\"")
        .spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    connection
        .write(complete(&format!(
            "POST / HTTP/1.1\r\n{IDENTITY}content-length: 10\r\n"
        )))
        .await;
    connection.write("12345").await;
    let answer = connection.response(false).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (408, "request_timeout")
    );
    sidecar.reached("bodyStallTimeout", 1).await;
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_504() {
    let upstream = Recorder::with_handler(|mut stream, _| async move {
        while !matches!(stream.read(&mut [0; 64]).await, Ok(0) | Err(_)) {}
    })
    .await;
    let sidecar = Setup::new()
        .section("[limits]\nupstreamFirstByteTimeout = \"1s\"")
        .spawn(&upstream.url());
    let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{IDENTITY}")).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (504, "upstream_timeout")
    );
    sidecar.reached("upstreamFirstByteTimeout", 1).await;
}

#[tokio::test]
async fn an_upstream_that_takes_no_connection_is_502() {
    // Its queue is full as soon as a connection waits that nobody accepts: what comes
    // then is dropped by the kernel, as a host does that is gone.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(stream);
    }
    let sidecar = Setup::new()
        .section("[limits]\nupstreamConnectTimeout = \"100ms\"")
        .spawn(&format!("http://{address}"));
    let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{IDENTITY}")).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "upstream_unreachable")
    );
    sidecar.reached("upstreamConnectTimeout", 1).await;
}

#[tokio::test]
async fn connections_beyond_their_limit_are_turned_away_and_the_others_live_on() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .section("[limits]\nmaxConnections = 2")
        .spawn(&upstream.url());
    let mut first = sidecar.connect().await;
    let mut second = sidecar.connect().await;
    for connection in [&mut first, &mut second] {
        assert_eq!(
            connection
                .exchange(&format!("GET / HTTP/1.1\r\n{IDENTITY}"))
                .await
                .status,
            200
        );
    }
    let mut third = sidecar.connect().await;
    let answer = third.response(false).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    sidecar.reached("maxConnections", 1).await;
    assert_eq!(
        first
            .exchange(&format!("GET / HTTP/1.1\r\n{IDENTITY}"))
            .await
            .status,
        200
    );
}
