//! A systemd service unit, or a drop-in of one, as far as it sets variables and
//! says what is run (`systemd.syntax(7)`, `systemd.exec(5)`).

use super::assignment::Assignment;
use super::words::{WHITE_SPACE, words};
use std::path::{Path, PathBuf};

/// What a unit file says of commands and variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitFile {
    /// The programs of its `ExecStart=` lines.
    pub commands: Vec<PathBuf>,
    /// What it sets itself (`Environment=`), later resets not counted: what they
    /// take back stands in the file all the same.
    pub environment: Vec<Assignment>,
    /// The files that set more (`EnvironmentFile=`).
    pub environment_files: Vec<EnvironmentFilePath>,
    /// The user that it runs as (`User=`), the last one set.
    pub user: Option<String>,
    /// The groups that it names (`Group=`, `SupplementaryGroups=`).
    pub groups: Vec<String>,
    /// Whether it has a user of its own while it runs (`DynamicUser=`).
    pub has_dynamic_user: Option<bool>,
    /// The files that it may open (`LimitNOFILE=`), the larger number of two.
    pub open_files: Option<u64>,
}

/// A file that a unit takes variables from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentFilePath {
    /// The path as it is written, without the `-` of one that may be missing.
    pub path: String,
    /// The line that names it, from 1.
    pub line: usize,
}

/// What may stand before a command's path.
const COMMAND_PREFIXES: [char; 6] = ['@', '-', ':', '+', '!', '|'];

impl UnitFile {
    /// Reads a unit file. Nothing is an error: what systemd would pass over is
    /// passed over.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut unit = Self::default();
        let mut in_service = false;
        for (line, text) in logical_lines(text) {
            let text = text.trim_matches(WHITE_SPACE);
            if let Some(section) = text.strip_prefix('[') {
                in_service = section == "Service]";
            } else if let Some((key, value)) = text.split_once('=')
                && in_service
            {
                let value = value.trim_start_matches(WHITE_SPACE);
                unit.take(key.trim_end_matches(WHITE_SPACE), value, line);
            }
        }
        unit
    }

    fn take(&mut self, key: &str, value: &str, line: usize) {
        match key {
            "ExecStart" => self.commands.extend(commands(value)),
            "Environment" => {
                let words = words(value);
                let set = words.iter().filter_map(|word| Assignment::read(word, line));
                self.environment.extend(set);
            }
            "EnvironmentFile" => {
                let path = value.strip_prefix('-').unwrap_or(value);
                if !path.is_empty() {
                    self.environment_files.push(EnvironmentFilePath {
                        path: path.to_owned(),
                        line,
                    });
                }
            }
            "User" => self.user = Some(value.to_owned()),
            "Group" | "SupplementaryGroups" => {
                self.groups.extend(words(value));
            }
            "DynamicUser" => self.has_dynamic_user = truth(value),
            "LimitNOFILE" => self.open_files = open_files(value),
            _ => {}
        }
    }

    /// Whether it runs a program of this name.
    #[must_use]
    pub fn runs(&self, program: &str) -> bool {
        let is_it = |command: &PathBuf| command.file_name() == Some(Path::new(program).as_os_str());
        self.commands.iter().any(is_it)
    }
}

/// The programs of one `ExecStart=`, which may have several commands parted by `;`.
fn commands(value: &str) -> Vec<PathBuf> {
    let words = words(value);
    let commands = words.split(|word| word == ";");
    commands
        .filter_map(|command| command.first())
        .map(|path| PathBuf::from(path.trim_start_matches(COMMAND_PREFIXES)))
        .collect()
}

/// systemd's booleans.
fn truth(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "yes" | "true" | "on" | "y" | "t" => Some(true),
        "0" | "no" | "false" | "off" | "n" | "f" => Some(false),
        _ => None,
    }
}

