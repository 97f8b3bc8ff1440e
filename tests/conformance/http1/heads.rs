//! Request lines, targets, hosts and fields (RFC 9112 sections 2 to 5).

use super::Then::{Closes, GoesOn};
use super::{Case, case, hold};

const STRICT: &str = "what has two readings is refused, where a recipient may be lenient";

#[rustfmt::skip] // a row a line
const LINES: &[Case] = &[
    case("2.2", "one empty line before a request", "\r\nGET / HTTP/1.1\r\n{host}{identity}\r\n", &[200], GoesOn),
    case("2.2", "two empty lines before a request", "\r\n\r\nGET / HTTP/1.1\r\n{host}{identity}\r\n", &[200], GoesOn),
    case("2.2", "three empty lines before a request", "\r\n\r\n\r\nGET /forbidden HTTP/1.1\r\n{host}{identity}\r\n", &[400], Closes)
        .departs("at least one is to be passed over; so many come from no client"),
    case("2.2", "lines that end in LF alone", "GET /forbidden HTTP/1.1\nHost: a\nx-forwarded-user: nick@example.com\n\n", &[400], Closes).departs(STRICT),
    case("2.2", "a bare CR in a value", "GET /forbidden HTTP/1.1\r\n{host}{identity}x-a: b\rc\r\n\r\n", &[400], Closes),
    case("2.2", "white space before the first field", "GET /forbidden HTTP/1.1\r\n {host}{identity}\r\n", &[400], Closes),
    case("2.3", "HTTP/1.0 in lower case", "GET /forbidden http/1.1\r\n{host}{identity}\r\n", &[400], Closes),
    case("2.3", "a later minor version", "GET /forbidden HTTP/1.2\r\n{host}{identity}\r\n", &[400], Closes)
        .departs("9110 section 2.5 would have it read as 1.1; there is none, and who says so probes"),
    case("2.3", "HTTP/2.0 in words", "GET /forbidden HTTP/2.0\r\n{host}{identity}\r\n", &[400], Closes)
        .departs("505 would say that it is meant; a parser that fails says 400"),
    case("2.3", "HTTP/0.9", "GET /forbidden\r\n\r\n", &[400], Closes),
    case("3", "two spaces in the line", "GET  /forbidden HTTP/1.1\r\n{host}{identity}\r\n", &[400], Closes).departs(STRICT),
    case("3", "a tab in the line", "GET\t/forbidden HTTP/1.1\r\n{host}{identity}\r\n", &[400], Closes).departs(STRICT),
    case("3", "a space at the line's end", "GET /forbidden HTTP/1.1 \r\n{host}{identity}\r\n", &[400], Closes).departs(STRICT),
    case("3", "a space in the target", "GET /forbidden x HTTP/1.1\r\n{host}{identity}\r\n", &[400], Closes),
    case("3.1", "a method that is no token", "GE(T /forbidden HTTP/1.1\r\n{host}{identity}\r\n", &[400], Closes),
    case("3.1", "a method that nobody knows", "BREW / HTTP/1.1\r\n{host}{identity}\r\n", &[200], GoesOn),
    case("3.1", "methods have a case", "get / HTTP/1.1\r\n{host}{identity}\r\n", &[200], GoesOn),
    case("3.2.1", "an origin without a slash", "GET forbidden HTTP/1.1\r\n{host}{identity}\r\n", &[400], Closes),
    case("3.2.1", "a fragment", "GET /forbidden#a HTTP/1.1\r\n{host}{identity}\r\n", &[400], Closes),
    case("3.2.2", "an absolute target", "GET http://claw.example.com/a HTTP/1.1\r\n{host}{identity}\r\n", &[200], GoesOn),
    case("3.2.2", "an absolute target of another host", "GET http://b/forbidden HTTP/1.1\r\n{host}{identity}\r\n", &[400], Closes)
        .departs("`Host` is to be ignored then; two hosts are two readings"),
    case("3.2.3", "CONNECT", "CONNECT claw.example.com:443 HTTP/1.1\r\n{host}{identity}\r\n", &[405], Closes),
    case("3.2.4", "OPTIONS *", "OPTIONS * HTTP/1.1\r\n{host}{identity}\r\n", &[400], Closes)
        .departs("policy and public routes are about paths, and the gateway has no use for it"),
    case("9110 9.3.7", "OPTIONS of a path", "OPTIONS / HTTP/1.1\r\n{host}{identity}\r\n", &[200], GoesOn),
    case("9110 9.3.8", "TRACE", "TRACE /forbidden HTTP/1.1\r\n{host}{identity}\r\n", &[405], Closes),
];

