//! What an HTTP/2 client's frames are good for: h2 bounds resets, CONTINUATION and
//! small DATA frames, but answers PING and SETTINGS and reads PRIORITY and
//! WINDOW_UPDATE for as long as they come (CVE-2019-9512, 9513, 9515). Here requests
//! and content earn a client frames of the other kinds, and a flood of them is abuse.

use std::time::{Duration, Instant};

/// Abuse is a matter of rate: what is older is forgotten.
const WINDOW: Duration = Duration::from_secs(10);
/// Frames that move nothing, in a window, from a client that does nothing else.
const MAX_IDLE: u64 = 1_000;
/// What a request may bring beside itself: priorities, windows, a reset.
const PER_REQUEST: u64 = 8;
/// What a piece of an answer may: a window for the stream, one for the connection,
/// and some clients open both anew for every KiB or so.
const PER_ANSWER_DATA: u64 = 4;
const ANSWER_BYTES_PER_FRAME: u64 = 1024;
/// Less is what a client gets that opens its window byte by byte.
const LEAST_ANSWER_DATA: u32 = 8;
/// Windows that a client may still open for what it took long ago: no connection can
/// have more outstanding than the largest window (RFC 9113 section 6.9.1).
const MAX_OWED: u64 = (1 << 31) / ANSWER_BYTES_PER_FRAME;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const WINDOW_UPDATE: u8 = 8;

/// The account of one connection's frames.
#[derive(Debug)]
pub(super) struct Meter {
    from_client: Walk,
    to_client: Walk,
    since: Instant,
    earned: u64,
    /// What of that answers earned.
    answered: u64,
    spent: u64,
    /// What answers earned before, and good for WINDOW_UPDATE alone: a program may
    /// read an answer long after it came.
    owed: u64,
}

impl Meter {
    /// A meter for a connection whose preface is still to come.
    pub(super) fn new(now: Instant) -> Self {
        const PREFACE_BYTES: u32 = 24;
        Self {
            from_client: Walk::after(PREFACE_BYTES),
            to_client: Walk::after(0),
            since: now,
            earned: 0,
            answered: 0,
            spent: 0,
            owed: 0,
        }
    }

    /// Counts what came from the client; whether that is a flood.
    pub(super) fn received(&mut self, bytes: &[u8], now: Instant) -> bool {
        if now.duration_since(self.since) > WINDOW {
            let unspent = self.answered.min(self.earned.saturating_sub(self.spent));
            self.owed = self.owed.saturating_add(unspent).min(MAX_OWED);
            (self.since, self.earned, self.answered, self.spent) = (now, 0, 0, 0);
        }
        let Self {
            from_client,
            earned,
            spent,
            owed,
            ..
        } = self;
        from_client.walk(bytes, |kind, length| match kind {
            HEADERS => *earned += PER_REQUEST,
            DATA if length > 0 => *earned += 1,
            WINDOW_UPDATE if *owed > 0 => *owed -= 1,
            _ => *spent += 1,
        });
        self.spent > self.earned.saturating_add(MAX_IDLE)
    }

    /// Counts what went to the client.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        let Self {
            to_client,
            earned,
            answered,
            ..
        } = self;
        to_client.walk(bytes, |kind, length| {
            if kind == DATA && length >= LEAST_ANSWER_DATA {
                let frames = PER_ANSWER_DATA + u64::from(length) / ANSWER_BYTES_PER_FRAME;
                *earned += frames;
                *answered += frames;
            }
        });
    }
}

/// A place in a stream of frames (RFC 9113 section 4.1).
#[derive(Debug)]
struct Walk {
    head: [u8; HEAD_BYTES],
    have: usize,
    payload_left: u32,
}

const HEAD_BYTES: usize = 9;

impl Walk {
    /// The first frame comes after so many bytes.
    fn after(bytes: u32) -> Self {
        Self {
            head: [0; HEAD_BYTES],
            have: 0,
            payload_left: bytes,
        }
    }

