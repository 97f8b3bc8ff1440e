//! Printing: results to stdout, everything else to stderr, colour for terminals.

use crate::doctor::Severity;
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

/// Names and answers of others may hold anything, line breaks and a terminal's
/// commands included.
pub(super) fn one_line(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
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