#[tokio::test]
async fn request_lines_are_read_by_the_letter() {
    hold(LINES).await;
}

#[rustfmt::skip] // a row a line
const HOSTS: &[Case] = &[
    case("3.2", "no `Host`", "GET /forbidden HTTP/1.1\r\n{identity}\r\n", &[400], Closes),
    case("3.2", "two `Host`", "GET /forbidden HTTP/1.1\r\n{host}{host}{identity}\r\n", &[400], Closes),
    case("3.2", "no host in `Host`", "GET /forbidden HTTP/1.1\r\nHost: a/b\r\n{identity}\r\n", &[400], Closes),
    case("3.2", "userinfo in `Host`", "GET /forbidden HTTP/1.1\r\nHost: a@b\r\n{identity}\r\n", &[400], Closes),
    case("3.2", "two hosts in `Host`", "GET /forbidden HTTP/1.1\r\nHost: a, b\r\n{identity}\r\n", &[400], Closes),
    case("3.2", "a port in `Host`", "GET / HTTP/1.1\r\nHost: a:8443\r\n{identity}\r\n", &[200], GoesOn),
    case("3.2", "an IPv6 address in `Host`", "GET / HTTP/1.1\r\nHost: [::1]:8443\r\n{identity}\r\n", &[200], GoesOn),
    case("3.2", "an empty `Host`", "GET /forbidden HTTP/1.1\r\nHost: \r\n{identity}\r\n", &[400], Closes)
        .departs("only for a target without an authority, which no http URI is"),
    case("9110 2.5", "HTTP/1.0 without `Host`", "GET /forbidden HTTP/1.0\r\n{identity}\r\n", &[400], Closes)
        .departs("`x-forwarded-host` is made of it"),
];

#[tokio::test]
async fn there_is_one_host() {
    hold(HOSTS).await;
}

#[rustfmt::skip] // a row a line
const FIELDS: &[Case] = &[
    case("5.1", "white space before the colon", "GET /forbidden HTTP/1.1\r\n{host}{identity}x-a : b\r\n\r\n", &[400], Closes),
    case("5.1", "a field without a name", "GET /forbidden HTTP/1.1\r\n{host}{identity}: b\r\n\r\n", &[400], Closes),
    case("5.1", "a field without a colon", "GET /forbidden HTTP/1.1\r\n{host}{identity}x-a\r\n\r\n", &[400], Closes),
    case("5.1", "a name that is no token", "GET /forbidden HTTP/1.1\r\n{host}{identity}x(a): b\r\n\r\n", &[400], Closes),
    case("5.1", "white space around a value", "GET / HTTP/1.1\r\n{host}{identity}x-a: \t b \t\r\n\r\n", &[200], GoesOn),
    case("5.1", "no white space around a value", "GET / HTTP/1.1\r\n{host}{identity}x-a:b\r\n\r\n", &[200], GoesOn),
    case("5.1", "an empty value", "GET / HTTP/1.1\r\n{host}{identity}x-a:\r\n\r\n", &[200], GoesOn),
    case("5.2", "a folded line", "GET /forbidden HTTP/1.1\r\n{host}{identity}x-a: b\r\n c\r\n\r\n", &[400], Closes),
    case("9110 5.5", "a NUL in a value", "GET /forbidden HTTP/1.1\r\n{host}{identity}x-a: b\0c\r\n\r\n", &[400], Closes),
    case("9110 5.5", "another control in a value", "GET /forbidden HTTP/1.1\r\n{host}{identity}x-a: b\x01c\r\n\r\n", &[400], Closes),
    case("9110 5.5", "a value beyond ASCII", "GET / HTTP/1.1\r\n{host}{identity}x-a: b\u{fc}c\r\n\r\n", &[200], GoesOn),
    case("9110 5.3", "a field that comes twice", "GET / HTTP/1.1\r\n{host}{identity}x-a: b\r\nx-a: c\r\n\r\n", &[200], GoesOn),
    case("9110 7.8", "an upgrade that nobody serves", "GET / HTTP/1.1\r\n{host}{identity}connection: upgrade\r\nupgrade: foo/1\r\n\r\n", &[200], GoesOn),
    case("9110 10.1.1", "an expectation that nobody meets", "POST /forbidden HTTP/1.1\r\n{host}{identity}expect: foo\r\ncontent-length: 2\r\n\r\nab", &[417], Closes),
];

#[tokio::test]
async fn fields_are_read_by_the_letter() {
    hold(FIELDS).await;
}
