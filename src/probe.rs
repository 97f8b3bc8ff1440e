//! The probe that an operator arms for a minute: the next requests that show its nonce,
//! and a number each, are answered by the front door itself, which tells what came through
//! the proxies in front. Nothing of it is lasting: it lives in memory, and time disarms it.

mod answer;
mod shot;

pub use answer::{ProbeAnswer, ProbedField, Role};
pub use shot::Shot;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a probe is armed.
pub const ARMED_FOR: Duration = Duration::from_secs(60);

const NONCE_BYTES: usize = 16;
const MARK_BYTES: usize = 6;

/// At most one armed probe.
#[derive(Debug, Default)]
pub struct Probe {
    /// All that a request pays for while there is none.
    is_armed: AtomicBool,
    armed: Mutex<Option<Armed>>,
}

#[derive(Debug)]
struct Armed {
    nonce: Nonce,
    until: Instant,
}

/// 128 bits of the system's, in 32 hexadecimal digits. Its `Debug` is redacted: until the
/// probe ends, whoever shows it gets an answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce(String);

/// What marks a value as the doctor's own. It follows from the nonce and says nothing of
/// it, so that it may stand in headers that go anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark(String);

/// The system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random bytes")]
pub struct NoRandomness;

impl Probe {
    /// Arms a probe from `now` on; one that is armed already ends.
    ///
    /// # Errors
    /// [`NoRandomness`]; nothing has changed then.
    pub fn arm(&self, now: Instant) -> Result<Nonce, NoRandomness> {
        let nonce = Nonce::generate()?;
        *self.lock() = Some(Armed {
            nonce: nonce.clone(),
            until: now + ARMED_FOR,
        });
        self.is_armed.store(true, Ordering::Relaxed);
        Ok(nonce)
    }

    /// Whether one may be armed: what to ask before looking for its header.
    #[inline]
    pub fn may_be_armed(&self) -> bool {
        self.is_armed.load(Ordering::Relaxed)
    }

    /// Which request of the armed probe it is that shows this: its nonce, with a number
    /// or alone. Compared in constant time.
    pub fn recognise(&self, shown: &[u8], now: Instant) -> Option<Shot> {
        let mut armed = self.lock();
        let Some(current) = &*armed else { return None };
        if now >= current.until {
            *armed = None;
            self.is_armed.store(false, Ordering::Relaxed);
            return None;
        }
        current.nonce.shot(shown)
    }

    /// Whole whatever panicked while it was held: it is set at once.
    fn lock(&self) -> MutexGuard<'_, Option<Armed>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Nonce {
    fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = [0; NONCE_BYTES];
        rustls::crypto::ring::default_provider()
            .secure_random
            .fill(&mut bytes)
            .map_err(|_| NoRandomness)?;
        Ok(Self(hex(&bytes)))
    }

    /// A nonce as the admin listener told it.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let is_one = text.len() == 2 * NONCE_BYTES
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_one.then(|| Self(text.to_owned()))
    }

    /// The nonce itself, to be sent.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What marks the values of this probe.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let digest = Sha256::digest(self.0.as_bytes());
        Mark(hex(&digest[..MARK_BYTES]))
    }
}

impl Mark {
    /// The mark, lower-case letters and digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `value` bears it. Proxies may change the case of what is a host.
    #[must_use]
    pub fn is_in(&self, value: &[u8]) -> bool {
        let mark = self.0.as_bytes();
        value
            .windows(mark.len())
            .any(|part| part.eq_ignore_ascii_case(mark))
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce([redacted])")
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_nonce_of_the_armed_probe_is_recognised_and_only_for_a_minute() {
        let probe = Probe::default();
        let now = Instant::now();
        assert!(!probe.may_be_armed());
        assert_eq!(probe.recognise(b"", now), None);

        let nonce = probe.arm(now).unwrap();
        let (shown, shot) = nonce.shoot(7);
        let shown = shown.as_bytes();
        assert_eq!(shown.len(), 34);
        assert!(probe.may_be_armed());
        for wrong in [&b""[..], &shown[..31], &shown[..33], &[b'0'; 34], b"0"] {
            assert_eq!(probe.recognise(wrong, now), None, "{wrong:?}");
        }
        let last = now + ARMED_FOR - Duration::from_millis(1);
        assert_eq!(probe.recognise(shown, last), Some(shot));

        assert_eq!(probe.recognise(shown, now + ARMED_FOR), None);
        assert!(!probe.may_be_armed());
        assert_eq!(probe.recognise(shown, now), None);
    }

    #[test]
    fn a_new_probe_ends_the_one_before() {
        let probe = Probe::default();
        let now = Instant::now();
        let old = probe.arm(now).unwrap();
        let new = probe.arm(now).unwrap();
        assert_ne!(old, new);
        let is_it = |nonce: &Nonce| probe.recognise(nonce.shoot(1).0.as_bytes(), now).is_some();
        assert!(!is_it(&old) && is_it(&new));
    }

    #[test]
    fn a_mark_says_nothing_of_its_nonce_and_neither_does_debug() {
        let nonce = Nonce::read("00112233445566778899aabbccddeeff").unwrap();
        let mark = nonce.mark();
        assert!(!nonce.expose().contains(mark.as_str()));
        assert!(mark.is_in(format!("a.{}.b", mark.as_str().to_uppercase()).as_bytes()));
        assert!(!mark.is_in(b"") && !mark.is_in(b"a.b"));
        assert!(!format!("{nonce:?}").contains("0011"));
        for none in ["", "0", "00112233445566778899AABBCCDDEEFF"] {
            assert!(Nonce::read(none).is_none(), "{none}");
        }
    }
}
