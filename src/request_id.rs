//! `x-request-id`: taken from the trusted proxy when it is a sane token, else made.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tokens beyond this are not worth their bytes in every log line.
const MAX_LEN: usize = 64;

/// A request's id: 1 to 64 of `A-Z a-z 0-9 . _ -`, without a heap.
#[derive(Clone, Copy)]
pub struct RequestId {
    bytes: [u8; MAX_LEN],
    len: u8,
}

impl RequestId {
    /// An id that no other request of this process has, and hardly one of another.
    pub fn generate() -> Self {
        static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0_u8));
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut id = Self {
            bytes: [0; MAX_LEN],
            len: 32,
        };
        write_hex(*PROCESS, &mut id.bytes[..16]);
        // Odd multiplication keeps ids apart and makes neighbours look different.
        write_hex(
            count.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            &mut id.bytes[16..32],
        );
        id
    }

    /// `value` as an id, if it is one.
    pub fn accept(value: &[u8]) -> Option<Self> {
        let value = value.trim_ascii();
        let is_sane = (1..=MAX_LEN).contains(&value.len())
            && value
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        is_sane.then(|| {
            let mut bytes = [0; MAX_LEN];
            bytes[..value.len()].copy_from_slice(value);
            Self {
                bytes,
                len: value.len() as u8,
            }
        })
    }

    /// The id.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("both makers write ASCII alone")
    }
}

impl std::fmt::Debug for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

fn write_hex(mut value: u64, out: &mut [u8]) {
    for slot in out.iter_mut().rev() {
        *slot = b"0123456789abcdef"[(value % 16) as usize];
        value /= 16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_sane_tokens_and_nothing_else() {
        assert_eq!(RequestId::accept(b" a-B_1.2 ").unwrap().as_str(), "a-B_1.2");
        let long = [b'a'; 65];
        for bad in [&b""[..], b" ", b"a b", b"a\"b", b"a,b", b"\xc3\xa9", &long] {
            assert!(RequestId::accept(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn made_ids_differ() {
        let ids: std::collections::HashSet<String> = (0..1000)
            .map(|_| RequestId::generate().as_str().to_owned())
            .collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 32));
    }
}
