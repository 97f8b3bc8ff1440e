//! How a connection ends that has nothing more to do (RFC 9113 section 6.8).

use super::*;
use crate::frames::{END_HEADERS, block, reset};

const NO_ERROR: u32 = 0;
const ENHANCE_YOUR_CALM: u32 = 11;

async fn start(limits: &str) -> (Recorder, Sidecar) {
    let upstream = Recorder::spawn().await;
    let setup = Setup::new().tls().section(&format!("[limits]\n{limits}"));
    let sidecar = setup.spawn(&upstream.url());
    (upstream, sidecar)
}

fn get(stream: u32) -> Vec<u8> {
    let fields = block(&request("GET", "/"));
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields)
}

#[tokio::test]
async fn a_connection_without_a_request_is_told_to_leave() {
    let (_upstream, sidecar) = start("headerTimeout = \"1s\"").await;
    let mut client = Client::greeted(&sidecar, &[]).await;
    let goodbye = Due::ConnectionError(&[NO_ERROR]);
    assert!(client.until(|seen| goodbye.is_met(seen)).await);
    let reached = "portcullis_limit_reached_total{limit=\"headerTimeout\"}";
    assert_eq!(sidecar.metric(reached).await, Some(1.0));
}

#[tokio::test]
async fn one_that_had_a_request_may_wait_for_longer() {
    let (_upstream, sidecar) = start("headerTimeout = \"1s\"").await;
    let mut client = Client::greeted(&sidecar, &[]).await;
    client.send(&get(1)).await;
    assert!(client.until(|seen| seen.is_answered(1)).await);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    client.send(&get(3)).await;
    assert!(client.until(|seen| seen.is_answered(3)).await);
    assert!(!client.has(|frame| frame.kind == GOAWAY));
}

#[tokio::test]
async fn one_that_was_idle_for_too_long_is_told_to_leave() {
    let (_upstream, sidecar) = start("keepaliveTimeout = \"1s\"").await;
    let mut client = Client::greeted(&sidecar, &[]).await;
    client.send(&get(1)).await;
    assert!(client.until(|seen| seen.is_answered(1)).await);
    let goodbye = Due::ConnectionError(&[NO_ERROR]);
    assert!(client.until(|seen| goodbye.is_met(seen)).await);
}

#[tokio::test]
async fn a_request_that_crossed_the_goodbye_is_served_to_its_end() {
    let (upstream, go_on) = Recorder::held().await;
    let sidecar = Setup::new()
        .tls()
        .section("[limits]\nheaderTimeout = \"1s\"")
        .spawn(&upstream.url());
    let mut client = Client::greeted(&sidecar, &[]).await;
    assert!(
        client
            .until(|seen| seen.has(|frame| frame.kind == GOAWAY))
            .await
    );
    // The PING that comes with it isn't answered: the request was sent before.
    client.send(&get(1)).await;
    upstream.nth(1).await;
    // Longer than a connection that is leaving may be idle.
    tokio::time::sleep(Duration::from_millis(1000)).await;
    go_on.notify_one();
    assert!(client.until(|seen| seen.is_answered(1)).await);
    assert!(client.until(|seen| seen.is_closed).await);
}

/// What has been counted of each abuse.
async fn counted(sidecar: &Sidecar) -> [Option<f64>; 2] {
    let resets = "portcullis_limit_reached_total{limit=\"http2MaxResets\"}";
    let others = "portcullis_connections_refused_total{reason=\"http2_abuse\"}";
    [sidecar.metric(resets).await, sidecar.metric(others).await]
}

#[tokio::test]
async fn a_flood_is_told_apart_from_resets() {
    let (_upstream, sidecar) = start("").await;
    let calm = Due::ConnectionError(&[ENHANCE_YOUR_CALM]);
    // SETTINGS and its acknowledgement went before.
    let mut client = Client::greeted(&sidecar, &[]).await;
    client.send(&frame(PING, 0, 0, PROBE).repeat(999)).await;
    assert!(client.until(|seen| calm.is_met(seen)).await);
    // Counted before GOAWAY goes out.
    assert_eq!(counted(&sidecar).await, [Some(0.0), Some(1.0)]);

    let mut client = Client::greeted(&sidecar, &[]).await;
    let pairs = (0..60).map(|at| [get(2 * at + 1), reset(2 * at + 1, CANCEL)].concat());
    client.send(&pairs.collect::<Vec<_>>().concat()).await;
    assert!(client.until(|seen| seen.is_closed).await);
    sidecar.reached("http2MaxResets", 1).await;
    assert_eq!(counted(&sidecar).await, [Some(1.0), Some(1.0)]);
}
