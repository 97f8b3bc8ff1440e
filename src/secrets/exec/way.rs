//! The way to a file: every folder and symlink that the system passes on it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// As many as the system follows (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// How a path is resolved: who may change any of this decides what is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// What it leads to.
    pub target: PathBuf,
    /// The folders in which a name is looked up, the root first; none twice.
    pub folders: Vec<PathBuf>,
    /// The symlinks that are followed.
    pub links: Vec<PathBuf>,
}

/// The way to `path`, which is absolute.
///
/// # Errors
/// The system's, where something on the way isn't there or is no folder.
pub fn way_to(path: &Path) -> io::Result<Way> {
    let mut at = PathBuf::from("/");
    let mut way = Way {
        target: PathBuf::new(),
        folders: Vec::new(),
        links: Vec::new(),
    };
    let mut rest: VecDeque<OsString> = names(path).collect();
    while let Some(name) = rest.pop_front() {
        if !way.folders.contains(&at) {
            way.folders.push(at.clone());
        }
        if name == ".." {
            // All symlinks before it are resolved, so this is where the system goes.
            at.pop();
            continue;
        }
        let next = at.join(&name);
        if !next.symlink_metadata()?.is_symlink() {
            at = next;
            continue;
        }
        let target = next.read_link()?;
        way.links.push(next);
        if way.links.len() > MAX_LINKS {
            return Err(io::Error::from_raw_os_error(nix::libc::ELOOP));
        }
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
            rest.push_front(name);
        }
    }
    way.target = at;
    Ok(way)
}

fn names(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_folder_and_link_is_passed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let path = |name: &str| root.join(name);
        for name in ["safe/bin", "hop", "start"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        fs::write(path("safe/bin/op"), "").unwrap();
        symlink(path("safe/bin"), path("hop/bin")).unwrap();
        symlink("../hop/./bin", path("start/link")).unwrap();
        symlink("loop", path("loop")).unwrap();
        let way = way_to(&path("start/link/op")).unwrap();
        assert_eq!(way.target, path("safe/bin/op"));
        assert_eq!(way.links, [path("start/link"), path("hop/bin")]);
        for name in ["start", "hop", "safe", "safe/bin"] {
            assert!(way.folders.contains(&path(name)), "{name}: {way:?}");
        }
        assert_eq!(way.folders[0], Path::new("/"));
        for bad in ["loop", "missing", "safe/bin/op/below"] {
            assert!(way_to(&path(bad)).is_err(), "{bad}");
        }
        assert_eq!(
            way_to(&path("hop/bin/../bin/op")).unwrap().target,
            path("safe/bin/op").canonicalize().unwrap()
        );
    }
}
