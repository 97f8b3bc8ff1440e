//! A secret in memory: on a page of its own, wiped when dropped, shown to
//! nobody by accident.

use std::fmt;
use std::sync::Arc;

use memmap2::{Advice, MmapMut};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// A resolved secret. It has no `Display`, its `Debug` is redacted, and its
/// memory is wiped when the last copy goes. Cloning shares that memory.
///
/// It lies on pages that are left out of core dumps and, where the limit of
/// locked memory (`RLIMIT_MEMLOCK`) allows, never written to swap.
#[derive(Clone)]
pub struct SecretValue(Arc<Memory>);

struct Memory {
    bytes: Bytes,
    length: usize,
    is_locked: bool,
}

enum Bytes {
    Pages(MmapMut),
    /// Where the system has no pages left for us: better a secret that could be
    /// swapped than none.
    Heap(Zeroizing<Vec<u8>>),
}

impl SecretValue {
    /// Takes the secret over, and wipes the string that it came in.
    #[must_use]
    pub fn new(secret: String) -> Self {
        let secret = Zeroizing::new(secret);
        Self::concat(&[&secret])
    }

    /// The parts joined, without a copy elsewhere.
    #[must_use]
    pub fn concat(parts: &[&str]) -> Self {
        let length = parts.iter().map(|part| part.len()).sum();
        let mut memory = Memory::with_room(length);
        let mut rest = memory.bytes.as_mut_slice();
        for part in parts {
            let (place, after) = rest.split_at_mut(part.len());
            place.copy_from_slice(part.as_bytes());
            rest = after;
        }
        Self(Arc::new(memory))
    }

    /// The secret itself: for the one place that sends or compares it.
    #[must_use]
    pub fn expose(&self) -> &str {
        std::str::from_utf8(self.expose_bytes()).expect("joined from whole strings")
    }

    /// The secret as bytes, without the check that makes them a string.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8] {
        &self.0.bytes.as_slice()[..self.0.length]
    }

    /// Whether the system promised to keep it out of swap.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.0.is_locked
    }
}

impl Memory {
    fn with_room(length: usize) -> Self {
        // The system maps no empty pages.
        let Ok(pages) = MmapMut::map_anon(length.max(1)) else {
            return Self {
                bytes: Bytes::Heap(Zeroizing::new(vec![0; length])),
                length,
                is_locked: false,
            };
        };
        // A kernel without this still has core dumps turned off (`seal`).
        let _ = pages.advise(Advice::DontDump);
        let is_locked = pages.lock().is_ok();
        Self {
            bytes: Bytes::Pages(pages),
            length,
            is_locked,
        }
    }
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Pages(pages) => pages,
            Self::Heap(bytes) => bytes,
        }
    }

    fn as_mut_slice(&mut self) -> &mut [u8] {
        match self {
            Self::Pages(pages) => pages,
            Self::Heap(bytes) => bytes,
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.bytes.as_mut_slice()[..self.length].zeroize();
    }
}

impl PartialEq for SecretValue {
    /// In a time that doesn't depend on where two secrets of one length differ.
    fn eq(&self, other: &Self) -> bool {
        self.expose_bytes().ct_eq(other.expose_bytes()).into()
    }
}

impl Eq for SecretValue {}

impl fmt::Debug for SecretValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretValue(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_secret() {
        let secret = SecretValue::new("hunter2".into());
        assert_eq!(format!("{secret:?}"), "SecretValue(redacted)");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn is_joined_from_its_parts_whatever_their_length() {
        let page = "p".repeat(5000);
        for parts in [
            vec![],
            vec![""],
            vec!["Bearer ", "s3cret", ""],
            vec!["ü", &page],
        ] {
            assert_eq!(SecretValue::concat(&parts).expose(), parts.concat());
        }
    }

    #[test]
    fn compares_by_what_it_holds() {
        let secret = |text: &str| SecretValue::new(text.to_owned());
        assert_eq!(secret("a"), secret("a").clone());
        assert_ne!(secret("a"), secret("b"));
        assert_ne!(secret("a"), secret("ab"));
    }
}
