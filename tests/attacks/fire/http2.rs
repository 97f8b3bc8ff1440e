//! HTTP/2: frames out, the fate of each stream in.

use super::{Answer, Duplex, Sight};
use crate::frames::status;
use crate::wire::{DATA, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, frame};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// What is known of the streams so far.
#[derive(Default)]
struct Streams {
    status: BTreeMap<u32, u16>,
    fate: BTreeMap<u32, Answer>,
    goes_away: bool,
}

pub(super) async fn fire(
    mut stream: Box<dyn Duplex>,
    bytes: &[u8],
    due: usize,
    patience: Duration,
) -> Sight {
    let opened = opened(bytes);
    let (mut streams, mut buffer, mut ended) = (Streams::default(), Vec::new(), false);
    // While a flood is written, the other side may be telling us to stop.
    let (mut read_half, mut write_half) = tokio::io::split(&mut stream);
    let mut unsent = bytes;
    loop {
        while let Some((kind, flags, id, payload)) = take_frame(&mut buffer) {
            let reply = streams.note(kind, flags, id, &payload);
            if let Some(reply) = reply.filter(|_| unsent.is_empty()) {
                let _ = timeout(patience, write_half.write_all(&reply)).await;
                let _ = timeout(patience, write_half.flush()).await;
            }
        }
        let known = opened
            .iter()
            .filter(|id| streams.fate.contains_key(id))
            .count();
        if ended || (known >= due && due > 0 && unsent.is_empty()) {
            break;
        }
        tokio::select! {
            written = write_half.write(unsent), if !unsent.is_empty() => match written {
                Ok(count) if count > 0 => {
                    unsent = &unsent[count..];
                    if unsent.is_empty() {
                        let _ = write_half.flush().await;
                    }
                }
                Ok(_) | Err(_) => unsent = &[],
            },
            read = timeout(patience, read_half.read_buf(&mut buffer)) => match read {
                Ok(Ok(count)) if count > 0 => {}
                Ok(_) => ended = true,
                Err(_) => break,
            },
        }
    }
    let is_closing = ended || streams.goes_away;
    let missing = if is_closing {
        Answer::Closed
    } else {
        Answer::Silence
    };
    let answers = opened
        .iter()
        .map(|id| streams.fate.get(id).copied().unwrap_or(missing))
        .collect();
    Sight {
        answers,
        closed: is_closing,
    }
}

impl Streams {
    /// Takes a frame in; what is to be sent back, if anything.
    fn note(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) -> Option<Vec<u8>> {
        match kind {
            HEADERS => {
                if let Some(status) = status(flags, payload).filter(|status| *status >= 200) {
                    self.status.entry(id).or_insert(status);
                }
            }
            RST_STREAM => {
                self.fate.entry(id).or_insert(Answer::Reset);
            }
            SETTINGS if flags & END_STREAM == 0 => {
                return Some(frame(SETTINGS, END_STREAM, 0, &[]));
            }
            PING if flags & END_STREAM == 0 => return Some(frame(PING, END_STREAM, 0, payload)),
            GOAWAY => self.goes_away = true,
            _ => {}
        }
        if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
            let answer = self
                .status
                .get(&id)
                .map_or(Answer::Silence, |status| Answer::Status(*status));
            self.fate.entry(id).or_insert(answer);
        }
        None
    }
}

type Taken = (u8, u8, u32, Vec<u8>);

fn take_frame(buffer: &mut Vec<u8>) -> Option<Taken> {
    let [a, b, c, kind, flags, d, e, f, g, ..] = buffer[..] else {
        return None;
    };
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    if buffer.len() < 9 + length {
        return None;
    }
    let payload = buffer[9..9 + length].to_vec();
    buffer.drain(..9 + length);
    Some((
        kind,
        flags,
        u32::from_be_bytes([d & 0x7f, e, f, g]),
        payload,
    ))
}

/// The streams that `bytes` opens and doesn't cancel, in their order.
fn opened(bytes: &[u8]) -> Vec<u32> {
    let mut rest = bytes[PREFACE.len()..].to_vec();
    let mut opened = Vec::new();
    while let Some((kind, _, id, _)) = take_frame(&mut rest) {
        if kind == HEADERS && !opened.contains(&id) {
            opened.push(id);
        }
        if kind == RST_STREAM {
            opened.retain(|open| *open != id);
        }
    }
    opened
}
