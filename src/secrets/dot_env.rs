//! A `.env` file: `NAME=VALUE` lines, as other programs of the same keys read them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use super::file::{FileError, read_own_file};
use super::{SecretValue, Variables};

/// The largest such file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The values of a `.env` file. Of a name that comes twice the last one counts.
#[derive(Debug, Clone, Default)]
pub struct DotEnv(BTreeMap<String, SecretValue>);

impl DotEnv {
    /// Reads a file, which must be held as a secret file is.
    ///
    /// # Errors
    /// [`FileError`]; its words hold nothing of the file.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let content = read_own_file(path, MAX_BYTES)?;
        let mut values = BTreeMap::new();
        for pair in dotenvy::from_read_iter(content.as_slice()) {
            // The parser's own words quote the line.
            let (name, value) = pair.map_err(|_| FileError::Content {
                path: path.to_owned(),
                problem: "a line is no NAME=VALUE",
            })?;
            values.insert(name, SecretValue::new(value));
        }
        Ok(Self(values))
    }
}

impl Variables for DotEnv {
    fn value(&self, name: &str) -> Option<OsString> {
        self.0.get(name).map(|value| value.expose().into())
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn written(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("models.env");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        (folder, path)
    }

    #[test]
    fn reads_names_and_values() {
        let (_folder, path) = written(
            "# keys\nexport OPENAI_API_KEY=sk-one\nGROQ_API_KEY=\"gsk two\"\n\nA='$B'\nA=last # why\n",
        );
        let file = DotEnv::read(&path).unwrap();
        assert_eq!(file.names(), ["A", "GROQ_API_KEY", "OPENAI_API_KEY"]);
        for (name, value) in [
            ("OPENAI_API_KEY", "sk-one"),
            ("GROQ_API_KEY", "gsk two"),
            ("A", "last"),
        ] {
            assert_eq!(file.value(name).unwrap(), value);
        }
        assert!(file.value("B").is_none());
        assert!(!format!("{file:?}").contains("sk-one"));
    }

    #[test]
    fn refuses_what_others_may_read_and_quotes_no_line() {
        let (_folder, path) = written("hunter2 is no pair\n");
        let error = DotEnv::read(&path).unwrap_err().to_string();
        assert!(
            error.contains("NAME=VALUE") && !error.contains("hunter2"),
            "{error}"
        );
        fs::write(&path, "A=1\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(DotEnv::read(&path), Err(FileError::Unsafe { .. })));
    }
}
