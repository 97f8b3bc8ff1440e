//! Bodies on their way: streamed, early, slow, abandoned.

use crate::client::{Http2Client, complete, http2_request};
use crate::recorder::Recorder;
use crate::sidecar::{IDENTITY, PATIENCE, Setup};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// An upstream that sends an event each time it is told to.
async fn event_source() -> (Recorder, mpsc::Sender<&'static str>) {
    let (sender, receiver) = mpsc::channel::<&'static str>(8);
    let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
    let upstream = Recorder::with_handler(move |mut stream, _| {
        let receiver = receiver.clone();
        async move {
            stream.write_all(EVENTS.as_bytes()).await.unwrap();
            while let Some(event) = receiver.lock().await.recv().await {
                let chunk = format!("{:x}\r\n{event}\r\n", event.len());
                stream.write_all(chunk.as_bytes()).await.unwrap();
            }
            let _ = stream.write_all(b"0\r\n\r\n").await;
        }
    })
    .await;
    (upstream, sender)
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_sent() {
    let (upstream, events) = event_source().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    connection
        .write(complete(&format!("GET /events HTTP/1.1\r\n{IDENTITY}")))
        .await;
    connection.read_until(b"\r\n\r\n").await.unwrap();
    for event in ["data: one\n\n", "data: two\n\n", "data: three\n\n"] {
        events.send(event).await.unwrap();
        let got = timeout(PATIENCE, connection.read_until(event.as_bytes()))
            .await
            .unwrap();
        assert!(got.is_some(), "{event}");
    }
    drop(events);
    assert!(connection.read_until(b"0\r\n\r\n").await.is_some());
}

#[tokio::test]
async fn events_arrive_over_http_2_too() {
    let (upstream, events) = event_source().await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let client = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    let answer = tokio::spawn(async move {
        client
            .send(http2_request("GET", "/events", IDENTITY))
            .await
            .unwrap()
    });
    events.send("data: one\n\n").await.unwrap();
    drop(events);
    assert_eq!(
        &timeout(PATIENCE, answer).await.unwrap().unwrap().body()[..],
        b"data: one\n\n"
    );
}

#[tokio::test]
async fn an_early_answer_is_read_while_the_upload_is_stuck() {
    // The upstream reads nothing of the body, answers, and dies a second later,
    // as the gateway does.
    let upstream = Recorder::with_handler(|mut stream, _| async move {
        let answer = b"HTTP/1.1 413 Payload Too Large\r\nconnection: close\r\ncontent-length: 5\r\n\r\nlarge";
        stream.write_all(answer).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    })
    .await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    connection
        .write(complete(&format!(
            "POST / HTTP/1.1\r\n{IDENTITY}content-length: 40000000\r\n"
        )))
        .await;
    // Far more than all the socket buffers on the way: this can only be written
    // while somebody reads it.
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..12 {
        if connection.try_write(&piece).await.is_err() {
            break;
        }
    }
    let answer = connection.response(false).await;
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (413, &b"large"[..])
    );
    assert_eq!(answer.values("connection"), ["close"]);
}

#[tokio::test]
async fn both_directions_flow_at_once() {
    // An echo that answers while it reads: with one direction at a time this
    // would stand still once the buffers are full.
    let upstream = Recorder::with_handler(|mut stream, head| async move {
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut buffer = vec![0; 65536];
        let mut ended = false;
        while !ended {
            let count = stream.read(&mut buffer).await.unwrap();
            ended = count == 0 || buffer[..count].ends_with(b"0\r\n\r\n");
            stream.write_all(&buffer[..count]).await.unwrap();
        }
    })
    .await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut writer = sidecar.connect().await;
    writer
        .write(complete(&format!(
            "POST / HTTP/1.1\r\n{IDENTITY}transfer-encoding: chunked\r\n"
        )))
        .await;
    let size = 20 << 20;
    let piece = [
        format!("{:x}\r\n", 1 << 16).into_bytes(),
        vec![b'e'; 1 << 16],
        b"\r\n".to_vec(),
    ]
    .concat();
    let mut received = 0;
    writer.read_until(b"\r\n\r\n").await.unwrap();
    for _ in 0..size / (1 << 16) {
        writer.write(&piece).await;
        received += writer.read_exactly(1 << 16).await.unwrap().len();
    }
    assert_eq!(received, size);
}

