//! Messages that other proxies read in two ways.

use crate::client::complete;
use crate::recorder::Recorder;
use crate::sidecar::{IDENTITY, Setup};

#[tokio::test]
async fn a_head_with_two_readings_is_refused_and_the_connection_closed() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let get = |fields: &str| complete(&format!("GET / HTTP/1.1\r\n{IDENTITY}{fields}"));
    let post = |fields: &str| complete(&format!("POST / HTTP/1.1\r\n{IDENTITY}{fields}"));
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: claw.example.com\r\n\r\n";
    let cases = [
        post("content-length: 5\r\ntransfer-encoding: chunked\r\n"),
        post("content-length: 5\r\ncontent-length: 5\r\n"),
        post("content-length: 5\r\ncontent-length: 6\r\n"),
        post("content-length: +5\r\n"),
        post("content-length: 5,5\r\n"),
        post("transfer-encoding: gzip, chunked\r\n"),
        post("transfer-encoding: chunked, chunked\r\n"),
        post("transfer-encoding: \x0bchunked\r\n"),
        post("transfer-encoding: identity\r\n"),
        get("x-a : b\r\n"),
        get("x-a: b\r\n folded\r\n"),
        get("x-a: b\x00c\r\n"),
        get("x-a: b\rc\r\n"),
        get("authorization: a\r\nauthorization: b\r\n"),
        get("host: other\r\n"),
        get("").replace("\r\n", "\n"),
        get("").replace("x-forwarded-proto: https\r\n", "x-forwarded-proto: https\n"),
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        format!("GET /a HTTP/1.1 x HTTP/1.1\r\nHost: a\r\n{IDENTITY}\r\n"),
        format!("GET /a#/public HTTP/1.1\r\nHost: a\r\n{IDENTITY}\r\n"),
        format!("GET /%00 HTTP/1.1\r\nHost: a\r\n{IDENTITY}\r\n"),
        format!("GET http://other/ HTTP/1.1\r\nHost: a\r\n{IDENTITY}\r\n"),
        format!("GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n{IDENTITY}\r\n"),
        format!("GET / HTTP/1.1\r\n{IDENTITY}\r\n"),
        format!("GET / HTTP/1.0\r\n{IDENTITY}\r\n"),
        format!("POST / HTTP/1.0\r\nHost: a\r\n{IDENTITY}transfer-encoding: chunked\r\n\r\n"),
        format!("GET / HTTP/2.0\r\nHost: a\r\n{IDENTITY}\r\n"),
    ];
    for head in cases {
        let mut connection = sidecar.connect().await;
        connection.write(format!("{head}{smuggled}")).await;
        let answer = connection.response(false).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "bad_request"),
            "{head:?}"
        );
        assert_eq!(answer.values("connection"), ["close"]);
        assert!(
            connection.read_to_end().await.is_empty(),
            "a second answer to {head:?}"
        );
    }
    assert!(upstream.requests().is_empty(), "{:#?}", upstream.requests());
}

#[tokio::test]
async fn methods_and_expectations_that_are_not_served_have_their_own_status() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    for method in ["TRACE", "TRACK"] {
        let answer = sidecar
            .send(&format!("{method} / HTTP/1.1\r\n{IDENTITY}"))
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (405, "method_not_allowed")
        );
    }
    let connect = "CONNECT claw.example.com:443 HTTP/1.1\r\nHost: claw.example.com:443\r\n\r\n";
    let mut connection = sidecar.connect().await;
    connection.write(connect).await;
    assert_eq!(connection.response(false).await.status, 405);
    let answer = sidecar
        .send(&format!("GET / HTTP/1.1\r\n{IDENTITY}expect: junk\r\n"))
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (417, "expectation_failed")
    );
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn an_upgrade_that_is_no_websocket_is_an_ordinary_request() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    let first = complete(&format!(
        "GET /first HTTP/1.1\r\n{IDENTITY}upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\
         connection: Upgrade, HTTP2-Settings\r\n"
    ));
    let second = complete("GET /second HTTP/1.1\r\n");
    connection.write(format!("{first}{second}")).await;
    assert_eq!(connection.response(false).await.status, 200);
    assert_eq!(connection.response(false).await.status, 401);
    let request = upstream.only();
    for name in ["upgrade", "http2-settings", "connection"] {
        assert!(request.values(name).is_empty(), "{}", request.head);
    }
}

#[tokio::test]
async fn identity_in_trailers_is_dropped() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    connection
        .write(complete(&format!("POST / HTTP/1.1\r\n{IDENTITY}transfer-encoding: chunked\r\ntrailer: x-forwarded-user\r\n")))
        .await;
    connection
        .write("3\r\nabc\r\n0\r\nx-forwarded-user: admin\r\n\r\n")
        .await;
    assert_eq!(connection.response(false).await.status, 200);
    let request = upstream.only();
    assert_eq!(request.body, b"abc");
    assert_eq!(request.values("x-forwarded-user"), ["nick@example.com"]);
    assert!(request.values("trailer").is_empty());
}

#[tokio::test]
async fn a_broken_chunked_body_ends_the_request_and_the_connection() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    for body in [
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "-1\r\n\r\n",
        "zz\r\n\r\n",
    ] {
        let mut connection = sidecar.connect().await;
        connection
            .write(complete(&format!(
                "POST / HTTP/1.1\r\n{IDENTITY}transfer-encoding: chunked\r\n"
            )))
            .await;
        connection.write(body).await;
        let answer = connection.response(false).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "bad_request"),
            "{body:?}"
        );
        assert!(connection.read_to_end().await.is_empty());
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn an_answer_with_two_readings_is_not_passed_on() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nok",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let upstream = Recorder::with_answer(answer).await;
        let sidecar = Setup::new().spawn(&upstream.url());
        let got = sidecar.send(&format!("GET / HTTP/1.1\r\n{IDENTITY}")).await;
        assert_eq!(
            (got.status, got.code().as_str()),
            (502, "upstream_unreachable"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn an_unreachable_upstream_is_a_502_with_a_reason_in_the_log() {
    let sidecar = Setup::new().spawn("http://127.0.0.1:9");
    let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{IDENTITY}")).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "upstream_unreachable")
    );
    let line = sidecar
        .logged(|line| line["message"] == "request failed")
        .await;
    assert!(
        line["error.detail"]
            .as_str()
            .unwrap()
            .contains("127.0.0.1:9"),
        "{line}"
    );
}

#[tokio::test]
async fn http_1_0_clients_get_an_answer_that_ends_with_the_connection() {
    let upstream = Recorder::with_answer(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    )
    .await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    connection
        .write(complete(&format!("GET / HTTP/1.0\r\n{IDENTITY}")))
        .await;
    let answer = connection.response(false).await;
    assert!(answer.head.starts_with("HTTP/1.0 200"), "{}", answer.head);
    assert_eq!(
        (
            answer.body.as_slice(),
            answer.values("transfer-encoding").len()
        ),
        (&b"ok"[..], 0)
    );
}

#[tokio::test]
async fn a_head_request_keeps_the_announced_length_and_the_connection() {
    let upstream = Recorder::with_answer("HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n").await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    for _ in 0..2 {
        let answer = connection
            .exchange(&format!("HEAD / HTTP/1.1\r\n{IDENTITY}"))
            .await;
        assert_eq!(
            (answer.status, answer.values("content-length")),
            (200, vec!["2000"])
        );
    }
}
