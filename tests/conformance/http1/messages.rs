//! Bodies and connections (RFC 9112 sections 6, 7 and 9).

use super::Then::{Closes, GoesOn};
use super::{Case, case, hold};

const NO_501: &str =
    "501 is for a coding that could be asked for elsewhere; the message is refused either way";

#[rustfmt::skip] // a row a line
const LENGTHS: &[Case] = &[
    case("6.2", "a length", "POST / HTTP/1.1\r\n{host}{identity}content-length: 2\r\n\r\nab", &[200], GoesOn),
    case("6.2", "a length of nothing", "POST / HTTP/1.1\r\n{host}{identity}content-length: 0\r\n\r\n", &[200], GoesOn),
    case("6.3", "neither length nor coding: no body", "POST / HTTP/1.1\r\n{host}{identity}\r\n", &[200], GoesOn),
    case("6.3", "a GET may have a body", "GET / HTTP/1.1\r\n{host}{identity}content-length: 2\r\n\r\nab", &[200], GoesOn),
    case("6.3", "two lengths that differ", "POST /forbidden HTTP/1.1\r\n{host}{identity}content-length: 2\r\ncontent-length: 3\r\n\r\nab", &[400], Closes),
    case("6.3", "two lengths that agree", "POST /forbidden HTTP/1.1\r\n{host}{identity}content-length: 2, 2\r\n\r\nab", &[400], Closes),
    case("6.3", "a length with a sign", "POST /forbidden HTTP/1.1\r\n{host}{identity}content-length: +2\r\n\r\nab", &[400], Closes),
    case("6.3", "a length in hexadecimal", "POST /forbidden HTTP/1.1\r\n{host}{identity}content-length: 0x2\r\n\r\nab", &[400], Closes),
    case("6.3", "no length in its field", "POST /forbidden HTTP/1.1\r\n{host}{identity}content-length:\r\n\r\n", &[400], Closes),
    case("6.3", "a length that nothing could have", "POST /forbidden HTTP/1.1\r\n{host}{identity}content-length: 99999999999999999999\r\n\r\nab", &[400], Closes),
    case("6.3", "length and coding", "POST /forbidden HTTP/1.1\r\n{host}{identity}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", &[400], Closes),
    case("6.1", "a coding in HTTP/1.0", "POST /forbidden HTTP/1.0\r\n{host}{identity}transfer-encoding: chunked\r\n\r\n0\r\n\r\n", &[400], Closes),
    case("6.1", "an unknown coding", "POST /forbidden HTTP/1.1\r\n{host}{identity}transfer-encoding: foo\r\n\r\n", &[400], Closes).departs(NO_501),
    case("6.1", "another coding before chunked", "POST /forbidden HTTP/1.1\r\n{host}{identity}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", &[400], Closes).departs(NO_501),
    case("6.3", "chunked, but not last", "POST /forbidden HTTP/1.1\r\n{host}{identity}transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n", &[400], Closes),
    case("6.1", "chunked twice", "POST /forbidden HTTP/1.1\r\n{host}{identity}transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n", &[400], Closes),
];

#[tokio::test]
async fn the_length_of_a_body_has_one_reading() {
    hold(LENGTHS).await;
}

