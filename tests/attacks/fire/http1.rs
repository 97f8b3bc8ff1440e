//! HTTP/1.1: bytes out, answers in.

use super::{Answer, Duplex, Sight, Wanted};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

struct Reader {
    stream: Box<dyn Duplex>,
    bytes: Vec<u8>,
    ended: bool,
    patience: Duration,
}

pub(super) async fn fire(
    stream: Box<dyn Duplex>,
    pieces: &[Vec<u8>],
    due: Wanted,
    patience: Duration,
) -> Sight {
    let mut reader = Reader {
        stream,
        bytes: Vec::new(),
        ended: false,
        patience,
    };
    for (at, piece) in pieces.iter().enumerate() {
        // Who has had enough may close while we write: what it said is read below.
        let _ = timeout(patience, write(&mut reader.stream, piece)).await;
        let wanted = if at + 1 < pieces.len() {
            at + 1
        } else {
            due.answers
        };
        reader
            .until(|bytes, ended| statuses(bytes, ended).len() >= wanted)
            .await;
    }
    if due.close || due.answers == 0 {
        reader.until(|_, ended| ended).await;
    }
    let closed = reader.ended;
    // Whatever else was taken for a request is answered now or never.
    let _ = timeout(patience, reader.stream.shutdown()).await;
    reader.until(|_, ended| ended).await;
    let mut answers: Vec<_> = statuses(&reader.bytes, true)
        .into_iter()
        .map(Answer::Status)
        .collect();
    let missing = if reader.ended {
        Answer::Closed
    } else {
        Answer::Silence
    };
    answers.resize(answers.len().max(due.answers), missing);
    Sight { answers, closed }
}

async fn write(stream: &mut Box<dyn Duplex>, piece: &[u8]) -> std::io::Result<()> {
    stream.write_all(piece).await?;
    stream.flush().await
}

impl Reader {
    /// Reads until it is enough, the end, or the end of all patience.
    async fn until(&mut self, is_enough: impl Fn(&[u8], bool) -> bool) {
        while !self.ended && !is_enough(&self.bytes, self.ended) {
            match timeout(self.patience, self.stream.read_buf(&mut self.bytes)).await {
                Ok(Ok(count)) if count > 0 => {}
                Ok(_) => self.ended = true,
                Err(_) => return,
            }
        }
    }
}

/// The statuses of the whole answers in `bytes`, interim ones passed over. After a
/// 101 there is no HTTP any more.
fn statuses(bytes: &[u8], ended: bool) -> Vec<u16> {
    let mut statuses = Vec::new();
    let mut rest = bytes;
    while let Some(at) = find(rest, b"\r\n\r\n") {
        let (head, after) = (&rest[..at], &rest[at + 4..]);
        let Some(status) = head
            .get(9..12)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| digits.parse::<u16>().ok())
        else {
            return statuses;
        };
        rest = after;
        if matches!(status, 100 | 102..=199) {
            continue;
        }
        let body = if matches!(status, 101 | 204 | 304) {
            Some(0)
        } else {
            body_length(head, rest, ended)
        };
        let Some(body) = body else {
            return statuses;
        };
        statuses.push(status);
        if status == 101 {
            return statuses;
        }
        rest = rest.get(body..).unwrap_or_default();
    }
    statuses
}

/// The length of the body at the start of `rest`; none while it isn't whole.
fn body_length(head: &[u8], rest: &[u8], ended: bool) -> Option<usize> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let field = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value.trim().to_owned())
    };
    if field("transfer-encoding").is_some_and(|value| value.ends_with("chunked")) {
        let mut at = 0;
        loop {
            let line = find(&rest[at..], b"\r\n")?;
            let digits = std::str::from_utf8(&rest[at..at + line]).ok()?;
            let size = usize::from_str_radix(digits.split(';').next()?.trim(), 16).ok()?;
            at += line + 2 + size + 2;
            if at > rest.len() {
                return None;
            }
            if size == 0 {
                return Some(at);
            }
        }
    }
    match field("content-length").and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => (rest.len() >= length).then_some(length),
        None => ended.then_some(rest.len()),
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
