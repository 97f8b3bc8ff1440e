//! What an `EnvironmentFile=` sets, read as systemd reads it (`systemd.exec(5)`).

use super::assignment::Assignment;

/// Where in the file the reader is.
#[derive(Clone, Copy)]
enum State {
    BeforeName,
    Name,
    BeforeValue,
    Value,
    ValueEscape,
    SingleQuoted,
    DoubleQuoted,
    DoubleQuotedEscape,
    Comment,
}

/// The variables that the file sets. Values are looked at byte by byte and never
/// kept; `export NAME=…`, which systemd passes over, counts, since the value
/// stands in the file all the same.
pub(super) fn parse(text: &[u8]) -> Vec<Assignment> {
    let mut reader = Reader {
        state: State::BeforeName,
        line: 1,
        name: Vec::new(),
        name_line: 1,
        is_blank: true,
        found: Vec::new(),
    };
    for &byte in text {
        reader.take(byte);
        reader.line += usize::from(byte == b'\n');
    }
    reader.finish()
}

struct Reader {
    state: State,
    line: usize,
    name: Vec<u8>,
    name_line: usize,
    is_blank: bool,
    found: Vec<Assignment>,
}

impl Reader {
    fn take(&mut self, byte: u8) {
        use State::{
            BeforeName, BeforeValue, Comment, DoubleQuoted, DoubleQuotedEscape, Name, SingleQuoted,
            Value, ValueEscape,
        };
        let ends_line = matches!(byte, b'\n' | b'\r');
        self.state = match (self.state, byte) {
            (BeforeName, b'#' | b';') => Comment,
            (BeforeName, _) if is_space(byte) => BeforeName,
            (BeforeName, _) => {
                self.name = vec![byte];
                self.name_line = self.line;
                self.is_blank = true;
                Name
            }
            (Name, b'=') => BeforeValue,
            (Comment | Name, _) if ends_line => BeforeName,
            (Comment, _) => Comment,
            (Name, _) => {
                self.name.push(byte);
                Name
            }
            (BeforeValue | Value, _) if ends_line => {
                self.keep();
                BeforeName
            }
            (BeforeValue, b'\'') => SingleQuoted,
            (BeforeValue, b'"') => DoubleQuoted,
            (BeforeValue | Value, b'\\') => ValueEscape,
            (BeforeValue, _) if is_space(byte) => BeforeValue,
            (ValueEscape, b'\n' | b'\r') => Value,
            (BeforeValue | Value | ValueEscape, _) => self.value(byte, Value),
            (SingleQuoted, b'\'') | (DoubleQuoted, b'"') => BeforeValue,
            (DoubleQuoted, b'\\') => DoubleQuotedEscape,
            (SingleQuoted, _) => self.value(byte, SingleQuoted),
            (DoubleQuoted | DoubleQuotedEscape, _) => self.value(byte, DoubleQuoted),
        };
    }

    fn value(&mut self, byte: u8, next: State) -> State {
        self.is_blank &= is_space(byte);
        next
    }

    fn keep(&mut self) {
        let name = String::from_utf8_lossy(&self.name);
        let name = name.trim();
        let name = name.strip_prefix("export ").unwrap_or(name).trim();
        if super::assignment::is_name(name) {
            self.found.push(Assignment {
                name: name.to_owned(),
                line: self.name_line,
                is_blank: self.is_blank,
            });
        }
    }

    fn finish(mut self) -> Vec<Assignment> {
        match self.state {
            State::BeforeName | State::Name | State::Comment => {}
            State::BeforeValue
            | State::Value
            | State::ValueEscape
            | State::SingleQuoted
            | State::DoubleQuoted
            | State::DoubleQuotedEscape => self.keep(),
        }
        self.found
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_and_lines_are_found_and_values_left() {
        for (text, expected) in [
            ("A=1\nB=2", &[("A", 1, false), ("B", 2, false)][..]),
            ("# A=1\n; B=2\n\n  C = 3\n", &[("C", 4, false)]),
            (
                "A=\nB= \nC=''\nD=\"\"\nE='x'\n",
                &[
                    ("A", 1, true),
                    ("B", 2, true),
                    ("C", 3, true),
                    ("D", 4, true),
                    ("E", 5, false),
                ],
            ),
            ("A='one\nB=2'\nC=3", &[("A", 1, false), ("C", 3, false)]),
            (
                "A=\"one\\\"\nB=2\"\nC=3",
                &[("A", 1, false), ("C", 3, false)],
            ),
            ("A='x'\"y\"z\n", &[("A", 1, false)]),
            ("A=one\\\nB=2\nC=3", &[("A", 1, false), ("C", 3, false)]),
            ("A=\\\n\n", &[("A", 1, true)]),
            // A comment's backslash carries nothing on (since systemd 254).
            ("# no \\\nA=1\n", &[("A", 2, false)]),
            ("A=1\r\nB=2\r\n", &[("A", 1, false), ("B", 2, false)]),
            ("export A=1\n", &[("A", 1, false)]),
            ("A B=1\n1A=2\n=3\nD\nA='open", &[("A", 5, false)]),
            ("", &[]),
        ] {
            let found = parse(text.as_bytes());
            let found: Vec<_> = found
                .iter()
                .map(|set| (set.name.as_str(), set.line, set.is_blank))
                .collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&text);
        }
        #[test]
        fn a_quoted_value_gives_no_further_names(value in "[A-Z=\n #;]*") {
            let found = parse(format!("A='{value}'\n").as_bytes());
            prop_assert_eq!(found.len(), 1);
        }
    }
}
