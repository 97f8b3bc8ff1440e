//! What the doctor finds: where, how bad, how it shows, and what to do.

use super::finding_id::FindingId;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeSet;
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

/// Where a finding is. JSON has a `file`, and with it a `line` and a `key`, of either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// At a file of this host.
    File {
        /// The file or folder.
        path: PathBuf,
        /// The line in it, from 1.
        line: Option<usize>,
        /// The config's key: in the file, or the one that names it.
        key: Option<String>,
    },
    /// At the address that was attacked.
    Address {
        /// As it was named: `file` in JSON.
        url: String,
        /// The header that was sent: `key` in JSON.
        header: Option<String>,
    },
}

impl Finding {
    /// What is found at a place.
    pub(super) fn at(
        place: Place,
        id: FindingId,
        severity: Severity,
        evidence: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            id,
            severity,
            evidence: evidence.into(),
            remedy: remedy.into(),
            place,
        }
    }
}

/// The worst first. A folder that leads to several files is told of once, for the sake of
/// that file for which it is worst.
#[must_use]
pub fn worst_first(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| Reverse(finding.severity));
    let mut told = BTreeSet::new();
    findings.retain(|finding| match &finding.place {
        Place::File { path, .. } if finding.id == FindingId::FileModeBroad => {
            told.insert((path.clone(), finding.remedy.clone()))
        }
        _ => true,
    });
    findings
}

/// How many findings there are of each severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Those that have to be mended now.
    pub critical: usize,
    /// Those that have to be mended.
    pub warning: usize,
    /// Those that are good to know.
    pub info: usize,
}

impl Tally {
    /// Counts them.
    #[must_use]
    pub fn of(findings: &[Finding]) -> Self {
        let mut tally = Self::default();
        for finding in findings {
            match finding.severity {
                Severity::Critical => tally.critical += 1,
                Severity::Warning => tally.warning += 1,
                Severity::Info => tally.info += 1,
            }
        }
        tally
    }

    /// Whether nothing has to be mended: `ok` in JSON.
    #[must_use]
    pub const fn is_good(self) -> bool {
        self.critical == 0 && self.warning == 0
    }
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
        Self::File {
            path: path.to_owned(),
            line: None,
            key: None,
        }
    }

    /// A line of a file.
    #[must_use]
    pub fn line(path: &Path, line: usize) -> Self {
        Self::File {
            path: path.to_owned(),
            line: Some(line),
            key: None,
        }
    }

    /// A file, and the config's key that it has or that names it.
    #[must_use]
    pub fn key(path: &Path, key: impl Into<String>) -> Self {
        Self::File {
            path: path.to_owned(),
            line: None,
            key: Some(key.into()),
        }
    }

    /// The attacked address.
    #[must_use]
    pub fn address(url: &str) -> Self {
        Self::Address {
            url: url.to_owned(),
            header: None,
        }
    }

    /// A header that was sent to the attacked address.
    #[must_use]
    pub fn header(url: &str, header: impl Into<String>) -> Self {
        Self::Address {
            url: url.to_owned(),
            header: Some(header.into()),
        }
    }

    /// The key, or the header, that is shown.
    #[cfg(test)]
    pub(super) fn shown_key(&self) -> Option<String> {
        self.parts().key.map(str::to_owned)
    }

    /// Whether a line is shown.
    #[cfg(test)]
    pub(super) fn has_line(&self) -> bool {
        self.parts().line.is_some()
    }

    fn parts(&self) -> Parts<'_> {
        match self {
            Self::File { path, line, key } => Parts {
                // A path that isn't UTF-8 is shown as well as it can be, not an error.
                file: path.to_string_lossy(),
                line: *line,
                key: key.as_deref(),
            },
            Self::Address { url, header } => Parts {
                file: url.into(),
                line: None,
                key: header.as_deref(),
            },
        }
    }
}

/// A place as it is shown, whatever it is.
#[derive(Serialize)]
struct Parts<'a> {
    file: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for Place {
    /// `FILE`, `FILE:LINE`, `FILE:LINE: key`, `URL: header`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { file, line, key } = self.parts();
        formatter.write_str(&file)?;
        if let Some(line) = line {
            write!(formatter, ":{line}")?;
        }
        if let Some(key) = key {
            write!(formatter, ": {key}")?;
        }
        Ok(())
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.parts().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn json_and_people_read_the_same_severity() {
        for severity in [Severity::Info, Severity::Warning, Severity::Critical] {
            assert_eq!(serde_json::to_value(severity).unwrap(), severity.as_str());
        }
        assert!(Severity::Critical > Severity::Warning && Severity::Warning > Severity::Info);
    }

    #[test]
    fn a_file_that_is_open_for_several_reasons_is_told_of_once() {
        let finding = |id, severity, file: &str, key: &str, remedy: &str| {
            Finding::at(Place::key(Path::new(file), key), id, severity, "", remedy)
        };
        use FindingId::{FileModeBroad, TrustedProxiesWide};
        use Severity::{Critical, Warning};
        let found = worst_first(vec![
            finding(FileModeBroad, Warning, "/x", "a", "chmod"),
            finding(FileModeBroad, Critical, "/x", "b", "chmod"),
            finding(FileModeBroad, Critical, "/x", "c", "chown"),
            finding(FileModeBroad, Critical, "/y", "b", "chmod"),
            finding(TrustedProxiesWide, Warning, "/x", "d", "list"),
            finding(TrustedProxiesWide, Warning, "/x", "d", "list"),
        ]);
        let keys: Vec<_> = found.iter().filter_map(|it| it.place.shown_key()).collect();
        assert_eq!(keys, ["b", "c", "b", "d", "d"]);
    }

    #[test]
    fn a_place_is_shown_as_far_as_it_is_known() {
        let file = Path::new("/etc/p.toml");
        let whole = Place::File {
            path: file.to_owned(),
            line: Some(3),
            key: Some("admin.token".to_owned()),
        };
        for (place, text, as_json) in [
            (
                Place::file(file),
                "/etc/p.toml",
                json!({"file": "/etc/p.toml"}),
            ),
            (
                Place::key(file, "admin.token"),
                "/etc/p.toml: admin.token",
                json!({"file": "/etc/p.toml", "key": "admin.token"}),
            ),
            (
                whole,
                "/etc/p.toml:3: admin.token",
                json!({"file": "/etc/p.toml", "line": 3, "key": "admin.token"}),
            ),
            (
                Place::line(file, 3),
                "/etc/p.toml:3",
                json!({"file": "/etc/p.toml", "line": 3}),
            ),
            (
                Place::address("https://h"),
                "https://h",
                json!({"file": "https://h"}),
            ),
            (
                Place::header("https://h", "x-user"),
                "https://h: x-user",
                json!({"file": "https://h", "key": "x-user"}),
            ),
        ] {
            assert_eq!(place.to_string(), text);
            assert_eq!(serde_json::to_value(place).unwrap(), as_json);
        }
    }

    #[test]
    fn a_path_that_is_not_utf8_is_no_error() {
        let place = Place::file(Path::new(std::ffi::OsStr::from_bytes(b"/\xff")));
        assert_eq!(serde_json::to_value(place).unwrap()["file"], "/\u{fffd}");
    }
}