/// `SOFT:HARD`, or one number for both.
fn open_files(value: &str) -> Option<u64> {
    match value.rsplit(':').next()? {
        "infinity" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// Lines with their continuations, each with the number of its first line. A
/// comment within a continuation is left out and doesn't end it.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.trim_start_matches(WHITE_SPACE).starts_with(['#', ';']) {
            continue;
        }
        let (number, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        let slashes = line.bytes().rev().take_while(|byte| *byte == b'\\').count();
        if slashes % 2 == 1 {
            joined.push_str(&line[..line.len() - 1]);
            joined.push(' ');
            open = Some((number, joined));
        } else {
            joined.push_str(line);
            lines.push((number, joined));
        }
    }
    lines.extend(open);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn environment(text: &str) -> Vec<(String, usize)> {
        let unit = UnitFile::parse(text);
        let set = unit.environment.into_iter();
        set.map(|set| (set.name, set.line)).collect()
    }

    #[test]
    fn variables_are_found_wherever_systemd_finds_them() {
        for (text, expected) in [
            ("[Service]\nEnvironment=A=1", &[("A", 2)][..]),
            (
                "[Service]\n Environment = A=1 \"B=2 3\"\n",
                &[("A", 2), ("B", 2)],
            ),
            ("[Service]\r\nEnvironment=A=1\r\n", &[("A", 2)]),
            ("\u{feff}[Service]\nEnvironment=A=1\n", &[("A", 2)]),
            (
                "[Service]\nEnvironment=A=1 \\\n  B=2 \\\n# no\n ; no\n  C=3\nEnvironment=D=4\n",
                &[("A", 2), ("B", 2), ("C", 2), ("D", 7)],
            ),
            // A backslash before the last one is a backslash, and ends nothing.
            ("[Service]\nEnvironment=A=1\\\\\nB=2\n", &[("A", 2)]),
            ("[Service]\nEnvironment=A=1 \\", &[("A", 2)]),
            ("[Service]\nEnvironment=A=1 \\\n\nB=2\n", &[("A", 2)]),
            ("[Service]\nEnvironment=A=1\nEnvironment=\n", &[("A", 2)]),
            ("[Service]\nEnvironment=\"A=open\n", &[("A", 2)]),
            ("[Service]\n#Environment=A=1\n;Environment=B=2\n", &[]),
            ("[Service]\nEnvironment=no assignment 1A=b\n", &[]),
            ("[Service]\nPassEnvironment=A\nSetEnvironment=A=1\n", &[]),
            ("[Unit]\nEnvironment=A=1\n", &[]),
            (
                "Environment=A=1\n[Service]\n[X-Service]\nEnvironment=B=2\n",
                &[],
            ),
            ("", &[]),
        ] {
            let expected: Vec<_> = expected
                .iter()
                .map(|(name, line)| ((*name).to_owned(), *line))
                .collect();
            assert_eq!(environment(text), expected, "{text}");
        }
    }

    #[test]
    fn files_of_variables_are_named_as_they_are_written() {
        let unit = UnitFile::parse(
            "[Service]\nEnvironmentFile=/etc/a b\nEnvironmentFile=-/etc/c\nEnvironmentFile=\n",
        );
        let files: Vec<_> = unit
            .environment_files
            .iter()
            .map(|file| (file.path.as_str(), file.line))
            .collect();
        assert_eq!(files, [("/etc/a b", 2), ("/etc/c", 3)]);
    }

    #[test]
    fn a_command_is_known_by_its_file_name() {
        for (line, runs) in [
            ("/usr/local/bin/portcullis run", true),
            ("portcullis", true),
            ("-/usr/bin/portcullis run", true),
            ("@/usr/bin/portcullis door run", true),
            ("-+!!/usr/bin/portcullis", true),
            ("\"/opt/the door/portcullis\" run", true),
            ("/bin/true ; /usr/bin/portcullis run", true),
            ("/bin/true ; \\\n/usr/bin/portcullis", true),
            ("/bin/echo portcullis", false),
            ("/bin/echo /usr/bin/portcullis", false),
            ("/usr/bin/portcullis-wrapper", false),
            ("/opt/portcullis/other", false),
            ("", false),
        ] {
            let unit = UnitFile::parse(&format!("[Service]\nExecStart={line}\n"));
            assert_eq!(unit.runs("portcullis"), runs, "{line}");
        }
        let other = UnitFile::parse("[Service]\nExecStop=/usr/bin/portcullis\n");
        assert!(!other.runs("portcullis"));
    }

    #[test]
    fn the_user_and_the_limits_are_those_set_last() {
        let text = "[Service]\nUser=root\nUser=door\nDynamicUser=Yes\nLimitNOFILE=1024:65536\n\
                    [Unit]\nUser=other\n";
        let unit = UnitFile::parse(text);
        assert_eq!(unit.user.as_deref(), Some("door"));
        assert_eq!(unit.has_dynamic_user, Some(true));
        assert_eq!(unit.open_files, Some(65_536));
        let unit = UnitFile::parse("[Service]\nDynamicUser=0\nLimitNOFILE=infinity\n");
        let expected = (None, Some(false), Some(u64::MAX));
        assert_eq!(
            (unit.user, unit.has_dynamic_user, unit.open_files),
            expected
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in "(?s).*") {
            let _parsed = UnitFile::parse(&text);
        }
        #[test]
        fn any_unit_is_read_to_its_end(
            lines in proptest::collection::vec(r#"(Environment|ExecStart|EnvironmentFile)?=?[\\"' xuA=;#\[\]-]*\\?"#, 0..8)
        ) {
            let unit = UnitFile::parse(&format!("[Service]\n{}", lines.join("\n")));
            let last = lines.len() + 1;
            prop_assert!(unit.environment.iter().all(|set| (2..=last).contains(&set.line)));
        }
    }
}
