//! Server-sent events, read as they pass (WHATWG HTML, section 9.2.6): the data of each
//! one, for as long as they are of a sane size.

/// The longest event that is looked at, in bytes. What is longer passes unread. No fuzzer
/// makes one of a megabyte.
const MAX_EVENT_BYTES: usize = if cfg!(fuzzing) { 256 } else { 1 << 20 };

/// Finds the events in a stream that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// A line whose end has not come yet.
    partial: Vec<u8>,
    /// The data lines of the event so far.
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was a CR: an LF belongs to it.
    after_cr: bool,
    /// The event is too long, and so passed over.
    is_skipped: bool,
}

impl Events {
    /// Takes a piece, and calls `found` with the data of each event that it completes.
    pub(crate) fn feed(&mut self, mut piece: &[u8], mut found: impl FnMut(&[u8])) {
        if piece.is_empty() {
            return;
        }
        // Of two LF the second is an empty line, even where the first came alone.
        if std::mem::take(&mut self.after_cr) && piece[0] == b'\n' {
            piece = &piece[1..];
        }
        while let Some(end) = memchr::memchr2(b'\n', b'\r', piece) {
            let (line, rest) = piece.split_at(end);
            piece = match rest {
                [b'\r', b'\n', after @ ..] => after,
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                _ => &rest[1..],
            };
            if self.partial.is_empty() && line.len() <= MAX_EVENT_BYTES {
                self.line(line, &mut found);
            } else {
                self.keep(line);
                let whole = std::mem::take(&mut self.partial);
                self.line(&whole, &mut found);
                self.partial = whole;
                self.partial.clear();
            }
        }
        self.keep(piece);
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.partial.len() + piece.len() > MAX_EVENT_BYTES {
            self.is_skipped = true;
            // What is left of the line stands for it: not the empty one that ends an
            // event, nor data.
            self.partial.clear();
            self.partial.push(b':');
        } else {
            self.partial.extend_from_slice(piece);
        }
    }

    fn line(&mut self, line: &[u8], found: &mut impl FnMut(&[u8])) {
        if line.is_empty() {
            if self.has_data && !self.is_skipped {
                found(&self.data);
            }
            self.data.clear();
            self.has_data = false;
            self.is_skipped = false;
            return;
        }
        let Some(value) = line.strip_prefix(b"data") else {
            return;
        };
        let value = match value {
            [] => value,
            [b':', b' ', rest @ ..] | [b':', rest @ ..] => rest,
            _ => return,
        };
        if self.data.len() + value.len() > MAX_EVENT_BYTES {
            self.is_skipped = true;
        }
        if !self.is_skipped {
            if self.has_data {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(value);
        }
        self.has_data = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(pieces: &[&[u8]]) -> Vec<String> {
        let mut events = Events::default();
        let mut found = Vec::new();
        for piece in pieces {
            events.feed(piece, |data| {
                found.push(String::from_utf8(data.to_vec()).unwrap());
            });
        }
        found
    }

    #[test]
    fn reads_data_in_every_form() {
        for (text, data) in [
            ("data: a\n\n", &["a"][..]),
            ("data:a\n\ndata: b\n\n", &["a", "b"]),
            ("event: x\nid: 1\ndata: a\ndata:  b\n\n", &["a\n b"]),
            ("data\n\n", &[""]),
            (
                ": comment\n\ndata: a\r\n\r\ndata: b\r\rdata: c\n\n",
                &["a", "b", "c"],
            ),
            ("database: x\n\n", &[]),
            ("data: never finished\n", &[]),
            ("\n\n\n", &[]),
        ] {
            assert_eq!(events(&[text.as_bytes()]), data, "{text:?}");
        }
    }

    #[test]
    fn a_line_end_of_two_bytes_may_come_in_two_pieces() {
        for pieces in [
            &[&b"data: a\r"[..], b"\n", b"\n", b"data: b\n\n"][..],
            &[b"data: a\r", b"", b"\n\r", b"\ndata: b\r", b"\r"],
            &[b"data: a\n", b"\r", b"\n", b"data: b\r\n", b"\n"],
        ] {
            assert_eq!(events(pieces), ["a", "b"], "{pieces:?}");
        }
    }

    #[test]
    fn passes_over_what_is_too_long_and_reads_on() {
        let long = vec![b'x'; MAX_EVENT_BYTES + 2];
        let found = events(&[b"data: a\n\ndata: ", &long, &long, b"\n\ndata: b\n\n"]);
        assert_eq!(found, ["a", "b"]);
        let at_once = [b"data: ", &long[..], b"\ndata: c"].concat();
        for end in [&b"\n\ndata: b\n\n"[..], b"d\ndata: d\n\ndata: b\n\n"] {
            assert_eq!(events(&[&at_once, end]), ["b"]);
        }
        let line = [b": ", &long[..], b"\ndata: a\n\ndata: b\n\n"].concat();
        assert_eq!(events(&[&line]), ["b"], "a long line, in one piece");
        assert_eq!(events(&[&line[..9], &line[9..]]), ["b"], "and in two");
        assert_eq!(events(&[&long, b"\ndata: a\n\ndata: b\n\n"]), ["b"]);
        let lines = b"data: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n".repeat(40_000);
        assert_eq!(events(&[&lines, b"\ndata: b\n\n"]), ["b"]);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            text in "((data: ?|event: |: )[ab]{0,3}|\r|\n|\r\n){0,24}",
            cuts in proptest::collection::vec(0usize..80, 0..6),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= bytes.len()).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            prop_assert_eq!(events(&pieces), events(&[bytes]));
        }
    }
}
