//! Listening on a Unix socket: one that nobody answers at is taken over, and ours is
//! taken away at the end.

use nix::sys::stat::{Mode, umask};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tokio::net::UnixListener;

/// Whoever reaches the folder may connect: who may pass is `unixPeerUids`' matter, and
/// a mode could not name those users.
const MODE: u32 = 0o666;

/// The process has one mask, so one at a time may set it.
static MASK: Mutex<()> = Mutex::new(());

/// A bound socket; its file goes when this is dropped.
#[derive(Debug)]
pub struct UnixSocket {
    pub(super) listener: UnixListener,
    file: SocketFile,
}

/// Where a socket was bound, and as which file.
#[derive(Debug, Clone)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode: another process may have put its own in our place.
    identity: (u64, u64),
}

impl SocketFile {
    /// Where it was bound.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is still there, and no other file.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity)
    }
}

impl UnixSocket {
    /// Binds.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::AddrInUse`] where another process answers there,
    /// [`io::ErrorKind::AlreadyExists`] where something else than a socket stands there.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        clear(path)?;
        let listener = bind_open_to_all(path)?;
        let file = SocketFile {
            path: path.to_owned(),
            identity: whose(path)?,
        };
        Ok(Self { listener, file })
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn file(&self) -> &SocketFile {
        &self.file
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if self.file.is_in_place() {
            // Whoever has removed it meanwhile has done what this would.
            let _ = fs::remove_file(self.path());
        }
    }
}

/// Binds; the socket has its mode from the first moment, for a process that is locked
/// down may change none.
fn bind_open_to_all(path: &Path) -> io::Result<UnixListener> {
    let _one = MASK.lock().unwrap_or_else(PoisonError::into_inner);
    let before = umask(Mode::from_bits_truncate(!MODE & 0o777));
    let bound = UnixListener::bind(path);
    umask(before);
    bound
}

/// Which file a socket just made is.
fn whose(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    if !found.file_type().is_socket() {
        return Err(io::Error::other("something else has taken its place"));
    }
    Ok(identity(&found))
}

fn identity(found: &fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// Removes a socket that a process left behind when it was killed.
fn clear(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "something else than a socket stands there",
        ));
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A backlog that is full must not hold the start up.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn takes_over_what_is_dead_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("front.sock");
        let socket = UnixSocket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, MODE);
        let in_use = UnixSocket::bind(&path).unwrap_err();
        assert_eq!(in_use.kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        assert!(!path.exists());

        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "the standard library leaves it");
        let successor = UnixSocket::bind(&path).unwrap();
        assert!(successor.file().is_in_place());
        fs::rename(&path, folder.path().join("aside")).unwrap();
        assert!(!successor.file().is_in_place());
        let other = UnixSocket::bind(&path).unwrap();
        assert!(!successor.file().is_in_place() && other.file().is_in_place());
        drop(successor);
        assert!(path.exists(), "it is another's now");
        drop(other);

        // Of whom nobody takes connections: connecting would wait for ever.
        let deaf = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        deaf.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        deaf.listen(0).unwrap();
        let _waiting = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let in_use = UnixSocket::bind(&path).unwrap_err();
        assert_eq!(in_use.kind(), io::ErrorKind::AddrInUse);
        fs::remove_file(&path).unwrap();

        fs::write(&path, "a file").unwrap();
        let file = UnixSocket::bind(&path).unwrap_err();
        assert_eq!(file.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    }
}
