//! What a reload takes away from those whom it no longer permits: their answers.

use crate::client::{Connection, Http2Client, complete, http2_request};
use crate::recorder::Recorder;
use crate::sidecar::{GATEWAY, IDENTITY, PATIENCE, Setup, Sidecar};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

const EVENTS: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const FIRST: &[u8] = b"data: first\n\n";
const NEXT: &[u8] = b"data: next\n\n";
const ADA: &str = "x-forwarded-user: ada@example.com\r\nx-forwarded-proto: https\r\n";
const REVOKED: &str = "portcullis_revoked_total";

/// Streams a first event and, each time it is told to, another. On `/silent` it says
/// nothing at all until then.
async fn events() -> (Recorder, watch::Sender<()>) {
    let (sender, receiver) = watch::channel(());
    let upstream = Recorder::with_handler(move |mut stream: TcpStream, head| {
        let mut told = receiver.clone();
        told.mark_unchanged();
        async move {
            if head.contains(" /silent ") {
                let _ = told.changed().await;
            }
            let _ = stream.write_all(EVENTS).await;
            let mut event = FIRST;
            loop {
                let size = format!("{:x}\r\n", event.len());
                let chunk = [size.as_bytes(), event, b"\r\n"].concat();
                if stream.write_all(&chunk).await.is_err() || told.changed().await.is_err() {
                    return;
                }
                event = NEXT;
            }
        }
    })
    .await;
    (upstream, sender)
}

/// Opens a stream and reads its first event.
async fn open(mut connection: Connection, path: &str, identity: &str) -> Connection {
    let request = format!("GET {path} HTTP/1.1\r\n{identity}");
    connection.write(complete(&request)).await;
    connection.read_until(FIRST).await.expect("no event");
    connection
}

async fn expect_next(stream: &mut Connection) {
    stream.read_until(NEXT).await.expect("it was cut off");
}

async fn remove_ada(sidecar: &Sidecar) {
    sidecar.edit(|config| config.replace(", \"ada@example.com\"", ""));
    let (code, answer) = sidecar.reload().await;
    assert_eq!(code, 200, "{answer}");
}

#[tokio::test]
async fn a_removed_users_streams_are_cut_off_and_others_go_on_over_http_1() {
    let (upstream, next) = events().await;
    for setup in [Setup::new(), Setup::new().tls()] {
        let sidecar = setup.spawn(&upstream.url());
        let mut gone = open(sidecar.connect().await, "/", ADA).await;
        let mut kept = open(sidecar.connect().await, "/", IDENTITY).await;
        remove_ada(&sidecar).await;
        let rest = gone.read_to_end().await;
        // Without the last chunk: nobody takes it for a whole answer.
        assert_eq!(rest, b"\r\n");
        next.send(()).unwrap();
        expect_next(&mut kept).await;
        sidecar.counts(REVOKED, 1.0).await;
        let ended = sidecar
            .logged(|line| line["revocation.code"].is_string())
            .await;
        assert_eq!(ended["user"], "ada@example.com");
    }
}

/// The next piece of an HTTP/2 answer, or how it ended.
async fn piece(body: &mut h2::RecvStream) -> Result<Vec<u8>, Option<h2::Error>> {
    let piece = timeout(PATIENCE, body.data()).await.expect("nothing comes");
    let piece = piece.ok_or(None)?.map_err(Some)?;
    body.flow_control().release_capacity(piece.len()).unwrap();
    Ok(piece.to_vec())
}

#[tokio::test]
async fn they_are_over_http_2_and_the_connections_other_streams_go_on() {
    let (upstream, next) = events().await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    // One connection of the identity proxy carries them all.
    let client = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    let mut bodies = Vec::new();
    for identity in [ADA, IDENTITY] {
        let answer = client.begin(http2_request("GET", "/", identity)).await;
        let mut body = answer.unwrap().into_body();
        assert_eq!(piece(&mut body).await.unwrap(), FIRST);
        bodies.push(body);
    }
    remove_ada(&sidecar).await;
    let end = piece(&mut bodies[0]).await.unwrap_err();
    assert!(end.expect("it ended as if whole").is_reset());
    next.send(()).unwrap();
    assert_eq!(piece(&mut bodies[1]).await.unwrap(), NEXT);
    sidecar.counts(REVOKED, 1.0).await;
    let answer = client.send(http2_request("GET", "/", ADA)).await.unwrap();
    assert_eq!(answer.status(), 403);
}

