//! WebSockets: the handshake, the tunnel, and its ends.

use crate::client::{Connection, complete};
use crate::recorder::Recorder;
use crate::sidecar::{IDENTITY, PATIENCE, Setup, Sidecar};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

pub(crate) const UPGRADE: &str = "upgrade: websocket\r\nconnection: keep-alive, Upgrade\r\nsec-websocket-version: 13\r\n\
sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\norigin: https://evil.example\r\n";
pub(crate) const SWITCHED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// An upstream that takes the handshake and sends back what it gets.
pub(crate) async fn echo() -> Recorder {
    Recorder::with_handler(|mut stream, _| async move {
        stream.write_all(SWITCHED).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    })
    .await
}

async fn open(sidecar: &Sidecar) -> Connection {
    open_on(sidecar.connect().await, IDENTITY).await
}

/// Makes a WebSocket of a connection, with fields that say for whom.
pub(crate) async fn open_on(mut connection: Connection, identity: &str) -> Connection {
    connection
        .write(complete(&format!(
            "GET /ws HTTP/1.1\r\n{identity}{UPGRADE}"
        )))
        .await;
    let answer = connection.response(false).await;
    assert_eq!(answer.status, 101, "{}", answer.head);
    assert_eq!(
        answer.values("sec-websocket-accept"),
        ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]
    );
    connection
}

/// A Close frame of Portcullis' own.
pub(crate) fn close_frame(code: u16) -> [u8; 4] {
    let [high, low] = code.to_be_bytes();
    [0x88, 2, high, low]
}

/// Sends a frame, and gets it back from an upstream that echoes.
pub(crate) async fn expect_echo(connection: &mut Connection, text: &str) {
    let sent = frame(1, text.as_bytes());
    connection.write(&sent).await;
    assert_eq!(connection.read_exactly(sent.len()).await, Some(sent));
}

pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        0..126 => frame.push(0x80 | payload.len() as u8),
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

#[tokio::test]
async fn frames_pass_untouched_both_ways() {
    let upstream = echo().await;
    for setup in [Setup::new(), Setup::new().tls()] {
        let sidecar = setup.spawn(&upstream.url());
        let mut connection = open(&sidecar).await;
        for sent in [
            frame(1, b"hello"),
            frame(9, b"ping"),
            frame(10, b"pong"),
            frame(8, &[0x0f, 0xa0]),
        ] {
            connection.write(&sent).await;
            assert_eq!(connection.read_exactly(sent.len()).await.unwrap(), sent);
        }
    }
    let request = upstream.nth(1).await;
    assert_eq!(request.values("upgrade"), ["websocket"]);
    assert_eq!(request.values("connection"), ["Upgrade"]);
    assert_eq!(request.values("origin"), ["https://evil.example"]);
    assert_eq!(request.values("x-forwarded-user"), ["nick@example.com"]);
}

#[tokio::test]
async fn what_is_sent_with_the_handshake_is_not_lost() {
    let upstream = Recorder::with_handler(|mut stream, _| async move {
        stream
            .write_all(&[SWITCHED, b"\x81\x05first"].concat())
            .await
            .unwrap();
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    })
    .await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    let early = frame(1, b"early");
    let handshake = complete(&format!("GET /ws HTTP/1.1\r\n{IDENTITY}{UPGRADE}"));
    connection
        .write([handshake.as_bytes(), &early].concat())
        .await;
    assert_eq!(connection.response(false).await.status, 101);
    assert_eq!(connection.read_exactly(7).await.unwrap(), b"\x81\x05first");
    assert_eq!(connection.read_exactly(early.len()).await.unwrap(), early);
}

#[tokio::test]
async fn a_message_of_25_mib_passes() {
    let upstream = echo().await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let (address, certificate) = (sidecar.address, sidecar.certificate());
    let stream = crate::client::tls_stream(
        address,
        crate::client::client_config(&certificate, b"http/1.1"),
    )
    .await
    .unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    writer
        .write_all(complete(&format!("GET /ws HTTP/1.1\r\n{IDENTITY}{UPGRADE}")).as_bytes())
        .await
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(reader.read_u8().await.unwrap());
    }
    let message = Arc::new(frame(2, &vec![7; 25 << 20]));
    let sending = tokio::spawn({
        let message = message.clone();
        async move {
            writer.write_all(&message).await.unwrap();
            writer.flush().await.unwrap();
            writer
        }
    });
    let mut back = vec![0; message.len()];
    timeout(PATIENCE, reader.read_exact(&mut back))
        .await
        .unwrap()
        .unwrap();
    assert!(back == *message);
    sending.await.unwrap();
}

