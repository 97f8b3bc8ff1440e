//! Clients and upstreams that would tie things up.

use crate::client::{Http2Client, complete, http2_request, tls_stream};
use crate::recorder::Recorder;
use crate::sidecar::{ELSEWHERE, IDENTITY, PATIENCE, Setup};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

/// An upstream that reads no more than the head until it is told to go on, and
/// then tells when the other side has ended.
struct Blackhole {
    upstream: Recorder,
    go_on: Arc<Notify>,
    left: Arc<Notify>,
}

impl Blackhole {
    async fn spawn() -> Self {
        let (go_on, left) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let upstream = Recorder::with_handler({
            let (go_on, left) = (go_on.clone(), left.clone());
            move |mut stream: TcpStream, _| {
                let (go_on, left) = (go_on.clone(), left.clone());
                async move {
                    go_on.notified().await;
                    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                    left.notify_one();
                }
            }
        })
        .await;
        Self {
            upstream,
            go_on,
            left,
        }
    }

    /// Waits for the end of a connection that nobody should hold any more.
    async fn expect_left(&self) {
        self.go_on.notify_one();
        timeout(PATIENCE, self.left.notified())
            .await
            .expect("the upstream is still held");
    }
}

#[tokio::test]
async fn an_upstream_that_takes_none_of_an_upload_is_504() {
    let blackhole = Blackhole::spawn().await;
    let sidecar = Setup::new()
        .section("[limits]\nbodyStallTimeout = \"1s\"")
        .spawn(&blackhole.upstream.url());
    let mut connection = sidecar.connect().await;
    connection
        .write(complete(&format!(
            "POST / HTTP/1.1\r\n{IDENTITY}content-length: 60000000\r\n"
        )))
        .await;
    let piece = vec![0; 1 << 20];
    let stuck = timeout(Duration::from_millis(500), async {
        while connection.try_write(&piece).await.is_ok() {}
    })
    .await;
    assert!(stuck.is_err(), "the upload went through");
    let answer = connection.response(false).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (504, "upstream_timeout")
    );
    blackhole.expect_left().await;
}

#[tokio::test]
async fn a_client_that_leaves_a_stuck_upload_frees_the_upstream() {
    let blackhole = Blackhole::spawn().await;
    let sidecar = Setup::new().tls().spawn(&blackhole.upstream.url());
    let client = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    let request = http2_request("POST", "/", IDENTITY).map(|_| Bytes::from(vec![0; 30 << 20]));
    let upload = tokio::spawn(async move { client.send(request).await });
    blackhole.upstream.nth(1).await;
    // Until the way to the upstream is full.
    tokio::time::sleep(Duration::from_millis(300)).await;
    upload.abort();
    blackhole.expect_left().await;
}

#[tokio::test]
async fn a_slow_upload_does_not_use_up_the_time_for_the_answer() {
    let upstream = Recorder::with_handler(|mut stream: TcpStream, _| async move {
        stream.read_exact(&mut [0; 3]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
    })
    .await;
    let sidecar = Setup::new()
        .section("[limits]\nupstreamFirstByteTimeout = \"1s\"")
        .spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    connection
        .write(complete(&format!(
            "POST / HTTP/1.1\r\n{IDENTITY}content-length: 3\r\n"
        )))
        .await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        connection.write("x").await;
    }
    assert_eq!(connection.response(false).await.status, 200);
}

#[tokio::test]
async fn interim_answers_and_dribbled_heads_do_not_prolong_the_wait() {
    for piece in [&b"HTTP/1.1 102 Processing\r\n\r\n"[..], b"H"] {
        let upstream = Recorder::with_handler(move |mut stream: TcpStream, _| async move {
            while stream.write_all(piece).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
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
    }
}

#[tokio::test]
async fn a_refused_upload_whose_start_came_with_its_head_is_answered() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    let head = complete("POST / HTTP/1.1\r\nx-forwarded-proto: https\r\ncontent-length: 10\r\n");
    connection.write(format!("{head}abc")).await;
    assert_eq!(connection.response(false).await.status, 401);
    connection.finish().await;
    assert!(connection.read_to_end().await.is_empty());
}

#[tokio::test]
async fn a_source_that_is_refused_keeps_no_connection() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().tls().gateway(ELSEWHERE).spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    let answer = connection
        .exchange(&format!("GET / HTTP/1.1\r\n{IDENTITY}"))
        .await;
    assert_eq!(
        (answer.status, answer.values("connection")),
        (403, vec!["close"])
    );
    assert!(connection.read_to_end().await.is_empty());
    let client = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    assert_eq!(
        client
            .send(http2_request("GET", "/", IDENTITY))
            .await
            .unwrap()
            .status(),
        403
    );
    let refused = async {
        while client
            .send(http2_request("GET", "/", IDENTITY))
            .await
            .is_ok()
        {}
    };
    timeout(PATIENCE, refused)
        .await
        .expect("the connection is kept");
}