#[tokio::test]
async fn a_request_without_an_answer_gets_what_a_new_one_would() {
    let (upstream, next) = events().await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let mut waiting = sidecar.connect().await;
    let request = format!("GET /silent HTTP/1.1\r\n{ADA}");
    waiting.write(complete(&request)).await;
    upstream.nth(1).await;
    let client = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    let multiplexed =
        tokio::spawn(async move { client.send(http2_request("GET", "/silent", ADA)).await });
    upstream.nth(2).await;
    let mut kept = sidecar.connect().await;
    let request = request.replace("ada@", "nick@");
    kept.write(complete(&request)).await;
    upstream.nth(3).await;
    remove_ada(&sidecar).await;

    let answer = waiting.response(false).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "trusted_proxy_user_not_allowed")
    );
    assert_eq!(answer.values("strict-transport-security").len(), 1);
    let answer = multiplexed.await.unwrap().unwrap();
    assert_eq!(answer.status(), 403);
    assert!(String::from_utf8_lossy(answer.body()).contains("trusted_proxy_user_not_allowed"));
    sidecar.counts(REVOKED, 2.0).await;
    let line = sidecar.logged(|line| line["path"] == "/silent").await;
    assert_eq!(line["decision"], "trusted_proxy_user_not_allowed");
    next.send(()).unwrap();
    kept.read_until(FIRST).await.expect("it was cut off");
    // The connection itself is the proxy's, and is good for the next user.
    waiting
        .write(complete(&format!("GET / HTTP/1.1\r\n{IDENTITY}")))
        .await;
    waiting.read_until(FIRST).await.expect("it was closed");
}

#[tokio::test]
async fn a_removed_proxys_and_a_removed_credentials_streams_are_cut_off() {
    let (upstream, next) = events().await;
    let credential = "[upstream.credential]\nheader = \"authorization\"\nvalue = \"secret\"\n";
    let public = "[[gateway.publicRoutes]]\npath = \"/hooks/\"\nmethods = [\"GET\"]\n\
                  sources = [\"127.0.0.1\"]\n";
    let sidecar = Setup::new()
        .gateway(&GATEWAY.replace("\"::1\"", "\"127.0.0.2\""))
        .section(credential)
        .section(public)
        .spawn(&upstream.url());
    let connect = |source| Connection::tcp_from(source, sidecar.address);
    let mut hook = open(connect("127.0.0.1").await, "/hooks/a", "").await;
    let mut removed = open(connect("127.0.0.2").await, "/", IDENTITY).await;
    let mut kept = open(connect("127.0.0.1").await, "/", IDENTITY).await;
    sidecar.edit(|config| config.replace(", \"127.0.0.2\"", ""));
    assert_eq!(sidecar.reload().await.0, 200);
    assert_eq!(removed.read_to_end().await, b"\r\n");
    next.send(()).unwrap();
    expect_next(&mut kept).await;
    expect_next(&mut hook).await;
    sidecar.edit(|config| config.replace(credential, ""));
    assert_eq!(sidecar.reload().await.0, 200);
    assert_eq!(kept.read_to_end().await, b"\r\n");
    // A public route's stream had none of it.
    next.send(()).unwrap();
    expect_next(&mut hook).await;
    sidecar.counts(REVOKED, 2.0).await;
    // Nor does it live by a user: it ends with its own source.
    sidecar.edit(|config| config.replace("sources = [\"127.0.0.1\"]", "sources = [\"10.0.0.9\"]"));
    sidecar.edit(|config| {
        config.replace(
            "trustedProxies = [\"127.0.0.1\"]",
            "trustedProxies = [\"10.0.0.1\"]",
        )
    });
    assert_eq!(sidecar.reload().await.0, 200);
    assert_eq!(hook.read_to_end().await, b"\r\n");
    sidecar.counts(REVOKED, 3.0).await;
}