#[tokio::test]
async fn a_large_upload_arrives_whole_over_http_1_and_2() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let body: Vec<u8> = (0..20_000_000_u32)
        .map(|index| (index % 251) as u8)
        .collect();
    let mut connection = sidecar.connect().await;
    let head = format!(
        "POST / HTTP/1.1\r\n{IDENTITY}content-length: {}\r\n",
        body.len()
    );
    connection.write(complete(&head)).await;
    connection.write(&body).await;
    assert_eq!(connection.response(false).await.status, 200);
    assert!(upstream.nth(1).await.body == body);

    let client = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    let request = http2_request("POST", "/", IDENTITY).map(|_| body.clone().into());
    assert_eq!(client.send(request).await.unwrap().status(), 200);
    assert!(upstream.nth(2).await.body == body);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_upstream_request() {
    let ended = Arc::new(Notify::new());
    let upstream = Recorder::with_handler({
        let ended = ended.clone();
        move |mut stream, _| {
            let ended = ended.clone();
            async move {
                stream.write_all(EVENTS.as_bytes()).await.unwrap();
                // The end of the connection is what stops a run in the gateway.
                while !matches!(stream.read(&mut [0; 64]).await, Ok(0) | Err(_)) {}
                ended.notify_one();
            }
        }
    })
    .await;
    for is_tls in [false, true] {
        let setup = if is_tls {
            Setup::new().tls()
        } else {
            Setup::new()
        };
        let sidecar = setup.spawn(&upstream.url());
        let mut connection = sidecar.connect().await;
        connection
            .write(complete(&format!("GET / HTTP/1.1\r\n{IDENTITY}")))
            .await;
        connection.read_until(b"\r\n\r\n").await.unwrap();
        drop(connection);
        timeout(PATIENCE, ended.notified())
            .await
            .expect("the upstream request goes on");
    }
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let client = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    let request =
        tokio::spawn(async move { client.send(http2_request("GET", "/", IDENTITY)).await });
    upstream.nth(3).await;
    request.abort();
    timeout(PATIENCE, ended.notified())
        .await
        .expect("the upstream request goes on after a reset");
}

#[tokio::test]
async fn a_stale_connection_is_replaced_without_the_client_noticing() {
    // Each connection serves one request, and closes without having said so.
    let upstream = Recorder::with_handler(|mut stream, _| async move {
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
    })
    .await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    for _ in 0..50 {
        assert_eq!(
            connection
                .exchange(&format!("GET / HTTP/1.1\r\n{IDENTITY}"))
                .await
                .status,
            200
        );
    }
}

#[tokio::test]
async fn a_request_that_may_have_been_acted_on_is_not_sent_twice() {
    let count = Arc::new(AtomicUsize::new(0));
    let upstream = Recorder::with_handler({
        let count = count.clone();
        move |stream, _| {
            count.fetch_add(1, Ordering::Relaxed);
            async move { drop(stream) }
        }
    })
    .await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let answer = sidecar
        .send(&format!(
            "POST / HTTP/1.1\r\n{IDENTITY}content-length: 0\r\n"
        ))
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "upstream_unreachable")
    );
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_truncated_answer_is_seen_as_truncated() {
    let upstream = Recorder::with_handler(|mut stream, _| async move {
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel")
            .await;
    })
    .await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    connection
        .write(complete(&format!("GET / HTTP/1.1\r\n{IDENTITY}")))
        .await;
    connection.read_until(b"\r\n\r\n").await.unwrap();
    let rest = connection.read_to_end().await;
    assert!(
        !rest.ends_with(b"0\r\n\r\n"),
        "a truncated body was given an end: {rest:?}"
    );
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_told_by_the_upstream() {
    let body_came = Arc::new(AtomicBool::new(false));
    let upstream = Recorder::with_handler({
        let body_came = body_came.clone();
        move |mut stream, head| {
            let body_came = body_came.clone();
            async move {
                assert!(head.contains("expect: 100-continue"), "{head}");
                stream
                    .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                    .await
                    .unwrap();
                let mut body = [0; 4];
                stream.read_exact(&mut body).await.unwrap();
                body_came.store(&body == b"body", Ordering::Relaxed);
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    .await
                    .unwrap();
            }
        }
    })
    .await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    connection
        .write(complete(&format!(
            "POST / HTTP/1.1\r\n{IDENTITY}expect: 100-continue\r\ncontent-length: 4\r\n"
        )))
        .await;
    assert_eq!(connection.response(false).await.status, 100);
    connection.write("body").await;
    assert_eq!(connection.response(false).await.status, 200);
    assert!(body_came.load(Ordering::Relaxed));
}
