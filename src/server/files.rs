//! Notices that files have changed.
//!
//! Files are looked at, once a second, rather than watched: looking also sees what
//! a notification doesn't (network file systems, a Kubernetes volume whose link is
//! swapped two levels up, more files than the system grants watches for), and
//! costs a few system calls.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long they must then stay as they are: a certificate and its key are two
/// files, written one after the other.
const SETTLE: Duration = Duration::from_millis(250);
/// How often they may go on changing before that counts as settled, too.
const SETTLE_LOOKS: usize = 12;

/// What files looked like at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Files(BTreeMap<PathBuf, Option<Stamp>>);

/// What tells one state of a file from another, symlinks followed: a rename brings
/// another inode, a write another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Files {
    /// Looks at `paths`. Blocks as long as their file systems do.
    pub(super) fn look(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let stamp = |path: PathBuf| {
            let stamp = path.metadata().ok().map(|facts| Stamp {
                device: facts.dev(),
                inode: facts.ino(),
                length: facts.len(),
                modified: (facts.mtime(), facts.mtime_nsec()),
                changed: (facts.ctime(), facts.ctime_nsec()),
            });
            (path, stamp)
        };
        Self(paths.into_iter().map(stamp).collect())
    }

    /// The paths that are looked at.
    pub(super) fn paths(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.0.keys().cloned()
    }

    /// The same, of these paths alone.
    pub(super) fn only(mut self, paths: &BTreeSet<PathBuf>) -> Self {
        self.0.retain(|path, _| paths.contains(path));
        self
    }

    /// Ends when some of them have changed and stay as they are: these.
    pub(super) async fn changed(&self) -> Vec<PathBuf> {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let mut now = self.again().await;
            if now == *self {
                continue;
            }
            for _ in 0..SETTLE_LOOKS {
                tokio::time::sleep(SETTLE).await;
                let next = self.again().await;
                if next == now {
                    break;
                }
                now = next;
            }
            let changed = now.differing(self);
            if !changed.is_empty() {
                return changed;
            }
        }
    }

    /// Another look at the same paths.
    pub(super) async fn again(&self) -> Self {
        let paths: Vec<PathBuf> = self.paths().collect();
        let look = tokio::task::spawn_blocking(|| Self::look(paths));
        // A look that panics has seen nothing new.
        look.await.unwrap_or_else(|_| self.clone())
    }

    /// Whether a path that `other` knows, too, looks otherwise there.
    pub(super) fn differ_from(&self, other: &Self) -> bool {
        let mut known = self
            .0
            .iter()
            .filter(|(path, _)| other.0.contains_key(*path));
        known.any(|(path, stamp)| other.0.get(path) != Some(stamp))
    }

    fn differing(&self, other: &Self) -> Vec<PathBuf> {
        let differs =
            |(path, stamp): &(&PathBuf, &Option<Stamp>)| other.0.get(*path) != Some(*stamp);
        self.0
            .iter()
            .filter(differs)
            .map(|(path, _)| path.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn changes(path: &Path, change: impl FnOnce()) -> bool {
        let before = Files::look([path.to_owned()]);
        assert_eq!(Files::look(before.paths()), before);
        change();
        !Files::look(before.paths()).differing(&before).is_empty()
    }

    #[test]
    fn every_way_to_replace_a_file_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let file = path("file");
        assert!(!changes(&file, || ()));
        assert!(changes(&file, || fs::write(&file, "one").unwrap()));
        assert!(changes(&file, || fs::write(&file, "longer").unwrap()));
        assert!(changes(&file, || {
            fs::write(path("next"), "longer").unwrap();
            fs::rename(path("next"), &file).unwrap();
        }));
        assert!(changes(&file, || fs::remove_file(&file).unwrap()));
        for generation in ["..1", "..2"] {
            fs::create_dir(path(generation)).unwrap();
            fs::write(path(generation).join("token"), "same").unwrap();
        }
        symlink("..1", path("..data")).unwrap();
        symlink("..data/token", path("token")).unwrap();
        assert!(changes(&path("token"), || {
            symlink("..2", path("..tmp")).unwrap();
            fs::rename(path("..tmp"), path("..data")).unwrap();
        }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_one_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let files = Files::look([path("cert"), path("key"), path("other")]);
        let burst = async {
            for (name, text) in [("cert", "a"), ("key", "b"), ("cert", "cc")] {
                fs::write(path(name), text).unwrap();
                tokio::time::sleep(SETTLE / 2).await;
            }
        };
        let (changed, ()) = tokio::join!(files.changed(), burst);
        assert_eq!(changed, [path("cert"), path("key")]);
    }
}
