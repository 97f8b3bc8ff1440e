//! The operator's listener.

use crate::client::Connection;
use crate::recorder::Recorder;
use crate::sidecar::{IDENTITY, PATIENCE, Setup};

#[tokio::test]
async fn metrics_count_what_was_served_and_denied() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    sidecar.send(&format!("GET / HTTP/1.1\r\n{IDENTITY}")).await;
    sidecar
        .send("GET / HTTP/1.1\r\nx-forwarded-proto: https\r\n")
        .await;
    let lines = [
        "portcullis_requests_total{outcome=\"permitted\",status=\"200\"} 1",
        "portcullis_requests_total{outcome=\"denied\",status=\"401\"} 1",
        "portcullis_denials_total{code=\"trusted_proxy_user_missing\"} 1",
        "portcullis_config_generation 1",
    ];
    // A request is counted once its answer is out, so a moment after it.
    let mut text = String::new();
    let counted = async {
        while !lines.iter().all(|line| text.contains(line)) {
            text = String::from_utf8(sidecar.admin("GET /metrics").await.body).unwrap();
        }
    };
    let counted = tokio::time::timeout(PATIENCE, counted).await;
    assert!(counted.is_ok(), "{text}");
    assert!(!text.contains("nick"), "a user in a metric");
}

#[tokio::test]
async fn readiness_reports_the_upstream_and_does_not_depend_on_it() {
    let sidecar = Setup::new().spawn("http://127.0.0.1:9");
    sidecar
        .logged(|line| line["message"] == "the upstream is not reachable")
        .await;
    let answer = sidecar.admin("GET /readyz").await;
    assert_eq!(
        (answer.status, &answer.json()["upstream"]["reachable"]),
        (200, &false.into())
    );
    assert_eq!(sidecar.admin("GET /livez").await.status, 200);
}

#[tokio::test]
async fn readiness_ends_with_the_drain() {
    let upstream = Recorder::silent().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    connection
        .write(crate::client::complete(&format!(
            "GET / HTTP/1.1\r\n{IDENTITY}"
        )))
        .await;
    upstream.nth(1).await;
    sidecar.signal("TERM");
    sidecar.logged(|line| line["message"] == "draining").await;
    assert_eq!(sidecar.admin("GET /readyz").await.status, 503);
    assert_eq!(sidecar.admin("GET /livez").await.status, 200);
}

#[tokio::test]
async fn status_tells_version_listeners_and_secrets_without_values() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .section("[upstream.credential]\nheader = \"authorization\"\nformat = \"Bearer {secret}\"\nvalue = \"canary-value\"")
        .spawn(&upstream.url());
    let answer = sidecar.admin("GET /status").await;
    let status = answer.json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["generation"], 1);
    assert_eq!(status["listeners"]["front"][0], sidecar.address.to_string());
    assert!(!status.to_string().contains("canary"), "{status}");
}

#[tokio::test]
async fn a_web_page_cannot_reach_it() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    for fields in [
        format!(
            "Host: {}\r\nOrigin: https://evil.example\r\n",
            sidecar.admin
        ),
        format!("Host: {}\r\nSec-Fetch-Site: cross-site\r\n", sidecar.admin),
        "Host: evil.example\r\n".to_owned(),
    ] {
        let mut connection = Connection::tcp(sidecar.admin).await;
        connection
            .write(format!("GET /status HTTP/1.1\r\n{fields}\r\n"))
            .await;
        assert_eq!(connection.response(false).await.status, 403, "{fields}");
    }
}
