//! How often a user and a client's address may come.

use crate::client::{Connection, Http2Client, http2_request};
use crate::recorder::{Recorder, Reply};
use crate::sidecar::{GATEWAY, IDENTITY, PATIENCE, Setup, Sidecar};
use crate::websocket::{SWITCHED, UPGRADE};
use std::time::Instant;

/// Requests after which nobody has a bucket left, however slowly they were sent.
const MANY: usize = 500;
const ADA: &str = "x-forwarded-user: ada@example.com\r\nx-forwarded-proto: https\r\n";

fn limited(limits: &str) -> Setup {
    Setup::new().section(&format!("[limits]\n{limits}\n"))
}

/// One request with these fields, on a connection that is kept.
async fn status(connection: &mut Connection, fields: &str) -> u16 {
    let answer = connection
        .exchange(&format!("GET / HTTP/1.1\r\n{fields}"))
        .await;
    if answer.status == 429 {
        assert_eq!(answer.code(), "rate_limited");
        let wait = answer.values("retry-after")[0].parse::<u64>().unwrap();
        assert!(wait >= 1, "{}", answer.head);
    }
    answer.status
}

/// Comes until it is turned away: how often it was served before.
async fn exhaust(connection: &mut Connection, fields: impl Fn(usize) -> String) -> usize {
    for count in 0..MANY {
        match status(connection, &fields(count)).await {
            200 => {}
            429 => return count,
            other => panic!("{other}"),
        }
    }
    panic!("it is never turned away");
}

/// Comes until it is served again.
async fn served_again(connection: &mut Connection, fields: &str) {
    let began = Instant::now();
    while status(connection, fields).await != 200 {
        assert!(began.elapsed() < PATIENCE, "it is turned away for ever");
    }
}

#[tokio::test]
async fn a_user_who_comes_too_often_is_429_and_nobody_else_is() {
    let upstream = Recorder::spawn().await;
    let sidecar = limited("requestsPerSecondPerUser = 1\nrequestBurst = 3")
        .tls()
        .spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    let served = exhaust(&mut connection, |_| IDENTITY.to_owned()).await;
    assert!(served >= 3, "{served}");
    assert_eq!(upstream.requests().len(), served, "429 is said here");
    assert_eq!(status(&mut connection, ADA).await, 200);
    served_again(&mut connection, IDENTITY).await;
    // One bucket, whatever the connection and the protocol.
    let client = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    exhaust(&mut connection, |_| IDENTITY.to_owned()).await;
    let mut refused = None;
    for _ in 0..MANY {
        let answer = client.send(http2_request("GET", "/", IDENTITY)).await;
        refused = Some(answer.unwrap()).filter(|answer| answer.status() == 429);
        if refused.is_some() {
            break;
        }
    }
    let refused = refused.expect("never turned away over HTTP/2");
    assert!(refused.headers().contains_key("retry-after"));
    let counted = "portcullis_limit_reached_total{limit=\"requestsPerSecondPerUser\"}";
    assert!(sidecar.metric(counted).await.unwrap() >= 3.0);
    let line = sidecar
        .logged(|line| line["limit"] == "requestsPerSecondPerUser")
        .await;
    assert_eq!(line["source.ip"], "127.0.0.1");
}

#[tokio::test]
async fn handshakes_of_websockets_count_as_well() {
    let upstream = Recorder::counting(|_| Reply::Echo(SWITCHED)).await;
    let sidecar = limited("requestsPerSecondPerUser = 1\nrequestBurst = 2").spawn(&upstream.url());
    let mut sessions = Vec::new();
    loop {
        let mut connection = sidecar.connect().await;
        match status(&mut connection, &format!("{IDENTITY}{UPGRADE}")).await {
            101 => sessions.push(connection),
            other => {
                assert_eq!(other, 429);
                break;
            }
        }
        assert!(sessions.len() < MANY, "it is never turned away");
    }
    assert!(sessions.len() >= 2, "{}", sessions.len());
    let mut connection = sidecar.connect().await;
    assert_eq!(
        status(&mut connection, &format!("{ADA}{UPGRADE}")).await,
        101
    );
}

