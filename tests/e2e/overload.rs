//! More than there is room for: what is shed, and what goes on.

use crate::client::{Connection, Http2Client, client_config, complete, http2_request, tls_stream};
use crate::recorder::Recorder;
use crate::sidecar::{GATEWAY, IDENTITY, PATIENCE, Setup, Sidecar, until};
use crate::websocket::{SWITCHED, expect_echo, open_on};
use std::sync::Arc;
use std::time::Instant;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";

/// Echoes on `/ws`, answers `/held` when it is told to, and anything else at once.
pub(crate) async fn upstream() -> (Recorder, Arc<Notify>) {
    let go_on = Arc::new(Notify::new());
    let upstream = Recorder::with_handler({
        let go_on = go_on.clone();
        move |mut stream: TcpStream, head| {
            let go_on = go_on.clone();
            async move {
                if head.starts_with("GET /ws ") {
                    stream.write_all(SWITCHED).await.unwrap();
                    let (mut reader, mut writer) = stream.split();
                    let _ = tokio::io::copy(&mut reader, &mut writer).await;
                    return;
                }
                if head.starts_with("GET /held ") {
                    go_on.notified().await;
                }
                let _ = stream.write_all(OK).await;
            }
        }
    })
    .await;
    (upstream, go_on)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\n{IDENTITY}")
}

#[tokio::test]
async fn requests_beyond_those_in_flight_are_503_and_what_is_under_way_goes_on() {
    let (upstream, go_on) = upstream().await;
    let sidecar = Setup::new()
        .tls()
        .section("[limits]\nmaxRequestsInFlight = 1")
        .spawn(&upstream.url());
    // A session that has begun is no request any more.
    let mut session = open_on(sidecar.connect().await, IDENTITY).await;
    sidecar.counts("portcullis_requests_in_flight", 0.0).await;
    let mut held = sidecar.connect().await;
    held.write(complete(&get("/held"))).await;
    upstream.nth(2).await;

    let mut shed = sidecar.connect().await;
    for _ in 0..2 {
        let answer = shed.exchange(&get("/")).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
        assert_eq!(answer.values("retry-after"), ["1"]);
        assert!(answer.values("connection").is_empty(), "it may come again");
    }
    let client = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    let answer = client.send(http2_request("GET", "/", IDENTITY)).await;
    let answer = answer.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    sidecar.reached("maxRequestsInFlight", 3).await;
    assert_eq!(upstream.requests().len(), 2);

    assert_eq!(sidecar.admin("GET /livez").await.status, 200);
    assert_eq!(sidecar.admin("GET /readyz").await.status, 200);
    expect_echo(&mut session, "still here").await;
    // Who may not pass hears that, full or not.
    let eve = get("/").replace("nick@", "eve@");
    assert_eq!(shed.exchange(&eve).await.status, 403);

    go_on.notify_one();
    assert_eq!(held.response(false).await.status, 200);
    assert_eq!(held.exchange(&get("/")).await.status, 200);
    let answer = client.send(http2_request("GET", "/", IDENTITY)).await;
    assert_eq!(answer.unwrap().status(), 200);
}

#[tokio::test]
async fn a_client_that_leaves_makes_room_for_the_next() {
    let (upstream, _go_on) = upstream().await;
    let sidecar = Setup::new()
        .section("[limits]\nmaxRequestsInFlight = 1")
        .spawn(&upstream.url());
    let mut held = sidecar.connect().await;
    held.write(complete(&get("/held"))).await;
    upstream.nth(1).await;
    assert_eq!(sidecar.send(&get("/")).await.status, 503);
    drop(held);
    until_answered(&sidecar, "127.0.0.1", 200).await;
}

/// Comes from `source` until it is answered with `status`.
async fn until_answered(sidecar: &Sidecar, source: &str, status: u16) {
    let began = Instant::now();
    loop {
        let mut connection = Connection::tcp_from(source, sidecar.address).await;
        // Whoever is turned away before it has asked may be so before it could.
        let _ = connection.try_write(complete(&get("/"))).await;
        let answer = connection.try_response().await;
        if answer.is_some_and(|answer| answer.status == status) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "never {status} for {source}");
    }
}