    /// Tells each frame's type and length as soon as its head is whole.
    fn walk(&mut self, mut bytes: &[u8], mut seen: impl FnMut(u8, u32)) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let skipped = bytes.len().min(self.payload_left as usize);
                self.payload_left -= u32::try_from(skipped).unwrap_or(self.payload_left);
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = bytes.len().min(HEAD_BYTES - self.have);
            self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == HEAD_BYTES {
                let [a, b, c, kind, ..] = self.head;
                self.have = 0;
                self.payload_left = u32::from_be_bytes([0, a, b, c]);
                seen(kind, self.payload_left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u8 = 6;

    fn frame(kind: u8, length: u32) -> Vec<u8> {
        let mut frame = length.to_be_bytes()[1..].to_vec();
        frame.extend([kind, 0, 0, 0, 0, 1]);
        frame.resize(HEAD_BYTES + length as usize, 0);
        frame
    }

    fn begun(now: Instant) -> Meter {
        let mut meter = Meter::new(now);
        assert!(!meter.received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", now));
        meter
    }

    #[test]
    fn frames_that_move_nothing_are_a_flood_however_they_are_split() {
        let now = Instant::now();
        for split in [1, 7, 9, 17, 4096] {
            let mut meter = begun(now);
            let allowed = frame(PING, 8).repeat(1_000);
            for piece in allowed.chunks(split) {
                assert!(!meter.received(piece, now));
            }
            assert!(meter.received(&frame(PING, 8), now), "split {split}");
        }
    }

    #[test]
    fn requests_uploads_and_answers_earn_frames() {
        let now = Instant::now();
        let mut meter = begun(now);
        for _ in 0..100_000 {
            assert!(!meter.received(&frame(HEADERS, 30), now));
            assert!(!meter.received(&frame(DATA, 100), now));
            assert!(!meter.received(&frame(WINDOW_UPDATE, 4).repeat(4), now));
            // An event of a stream, and both windows opened for it.
            meter.sent(&frame(DATA, 60));
            assert!(!meter.received(&frame(WINDOW_UPDATE, 4).repeat(2), now));
        }
    }

    #[test]
    fn a_large_answer_earns_a_window_for_each_kib() {
        let now = Instant::now();
        let mut meter = begun(now);
        for _ in 0..10_000 {
            meter.sent(&frame(DATA, 16_384));
            assert!(!meter.received(&frame(WINDOW_UPDATE, 4).repeat(16), now));
        }
    }

    #[test]
    fn windows_of_a_byte_and_empty_data_earn_nothing() {
        let now = Instant::now();
        for (given, kind, length) in [(1, WINDOW_UPDATE, 4), (0, DATA, 0)] {
            let mut meter = begun(now);
            let mut flood = false;
            for _ in 0..=1_000 {
                meter.sent(&frame(DATA, given));
                flood = meter.received(&frame(kind, length), now);
            }
            assert!(flood);
        }
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let start = Instant::now();
        let mut meter = begun(start);
        assert!(!meter.received(&frame(PING, 8).repeat(1_000), start));
        let later = start + WINDOW + Duration::from_secs(1);
        assert!(!meter.received(&frame(PING, 8).repeat(1_000), later));
    }

    /// Whether so many frames of a kind are a flood, long after 8 MiB of an answer.
    fn is_flood_after_an_answer(kind: u8, count: usize) -> bool {
        let start = Instant::now();
        let mut meter = begun(start);
        assert!(!meter.received(&frame(HEADERS, 30), start));
        for _ in 0..512 {
            meter.sent(&frame(DATA, 16_384));
        }
        let mut later = start;
        for _ in 0..3 {
            later += WINDOW + Duration::from_secs(1);
            assert!(!meter.received(&frame(PING, 8), later));
        }
        meter.received(&frame(kind, 4).repeat(count), later)
    }

    #[test]
    fn windows_may_be_opened_long_after_what_filled_them() {
        // 20 for each of the 512 pieces, and what is free; the PING took one.
        let due = 512 * 20 + 1_000 - 1;
        assert!(!is_flood_after_an_answer(WINDOW_UPDATE, due));
        assert!(is_flood_after_an_answer(WINDOW_UPDATE, due + 1));
        assert!(is_flood_after_an_answer(PING, 1_000));
    }

    #[test]
    fn windows_that_were_opened_are_owed_no_more() {
        let start = Instant::now();
        let mut meter = begun(start);
        meter.sent(&frame(DATA, 16_384).repeat(100));
        assert!(!meter.received(&frame(WINDOW_UPDATE, 4).repeat(2_000), start));
        let later = start + WINDOW + Duration::from_secs(1);
        assert!(meter.received(&frame(WINDOW_UPDATE, 4).repeat(1_001), later));
    }

    #[test]
    fn no_more_is_owed_than_a_window_can_hold() {
        let mut meter = begun(Instant::now());
        meter.answered = MAX_OWED * 2;
        meter.earned = MAX_OWED * 2;
        let later = Instant::now() + WINDOW + Duration::from_secs(1);
        assert!(!meter.received(&[], later));
        assert_eq!(meter.owed, MAX_OWED);
    }
}
