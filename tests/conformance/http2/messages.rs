//! Requests as HTTP/2 carries them (RFC 9113 section 8).

use super::*;
use crate::frames::{DATA, END_HEADERS, block};

type Fields = Vec<(&'static str, &'static str)>;

/// A request of these fields, whole.
fn whole(fields: &Fields) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields))
}

/// A request that nobody may take for one, with another field at its end.
fn with(name: &'static str, value: &'static str) -> Vec<u8> {
    let mut fields = request("GET", FORBIDDEN);
    fields.push((name, value));
    whole(&fields)
}

/// The same without one of its fields.
fn without(name: &str) -> Vec<u8> {
    let mut fields = request("GET", FORBIDDEN);
    fields.retain(|field| field.0 != name);
    whole(&fields)
}

/// The same with another value for one of its fields.
fn instead(name: &str, value: &'static str) -> Vec<u8> {
    let fields = request("GET", FORBIDDEN).into_iter();
    let changed = fields.map(|field| match field.0 == name {
        true => (field.0, value),
        false => field,
    });
    whole(&changed.collect())
}

/// The same with a pseudo field doubled.
fn doubled(name: &'static str) -> Vec<u8> {
    let mut fields = request("GET", FORBIDDEN);
    let field = fields.iter().copied().find(|field| field.0 == name);
    fields.insert(0, field.unwrap());
    whole(&fields)
}

/// An upload with these fields beside an ordinary request's, in these pieces, each of
/// them DATA, and trailers.
fn upload(
    path: &'static str,
    more: &[(&'static str, &'static str)],
    pieces: &[&[u8]],
    trailers: Option<&[(&str, &str)]>,
) -> Vec<u8> {
    let mut fields = request("POST", path);
    fields.extend(more);
    let mut sent = frame(HEADERS, END_HEADERS, 1, &block(&fields));
    for (at, piece) in pieces.iter().enumerate() {
        let is_last = trailers.is_none() && at + 1 == pieces.len();
        let flags = if is_last { END_STREAM } else { 0 };
        sent.extend(frame(DATA, flags, 1, piece));
    }
    if let Some(trailers) = trailers {
        let flags = END_HEADERS | END_STREAM;
        sent.extend(frame(HEADERS, flags, 1, &block(trailers)));
    }
    sent
}

#[tokio::test]
async fn a_malformed_request_is_refused_and_the_connection_goes_on() {
    use Due::Refused;
    let mut late = request("GET", FORBIDDEN);
    let path = late.remove(3);
    late.push(path);
    let cases = [
        ("8.2.2", "`connection`", with("connection", "keep-alive")),
        ("8.2.2", "`keep-alive`", with("keep-alive", "timeout=5")),
        (
            "8.2.2",
            "`proxy-connection`",
            with("proxy-connection", "close"),
        ),
        (
            "8.2.2",
            "`transfer-encoding`",
            with("transfer-encoding", "chunked"),
        ),
        ("8.2.2", "`upgrade`", with("upgrade", "websocket")),
        ("8.2.2", "`te` but trailers", with("te", "trailers, gzip")),
        ("8.3", "a pseudo field of answers", with(":status", "200")),
        ("8.3", "a pseudo field behind others", whole(&late)),
        ("8.3.1", "no `:method`", without(":method")),
        ("8.3.1", "no `:scheme`", without(":scheme")),
        ("8.3.1", "no `:path`", without(":path")),
        ("8.3.1", "no `:authority`", without(":authority")),
        ("8.3.1", "an empty `:path`", instead(":path", "")),
        (
            "8.3.1",
            "a `:path` without a slash",
            instead(":path", "forbidden"),
        ),
        ("8.3.1", "two `:method`", doubled(":method")),
        ("8.3.1", "two `:scheme`", doubled(":scheme")),
        ("8.3.1", "two `:authority`", doubled(":authority")),
        ("8.3.1", "two `:path`", doubled(":path")),
        (
            "8.3.1",
            "`host` beside another `:authority`",
            with("host", "b.example.com"),
        ),
        (
            "8.3.1",
            "an `:authority` with userinfo",
            instead(":authority", "a@claw.example.com"),
        ),
        (
            "8.5",
            "`:protocol` without CONNECT",
            with(":protocol", "websocket"),
        ),
    ];
    let cases = cases.map(|(section, title, sent)| case(section, title, sent, Refused(1)));
    hold(cases.into()).await;
}