fn client(address: &str) -> String {
    format!("{IDENTITY}x-forwarded-for: {address}\r\n")
}

async fn client_limited(upstream: &Recorder) -> Sidecar {
    // A second trusted hop, so that an address in the list may be a trusted one.
    limited("requestsPerSecondPerClient = 1\nrequestBurst = 2")
        .gateway(&GATEWAY.replace("[\"127", "[\"10.0.0.1\", \"127"))
        .spawn(&upstream.url())
}

#[tokio::test]
async fn a_client_who_comes_too_often_is_429_wherever_it_comes_from() {
    let upstream = Recorder::spawn().await;
    let sidecar = client_limited(&upstream).await;
    let mut connection = sidecar.connect().await;
    let served = exhaust(&mut connection, |_| client("198.51.100.1")).await;
    assert!(served >= 2, "{served}");
    // Whatever stands left of it, and for whomever it asks.
    let spoofed = |count: usize| {
        let identity = if count.is_multiple_of(2) {
            IDENTITY
        } else {
            ADA
        };
        format!("{identity}x-forwarded-for: 203.0.113.{count}, 198.51.100.1, 10.0.0.1\r\n")
    };
    assert!(exhaust(&mut connection, spoofed).await < 100);
    assert_eq!(status(&mut connection, &client("198.51.100.2")).await, 200);
    served_again(&mut connection, &client("198.51.100.1")).await;
    let counted = "portcullis_limit_reached_total{limit=\"requestsPerSecondPerClient\"}";
    assert!(sidecar.metric(counted).await.unwrap() >= 2.0);
}

#[tokio::test]
async fn the_addresses_of_an_ipv6_network_are_one_client() {
    let upstream = Recorder::spawn().await;
    let sidecar = client_limited(&upstream).await;
    let mut connection = sidecar.connect().await;
    // Each would have a bucket of its own, or a second's time, to be served for ever.
    exhaust(&mut connection, |count| {
        client(&format!("2001:db8::{:x}:{count:x}", count * 7 + 1))
    })
    .await;
    assert_eq!(
        status(&mut connection, &client("2001:db8:0:1::1")).await,
        200
    );
}

#[tokio::test]
async fn a_trusted_source_is_nobodys_client() {
    let upstream = Recorder::spawn().await;
    let sidecar = client_limited(&upstream).await;
    let mut connection = sidecar.connect().await;
    for fields in ["", "x-forwarded-for: unknown\r\n"] {
        for _ in 0..20 {
            let fields = format!("{IDENTITY}{fields}");
            assert_eq!(status(&mut connection, &fields).await, 200);
        }
    }
    sidecar.reached("requestsPerSecondPerClient", 0).await;
}

#[tokio::test]
async fn a_reload_fills_no_bucket_unless_its_rate_changes() {
    let upstream = Recorder::spawn().await;
    let sidecar = limited("requestsPerSecondPerUser = 1\nrequestBurst = 50").spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    assert!(exhaust(&mut connection, |_| IDENTITY.to_owned()).await >= 50);
    sidecar.edit(|config| format!("{config}[log]\nlevel = \"debug\"\n"));
    assert_eq!(sidecar.reload().await.0, 200);
    let served = exhaust(&mut connection, |_| IDENTITY.to_owned()).await;
    assert!(served < 50, "{served}");
    sidecar.edit(|config| config.replace("requestBurst = 50", "requestBurst = 60"));
    assert_eq!(sidecar.reload().await.0, 200);
    assert!(exhaust(&mut connection, |_| IDENTITY.to_owned()).await >= 60);
    sidecar.edit(|config| config.replace("PerUser = 1", "PerUser = 0"));
    assert_eq!(sidecar.reload().await.0, 200);
    for _ in 0..200 {
        assert_eq!(status(&mut connection, IDENTITY).await, 200);
    }
}
