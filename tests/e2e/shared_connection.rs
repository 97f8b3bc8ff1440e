//! One HTTP/2 connection that carries everybody: what a single client may do to it.

use crate::client::{Http2Client, http2_request};
use crate::recorder::Recorder;
use crate::sidecar::{ELSEWHERE, IDENTITY, PATIENCE, Setup, Sidecar};
use std::sync::Arc;
use tokio::time::timeout;

const ABUSE: &str = "portcullis_connections_refused_total{reason=\"http2_abuse\"}";
/// What has two readings.
const TWO_CREDENTIALS: &str = "authorization: a\r\nauthorization: b\r\n";

async fn connect(sidecar: &Sidecar) -> Arc<Http2Client> {
    Arc::new(Http2Client::connect(sidecar.address, &sidecar.certificate()).await)
}

/// Sends a request so often; each must be answered with this.
async fn send(client: &Http2Client, count: usize, method: &str, fields: &str, status: u16) {
    for at in 0..count {
        let answer = client.send(http2_request(method, "/", fields)).await;
        assert_eq!(answer.unwrap().status(), status, "{method} {at}");
    }
}

/// Sends until the connection ends; how many were answered.
async fn send_on(client: &Http2Client, method: &str, fields: &str) -> usize {
    let sending = async {
        let mut answered = 0;
        while client
            .send(http2_request(method, "/", fields))
            .await
            .is_ok()
        {
            answered += 1;
        }
        answered
    };
    timeout(PATIENCE, sending).await.expect("it goes on")
}

#[tokio::test]
async fn requests_that_are_not_served_leave_the_others_alone() {
    let (upstream, go_on) = Recorder::held().await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let client = connect(&sidecar).await;
    let other = tokio::spawn({
        let client = client.clone();
        async move { client.send(http2_request("GET", "/", IDENTITY)).await }
    });
    upstream.nth(1).await;
    let large = format!("{IDENTITY}cookie: {}\r\n", "x".repeat(17_000));
    let many = format!("{IDENTITY}{}", "x-test: 1\r\n".repeat(100));
    let expecting = format!("{IDENTITY}expect: miracles\r\n");
    send(&client, 40, "TRACE", IDENTITY, 405).await;
    send(&client, 40, "GET", &large, 431).await;
    send(&client, 40, "GET", &many, 431).await;
    send(&client, 40, "GET", &expecting, 417).await;
    go_on.notify_one();
    let answer = other.await.unwrap().unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.body()[..]),
        (200, &b"ok"[..])
    );
    assert_eq!(sidecar.metric(ABUSE).await, Some(0.0));
}

#[tokio::test]
async fn what_can_t_be_read_ends_it_where_it_is_more_than_is_answered() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let client = connect(&sidecar).await;
    let ambiguous = format!("{IDENTITY}{TWO_CREDENTIALS}");
    send(&client, 30, "GET", IDENTITY, 200).await;
    send(&client, 62, "GET", &ambiguous, 400).await;
    send(&client, 1, "GET", IDENTITY, 200).await;
    assert_eq!(sidecar.metric(ABUSE).await, Some(0.0));
    // One more is borne for that answer. Some may be answered before the next is noted.
    let more = send_on(&client, "GET", &ambiguous).await;
    assert!((1..10).contains(&more), "{more}");
    sidecar.counts(ABUSE, 1.0).await;
    let resets = "portcullis_limit_reached_total{limit=\"http2MaxResets\"}";
    assert_eq!(sidecar.metric(resets).await, Some(0.0));
}

#[tokio::test]
async fn a_stranger_is_not_borne_with_for_what_is_not_served() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().tls().gateway(ELSEWHERE).spawn(&upstream.url());
    let client = connect(&sidecar).await;
    let answered = send_on(&client, "TRACE", IDENTITY).await;
    assert!((32..42).contains(&answered), "{answered}");
    sidecar.counts(ABUSE, 1.0).await;
    assert!(upstream.requests().is_empty());
}
