//! Printing: results to stdout, everything else to stderr, colour for terminals.

use crate::doctor::Severity;
use serde_json::Value;
use std::borrow::Borrow;
use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// Writes a line to stdout.
pub(super) fn line(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Writes bytes to stdout as they are.
pub(super) fn raw(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Writes a line to stderr, in one line.
pub(super) fn complain(text: impl Display) {
    // With stderr gone there is nobody to tell; the exit code still says it.
    let _ = writeln!(io::stderr().lock(), "{}", one_line(&text.to_string()));
}

/// Names and answers of others may hold anything: line breaks, a terminal's commands, and
/// what makes it show a line in another order than it is written in.
pub(super) fn one_line(text: &str) -> String {
    text.replace(is_deceptive, "\u{fffd}")
}

/// Writes a line of JSON to stdout, in which what is deceptive is escaped.
pub(super) fn json(value: impl Borrow<Value>) -> io::Result<()> {
    line(escaped(value.borrow()))
}

fn escaped(value: &Value) -> String {
    let mut text = String::new();
    for char in value.to_string().chars() {
        match is_deceptive(char) {
            true => text.push_str(&format!("\\u{:04x}", u32::from(char))),
            false => text.push(char),
        }
    }
    text
}

/// Controls, C1 included, and the marks that change a line's direction (Unicode
/// UAX #9, section 2).
fn is_deceptive(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `code`, unless writing failed: then a reader that has closed its end (`head`)
/// is no failure, and anything else is one.
pub(super) fn finish(written: io::Result<()>, code: ExitCode) -> ExitCode {
    match written {
        Ok(()) => code,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => code,
        Err(error) => {
            complain(format_args!("portcullis: can't write: {error}"));
            ExitCode::from(super::EXIT_FAILURE)
        }
    }
}

/// Styles for stdout, none where it is no terminal or `NO_COLOR` is set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    is_coloured: bool,
}

impl Style {
    pub(super) fn for_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| value != OsStr::new(""));
        Self {
            is_coloured: !refused && io::stdout().is_terminal(),
        }
    }

    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self { is_coloured: false }
    }

    pub(super) fn bold(self, text: impl Display) -> String {
        self.wrap("1", text)
    }

    pub(super) fn dim(self, text: impl Display) -> String {
        self.wrap("2", text)
    }

    pub(super) fn green(self, text: impl Display) -> String {
        self.wrap("32", text)
    }

    pub(super) fn red(self, text: impl Display) -> String {
        self.wrap("31", text)
    }

    /// The worse, the louder.
    pub(super) fn severity(self, severity: Severity) -> String {
        match severity {
            Severity::Critical => self.red(severity),
            Severity::Warning => self.bold(severity),
            Severity::Info => self.dim(severity),
        }
    }

    fn wrap(self, code: &str, text: impl Display) -> String {
        if self.is_coloured {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_others_wrote_says_nothing_to_a_terminal() {
        let theirs = "a\n\u{1b}]0;\u{7f}\u{9b}31m\u{202e}\u{2066}\u{200f}é\u{1f600}";
        let (shown, value) = (one_line(theirs), json!({ theirs: [theirs] }));
        let json = escaped(&value);
        for text in [&shown, &json] {
            assert!(!text.contains(is_deceptive), "{text:?}");
            assert!(text.contains("é\u{1f600}"), "{text:?}");
        }
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value);
    }
}