#[tokio::test]
async fn each_side_may_end_first_and_the_other_still_hears_the_rest() {
    let upstream = Recorder::with_handler(|mut stream, _| async move {
        stream.write_all(SWITCHED).await.unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        // The client has ended its side; ours is still open.
        stream.write_all(&got).await.unwrap();
    })
    .await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = open(&sidecar).await;
    let sent = frame(1, b"last words");
    connection.write(&sent).await;
    connection.finish().await;
    assert_eq!(connection.read_to_end().await, sent);
}

#[tokio::test]
async fn close_codes_pass() {
    let upstream = Recorder::with_handler(|mut stream, _| async move {
        stream.write_all(SWITCHED).await.unwrap();
        stream.write_all(&[0x88, 2, 0x03, 0xf0]).await.unwrap();
    })
    .await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = open(&sidecar).await;
    assert_eq!(connection.read_to_end().await, [0x88, 2, 0x03, 0xf0]);
}

#[tokio::test]
async fn a_drain_closes_with_1012_between_two_frames() {
    // The upstream stops in the middle of a frame, and goes on when told to.
    let go_on = Arc::new(Notify::new());
    let upstream = Recorder::with_handler({
        let go_on = go_on.clone();
        move |mut stream: TcpStream, _| {
            let go_on = go_on.clone();
            async move {
                stream
                    .write_all(&[SWITCHED, b"\x81\x0ahalf a"].concat())
                    .await
                    .unwrap();
                go_on.notified().await;
                stream.write_all(b" one\x81\x04more").await.unwrap();
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }
    })
    .await;
    let mut sidecar = Setup::new()
        .section("[limits]\nshutdownGrace = \"500ms\"")
        .spawn(&upstream.url());
    let mut connection = open(&sidecar).await;
    assert_eq!(connection.read_exactly(8).await.unwrap(), b"\x81\x0ahalf a");
    sidecar.signal("TERM");
    sidecar
        .logged(|line| line["message"] == "the grace time is over")
        .await;
    go_on.notify_one();
    let rest = connection.read_to_end().await;
    assert!(rest.starts_with(b" one"), "{rest:?}");
    assert!(rest.ends_with(&[0x88, 2, 0x03, 0xf4]), "{rest:?}");
    assert_eq!(sidecar.wait().code(), Some(0));
}

#[tokio::test]
async fn a_drain_closes_idle_sessions_with_1012_and_nothing_else() {
    let upstream = echo().await;
    let mut sidecar = Setup::new()
        .section("[limits]\nshutdownGrace = \"100ms\"")
        .spawn(&upstream.url());
    let mut idle = open(&sidecar).await;
    let mut used = open(&sidecar).await;
    expect_echo(&mut used, "hello").await;
    sidecar.signal("TERM");
    for connection in [&mut idle, &mut used] {
        assert_eq!(connection.read_to_end().await, close_frame(1012));
    }
    drop((idle, used));
    assert_eq!(sidecar.wait().code(), Some(0));
}

#[tokio::test]
async fn a_101_that_does_not_prove_the_handshake_is_502() {
    for answer in [
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: wrong\r\n\r\n",
    ] {
        let upstream = Recorder::with_answer(answer).await;
        let sidecar = Setup::new().spawn(&upstream.url());
        let got = sidecar
            .send(&format!("GET /ws HTTP/1.1\r\n{IDENTITY}{UPGRADE}"))
            .await;
        assert_eq!(
            (got.status, got.code().as_str()),
            (502, "upstream_unreachable")
        );
    }
}

#[tokio::test]
async fn a_handshake_with_a_body_or_half_a_handshake_is_refused() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    for fields in [
        format!("{UPGRADE}content-length: 5\r\n"),
        format!("{UPGRADE}transfer-encoding: chunked\r\n"),
        UPGRADE.replace("version: 13", "version: 8"),
        UPGRADE.replace("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
    ] {
        let answer = sidecar
            .send(&format!("GET /ws HTTP/1.1\r\n{IDENTITY}{fields}"))
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "bad_request"),
            "{fields}"
        );
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_refused_handshake_is_an_ordinary_answer() {
    let upstream =
        Recorder::with_answer("HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy").await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    let answer = connection
        .exchange(&format!("GET /ws HTTP/1.1\r\n{IDENTITY}{UPGRADE}"))
        .await;
    assert_eq!((answer.status, answer.body.as_slice()), (503, &b"busy"[..]));
    assert_eq!(
        connection
            .exchange(&format!("GET / HTTP/1.1\r\n{IDENTITY}"))
            .await
            .status,
        503
    );
}
