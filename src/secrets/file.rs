//! The `file` secret provider: a JSON file, or a file that holds one value.

mod open;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use open::is_in_volume;

use zeroize::Zeroizing;

use super::buffer::SecretBuffer;
use super::document::Document;
use super::{Environment, FileId, SecretValue};

/// A configured `source = "file"` provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProvider {
    /// The file; a leading `~` is the home folder (`HOME`).
    pub path: PathBuf,
    /// What is in it. Default JSON.
    pub mode: FileMode,
    /// How far the file is trusted. Default: it must be this process' own.
    pub custody: Custody,
    /// How long opening and reading may take. Default 5 s.
    pub timeout: Duration,
    /// How large it may be, in bytes. Default 1 MiB.
    pub max_bytes: u64,
}

/// What a secret file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMode {
    /// A JSON object; ids are pointers into it (RFC 6901).
    Json,
    /// One secret, of which one trailing line break is taken off; its id is `value`.
    SingleValue,
}

/// Who must hold a secret file, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Custody {
    /// No symlink, one link, owned by the effective user, no bit for group or others.
    Own,
    /// A volume of Kubernetes or systemd (`mountedVolume = true`): symlinks inside
    /// the mount, owned by root or the effective user, readable by others, but
    /// writable by its owner alone.
    MountedVolume,
}

/// Why a secret file can't be used. The messages name the file, never its content.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// `~` without a home.
    #[error("`~`: the environment variable HOME is not set")]
    NoHome,
    /// It isn't there, or can't be opened or read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// It is not held as it must be.
    #[error("{path}: {problem}", path = path.display())]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Exposure,
    },
    /// It took too long.
    #[error("{path}: could not be read within {timeout:?}", path = path.display())]
    TimedOut {
        /// The file.
        path: PathBuf,
        /// The limit.
        timeout: Duration,
    },
    /// It holds something else than was expected.
    #[error("{path}: {problem}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// What makes a file unfit to hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exposure {
    /// It is reached through a symlink.
    #[error("it is a symlink, expected the file itself (or `mountedVolume = true`)")]
    Symlink,
    /// A symlink of the mount leads out of it.
    #[error("its symlinks lead out of the mounted volume")]
    OutsideMount,
    /// A folder, a device, a pipe.
    #[error("it is not a regular file")]
    NotRegular,
    /// Another name leads to the same file.
    #[error("it has {0} hard links, expected one")]
    HardLinks(u64),
    /// Somebody else's.
    #[error("it belongs to user {got}, expected {expected}, as this runs as user {user}")]
    Owner {
        /// Its owner's id.
        got: u32,
        /// Who may own it.
        expected: &'static str,
        /// The effective user's id.
        user: u32,
    },
    /// Others may read or write it.
    #[error("its mode is {got:04o}, expected {expected}")]
    Mode {
        /// Its permission bits.
        got: u32,
        /// What they may be.
        expected: &'static str,
    },
    /// Larger than allowed.
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
}

/// What was read from a file, to be looked up in.
pub(super) enum Payload {
    Json(Document),
    Whole(SecretValue),
}

impl FileProvider {
    /// The size that a file may have unless configured, in bytes.
    pub const DEFAULT_MAX_BYTES: u64 = 1 << 20;
    /// The time that reading may take unless configured.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

    /// Where the file is, `~` expanded.
    ///
    /// # Errors
    /// [`FileError::NoHome`].
    pub fn location(&self, environment: Environment<'_>) -> Result<PathBuf, FileError> {
        match self.path.strip_prefix("~") {
            Err(_) => Ok(self.path.clone()),
            Ok(rest) => {
                let home = environment.value("HOME").filter(|home| !home.is_empty());
                Ok(Path::new(&home.ok_or(FileError::NoHome)?).join(rest))
            }
        }
    }

    /// Whether ids of this form can be looked up in it.
    pub(super) fn takes(&self, id: &FileId) -> bool {
        id.is_whole() == (self.mode == FileMode::SingleValue)
    }

    /// Opens, checks and reads the file.
    pub(super) fn read(&self, environment: Environment<'_>) -> Result<Payload, FileError> {
        let path = self.location(environment)?;
        let content = |problem| FileError::Content {
            path: path.clone(),
            problem,
        };
        let (file, custody, max_bytes) = (path.clone(), self.custody, self.max_bytes);
        let read = in_time(self.timeout, move || open::read(&file, custody, max_bytes));
        let bytes = match read {
            Ok(Some(read)) => read?,
            Ok(None) => {
                return Err(FileError::TimedOut {
                    path,
                    timeout: self.timeout,
                });
            }
            Err(source) => return Err(FileError::Io { path, source }),
        };
        let text =
            std::str::from_utf8(bytes.as_slice()).map_err(|_| content("it is not valid UTF-8"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match self.mode {
            FileMode::SingleValue => {
                Ok(Payload::Whole(SecretValue::concat(&[without_line_break(
                    text,
                )])))
            }
            FileMode::Json => match Document::parse(text) {
                Some(document @ Document::Object(_)) => Ok(Payload::Json(document)),
                Some(_) => Err(content("it holds JSON, but no object")),
                None => Err(content("it is not valid JSON")),
            },
        }
    }
}

/// The content of a file that must be held as a secret of this process' own is
/// ([`Custody::Own`]): at most `max_bytes` of it, wiped when dropped.
///
/// # Errors
/// [`FileError`].
pub fn read_own_file(path: &Path, max_bytes: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    open::read(path, Custody::Own, max_bytes).map(SecretBuffer::into_bytes)
}

/// Works on a thread of its own, since a network file system may never answer;
/// `None` where it didn't in time.
fn in_time<T: Send + 'static>(
    timeout: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<Option<T>> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("secret-file".to_owned())
        .spawn(move || {
            // Nobody waits any more where the time was up.
            let _ = sender.send(work());
        })?;
    Ok(receiver.recv_timeout(timeout).ok())
}

fn without_line_break(text: &str) -> &str {
    match text.strip_suffix('\n') {
        Some(line) => line.strip_suffix('\r').unwrap_or(line),
        None => text,
    }
}

#[cfg(test)]
mod tests;
