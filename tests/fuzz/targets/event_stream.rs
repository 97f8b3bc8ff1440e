//! A stream of server-sent events: the same ones however its bytes come, those of the
//! specification, and what they say of a limit.
#![no_main]

use http::{HeaderMap, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;
use portcullis::fuzzing::{events, limit_of_answer, limit_of_event, may_be_error};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// 2026-01-01.
const NOW_MS: u64 = 1_767_225_600_000;

fuzz_target!(|bytes: &[u8]| {
    let at_once = events([bytes]);
    for size in [1, 2, 3, 7, 64, 200] {
        let pieces = events(bytes.chunks(size));
        assert_eq!(pieces, at_once, "in pieces of {size} bytes");
    }
    for split in [bytes.len() / 3, bytes.len() / 2] {
        let (one, other) = bytes.split_at(split);
        assert_eq!(events([one, &[], other]), at_once, "split at {split}");
    }
    if bytes.len() < 200 {
        assert_eq!(at_once, specified(bytes));
    }

    // Once let go, a stream isn't taken back.
    let held = (0..=bytes.len())
        .take_while(|&end| may_be_error(&bytes[..end]))
        .count();
    assert!((held..=bytes.len()).all(|end| !may_be_error(&bytes[..end])));
    let first = at_once.first().and_then(|data| limit_of_event(data));
    if first.is_some() && (bytes.starts_with(b"data:") || bytes.starts_with(b"event: error\n")) {
        assert_eq!(held, bytes.len() + 1, "a limit was let through");
    }

    for data in &at_once {
        let wait = limit_of_event(data).flatten();
        assert!(wait.is_none_or(|wait| wait <= DAY));
        check_answer(data);
    }
});

/// An answer whose headers and body are this text.
fn check_answer(data: &[u8]) {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(data) {
        for name in [
            "x-ratelimit-reset-tokens",
            "anthropic-ratelimit-tokens-reset",
        ] {
            headers.insert(name, value.clone());
        }
        if data.first() == Some(&b' ') {
            headers.insert("retry-after", value);
        }
    }
    let limit = |status| limit_of_answer(status, &headers, data, NOW_MS);
    let wait = limit(StatusCode::TOO_MANY_REQUESTS).expect("429 always is a limit");
    assert!(wait.is_none_or(|wait| wait <= DAY));
    for status in [
        StatusCode::OK,
        StatusCode::UNAUTHORIZED,
        StatusCode::PAYMENT_REQUIRED,
        StatusCode::INTERNAL_SERVER_ERROR,
    ] {
        assert_eq!(limit(status), None, "{status} never is one");
    }
    let in_words = limit(StatusCode::BAD_REQUEST);
    assert!(in_words.is_none() || limit(StatusCode::FORBIDDEN).is_some());
}

/// WHATWG HTML, section 9.2.6, to the letter and without a thought for speed.
fn specified(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut lines, mut line, mut at) = (Vec::new(), Vec::new(), 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\r' | b'\n' => {
                at += usize::from(bytes[at..].starts_with(b"\r\n"));
                lines.push(std::mem::take(&mut line));
            }
            byte => line.push(byte),
        }
        at += 1;
    }
    let (mut found, mut data) = (Vec::new(), Vec::<Vec<u8>>::new());
    for line in lines {
        if line.is_empty() {
            if !data.is_empty() {
                found.push(data.join(&b'\n'));
            }
            data.clear();
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = match colon {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (&line[..], &[][..]),
        };
        if name == b"data" {
            data.push(value.strip_prefix(b" ").unwrap_or(value).to_vec());
        }
    }
    found
}
