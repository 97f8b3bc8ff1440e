//! Looks for the systemd units that run Portcullis, and at what they read.

use super::assignment::Assignment;
use super::custody::FileFacts;
use super::environment_file;
use super::look::Look;
use super::unit_file::UnitFile;
use crate::regular_file;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where systemd looks for a system's units, the first being the strongest.
pub const USUAL_FOLDERS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// The program whose units count.
const PROGRAM: &str = "portcullis";
/// How a unit, or a part of one, is turned off: a link to this.
const MASK: &str = "/dev/null";
/// Units and files of variables are no larger, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The units that run Portcullis.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Units {
    /// Their files and drop-ins.
    pub fragments: Vec<Fragment>,
    /// The files that they take variables from.
    pub environment_files: Vec<EnvironmentFile>,
    /// What could not be looked at, and why.
    pub unseen: Vec<(PathBuf, String)>,
}

/// One file of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// The unit's name, an instance's being that of its template.
    pub unit: String,
    /// The file, symlinks followed.
    pub path: PathBuf,
    /// What it says.
    pub content: UnitFile,
}

/// A file that a unit takes variables from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentFile {
    /// The unit.
    pub unit: String,
    /// Where it is.
    pub path: PathBuf,
    /// What it is like.
    pub facts: Look<FileFacts>,
    /// What it sets.
    pub assignments: Look<Vec<Assignment>>,
}

impl Units {
    /// Reads the units of `folders`, each of which is expected to be there.
    #[must_use]
    pub fn gather(folders: &[PathBuf]) -> Self {
        let mut units = Self::default();
        for folder in folders {
            if let Err(error) = units.read_folder(folder) {
                units.unseen.push((folder.clone(), error.to_string()));
            }
        }
        units.keep_ours();
        units.read_environment_files();
        units
    }

    fn read_folder(&mut self, folder: &Path) -> io::Result<()> {
        for entry in sorted(folder)? {
            // A unit's name is ASCII.
            let Some(name) = entry.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if name.ends_with(".service") {
                self.read_fragment(name, &entry);
            } else if let Some(unit) = name.strip_suffix(".d")
                && unit.ends_with(".service")
                && entry.is_dir()
            {
                match sorted(&entry) {
                    Ok(drop_ins) => {
                        let is_conf =
                            |path: &&PathBuf| path.as_os_str().as_bytes().ends_with(b".conf");
                        for path in drop_ins.iter().filter(is_conf) {
                            self.read_fragment(unit, path);
                        }
                    }
                    Err(error) => self.unseen.push((entry, error.to_string())),
                }
            }
        }
        Ok(())
    }

    fn read_fragment(&mut self, unit: &str, named: &Path) {
        let path = named.canonicalize().unwrap_or_else(|_| named.to_owned());
        if path == Path::new(MASK) {
            return;
        }
        match Look::from(read(&path)) {
            Look::Seen(text) => self.fragments.push(Fragment {
                unit: template(unit),
                path,
                content: UnitFile::parse(&String::from_utf8_lossy(&text)),
            }),
            // A link to nothing, or gone meanwhile.
            Look::Missing => {}
            Look::Hidden(reason) => self.unseen.push((named.to_owned(), reason)),
        }
    }

    /// Leaves the fragments of units any of whose files runs Portcullis.
    fn keep_ours(&mut self) {
        let runs = |fragment: &&Fragment| fragment.content.runs(PROGRAM);
        let ours = self.fragments.iter().filter(runs);
        let ours: BTreeSet<String> = ours.map(|fragment| fragment.unit.clone()).collect();
        self.fragments
            .retain(|fragment| ours.contains(&fragment.unit));
    }

    fn read_environment_files(&mut self) {
        for fragment in &self.fragments {
            for named in &fragment.content.environment_files {
                let path = named.path.replace("%%", "%");
                let has_specifier = named.path.replace("%%", "").contains('%');
                // Only systemd could say what these become.
                if has_specifier || path.contains(['*', '?', '[']) {
                    let reason =
                        format!("line {} names it by a pattern or a specifier", named.line);
                    self.unseen.push((path.into(), reason));
                } else if path.starts_with('/') {
                    let path = PathBuf::from(path);
                    self.environment_files.push(EnvironmentFile {
                        unit: fragment.unit.clone(),
                        facts: FileFacts::of(&path),
                        assignments: read(&path)
                            .map(|text| environment_file::parse(&text))
                            .into(),
                        path,
                    });
                }
            }
        }
        self.environment_files
            .sort_by(|one, other| one.path.cmp(&other.path));
        self.environment_files
            .dedup_by(|one, other| one.path == other.path);
    }
}

/// `door@a.service` is an instance of `door@.service`.
fn template(unit: &str) -> String {
    match unit.split_once('@') {
        Some((name, _)) => format!("{name}@.service"),
        None => unit.to_owned(),
    }
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut entries = entries.collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

/// A file's bytes, wiped when dropped.
fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    regular_file::read(path, MAX_BYTES).map(Zeroizing::new)
}

#[cfg(test)]
mod tests;