#[tokio::test]
async fn an_untrusted_source_has_so_many_connections_and_a_trusted_one_any() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .gateway(&GATEWAY.replace("\"::1\"", "\"127.0.0.3\""))
        .section("[limits]\nmaxConnectionsPerSource = 2")
        .spawn(&upstream.url());
    let connect = |source| Connection::tcp_from(source, sidecar.address);
    let first = connect("127.0.0.2").await;
    let second = connect("127.0.0.2").await;
    sidecar.counts("portcullis_connections", 2.0).await;

    let mut third = connect("127.0.0.2").await;
    let answer = third.response(false).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    assert_eq!(third.read_to_end().await, b"");
    sidecar.reached("maxConnectionsPerSource", 1).await;

    // Another untrusted source has places of its own, and trusted ones need none.
    let mut other = connect("127.0.0.4").await;
    assert_eq!(other.exchange(&get("/")).await.status, 403);
    let mut trusted = Vec::new();
    for source in ["127.0.0.1", "127.0.0.3"].repeat(4) {
        let mut connection = connect(source).await;
        assert_eq!(connection.exchange(&get("/")).await.status, 200);
        trusted.push(connection);
    }
    drop(first);
    // Its refusal by the policy is the sign that it came in; that ends it, too.
    until_answered(&sidecar, "127.0.0.2", 403).await;
    until_answered(&sidecar, "127.0.0.2", 403).await;
    drop(second);
    for mut connection in trusted {
        assert_eq!(connection.exchange(&get("/")).await.status, 200);
    }
}

#[tokio::test]
async fn untrusted_sources_together_leave_room_for_the_trusted() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .section("[limits]\nmaxConnections = 4\nmaxConnectionsPerSource = 1")
        .spawn(&upstream.url());
    let connect = |source| Connection::tcp_from(source, sidecar.address);
    let _strangers = [connect("127.0.0.2").await, connect("127.0.0.3").await];
    sidecar.counts("portcullis_connections", 2.0).await;
    let mut third = connect("127.0.0.4").await;
    assert_eq!(third.response(false).await.status, 503);
    sidecar.reached("maxConnections", 1).await;
    for _ in 0..2 {
        let mut trusted = connect("127.0.0.1").await;
        assert_eq!(trusted.exchange(&get("/")).await.status, 200);
    }
}

#[tokio::test]
async fn public_routes_leave_room_for_the_users() {
    let (upstream, go_on) = upstream().await;
    let route = "[[gateway.publicRoutes]]\npath = \"/held\"\nmethods = [\"GET\"]\n";
    let sidecar = Setup::new()
        .section(&format!("{route}[limits]\nmaxRequestsInFlight = 4"))
        .spawn(&upstream.url());
    let mut hook = sidecar.connect().await;
    hook.write(complete("GET /held HTTP/1.1\r\n")).await;
    upstream.nth(1).await;
    let answer = sidecar.send("GET /held HTTP/1.1\r\n").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    assert_eq!(sidecar.send(&get("/")).await.status, 200);
    go_on.notify_one();
    assert_eq!(hook.response(false).await.status, 200);
}

#[tokio::test]
async fn a_tls_client_beyond_its_places_costs_no_handshake() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .tls()
        .gateway(&GATEWAY.replace("\"127.0.0.1\", ", ""))
        .section("[limits]\nmaxConnectionsPerSource = 1")
        .spawn(&upstream.url());
    let _first = sidecar.connect().await;
    let mut second = Connection::tcp(sidecar.address).await;
    assert_eq!(second.read_to_end().await, b"");
    sidecar.reached("maxConnectionsPerSource", 1).await;
}

#[tokio::test]
async fn an_http_2_client_is_told_how_many_streams_it_may_have() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .tls()
        .section("[limits]\nhttp2MaxStreams = 7")
        .spawn(&upstream.url());
    let client = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    until(|| (client.max_streams() == 7).then_some(())).await;
    let answer = client.send(http2_request("GET", "/", IDENTITY)).await;
    assert_eq!(answer.unwrap().status(), 200);
}

#[tokio::test]
async fn an_http_2_client_may_cancel_so_many_streams() {
    let upstream = Recorder::silent().await;
    let sidecar = Setup::new()
        .tls()
        .section("[limits]\nhttp2MaxResets = 10")
        .spawn(&upstream.url());
    let config = client_config(&sidecar.certificate(), b"h2");
    let stream = tls_stream(sidecar.address, config).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    for count in 1..=11 {
        sender = sender.ready().await.unwrap();
        let (parts, _) = http2_request("GET", "/", IDENTITY).into_parts();
        let request = http::Request::from_parts(parts, ());
        let (_answer, mut stream) = sender.send_request(request, true).unwrap();
        upstream.nth(count).await;
        stream.send_reset(h2::Reason::CANCEL);
    }
    let end = timeout(PATIENCE, connection).await.expect("it goes on");
    let reason = end.unwrap().unwrap_err().reason();
    assert_eq!(reason, Some(h2::Reason::ENHANCE_YOUR_CALM));
    sidecar.reached("http2MaxResets", 1).await;
}
