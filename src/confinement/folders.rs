//! Which folders the process goes on using.

use super::Needs;
use crate::secrets::way_to;
use nix::unistd::geteuid;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// What the C library reads to find addresses by name. Each may be a symlink to where
/// a service keeps it up to date.
pub(super) const NAME_SERVICE: [&str; 9] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/localtime",
    "/etc/ld.so.cache",
];
/// Where it finds the modules that do so.
const LIBRARIES: [&str; 5] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"];
/// Where [`NAME_SERVICE`] is replaced by renaming.
const ETC: &str = "/etc";

/// Folders, and files where a folder would be too much.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Folders {
    /// Whose files are read.
    pub(super) readable: BTreeSet<PathBuf>,
    /// Whose files are made, replaced and removed as well.
    pub(super) state: BTreeSet<PathBuf>,
    /// In which sockets are made and removed.
    pub(super) sockets: BTreeSet<PathBuf>,
}

impl Folders {
    pub(super) fn of(needs: &Needs) -> Self {
        let Needs {
            files,
            state_folders,
            socket_folders,
            tcp_ports: _,
            unix_sockets: _,
        } = needs;
        let mut readable: BTreeSet<PathBuf> = files.iter().flat_map(|file| around(file)).collect();
        readable.extend(LIBRARIES.map(PathBuf::from));
        for file in NAME_SERVICE.map(PathBuf::from) {
            // A folder of its own is what a service writes to; `/run` is none's.
            let target = file.canonicalize().unwrap_or_else(|_| file.clone());
            let folder = target.parent().filter(|folder| depth(folder) > 1);
            readable.extend(folder.map(Path::to_owned));
            readable.insert(target);
        }
        // DHCP clients and editors put another file in the old one's place, which a rule
        // for the file would not hold for. Root alone could read secrets there.
        if !geteuid().is_root() {
            readable.insert(ETC.into());
        }
        Self {
            readable,
            state: state_folders.clone(),
            sockets: socket_folders.clone(),
        }
    }

    /// The same as the kernel knows them, as far as they are there.
    pub(super) fn held(&self) -> Held {
        let held = |places: &BTreeSet<PathBuf>| places.iter().filter_map(|it| inode(it)).collect();
        Held {
            readable: held(&self.readable),
            state: held(&self.state),
        }
    }
}

/// What rules hold for: not for names, so a folder that takes another's name has none.
#[derive(Debug, Default)]
pub(super) struct Held {
    readable: BTreeSet<Inode>,
    state: BTreeSet<Inode>,
}

/// Its device and number. No other gets them, for a rule keeps the first in use.
type Inode = (u64, u64);

impl Held {
    /// Whether what has this real name may be read.
    pub(super) fn may_read(&self, target: &Path) -> bool {
        lies_in(target, &self.readable) || self.may_keep(target)
    }

    /// Whether files may be made and replaced in what has this real name.
    pub(super) fn may_keep(&self, target: &Path) -> bool {
        lies_in(target, &self.state)
    }
}

fn lies_in(target: &Path, places: &BTreeSet<Inode>) -> bool {
    let mut above = target.ancestors().filter_map(inode);
    above.any(|place| places.contains(&place))
}

fn inode(place: &Path) -> Option<Inode> {
    let found = place.metadata().ok()?;
    Some((found.dev(), found.ino()))
}

/// The folders in which a name may come to mean another file, so that `file` does: its
/// own, that of what it leads to, and those of the symlinks between. A symlink that is a
/// folder counts where it may be swapped for its neighbour, as in a Kubernetes volume;
/// not `/var/run`, whose folder is `/var`.
fn around(file: &Path) -> BTreeSet<PathBuf> {
    let mut places = BTreeSet::new();
    let Ok(file) = std::path::absolute(file) else {
        return places;
    };
    places.extend(file.parent().map(Path::to_owned));
    if let Ok(way) = way_to(&file) {
        let links = way.links.iter().filter(|link| {
            let leads_to_file = link.metadata().is_ok_and(|found| found.is_file());
            leads_to_file || link.read_link().is_ok_and(|target| is_neighbour(&target))
        });
        let folders = links.chain([&way.target]).filter_map(|path| path.parent());
        places.extend(folders.map(Path::to_owned));
        // All that there is, for the sake of one file in the root folder?
        if places.remove(Path::new("/")) {
            places.insert(way.target);
        }
    }
    places.remove(Path::new("/"));
    places
}

fn is_neighbour(target: &Path) -> bool {
    let mut parts = target.components();
    matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    )
}

fn depth(folder: &Path) -> usize {
    let names = folder.components();
    names
        .filter(|part| matches!(part, Component::Normal(_)))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn names(root: &Path, file: &str) -> Vec<String> {
        let folders = around(&root.join(file));
        let within = folders.iter().map(|folder| {
            let name = folder.strip_prefix(root).expect("in the test's own folder");
            name.display().to_string()
        });
        within.collect()
    }

    #[test]
    fn a_renewed_file_is_looked_for_in_every_folder_that_it_may_come_to() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let path = |name: &str| root.join(name);
        for name in [
            "live/a",
            "archive/a",
            "volume/..1",
            "elsewhere",
            "real/deep",
        ] {
            fs::create_dir_all(path(name)).unwrap();
        }
        for name in ["archive/a/cert1.pem", "volume/..1/token", "real/deep/plain"] {
            fs::write(path(name), "").unwrap();
        }
        // certbot
        symlink("../../archive/a/cert1.pem", path("live/a/cert.pem")).unwrap();
        // Kubernetes
        symlink("..1", path("volume/..data")).unwrap();
        symlink("..data/token", path("volume/token")).unwrap();
        // As `/var/run` is to `/run`: its own folder is not read.
        symlink(path("real"), path("elsewhere/real")).unwrap();
        assert_eq!(names(&root, "live/a/cert.pem"), ["archive/a", "live/a"]);
        assert_eq!(names(&root, "volume/token"), ["volume", "volume/..1"]);
        assert_eq!(
            names(&root, "volume/..data/token"),
            ["volume", "volume/..1", "volume/..data"]
        );
        assert_eq!(
            names(&root, "elsewhere/real/deep/plain"),
            ["elsewhere/real/deep", "real/deep"]
        );
        assert_eq!(names(&root, "elsewhere/missing"), ["elsewhere"]);
    }

    #[test]
    fn the_root_folder_is_never_read_whole() {
        assert!(around(Path::new("/portcullis.toml")).is_empty());
        let in_root = fs::read_dir("/").unwrap().filter_map(Result::ok);
        let links = in_root.filter(|entry| entry.path().is_symlink());
        for link in links {
            let file = link.path().join("x");
            assert!(!around(&file).contains(Path::new("/")), "{file:?}");
        }
    }
}
