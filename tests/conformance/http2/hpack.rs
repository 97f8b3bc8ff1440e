//! Field compression (RFC 7541).

use super::*;
use crate::frames::{END_HEADERS, block};

/// A permitted request, with these bytes of HPACK before or behind its fields.
fn get(before: &[u8], behind: &[u8]) -> Vec<u8> {
    let block = [before, &block(&request("GET", "/")), behind].concat();
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)
}

/// Which must not be taken for one.
fn broken(before: &[u8], behind: &[u8]) -> Vec<u8> {
    let block = [before, &block(&request("GET", FORBIDDEN)), behind].concat();
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)
}

#[tokio::test]
async fn every_representation_is_read() {
    let cases = [
        ("6.1", "an indexed field", get(b"", b"\x90")),
        (
            "6.2.1",
            "indexing, a name of the table",
            get(b"", b"\x7a\x06h2spec"),
        ),
        (
            "6.2.1",
            "indexing, a name of the table, Huffman",
            get(b"", b"\x7a\x85\x9c\xa3\x90\xb6\x7f"),
        ),
        (
            "6.2.1",
            "indexing, a new name, and named again",
            get(b"", b"\x40\x06x-test\x02ok\xbe"),
        ),
        (
            "6.2.1",
            "indexing, a new name, Huffman",
            get(b"", b"\x40\x85\xf2\xb4\xa8\x49\x7f\x85\x9c\xa3\x90\xb6\x7f"),
        ),
        (
            "6.2.2",
            "no indexing, a name of the table",
            get(b"", b"\x0f\x2b\x06h2spec"),
        ),
        (
            "6.2.3",
            "never indexed, a name of the table",
            get(b"", b"\x1f\x2b\x06h2spec"),
        ),
        (
            "6.2.3",
            "never indexed, a new name",
            get(b"", b"\x10\x06x-test\x02ok"),
        ),
        ("6.3", "a size for the table", get(b"\x20", b"")),
        (
            "6.3",
            "two sizes for the table",
            get(b"\x20\x3f\xe1\x1f", b""),
        ),
        ("5.2", "an empty value", get(b"", b"\x00\x06x-test\x00")),
    ];
    let cases = cases.map(|(section, title, sent)| case(section, title, sent, Due::Answer(1)));
    hold(cases.into()).await;
}

#[tokio::test]
async fn what_can_t_be_decoded_ends_the_connection() {
    let cases = [
        ("2.3.3", "an index beyond both tables", broken(b"", b"\xc6")),
        (
            "2.3.3",
            "a name's index beyond both tables",
            broken(b"", b"\x7f\x80\x01\x02ok"),
        ),
        ("6.1", "the index 0", broken(b"", b"\x80")),
        (
            "4.2",
            "a size for the table at the end",
            broken(b"", b"\x3f\xe1\x1f"),
        ),
        (
            "6.3",
            "a size above the one agreed on",
            broken(b"\x3f\xe2\x1f", b""),
        ),
        (
            "5.1",
            "an integer that doesn't end",
            broken(b"", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        ),
        (
            "5.2",
            "Huffman padded by more than seven bits",
            broken(b"", b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"),
        ),
        (
            "5.2",
            "Huffman padded with zeros",
            broken(b"", b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"),
        ),
        (
            "5.2",
            "Huffman with the end-of-string symbol",
            broken(
                b"",
                b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f",
            ),
        ),
        (
            "5.2",
            "a string beyond its block",
            broken(b"", b"\x00\x06x-test\x7fok"),
        ),
    ];
    let error = Due::ConnectionError(&[COMPRESSION_ERROR]);
    let cases = cases.map(|(section, title, sent)| {
        case(section, title, sent, error).departs(PROTOCOL, ONE_CODE)
    });
    hold(cases.into()).await;
}
