use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Result<String, HeadError> {
    read_bytes(text.as_bytes())
}

fn read_bytes(bytes: &[u8]) -> Result<String, HeadError> {
    let mut fields = FieldList::default();
    parse(bytes, 100, &mut fields).map(|head| {
        format!(
            "{} {} {} {:?} {:?} {:?}",
            head.method,
            head.target,
            head.host.as_str(),
            head.framing,
            head.persistence,
            head.upgrade
        )
    })
}

#[test]
fn reads_what_clients_send() {
    let cases = [
        (
            "GET /a?b=%20 HTTP/1.1\r\nHost: h:80\r\n\r\n",
            "GET /a?b=%20 h:80 Empty KeepAlive None",
        ),
        (
            "GET / HTTP/1.0\r\nHost: h\r\n\r\n",
            "GET / h Empty Close None",
        ),
        (
            "GET / HTTP/1.0\r\nHost: h\r\nConnection: Keep-Alive\r\n\r\n",
            "GET / h Empty KeepAlive None",
        ),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n",
            "POST / h Length(5) KeepAlive None",
        ),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: a, close\r\n\r\n",
            "POST / h Empty Close None",
        ),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n",
            "POST / h Chunked KeepAlive None",
        ),
        (
            "GET http://H/a HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /a h Empty KeepAlive None",
        ),
        (
            "GET https://h HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET / h Empty KeepAlive None",
        ),
        (
            "GET /..%2f//x\\y HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /..%2f//x\\y h Empty KeepAlive None",
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n",
            "GET / h Empty KeepAlive None",
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
            "GET / h Empty KeepAlive None",
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            "GET / h Empty KeepAlive Websocket",
        ),
    ];
    for (head, expected) in cases {
        assert_eq!(read(head).as_deref(), Ok(expected), "{head:?}");
    }
}

#[test]
fn refuses_what_has_two_readings() {
    let with = |line: &str, fields: &str| format!("{line}\r\nHost: h\r\n{fields}\r\n");
    let get = "GET / HTTP/1.1";
    let post = "POST / HTTP/1.1";
    let websocket = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let cases = [
        with(get, "Host: h\r\n"),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n".to_owned(),
        with(post, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        with(post, "Content-Length: 5\r\nContent-Length: 5\r\n"),
        with(post, "Content-Length: +5\r\n"),
        with(post, "Content-Length: 5,5\r\n"),
        with(post, "Content-Length: 5, 6\r\n"),
        with(post, "Content-Length: 0x5\r\n"),
        with(post, "Content-Length: \r\n"),
        with(post, "Content-Length: 99999999999999999999\r\n"),
        with(post, "Transfer-Encoding: gzip, chunked\r\n"),
        with(post, "Transfer-Encoding: chunked, chunked\r\n"),
        with(
            post,
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ),
        with(post, "Transfer-Encoding: \u{b}chunked\r\n"),
        with(post, "Transfer-Encoding: identity\r\n"),
        with("POST / HTTP/1.0", "Transfer-Encoding: chunked\r\n"),
        with(get, "Authorization: a\r\nauthorization: b\r\n"),
        with(get, "X-A : b\r\n"),
        with(get, "X-A: b\r\n folded\r\n"),
        with(get, "X-A: b\u{0}c\r\n"),
        with(get, "X-A: b\rc\r\n"),
        with("GET /a HTTP/1.1 x HTTP/1.1", ""),
        with("GET /a#/public HTTP/1.1", ""),
        with("GET /a%00b HTTP/1.1", ""),
        with("GET http://other/ HTTP/1.1", ""),
        with("GET http://u@h/ HTTP/1.1", ""),
        with("GET ftp://h/ HTTP/1.1", ""),
        with("GET a HTTP/1.1", ""),
        with("OPTIONS * HTTP/1.1", ""),
        with("GET / HTTP/2.0", ""),
        with("GET  / HTTP/1.1", ""),
        with(
            get,
            &format!("{websocket}Sec-WebSocket-Version: 13\r\nContent-Length: 5\r\n"),
        ),
        with(
            get,
            &format!("{websocket}Sec-WebSocket-Version: 13\r\nTransfer-Encoding: chunked\r\n"),
        ),
        with(get, &format!("{websocket}Sec-WebSocket-Version: 8\r\n")),
        with(post, &format!("{websocket}Sec-WebSocket-Version: 13\r\n")),
        with(
            get,
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
        ),
    ];
    for head in cases {
        assert!(
            matches!(read(&head), Err(Malformed(_))),
            "{head:?}: {:?}",
            read(&head)
        );
    }
    assert!(matches!(
        read_bytes(b"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n"),
        Err(Malformed(_))
    ));
}

#[test]
fn refuses_methods_and_expectations_by_name() {
    for method in ["TRACE", "TRACK", "trace", "CONNECT"] {
        let head = format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(read(&head), Err(HeadError::MethodNotAllowed));
    }
    assert_eq!(
        read("GET / HTTP/1.1\r\nHost: h\r\nExpect: junk\r\n\r\n"),
        Err(HeadError::ExpectationFailed)
    );
    assert!(read("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\n\r\n").is_ok());
}

#[test]
fn refuses_more_fields_than_allowed() {
    let head = format!(
        "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
        "A: b\r\n".repeat(100)
    );
    assert_eq!(read(&head), Err(HeadError::TooManyFields));
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_bytes(&bytes);
    }

    #[test]
    fn reads_no_head_whose_host_or_framing_is_doubled(
        name in prop_oneof![Just("hOst"), Just("Content-length"), Just("TRANSFER-encoding")],
        value in prop_oneof![Just("h"), Just("5"), Just("chunked")],
    ) {
        let head = format!("POST / HTTP/1.1\r\nHost: h\r\n{name}: {value}\r\n{name}: {value}\r\n\r\n");
        prop_assert!(read(&head).is_err());
    }
}