/// A body that turns out broken has its head at the upstream already; what counts is
/// that it never gets there whole, which the upstream's record shows.
#[rustfmt::skip] // a row a line
const CHUNKS: &[Case] = &[
    case("7.1", "chunks", "POST / HTTP/1.1\r\n{host}{identity}transfer-encoding: chunked\r\n\r\n2\r\nab\r\n0A\r\n0123456789\r\n0\r\n\r\n", &[200], GoesOn),
    case("7.1", "nothing in chunks", "POST / HTTP/1.1\r\n{host}{identity}transfer-encoding: chunked\r\n\r\n0\r\n\r\n", &[200], GoesOn),
    case("7", "codings have no case", "POST / HTTP/1.1\r\n{host}{identity}transfer-encoding: Chunked\r\n\r\n0\r\n\r\n", &[200], GoesOn),
    case("7.1", "zeros before a size and in the last", "POST / HTTP/1.1\r\n{host}{identity}transfer-encoding: chunked\r\n\r\n002\r\nab\r\n000\r\n\r\n", &[200], GoesOn),
    case("7.1.1", "extensions are passed over", "POST / HTTP/1.1\r\n{host}{identity}transfer-encoding: chunked\r\n\r\n2;a=b;c=\"d e\"\r\nab\r\n0;x\r\n\r\n", &[200], GoesOn),
    case("7.1.2", "trailers are dropped", "POST / HTTP/1.1\r\n{host}{identity}transfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx-forwarded-user: ada@example.com\r\n\r\n", &[200], GoesOn),
    case("7.1", "a size that is no number", "POST /forbidden HTTP/1.1\r\n{host}{identity}transfer-encoding: chunked\r\n\r\nxyz\r\nab\r\n0\r\n\r\n", &[400], Closes),
    case("7.1", "a size with 0x", "POST /forbidden HTTP/1.1\r\n{host}{identity}transfer-encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n", &[400], Closes),
    case("7.1", "a size that nothing could have", "POST /forbidden HTTP/1.1\r\n{host}{identity}transfer-encoding: chunked\r\n\r\n10000000000000002\r\nab\r\n0\r\n\r\n", &[400], Closes),
    case("7.1", "white space behind a size", "POST /forbidden HTTP/1.1\r\n{host}{identity}transfer-encoding: chunked\r\n\r\n2 \r\nab\r\n0\r\n\r\n", &[400], Closes),
    case("7.1", "a size that ends in LF alone", "POST /forbidden HTTP/1.1\r\n{host}{identity}transfer-encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n", &[400], Closes),
    case("7.1", "more data than the size says", "POST /forbidden HTTP/1.1\r\n{host}{identity}transfer-encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", &[400], Closes),
    case("7.1", "no line end behind the data", "POST /forbidden HTTP/1.1\r\n{host}{identity}transfer-encoding: chunked\r\n\r\n2\r\nab0\r\n\r\n", &[400], Closes),
];

#[tokio::test]
async fn chunks_are_read_by_the_letter() {
    hold(CHUNKS).await;
}

#[rustfmt::skip] // a row a line
const CONNECTIONS: &[Case] = &[
    case("9.3", "1.1 goes on", "GET / HTTP/1.1\r\n{host}{identity}\r\n", &[200], GoesOn),
    case("9.3", "1.0 closes", "GET / HTTP/1.0\r\n{host}{identity}\r\n", &[200], Closes),
    case("9.3", "1.0 goes on where it is asked to", "GET / HTTP/1.0\r\n{host}{identity}connection: keep-alive\r\n\r\n", &[200], GoesOn),
    case("9.6", "1.1 closes where it is asked to", "GET / HTTP/1.1\r\n{host}{identity}connection: Close\r\n\r\n", &[200], Closes),
    case("9.6", "`close` among others", "GET / HTTP/1.1\r\n{host}{identity}connection: keep-alive, close\r\n\r\n", &[200], Closes),
    case("9.3.2", "three requests at once", "GET /a HTTP/1.1\r\n{host}{identity}\r\nPOST /b HTTP/1.1\r\n{host}{identity}content-length: 2\r\n\r\nabGET /c HTTP/1.1\r\n{host}{identity}\r\n", &[200, 200, 200], GoesOn),
    case("9.3.2", "the second of which is refused, and the last", "GET /a HTTP/1.1\r\n{host}{identity}\r\nGET /forbidden HTTP/1.1\r\n{host}\r\nGET /forbidden?x HTTP/1.0\r\n{host}\r\n", &[200, 401, 401], Closes),
    case("9.3.2", "nothing behind a request that closes", "GET /a HTTP/1.1\r\n{host}{identity}connection: close\r\n\r\nGET /forbidden HTTP/1.1\r\n{host}{identity}\r\n", &[200], Closes),
    case("9.3.2", "nothing behind one that can't be read", "GET /forbidden HTTP/1.1\r\nbad\r\n\r\nGET /forbidden HTTP/1.1\r\n{host}{identity}\r\n", &[400], Closes),
    case("9110 10.1.1", "100-continue of 1.0 is passed over", "POST / HTTP/1.0\r\n{host}{identity}expect: 100-continue\r\ncontent-length: 2\r\n\r\nab", &[200], Closes),
];

#[tokio::test]
async fn connections_go_on_or_close_as_they_say() {
    hold(CONNECTIONS).await;
}
