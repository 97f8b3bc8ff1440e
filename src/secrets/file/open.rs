//! Opens a secret file and reads it. What is checked is the opened descriptor:
//! a name that means another file a moment later gains nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc::{O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK};
use nix::unistd::geteuid;
use zeroize::Zeroizing;

use super::super::buffer::SecretBuffer;
use super::{Custody, Exposure, FileError};

/// How often a file may be replaced, or a mounted volume swapped, under us before we
/// give up.
const SWAPS: usize = 200;
/// The entry that a Kubernetes volume has at its top, and swaps on an update.
const VOLUME_DATA: &str = "..data";
/// Room for one read.
const CHUNK: usize = 16 * 1024;

pub(super) fn read(
    path: &Path,
    custody: Custody,
    max_bytes: u64,
) -> Result<SecretBuffer, FileError> {
    let at = |source| FileError::Io {
        path: path.to_owned(),
        source,
    };
    let unfit = |problem| FileError::Unsafe {
        path: path.to_owned(),
        problem,
    };
    let open = || match custody {
        Custody::Own => open(path).map_err(|error| match error.raw_os_error() {
            Some(nix::libc::ELOOP) => unfit(Exposure::Symlink),
            _ => at(error),
        }),
        Custody::MountedVolume => open_mounted(path, &at)?.ok_or(unfit(Exposure::OutsideMount)),
    };
    let mut swaps = 0;
    let (file, facts) = loop {
        let file = open()?;
        let facts = file.metadata().map_err(at)?;
        // It was replaced between opening and looking: the new one is in place.
        if facts.nlink() > 0 || swaps == SWAPS {
            break (file, facts);
        }
        swaps += 1;
    };
    if !facts.is_file() {
        return Err(unfit(Exposure::NotRegular));
    }
    check(
        &Facts {
            links: facts.nlink(),
            owner: facts.uid(),
            mode: facts.mode() & 0o7777,
        },
        custody,
        geteuid().as_raw(),
    )
    .map_err(unfit)?;
    read_at_most(file, max_bytes)
        .map_err(at)?
        .ok_or(unfit(Exposure::TooLarge(max_bytes)))
}

/// Opens without following a last symlink, and without waiting for a pipe's writer.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        .open(path)
}

/// Opens what the mount's own symlinks lead to; `None` where they lead elsewhere.
fn open_mounted(
    path: &Path,
    at: &dyn Fn(io::Error) -> FileError,
) -> Result<Option<File>, FileError> {
    let mount = mount_of(path);
    let mut swaps = 0;
    loop {
        let attempt = resolve_inside(path, &mount).and_then(|inside| match inside {
            Some(target) => open(&target).map(Some),
            None => Ok(None),
        });
        match attempt {
            Ok(opened) => return Ok(opened),
            // The old data went between looking and opening: the new is in place.
            Err(error) if error.kind() == io::ErrorKind::NotFound && swaps < SWAPS => swaps += 1,
            Err(error) => return Err(at(error)),
        }
    }
}

/// Whether a file lies in a volume of Kubernetes, and what its symlinks lead to
/// does so, too.
#[must_use]
pub fn is_in_volume(path: &Path) -> bool {
    let target = volume_of(path).map(|volume| resolve_inside(path, volume));
    matches!(target, Some(Ok(Some(_))))
}

/// The volume, else the file's own folder.
fn mount_of(path: &Path) -> PathBuf {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let mount = volume_of(path).unwrap_or(parent);
    // A bare file name has an empty parent.
    match mount.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => mount.to_owned(),
    }
}

/// The nearest folder above that holds a volume's `..data`.
fn volume_of(path: &Path) -> Option<&Path> {
    let user = geteuid().as_raw();
    // Somebody else's `..data`, in /tmp say, must not make a mount of what is below.
    let is_volume = |folder: &&Path| {
        let data = folder.join(VOLUME_DATA).symlink_metadata();
        data.is_ok_and(|data| data.is_symlink() && [0, user].contains(&data.uid()))
    };
    path.ancestors().skip(1).find(is_volume)
}