/// Neither a field nor a name: h2's decoder knows no such thing, and ends the
/// connection. What an identity proxy sends on has been through its own.
#[tokio::test]
async fn a_field_that_is_none_is_refused_with_its_connection() {
    let cases = [
        ("8.2.1", "a name in upper case", with("X-Test", "ok")),
        ("8.2.1", "a name with a space", with("x test", "ok")),
        ("8.2.1", "a name with a control", with("x\x01test", "ok")),
        ("8.2.1", "a name that is empty", with("", "ok")),
        ("8.2.1", "a value with a line feed", with("x-test", "a\nb")),
        (
            "8.2.1",
            "a value with a carriage return",
            with("x-test", "a\rb"),
        ),
        ("8.2.1", "a value with a NUL", with("x-test", "a\0b")),
        ("8.3", "an unknown pseudo field", with(":test", "ok")),
        (
            "8.2.1",
            "upper case in trailers",
            upload(FORBIDDEN, &[], &[b"ab"], Some(&[("X-Test", "ok")])),
        ),
    ];
    let why = "h2 takes it for a field block that can't be decoded";
    let cases = cases.map(|(section, title, sent)| {
        case(section, title, sent, Due::Refused(1)).departs(PROTOCOL, why)
    });
    hold(cases.into()).await;
}

#[tokio::test]
async fn a_request_whose_end_is_malformed_is_reset_or_refused() {
    use Due::Refused;
    const FOUR: &[(&str, &str)] = &[("content-length", "4")];
    let headers_again = [
        upload("/", &[], &[], None),
        frame(HEADERS, END_HEADERS, 1, &block(&[("x-test", "ok")])),
    ];
    hold(vec![
        case(
            "8.1",
            "a second HEADERS that ends nothing",
            headers_again.concat(),
            Refused(1),
        ),
        case(
            "8.1.1",
            "less than `content-length`",
            upload("/", FOUR, &[b"ab"], None),
            Refused(1),
        ),
        case(
            "8.1.1",
            "more than `content-length`",
            upload("/", FOUR, &[b"ab", b"cde"], None),
            Refused(1),
        ),
        case(
            "8.1.1",
            "less than `content-length`, with trailers",
            upload("/", FOUR, &[b"ab"], Some(&[("x-test", "ok")])),
            Refused(1),
        ),
        case(
            "8.1",
            "a pseudo field in trailers",
            upload("/", &[], &[b"ab"], Some(&[(":method", "GET")])),
            Refused(1),
        )
        .departs(Due::Answer(1), "trailers are dropped, this one with them"),
    ])
    .await;
}

#[tokio::test]
async fn well_formed_requests_are_answered() {
    use Due::Answer;
    let mut split_cookie = request("GET", "/");
    split_cookie.extend([("cookie", "a=b"), ("cookie", "c=d")]);
    let mut te = request("GET", "/");
    te.push(("te", "trailers"));
    let mut host = request("GET", "/");
    host.push(("host", "claw.example.com"));
    let mut host_alone = request("GET", "/");
    host_alone.retain(|field| field.0 != ":authority");
    host_alone.push(("host", "claw.example.com"));
    let trailers = Some(&[("x-test", "ok")][..]);
    let length = &[("content-length", "4")];
    hold(vec![
        case("8.1", "GET", whole(&request("GET", "/")), Answer(1)),
        case("8.1", "DELETE", whole(&request("DELETE", "/")), Answer(1)),
        case(
            "8.1",
            "POST with trailers",
            upload("/", &[], &[b"ab", b"cd"], trailers),
            Answer(1),
        ),
        case(
            "8.1.1",
            "as much as `content-length` in two pieces",
            upload("/", length, &[b"ab", b"cd"], None),
            Answer(1),
        ),
        case(
            "8.1",
            "a body that ends with an empty DATA",
            upload("/", length, &[b"abcd", b""], None),
            Answer(1),
        ),
        case("8.2.2", "`te: trailers`", whole(&te), Answer(1)),
        case(
            "8.2.3",
            "a cookie in crumbs",
            whole(&split_cookie),
            Answer(1),
        ),
        case("8.3.1", "`host` as `:authority`", whole(&host), Answer(1)),
        case(
            "8.3.1",
            "`host` instead of `:authority`",
            whole(&host_alone),
            Answer(1),
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_cookie_in_crumbs_reaches_the_upstream_as_one() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let mut client = Client::greeted(&sidecar, &[]).await;
    let mut fields = request("GET", "/");
    fields.extend([("cookie", "a=b"), ("cookie", "c=d")]);
    client.send(&whole(&fields)).await;
    assert!(client.until(|seen| seen.is_answered(1)).await);
    // RFC 9113 section 8.2.3: joined with "; " where HTTP/1.1 carries it on.
    assert_eq!(upstream.nth(1).await.values("cookie"), ["a=b; c=d"]);
}
