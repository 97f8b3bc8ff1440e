//! A lock that other processes respect, and that ends with the process that holds it.

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc::{O_CLOEXEC, O_NOFOLLOW};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// An exclusive `flock(2)`, let go when dropped. Its file stays: whoever removed it
/// would let two in.
pub(in crate::credentials) struct FileLock(#[expect(dead_code, reason = "held")] Flock<File>);

impl FileLock {
    /// Takes the lock; `None` where another has it.
    pub(in crate::credentials) fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(O_NOFOLLOW | O_CLOEXEC)
            .open(path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Self(lock))),
            Err((_, Errno::EWOULDBLOCK | Errno::EINTR)) => Ok(None),
            Err((_, error)) => Err(error.into()),
        }
    }
}