#[tokio::test]
async fn a_client_that_pipelines_without_measure_does_not_outlive_itself() {
    let left = Arc::new(Notify::new());
    let upstream = Recorder::with_handler({
        let left = left.clone();
        move |mut stream: TcpStream, _| {
            let left = left.clone();
            async move {
                let events = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                stream.write_all(events).await.unwrap();
                while !matches!(stream.read(&mut [0; 64]).await, Ok(0) | Err(_)) {}
                left.notify_one();
            }
        }
    })
    .await;
    let sidecar = Setup::new()
        .section("[limits]\nbodyStallTimeout = \"1s\"")
        .spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    connection
        .write(complete(&format!("GET /events HTTP/1.1\r\n{IDENTITY}")))
        .await;
    upstream.nth(1).await;
    let _ = connection.try_write(vec![b'x'; 64 << 10]).await;
    drop(connection);
    timeout(PATIENCE, left.notified())
        .await
        .expect("the upstream is still held");
}

#[tokio::test]
async fn many_pipelined_requests_all_get_their_answers() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    let request = complete(&format!("GET / HTTP/1.1\r\n{IDENTITY}"));
    connection.write(request.repeat(300)).await;
    for _ in 0..300 {
        assert_eq!(connection.response(false).await.status, 200);
    }
}

#[tokio::test]
async fn an_answer_under_way_outlives_the_upload_that_it_stopped() {
    let upstream = Recorder::with_handler(|mut stream: TcpStream, _| async move {
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head).await.unwrap();
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(250)).await;
            stream.write_all(b"1\r\nx\r\n").await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        // Closed only now: what was never read would reset the answer.
        tokio::time::sleep(Duration::from_millis(500)).await;
    })
    .await;
    let sidecar = Setup::new()
        .section("[limits]\nbodyStallTimeout = \"1s\"")
        .spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    connection
        .write(complete(&format!(
            "POST / HTTP/1.1\r\n{IDENTITY}content-length: 10\r\n"
        )))
        .await;
    // The client, told enough by the answer's head, sends no body at all.
    let answer = connection.response(false).await;
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (200, &b"xxxxxxxx"[..])
    );
}

#[tokio::test]
async fn a_client_that_only_cancels_loses_its_connection() {
    let upstream = Recorder::with_handler(|mut stream: TcpStream, _| async move {
        while !matches!(stream.read(&mut [0; 64]).await, Ok(0) | Err(_)) {}
    })
    .await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let config = crate::client::client_config(&sidecar.certificate(), b"h2");
    let stream = tls_stream(sidecar.address, config).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    for count in 1..2000 {
        sender = match sender.ready().await {
            Ok(sender) => sender,
            Err(_) => break,
        };
        let (parts, _) = http2_request("GET", "/", IDENTITY).into_parts();
        let request = http::Request::from_parts(parts, ());
        let Ok((_answer, mut stream)) = sender.send_request(request, true) else {
            break;
        };
        if count < 200 {
            // Seen by the upstream, and only then cancelled.
            upstream.nth(count).await;
        }
        stream.send_reset(h2::Reason::CANCEL);
    }
    let end = timeout(PATIENCE, connection)
        .await
        .expect("it goes on")
        .unwrap();
    let error = end.unwrap_err();
    // The client may be writing when the end comes.
    assert!(
        error.is_io() || error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM),
        "{error}"
    );
    assert!(
        upstream.requests().len() < 1000,
        "{}",
        upstream.requests().len()
    );
    sidecar.reached("http2MaxResets", 1).await;
}

#[tokio::test]
async fn two_lengths_are_refused_over_http_2_as_well() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let client = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    let fields = format!("{IDENTITY}content-length: 2\r\ncontent-length: 2\r\n");
    let request = http2_request("POST", "/", &fields).map(|_| Bytes::from_static(b"ok"));
    // Refused by h2 itself or by us: never served.
    if let Ok(answer) = client.send(request).await {
        assert_eq!(answer.status(), 400);
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_drains_refusals_are_their_connections_last() {
    let upstream = Recorder::silent().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut held = sidecar.connect().await;
    held.write(complete(&format!("GET / HTTP/1.1\r\n{IDENTITY}")))
        .await;
    let mut denied = sidecar.connect().await;
    let request = "GET / HTTP/1.1\r\nx-forwarded-proto: https\r\n";
    assert!(
        denied
            .exchange(request)
            .await
            .values("connection")
            .is_empty()
    );
    upstream.nth(1).await;
    sidecar.signal("TERM");
    sidecar.logged(|line| line["message"] == "draining").await;
    assert_eq!(
        denied.exchange(request).await.values("connection"),
        ["close"]
    );
}
