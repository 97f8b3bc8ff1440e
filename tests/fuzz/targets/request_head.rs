//! An HTTP/1 request as bytes: what is accepted has one reading.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::http1::body::{BodyError, Decoder, Framing, LAST_CHUNK, write_chunk};
use portcullis::http1::request::{FieldList, RequestHead, parse};
use portcullis::http1::scan::HeadScanner;
use portcullis::http1::{Persistence, Version};
use portcullis::policy::Upgrade;

fuzz_target!(|bytes: &[u8]| {
    let Some(length) = head_length(bytes) else {
        return;
    };
    let (head, rest) = bytes.split_at(length);
    let mut fields = FieldList::default();
    let Ok(request) = parse(head, 100, &mut fields) else {
        return;
    };
    check_head(head, &request, &fields);

    // Written as it was understood it is understood as it was.
    let mut again = format!("{} {} ", request.method, request.target).into_bytes();
    again.extend_from_slice(match request.version {
        Version::Http10 => b"HTTP/1.0\r\n",
        Version::Http11 => b"HTTP/1.1\r\n",
    });
    for field in fields.as_slice() {
        again.extend_from_slice(field.name.as_bytes());
        again.extend_from_slice(b":");
        again.extend_from_slice(field.value);
        again.extend_from_slice(b"\r\n");
    }
    again.extend_from_slice(b"\r\n");
    assert_eq!(head_length(&again), Some(again.len()));
    let mut fields_again = FieldList::default();
    let request_again = parse(&again, 100, &mut fields_again).expect("accepted before");
    assert_eq!(format!("{request_again:?}"), format!("{request:?}"));
    assert_eq!(fields_again.as_slice(), fields.as_slice());

    // One field more of those that decide is one too many.
    for (name, value) in [
        ("host", request.host.as_str()),
        ("content-length", "1"),
        ("transfer-encoding", "chunked"),
    ] {
        let line = format!("{name}: {value}\r\n\r\n");
        let more = [&again[..again.len() - 2], line.as_bytes()].concat();
        let is_alone = name == "content-length" && request.framing == Framing::Empty;
        let is_alone =
            is_alone || name == "transfer-encoding" && request.version == Version::Http11;
        let has_length = fields.as_slice().iter().any(|field| {
            ["content-length", "transfer-encoding"]
                .iter()
                .any(|name| field.name.eq_ignore_ascii_case(name))
        });
        let refused = parse(&more, 100, &mut FieldList::default()).is_err();
        if name == "host" || has_length || !is_alone {
            assert!(refused, "{}", more.escape_ascii());
        }
    }

    check_body(request.framing, rest);
});

/// Where the head ends, with its bytes in one piece or one by one.
fn head_length(bytes: &[u8]) -> Option<usize> {
    let at_once = HeadScanner::default().advance(bytes);
    let mut scanner = HeadScanner::default();
    let one_by_one = (0..=bytes.len())
        .map(|end| scanner.advance(&bytes[..end]))
        .find(|step| !matches!(step, Ok(None)))
        .unwrap_or(Ok(None));
    assert_eq!(one_by_one, at_once);
    at_once.ok().flatten()
}

