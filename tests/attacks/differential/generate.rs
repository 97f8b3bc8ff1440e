//! Connections of a client that means no good: requests that are nearly right, one
//! behind the other, and bytes changed in them.

use proptest::prelude::*;
use proptest::sample::select;

const NAMES: [&str; 12] = [
    "x-forwarded-user",
    "x-forwarded-proto",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-email",
    "x-real-ip",
    "x-openclaw-scopes",
    "remote-user",
    "forwarded",
    "connection",
    "authorization",
];

const VALUES: [&str; 14] = [
    "nick@example.com",
    "ada@example.com",
    "eve@example.com",
    "Nick@Example.com",
    "nick@example.com, eve@example.com",
    "",
    " ",
    "https",
    "http, https",
    "203.0.113.7",
    "127.0.0.1, 10.0.0.1",
    "for=203.0.113.66",
    "x-forwarded-user, x-forwarded-for, close",
    "operator.admin",
];

const LAST: &[u8] = b"GET /end HTTP/1.1\r\nHost: claw.example.com\r\nConnection: close\r\n\
    x-forwarded-user: nick@example.com\r\nx-forwarded-proto: https\r\n\r\n";

/// What is put into the bytes of a connection.
const SPLINTERS: [&str; 12] = [
    "\r",
    "\n",
    "\r\n",
    "\0",
    "\u{b}",
    " ",
    ":",
    ",",
    "\r\n ",
    "0\r\n\r\n",
    "x-forwarded-user: eve@example.com\r\n",
    "GET /in HTTP/1.1\r\nHost: a\r\n",
];

/// All that a client sends on a connection.
pub(super) fn connection() -> impl Strategy<Value = Vec<u8>> {
    let requests = proptest::collection::vec(request(), 1..4);
    let changes = prop_oneof![
        2 => Just(Vec::new()),
        3 => proptest::collection::vec(change(), 1..3),
        // Nothing of a request but its bytes.
        1 => proptest::collection::vec(change(), 10..20),
    ];
    (requests, changes).prop_map(|(requests, changes)| {
        let mut bytes = requests.concat();
        for change in changes {
            change.apply(&mut bytes);
        }
        // Where everything before it was understood, it ends the connection.
        bytes.extend_from_slice(LAST);
        bytes
    })
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        6 => Just("GET / HTTP/1.1"),
        6 => Just("POST /a?b HTTP/1.1"),
        1 => select(&["GET http://claw.example.com/ HTTP/1.1", "GET /x HTTP/1.0", "TRACE / HTTP/1.1", "GET /#a HTTP/1.1"][..]),
    ];
    let identity = prop_oneof![
        8 => Just("x-forwarded-user: nick@example.com\r\nx-forwarded-proto: https\r\n"),
        2 => Just("X-Forwarded-User: ada@example.com\r\nX-Forwarded-Proto: http\r\n"),
        1 => Just("x-forwarded-proto: https\r\n"),
    ];
    let fields = prop_oneof![
        2 => Just(Vec::new()),
        3 => proptest::collection::vec(field(), 1..4),
    ];
    (line, identity, fields, body()).prop_map(|(line, identity, fields, body)| {
        let fields = fields.concat();
        format!("{line}\r\nHost: claw.example.com\r\n{identity}{fields}{body}").into_bytes()
    })
}

/// A field of ours under some spelling, or one that means nothing.
fn field() -> impl Strategy<Value = String> {
    let name = (select(&NAMES[..]), any::<u32>(), 0..24_u8).prop_map(|(name, upper, odd)| {
        let letters = name.chars().enumerate().map(|(at, char)| match char {
            '-' if odd == 0 => '_',
            '-' if odd == 1 => '.',
            char if upper >> (at % 32) & 1 == 1 => char.to_ascii_uppercase(),
            char => char,
        });
        let end = if odd == 2 { " " } else { "" };
        letters.collect::<String>() + end
    });
    prop_oneof![
        3 => (name, select(&VALUES[..])).prop_map(|(name, value)| format!("{name}: {value}\r\n")),
        2 => "[a-z]{1,8}: [ -~]{0,20}\r\n",
    ]
}

/// The end of a head, and what follows it.
fn body() -> impl Strategy<Value = String> {
    let hidden =
        "GET /in HTTP/1.1\r\nHost: claw.example.com\r\nx-forwarded-user: eve@example.com\r\n\r\n";
    let length = hidden.len();
    prop_oneof![
        6 => Just("\r\n".to_owned()),
        3 => Just(format!("content-length: {length}\r\n\r\n{hidden}")),
        3 => Just(format!("transfer-encoding: chunked\r\n\r\n{length:x}\r\n{hidden}\r\n0\r\n\r\n")),
        1 => Just("transfer-encoding: chunked\r\n\r\n0\r\nx-forwarded-user: eve@example.com\r\n\r\n".to_owned()),
        1 => Just(format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}")),
        1 => Just(format!("content-length: 0\r\ncontent-length: {length}\r\n\r\n{hidden}")),
        1 => Just(format!("content-length: 3\r\n\r\n{hidden}")),
        1 => Just(format!("transfer-encoding: chunked\r\n\r\n3\r\n{hidden}")),
        1 => Just("content-length: 900\r\n\r\n".to_owned()),
    ]
}

/// A change of bytes, at a place that is told as a part of the whole.
#[derive(Debug, Clone)]
enum Change {
    Insert(u16, Vec<u8>),
    Remove(u16, u8),
    Repeat(u16, u8),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<u16>(), select(&SPLINTERS[..]))
            .prop_map(|(at, text)| Change::Insert(at, text.into())),
        (any::<u16>(), proptest::collection::vec(any::<u8>(), 1..4))
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (any::<u16>(), 1..40_u8).prop_map(|(at, count)| Change::Remove(at, count)),
        (any::<u16>(), 1..80_u8).prop_map(|(at, count)| Change::Repeat(at, count)),
    ]
}

impl Change {
    fn apply(self, bytes: &mut Vec<u8>) {
        let place = |at: u16| usize::from(at) * bytes.len() / usize::from(u16::MAX);
        match self {
            Self::Insert(at, new) => {
                let at = place(at);
                bytes.splice(at..at, new);
            }
            Self::Remove(at, count) => {
                let at = place(at);
                bytes.drain(at..bytes.len().min(at + usize::from(count)));
            }
            Self::Repeat(at, count) => {
                let at = place(at);
                let end = bytes.len().min(at + usize::from(count));
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
}
