//! Finds the end of a message head as its bytes come in, looking at each byte
//! once, and refuses line ends that are not CRLF.

/// A line feed without its carriage return (RFC 9112 section 2.2 lets a reader
/// accept it; CVE-2023-30589 shows why this one does not).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line ends in a bare line feed")]
pub struct BareLineFeed;

/// Where the search for the end of a head stands.
#[derive(Debug, Default, Clone)]
pub struct HeadScanner {
    scanned: usize,
}

impl HeadScanner {
    /// Looks at what `buffer` holds beyond the last call and says the length of
    /// the head, its empty line included, once it is whole.
    ///
    /// # Errors
    /// [`BareLineFeed`] as soon as one has come in.
    pub fn advance(&mut self, buffer: &[u8]) -> Result<Option<usize>, BareLineFeed> {
        for offset in memchr::memchr_iter(b'\n', &buffer[self.scanned..]) {
            let at = self.scanned + offset;
            if at == 0 || buffer[at - 1] != b'\r' {
                return Err(BareLineFeed);
            }
            if at >= 3 && buffer[at - 2] == b'\n' {
                return Ok(Some(at + 1));
            }
        }
        self.scanned = buffer.len();
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_the_end_of_a_head_wherever_the_reads_split_it() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
        for split in 0..head.len() {
            let mut scanner = HeadScanner::default();
            let first = scanner.advance(&head[..split]).unwrap();
            let found = first.or_else(|| scanner.advance(head).unwrap());
            assert_eq!(found, Some(head.len() - 4), "split at {split}");
        }
    }

    #[test]
    fn refuses_a_bare_line_feed_before_the_head_is_whole() {
        for bytes in [
            &b"GET / HTTP/1.1\n"[..],
            b"\n",
            b"GET / HTTP/1.1\r\nHost: a\n\n",
        ] {
            assert_eq!(HeadScanner::default().advance(bytes), Err(BareLineFeed));
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_search_of_the_whole(bytes in proptest::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'x')], 0..40), split in 0usize..40) {
            let mut scanner = HeadScanner::default();
            let split = split.min(bytes.len());
            let got = match scanner.advance(&bytes[..split]) {
                Ok(None) => scanner.advance(&bytes),
                decided => decided,
            };
            let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4);
            let limit = end.unwrap_or(bytes.len());
            let bare = (0..limit).any(|at| bytes[at] == b'\n' && (at == 0 || bytes[at - 1] != b'\r'));
            // "\r\n\n" has the bare line feed as its third byte.
            prop_assert_eq!(got, if bare { Err(BareLineFeed) } else { Ok(end) });
        }
    }
}