fn check_head(head: &[u8], request: &RequestHead<'_>, fields: &FieldList<'_>) {
    assert!(head.ends_with(b"\r\n\r\n"));
    let text = head.strip_prefix(b"\r\n").unwrap_or(head);
    let text = String::from_utf8_lossy(&text[..text.len() - 4]);
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines.len(), fields.as_slice().len() + 1);
    assert!(!text.replace("\r\n", "").contains(['\r', '\n', '\0']));

    let words: Vec<&str> = lines[0].split(' ').collect();
    assert_eq!(words.len(), 3, "{}", lines[0]);
    assert_eq!(words[0], request.method);
    assert!(words[1].ends_with(request.target.trim_start_matches('/')));
    assert!(request.target.starts_with('/') && !request.target.contains(['#', ' ']));
    for (line, field) in lines[1..].iter().zip(fields.as_slice()) {
        let (name, value) = line.split_once(':').expect("a field has a colon");
        assert_eq!(name, field.name);
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()));
        assert_eq!(
            value.trim_matches([' ', '\t']),
            String::from_utf8_lossy(field.value)
        );
    }

    let values = |name: &str| -> Vec<&[u8]> {
        let same = fields
            .as_slice()
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case(name));
        same.map(|field| field.value.trim_ascii()).collect()
    };
    assert_eq!(values("host"), [request.host.as_str().as_bytes()]);
    assert!(values("authorization").len() < 2);
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    match (&lengths[..], &codings[..]) {
        ([], []) => assert_eq!(request.framing, Framing::Empty),
        ([length], []) => {
            let digits = std::str::from_utf8(length).expect("digits");
            assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
            let length: u64 = digits.parse().expect("digits");
            assert_eq!(
                request.framing,
                if length == 0 {
                    Framing::Empty
                } else {
                    Framing::Length(length)
                }
            );
        }
        ([], [coding]) => {
            assert!(coding.eq_ignore_ascii_case(b"chunked"));
            assert_eq!(
                (request.framing, request.version),
                (Framing::Chunked, Version::Http11)
            );
        }
        _ => panic!("two framings: {lengths:?}, {codings:?}"),
    }
    let has_close = values("connection").iter().any(|value| {
        value
            .split(|byte| *byte == b',')
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"))
    });
    assert!(!has_close || request.persistence == Persistence::Close);
    if request.upgrade == Upgrade::Websocket {
        assert_eq!((request.framing, request.method), (Framing::Empty, "GET"));
        assert!(lengths.is_empty() && request.websocket_key.is_some());
    }
    let refused = ["CONNECT", "TRACE", "TRACK"];
    assert!(
        !refused
            .iter()
            .any(|method| request.method.eq_ignore_ascii_case(method))
    );
}

/// What came of a body: its content, whether it is whole, what was left.
type Read<'a> = Result<(Vec<u8>, bool, &'a [u8]), BodyError>;

fn check_body(framing: Framing, bytes: &[u8]) {
    let at_once = decode(framing, bytes, usize::MAX);
    for size in [1, 2, 5] {
        assert_eq!(
            decode(framing, bytes, size),
            at_once,
            "in pieces of {size} bytes"
        );
    }
    let Ok((content, is_whole, rest)) = at_once else {
        assert_eq!(framing, Framing::Chunked);
        return;
    };
    match framing {
        Framing::Chunked => {
            let Some((expected, after)) = chunks(bytes).filter(|_| is_whole) else {
                assert!(!is_whole, "{} is no chunked body", bytes.escape_ascii());
                return;
            };
            assert_eq!((&content, rest), (&expected, after));
            let mut wire = Vec::new();
            for piece in content.chunks(17) {
                write_chunk(piece, &mut wire);
            }
            wire.extend_from_slice(LAST_CHUNK);
            assert_eq!(decode(framing, &wire, 3), Ok((content, true, &[][..])));
        }
        Framing::Length(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let taken = length.min(bytes.len());
            assert_eq!((&content[..], rest), bytes.split_at(taken));
            assert_eq!(is_whole, length <= bytes.len());
        }
        Framing::Empty => assert!(content.is_empty() && is_whole && rest == bytes),
        Framing::UntilClose => unreachable!("no request ends with its connection"),
    }
}

/// Decodes a body that comes in pieces of `size` bytes.
fn decode(framing: Framing, bytes: &[u8], size: usize) -> Read<'_> {
    let (mut decoder, mut content, mut at) = (Decoder::new(framing), Vec::new(), 0);
    while at < bytes.len() && !decoder.is_done() {
        let end = at.saturating_add(size).min(bytes.len());
        let mut piece = &bytes[at..end];
        while let Some(part) = decoder.next(&mut piece)? {
            content.extend_from_slice(part);
        }
        at = end - piece.len();
        assert!(piece.is_empty() || decoder.is_done());
    }
    Ok((content, decoder.is_done(), &bytes[at..]))
}

/// RFC 9112 section 7.1 for a whole body: its content, and what follows it.
fn chunks(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut content = Vec::new();
    loop {
        let line = line(&mut bytes)?;
        let digits = std::str::from_utf8(line.split(|byte| *byte == b';').next()?).ok()?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let size = usize::from_str_radix(digits, 16).ok()?;
        if size == 0 {
            break;
        }
        content.extend_from_slice(bytes.get(..size)?);
        bytes = bytes[size..].strip_prefix(b"\r\n")?;
    }
    while !line(&mut bytes)?.is_empty() {}
    Some((content, bytes))
}

fn line<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    let line = &bytes[..end];
    *bytes = &bytes[end + 2..];
    Some(line)
}
