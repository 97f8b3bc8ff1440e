//! The words of a unit file's line, quoted and escaped as systemd has it
//! (`systemd.syntax(7)`, "Quoting").

use std::iter::Peekable;
use std::str::Chars;

/// What parts words, and is cut off around a line.
pub(super) const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// The words of a line. systemd passes over a line with an open quote or an
/// escape that it doesn't know; here the quote ends with the line and the escape
/// stays as it is, since what stands there is in the file all the same.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut chars = line.chars().peekable();
    let mut words = Vec::new();
    loop {
        while chars.next_if(|c| WHITE_SPACE.contains(c)).is_some() {}
        if chars.peek().is_none() {
            return words;
        }
        words.push(word(&mut chars));
    }
}

fn word(chars: &mut Peekable<Chars<'_>>) -> String {
    let mut word = String::new();
    let mut quote = None;
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', _) => escape(chars, &mut word),
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            (c, None) if WHITE_SPACE.contains(&c) => break,
            _ => word.push(c),
        }
    }
    word
}

/// What stands for one character after a backslash.
fn escape(chars: &mut Peekable<Chars<'_>>, word: &mut String) {
    let rest = chars.clone();
    let decoded = chars.next().and_then(|c| match c {
        'a' => Some('\u{7}'),
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        's' => Some(' '),
        't' => Some('\t'),
        'v' => Some('\u{b}'),
        '\\' | '"' | '\'' => Some(c),
        'x' => digits(chars, 2, 16),
        'u' => digits(chars, 4, 16),
        'U' => digits(chars, 8, 16),
        '0'..='7' => {
            *chars = rest.clone();
            digits(chars, 3, 8)
        }
        _ => None,
    });
    match decoded {
        Some(c) => word.push(c),
        None => {
            *chars = rest;
            word.push('\\');
        }
    }
}

/// A character by its number; NUL is none.
fn digits(chars: &mut Peekable<Chars<'_>>, count: usize, radix: u32) -> Option<char> {
    let mut number = 0_u32;
    for _ in 0..count {
        let digit = chars.next()?.to_digit(radix)?;
        number = number.checked_mul(radix)?.checked_add(digit)?;
    }
    char::from_u32(number).filter(|c| *c != '\0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_and_escapes_are_systemds() {
        for (line, expected) in [
            ("", &[][..]),
            ("  \t ", &[]),
            ("A=b C=d", &["A=b", "C=d"]),
            (
                r#""A=one two" 'B=three "four"'"#,
                &["A=one two", "B=three \"four\""],
            ),
            (r#"A="one two" B=x"#, &["A=one two", "B=x"]),
            (r#"A=a"b c"d"#, &["A=ab cd"]),
            (r#""" x"#, &["", "x"]),
            (r"A=one\stwo", &["A=one two"]),
            (r"'A=\'' B", &["A='", "B"]),
            (r"\x41=\u00e9\U0001f511\101", &["A=é🔑A"]),
            (r#"A="\"""#, &["A=\""]),
            (r"A=a\ b", &["A=a\\", "b"]),
            (r"A=\q\x4\x00\u12", &[r"A=\q\x4\x00\u12"]),
            (r#"A="open end"#, &["A=open end"]),
            (r"A=\", &[r"A=\"]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_line_has_words_and_none_is_longer_than_the_line(line in "\\PC*") {
            let found = words(&line);
            prop_assert!(found.iter().map(String::len).sum::<usize>() <= line.len());
        }
        #[test]
        fn lines_of_quotes_and_escapes_are_read_to_their_end(line in r#"[\\"' xuU01a=\t]*"#) {
            words(&line);
        }
    }
}
