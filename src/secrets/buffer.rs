//! Bytes that hold secrets while they are read: wiped when dropped, and wiped
//! behind them when they need more room.

use zeroize::Zeroizing;

/// A growing buffer that leaves no copy of what it held.
pub(super) struct SecretBuffer(Zeroizing<Vec<u8>>);

impl SecretBuffer {
    pub(super) fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(4096)))
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            // `Vec` would free its old memory as it is.
            let mut larger = Vec::with_capacity(needed.max(2 * self.0.capacity()));
            larger.extend_from_slice(&self.0);
            self.0 = Zeroizing::new(larger);
        }
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_all_that_was_put_in() {
        let mut buffer = SecretBuffer::new();
        let mut expected = Vec::new();
        for size in [0, 1, 4095, 1, 9000, 3] {
            buffer.extend(&vec![size as u8; size]);
            expected.extend(vec![size as u8; size]);
        }
        assert_eq!(buffer.as_slice(), expected);
        assert_eq!(buffer.len(), expected.len());
    }
}
