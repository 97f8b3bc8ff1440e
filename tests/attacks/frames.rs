//! An attack's HTTP/2 frames as the corpus writes them, and the status of an answer.

use crate::corpus::CorpusError;
use crate::placeholder::Cast;
use crate::wire::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PADDED, RST_STREAM, WITH_PRIORITY, block,
    frame, settings, window_update,
};
use serde::Deserialize;

/// One frame, or many alike.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Frame {
    /// HEADERS: each `name: value`; `${get} PATH` and `${identity}` stand for several.
    pub(crate) headers: Option<Vec<String>>,
    /// CONTINUATION, the same.
    pub(crate) continuation: Option<Vec<String>>,
    pub(crate) data: Option<String>,
    pub(crate) rst: Option<u32>,
    pub(crate) settings: Option<Vec<(u16, u32)>>,
    pub(crate) window_update: Option<u32>,
    /// Any other, with its header, in hexadecimal digits.
    pub(crate) hex: Option<String>,
    #[serde(default = "first")]
    pub(crate) stream: u32,
    #[serde(default)]
    pub(crate) open: bool,
    /// HEADERS and CONTINUATION: another CONTINUATION follows.
    #[serde(default)]
    pub(crate) more: bool,
}

fn first() -> u32 {
    1
}

impl Frame {
    /// Its bytes.
    pub(crate) fn encode(&self, cast: &Cast) -> Result<Vec<u8>, CorpusError> {
        let last = if self.open { 0 } else { END_STREAM };
        let whole = if self.more { 0 } else { END_HEADERS };
        let mut bytes = Vec::new();
        if let Some(fields) = &self.headers {
            let block = block(&pairs(fields, cast)?);
            bytes.extend(frame(HEADERS, last | whole, self.stream, &block));
        }
        if let Some(fields) = &self.continuation {
            let block = block(&pairs(fields, cast)?);
            bytes.extend(frame(CONTINUATION, whole, self.stream, &block));
        }
        if let Some(data) = &self.data {
            bytes.extend(frame(DATA, last, self.stream, &cast.expand(data)?));
        }
        if let Some(code) = self.rst {
            bytes.extend(frame(RST_STREAM, 0, self.stream, &code.to_be_bytes()));
        }
        if let Some(values) = &self.settings {
            bytes.extend(settings(values));
        }
        if let Some(increment) = self.window_update {
            bytes.extend(window_update(self.stream, increment));
        }
        if let Some(digits) = &self.hex {
            bytes.extend(cast.expand(&format!("${{hex:{digits}}}"))?);
        }
        Ok(bytes)
    }
}

/// Name and value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// The pseudo fields of an ordinary request.
pub(crate) fn request_line(method: &str, target: &str, cast: &Cast) -> Vec<Pair> {
    [
        (":method", method),
        (":scheme", "https"),
        (":authority", &cast.host),
        (":path", target),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .to_vec()
}

fn pairs(fields: &[String], cast: &Cast) -> Result<Vec<Pair>, CorpusError> {
    let mut pairs = Vec::new();
    for field in fields {
        if let Some(path) = field.strip_prefix("${get} ") {
            pairs.extend(request_line("GET", path, cast));
        } else if field == "${identity}" {
            pairs.extend(
                cast.identity()
                    .map(|(name, value)| (name.into(), value.into())),
            );
        } else {
            pairs.push(pair(&cast.expand(field)?));
        }
    }
    Ok(pairs)
}

/// Parts a field at its first `: `, behind the colon of a pseudo field.
pub(crate) fn pair(field: &[u8]) -> Pair {
    let skipped = field.len().min(1);
    let at = field[skipped..]
        .windows(2)
        .position(|window| window == b": ")
        .map_or(field.len(), |at| at + skipped);
    let value = field.get(at + 2..).unwrap_or_default();
    (field[..at].to_vec(), value.to_vec())
}

/// The status in an answer's HEADERS: always the first field (RFC 9113 section
/// 8.3), after at most a change of the table's size.
pub(crate) fn status(flags: u8, payload: &[u8]) -> Option<u16> {
    let mut block = payload;
    if flags & PADDED != 0 {
        block = block.get(1..)?;
    }
    if flags & WITH_PRIORITY != 0 {
        block = block.get(5..)?;
    }
    while let [0x20..=0x3f, rest @ ..] = block {
        block = rest;
    }
    match block {
        [indexed @ 0x88..=0x8e, ..] => {
            let known = [200, 204, 206, 304, 400, 404, 500];
            known.get(usize::from(indexed - 0x88)).copied()
        }
        // A literal whose name is `:status`, at any of its seven places.
        [0x48..=0x4e | 0x08..=0x0e | 0x18..=0x1e, length, rest @ ..] => {
            let text = rest.get(..usize::from(length & 0x7f))?;
            if length & 0x80 == 0 {
                std::str::from_utf8(text).ok()?.parse().ok()
            } else {
                huffman_digits(text)?.parse().ok()
            }
        }
        _ => None,
    }
}

/// The ten digits of RFC 7541's appendix B: 0 to 2 in five bits, the others in six.
fn huffman_digits(text: &[u8]) -> Option<String> {
    let bits: Vec<u8> = text
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
        .collect();
    let number = |bits: &[u8]| bits.iter().fold(0, |number, bit| number * 2 + bit);
    let mut digits = String::new();
    let mut at = 0;
    while digits.len() < 3 {
        let short = number(bits.get(at..at + 5)?);
        if short < 3 {
            digits.push(char::from(b'0' + short));
            at += 5;
        } else {
            let long = number(bits.get(at..at + 6)?);
            digits.push(char::from(
                b'3' + long.checked_sub(25).filter(|long| *long < 7)?,
            ));
            at += 6;
        }
    }
    Some(digits)
}
