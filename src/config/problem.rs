//! What is wrong with a config and where: `LINE:COLUMN: key.path: got …, expected …`.

use std::fmt;
use std::path::Path;

/// One reason why a config is refused. Never holds a value that could be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The key's path, such as `gateway.trustedProxies[1]`; empty where the text
    /// is no TOML at all.
    pub key: String,
    /// What was got and what was expected.
    pub message: String,
}

/// Something that is allowed and that its author should know of. Shaped and
/// shown like a [`Problem`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The key's path.
    pub key: String,
    /// What it means.
    pub message: String,
}

/// A [`Problem`] or [`Warning`] with the file it is in: `FILE:LINE:COLUMN: …`.
#[derive(Debug, Clone, Copy)]
pub struct InFile<'a, T> {
    file: &'a Path,
    located: &'a T,
}

impl Problem {
    /// The full line, with the file's name in front.
    #[must_use]
    pub fn with_file<'a>(&'a self, file: &'a Path) -> InFile<'a, Self> {
        InFile {
            file,
            located: self,
        }
    }
}

impl Warning {
    /// The full line, with the file's name in front.
    #[must_use]
    pub fn with_file<'a>(&'a self, file: &'a Path) -> InFile<'a, Self> {
        InFile {
            file,
            located: self,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(formatter, self.line, self.column, &self.key, &self.message)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(formatter, self.line, self.column, &self.key, &self.message)
    }
}

impl<T: fmt::Display> fmt::Display for InFile<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file.display(), self.located)
    }
}

impl std::error::Error for Problem {}

fn show(
    formatter: &mut fmt::Formatter<'_>,
    line: usize,
    column: usize,
    key: &str,
    message: &str,
) -> fmt::Result {
    write!(formatter, "{line}:{column}: ")?;
    if !key.is_empty() {
        write!(formatter, "{key}: ")?;
    }
    formatter.write_str(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_shown_with_file_line_column_and_key() {
        let problem = Problem {
            line: 3,
            column: 14,
            key: "listen.address".into(),
            message: "got an integer, expected an address".into(),
        };
        assert_eq!(
            problem.with_file(Path::new("/etc/p.toml")).to_string(),
            "/etc/p.toml:3:14: listen.address: got an integer, expected an address"
        );
    }

    #[test]
    fn without_a_key_none_is_shown() {
        let problem = Problem {
            line: 1,
            column: 2,
            key: String::new(),
            message: "not TOML".into(),
        };
        assert_eq!(problem.to_string(), "1:2: not TOML");
    }
}