fn resolve_inside(path: &Path, mount: &Path) -> io::Result<Option<PathBuf>> {
    let target = path.canonicalize()?;
    let mount = mount.canonicalize()?;
    Ok(target.starts_with(&mount).then_some(target))
}

impl Custody {
    /// The permission bits that it forbids, and in words what it expects.
    #[must_use]
    pub fn forbidden_mode(self) -> (u32, &'static str) {
        match self {
            Self::Own => (0o077, "no permission for group and others, such as 0600"),
            Self::MountedVolume => (0o022, "group and others not to write, such as 0440"),
        }
    }

    /// Whether this owner's file will do where the process runs as `user`.
    #[must_use]
    pub fn admits_owner(self, owner: u32, user: u32) -> bool {
        owner == user || (self == Self::MountedVolume && owner == 0)
    }
}

struct Facts {
    links: u64,
    owner: u32,
    mode: u32,
}

fn check(facts: &Facts, custody: Custody, user: u32) -> Result<(), Exposure> {
    let &Facts { links, owner, mode } = facts;
    if links != 1 {
        return Err(Exposure::HardLinks(links));
    }
    if !custody.admits_owner(owner, user) {
        return Err(Exposure::Owner {
            got: owner,
            expected: match custody {
                Custody::Own => "that user alone",
                Custody::MountedVolume => "root or that user",
            },
            user,
        });
    }
    let (forbidden, modes) = custody.forbidden_mode();
    if mode & forbidden != 0 {
        return Err(Exposure::Mode {
            got: mode,
            expected: modes,
        });
    }
    Ok(())
}

/// The content; `None` where there is more than `max_bytes` of it, whatever size
/// the system told.
fn read_at_most(mut file: File, max_bytes: u64) -> io::Result<Option<SecretBuffer>> {
    let mut content = SecretBuffer::new();
    let mut chunk = Zeroizing::new(vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(Some(content)),
            Ok(count) => content.extend(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if content.len() as u64 > max_bytes {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_file_that_is_replaced_over_and_over_is_read_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (path, next) = (folder.path().join("file"), folder.path().join("next"));
        let replace = || {
            std::fs::write(&next, "text").unwrap();
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&next, mode).unwrap();
            std::fs::rename(&next, &path).unwrap();
        };
        replace();
        let has_read = AtomicBool::new(false);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                while !has_read.load(Ordering::Relaxed) {
                    replace();
                }
            });
            let failed = (0..5_000).find_map(|_| read(&path, Custody::Own, 100).err());
            has_read.store(true, Ordering::Relaxed);
            assert!(failed.is_none(), "{failed:?}");
        });
    }

    #[test]
    fn each_custody_has_its_own_owners_and_modes() {
        const ME: u32 = 1000;
        use Custody::{MountedVolume, Own};
        for (custody, links, owner, mode, fit) in [
            (Own, 1, ME, 0o600, true),
            (Own, 1, ME, 0o400, true),
            (Own, 1, ME, 0o700, true),
            (Own, 1, ME, 0o640, false),
            (Own, 1, ME, 0o604, false),
            (Own, 1, ME, 0o601, false),
            (Own, 1, 0, 0o600, false),
            (Own, 1, 1001, 0o600, false),
            (Own, 2, ME, 0o600, false),
            (Own, 0, ME, 0o600, false),
            (MountedVolume, 1, ME, 0o400, true),
            (MountedVolume, 1, 0, 0o440, true),
            (MountedVolume, 1, 0, 0o644, true),
            (MountedVolume, 1, 0, 0o664, false),
            (MountedVolume, 1, 0, 0o646, false),
            (MountedVolume, 1, 1001, 0o444, false),
            (MountedVolume, 2, 0, 0o440, false),
        ] {
            let facts = Facts { links, owner, mode };
            assert_eq!(
                check(&facts, custody, ME).is_ok(),
                fit,
                "{custody:?} {links} {owner} {mode:o}"
            );
        }
    }
}
