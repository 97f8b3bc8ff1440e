//! Reads files that are files: a pipe, a device or a folder in the place of one is
//! an error at once, and never a wait without end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc::{O_CLOEXEC, O_NONBLOCK};

/// The content of a regular file of at most `max_bytes`; symlinks are followed.
///
/// # Errors
/// The system's, [`io::ErrorKind::InvalidInput`] where it is no regular file, and
/// [`io::ErrorKind::FileTooLarge`].
pub fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for its writer.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(O_NONBLOCK | O_CLOEXEC)
        .open(path)?;
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    read_at_most(file, facts.len(), max_bytes)
}

/// The text of a regular file of at most `max_bytes`.
///
/// # Errors
/// Those of [`read`], and [`io::ErrorKind::InvalidData`] where it is no UTF-8.
pub fn read_to_string(path: &Path, max_bytes: u64) -> io::Result<String> {
    let content = read(path, max_bytes)?;
    // The library's own error carries the bytes.
    String::from_utf8(content)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not valid UTF-8"))
}

/// Some files tell no size, or another one a moment later: what is read counts.
fn read_at_most(file: File, told: u64, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::with_capacity(usize::try_from(told.min(max_bytes)).unwrap_or(0));
    file.take(max_bytes.saturating_add(1))
        .read_to_end(&mut content)?;
    if content.len() as u64 > max_bytes {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {max_bytes} bytes"),
        ));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_a_regular_file_of_bounded_size_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "text").unwrap();
        std::fs::write(path("latin1"), [0xe9]).unwrap();
        symlink(path("file"), path("link")).unwrap();
        nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for name in ["file", "link"] {
            assert_eq!(read_to_string(&path(name), 4).unwrap(), "text");
        }
        for (name, kind) in [
            ("pipe", io::ErrorKind::InvalidInput),
            (".", io::ErrorKind::InvalidInput),
            ("/dev/zero", io::ErrorKind::InvalidInput),
            ("missing", io::ErrorKind::NotFound),
        ] {
            assert_eq!(read(&path(name), 4).unwrap_err().kind(), kind, "{name}");
        }
        let error = read(&path("file"), 3).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        let error = read_to_string(&path("latin1"), 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
