//! An error with its causes, in one line.

use std::error::Error;

/// The error's words, and after them those of each cause that they don't hold yet.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("{words}")]
    struct Outer {
        words: &'static str,
        source: io::Error,
    }

    #[test]
    fn a_cause_is_told_once() {
        for (words, told) in [
            ("can't be started", "can't be started: not there"),
            ("can't be started: not there", "can't be started: not there"),
        ] {
            let source = io::Error::other("not there");
            assert_eq!(with_causes(&Outer { words, source }), told);
        }
    }
}
