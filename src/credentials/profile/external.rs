//! A login that another program keeps: read from its file each time, never copied and
//! never refreshed, since two programs that refresh one login log each other out.

use super::super::UnixMillis;
use super::super::wiped::Wiped;
use super::read::{millis, secret_text};
use crate::secrets::{FileError, SecretValue, read_own_file};
use serde_json::Value;
use std::path::PathBuf;

/// Larger than any login, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Where another program's login is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalLogin {
    /// The program.
    pub program: ExternalProgram,
    /// Its file, absolute.
    pub file: PathBuf,
}

/// The programs whose logins can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExternalProgram {
    /// Anthropic's `claude`.
    ClaudeCli,
}

/// Why another program's login can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// The file can't be read, or isn't held as it must be.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file holds something else.
    #[error(
        "{file}: got no login of {program}, expected JSON with claudeAiOauth.accessToken: log in with `claude` first",
        file = file.display(),
        program = program.as_str()
    )]
    NoLogin {
        /// The file.
        file: PathBuf,
        /// The program.
        program: ExternalProgram,
    },
}

impl ExternalProgram {
    /// As the sink's `managedBy` has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClaudeCli => "claude-cli",
        }
    }

    /// The only provider that its logins are for.
    #[must_use]
    pub fn provider(self) -> &'static str {
        match self {
            Self::ClaudeCli => "anthropic",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        (text == Self::ClaudeCli.as_str()).then_some(Self::ClaudeCli)
    }
}

impl ExternalLogin {
    /// The access token that the program's file holds now, and when it ends. This waits
    /// for the file system.
    ///
    /// # Errors
    /// [`ExternalError`].
    pub fn read(&self) -> Result<(SecretValue, Option<UnixMillis>), ExternalError> {
        let text = read_own_file(&self.file, MAX_BYTES)?;
        let document = Wiped::parse(&text);
        let login = document
            .as_ref()
            .and_then(|document| document.get().get("claudeAiOauth"))
            .and_then(Value::as_object);
        let token = login
            .and_then(|login| login.get("accessToken"))
            .and_then(|token| secret_text(token).ok());
        let expires = login.and_then(|login| millis(login.get("expiresAt")?));
        match token {
            Some(token) => Ok((token, expires)),
            None => Err(ExternalError::NoLogin {
                file: self.file.clone(),
                program: self.program,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn reads_the_file_of_today_and_nothing_that_others_can_open() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".credentials.json");
        let login = ExternalLogin {
            program: ExternalProgram::ClaudeCli,
            file: file.clone(),
        };
        let write = |text: &str, mode| {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        };
        assert!(matches!(login.read(), Err(ExternalError::File(_))));
        write(
            r#"{"claudeAiOauth":{"accessToken":"canary","refreshToken":"r","expiresAt":5}}"#,
            0o600,
        );
        let (token, expires) = login.read().unwrap();
        assert_eq!((token.expose(), expires), ("canary", Some(UnixMillis(5))));
        write(r#"{"claudeAiOauth":{"accessToken":"next"}}"#, 0o600);
        let (token, expires) = login.read().unwrap();
        assert_eq!((token.expose(), expires), ("next", None));
        for text in ["", "[]", "{}", r#"{"claudeAiOauth":{"accessToken":" "}}"#] {
            write(text, 0o600);
            assert!(matches!(login.read(), Err(ExternalError::NoLogin { .. })));
        }
        write(r#"{"claudeAiOauth":{"accessToken":"canary"}}"#, 0o644);
        let error = login.read().unwrap_err();
        assert!(matches!(error, ExternalError::File(_)), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}
