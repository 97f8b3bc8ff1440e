//! What others wrote, made fit for a message or a line of a log.

/// The first `most` characters of `text`, each that isn't printable ASCII, or a backtick,
/// with which messages quote, as `?`. What is cut off shows as `…`.
#[must_use]
pub fn printable(text: &str, most: usize) -> String {
    let mut characters = text.chars();
    let mut shown: String = characters
        .by_ref()
        .take(most)
        .map(|char| match char {
            ' '..='~' if char != '`' => char,
            _ => '?',
        })
        .collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_plain_and_says_what_was_cut() {
        for (text, shown) in [
            ("", ""),
            ("nick", "nick"),
            ("nicks", "nicks"),
            ("nicks-", "nicks…"),
            ("a\n\u{1b}`", "a???"),
            ("é\u{202e}", "??"),
        ] {
            assert_eq!(printable(text, 5), shown, "{text:?}");
        }
    }
}
