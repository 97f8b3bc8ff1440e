//! What the doctor finds: where, how bad, how it shows, and what to do.

use super::finding_id::FindingId;
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::{Path, PathBuf};

/// Something that isn't as it should be. No part of a secret is ever in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which kind of thing.
    pub id: FindingId,
    /// How bad it is.
    pub severity: Severity,
    /// How it shows.
    pub evidence: String,
    /// What to do about it.
    pub remedy: String,
    /// Where it is.
    pub place: Place,
}

/// How bad a finding is; the worst is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know; nothing has to be done.
    Info,
    /// To be mended.
    Warning,
    /// To be mended now.
    Critical,
}

/// Where a finding is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file or folder.
    #[serde(serialize_with = "as_text")]
    pub file: PathBuf,
    /// The line in it, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The config's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Severity {
    /// As JSON spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl Place {
    /// A file as a whole.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self {
            file: path.to_owned(),
            line: None,
            key: None,
        }
    }

    /// A line of a file.
    #[must_use]
    pub fn line(path: &Path, line: usize) -> Self {
        Self {
            line: Some(line),
            ..Self::file(path)
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for Place {
    /// `FILE`, `FILE:LINE`, `FILE:LINE: key`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, key } = self;
        write!(formatter, "{}", file.display())?;
        if let Some(line) = line {
            write!(formatter, ":{line}")?;
        }
        if let Some(key) = key {
            write!(formatter, ": {key}")?;
        }
        Ok(())
    }
}

/// A path that isn't UTF-8 is shown as well as it can be, not an error.
fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn json_and_people_read_the_same_severity() {
        for severity in [Severity::Info, Severity::Warning, Severity::Critical] {
            assert_eq!(serde_json::to_value(severity).unwrap(), severity.as_str());
        }
        assert!(Severity::Critical > Severity::Warning && Severity::Warning > Severity::Info);
    }

    #[test]
    fn a_place_is_shown_as_far_as_it_is_known() {
        let file = Path::new("/etc/p.toml");
        let mut place = Place::file(file);
        assert_eq!(place.to_string(), "/etc/p.toml");
        place.key = Some("admin.token".to_owned());
        assert_eq!(place.to_string(), "/etc/p.toml: admin.token");
        place.line = Some(3);
        assert_eq!(place.to_string(), "/etc/p.toml:3: admin.token");
        assert_eq!(Place::line(file, 3).to_string(), "/etc/p.toml:3");
    }

    #[test]
    fn a_path_that_is_not_utf8_is_no_error() {
        let place = Place::file(Path::new(std::ffi::OsStr::from_bytes(b"/\xff")));
        assert_eq!(serde_json::to_value(place).unwrap()["file"], "/\u{fffd}");
    }
}
