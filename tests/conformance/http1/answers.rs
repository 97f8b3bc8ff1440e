//! Answers without a body, and those that come before the last one.

use super::fill;
use crate::client::Connection;
use crate::recorder::Recorder;
use crate::sidecar::Setup;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// One request, answered like this by the upstream, and another on the same connection:
/// their statuses, the first one's body, and its length field.
async fn two(method: &str, answer: &'static str) -> (u16, Vec<u8>, Vec<String>, u16) {
    let upstream = Recorder::with_answer(answer).await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = Connection::tcp(sidecar.address).await;
    let request = fill(&format!("{method} / HTTP/1.1\r\n{{host}}{{identity}}\r\n"));
    connection.write(&request).await;
    let first = connection.response(method == "HEAD").await;
    connection.write(&request).await;
    let second = connection.response(method == "HEAD").await;
    let lengths = first.values("content-length").into_iter();
    let lengths = lengths.map(str::to_owned).collect();
    (first.status, first.body, lengths, second.status)
}

#[tokio::test]
async fn head_has_the_length_and_not_the_body() {
    let got = two("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await;
    assert_eq!(got, (200, vec![], vec!["2".to_owned()], 200));
}

#[tokio::test]
async fn answers_that_have_no_body_have_none() {
    // RFC 9110 section 8.6: no length with 204, the one of a 200 with 304.
    let got = two("GET", "HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(got, (204, vec![], vec![], 204));
    let got = two(
        "GET",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 2\r\n\r\n",
    )
    .await;
    assert_eq!((got.0, got.1, got.3), (304, vec![], 304));
}

/// RFC 9110 section 15.2 would have a proxy pass interim answers on. Here those that
/// the client didn't ask for are dropped: the gateway sends none, and a client that
/// takes 103 for the answer would be one behind from there on.
#[tokio::test]
async fn of_interim_answers_the_last_one_alone_is_passed_on() {
    let answer = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let got = two("GET", answer).await;
    assert_eq!((got.0, got.1, got.3), (200, b"ok".to_vec(), 200));
}

/// RFC 9110 section 10.1.1: the proxy asks its upstream, and passes on what it says.
#[tokio::test]
async fn a_client_that_waits_for_100_is_told_to_go_on() {
    let upstream = Recorder::with_handler(|mut stream, head| async move {
        assert!(
            head.to_ascii_lowercase().contains("expect: 100-continue"),
            "{head}"
        );
        stream
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            .await
            .unwrap();
        let mut body = [0; 2];
        stream.read_exact(&mut body).await.unwrap();
        let answer = [&b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"[..], &body].concat();
        stream.write_all(&answer).await.unwrap();
    })
    .await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = Connection::tcp(sidecar.address).await;
    let head = fill(
        "POST / HTTP/1.1\r\n{host}{identity}expect: 100-continue\r\ncontent-length: 2\r\n\r\n",
    );
    connection.write(head).await;
    assert_eq!(connection.response(false).await.status, 100);
    connection.write("ab").await;
    let last = connection.response(false).await;
    assert_eq!((last.status, last.body.as_slice()), (200, &b"ab"[..]));
}

#[tokio::test]
async fn a_405_says_what_is_allowed() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = Connection::tcp(sidecar.address).await;
    let request = fill("TRACE / HTTP/1.1\r\n{host}{identity}\r\n");
    connection.write(request).await;
    let answer = connection.response(false).await;
    // RFC 9110 section 15.5.6.
    assert_eq!((answer.status, answer.values("allow").len()), (405, 1));
}
