//! A Unix socket of the front door, as a file.

use super::super::look::Look;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where sources connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontSocket {
    /// Where it is listed.
    pub path: PathBuf,
    /// Whose the socket is that is there.
    pub owner: Look<u32>,
}

impl FrontSocket {
    /// Looks at what is at `path`: what isn't a socket is none.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let found = path
            .symlink_metadata()
            .and_then(|found| match found.file_type().is_socket() {
                true => Ok(found.uid()),
                false => Err(Error::from(ErrorKind::NotFound)),
            });
        Self {
            path: path.to_owned(),
            owner: found.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_socket_is_seen_and_nothing_else_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("front.sock");
        assert_eq!(FrontSocket::of(&path).owner, Look::Missing);
        std::fs::write(&path, "").unwrap();
        assert_eq!(FrontSocket::of(&path).owner, Look::Missing);
        std::fs::remove_file(&path).unwrap();
        let _listener = UnixListener::bind(&path).unwrap();
        let user = nix::unistd::geteuid().as_raw();
        assert_eq!(FrontSocket::of(&path).owner, Look::Seen(user));
    }
}
