//! What leads to a file: folders and symlinks. Who may change any of it puts another file
//! in its place, whatever the file's own mode.

use super::custody::{FileFacts, GuardedFile};
use super::guard::{Below, Guard};
use super::look::Look;
use crate::secrets::{Way, custody_way, is_read_only, way_to};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What leads to a file, guarded for its sake.
pub(super) fn above(file: &GuardedFile) -> Vec<GuardedFile> {
    let guard = file.guard.above();
    let Way { folders, links, .. } = way(&file.path, guard);
    let guarded = |what, path: PathBuf, facts| GuardedFile {
        what: format!("{what} {}", file.what).into(),
        key: file.key.clone(),
        path,
        guard,
        facts,
    };
    let folders = folders.into_iter().map(|path| {
        let facts = Look::from(path.metadata()).map(|facts| FileFacts::from(&facts));
        guarded("a folder above", path, facts)
    });
    let links = links.into_iter().map(|path| {
        // A symlink's own mode counts for nothing.
        let facts = Look::from(path.symlink_metadata()).map(|facts| FileFacts {
            owner: facts.uid(),
            mode: 0,
        });
        guarded("a symlink on the way to", path, facts)
    });
    folders.chain(links).collect()
}

/// A file, and what leads to it.
pub(super) fn with_way(file: GuardedFile) -> Vec<GuardedFile> {
    let above = above(&file);
    std::iter::once(file).chain(above).collect()
}

/// A command is refused whatever it is mounted from, so its folders count all the same.
fn way(path: &Path, guard: Guard) -> Way {
    let is_command = guard == Guard::Above(Below::Command);
    let way = match is_command {
        true => std::path::absolute(path).and_then(|path| way_to(&path)),
        false => custody_way(path),
    };
    way.unwrap_or_else(|_| {
        // It isn't there, and the folders where it should be still count.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let folders = path.ancestors().skip(1);
        let folders = folders.filter(|folder| is_command || !is_read_only(folder));
        Way {
            folders: folders.map(Path::to_owned).collect(),
            links: Vec::new(),
            target: path,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn file(path: &Path, guard: Guard) -> GuardedFile {
        GuardedFile {
            what: "it".into(),
            key: None,
            path: path.to_owned(),
            guard,
            facts: Look::Missing,
        }
    }

    #[test]
    fn the_folders_above_a_file_are_those_of_both_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("cellar/op")).unwrap();
        fs::create_dir(root.join("bin")).unwrap();
        fs::write(root.join("cellar/op/op"), "").unwrap();
        symlink("../cellar/op/op", root.join("bin/op")).unwrap();
        for guard in [Guard::Command, Guard::Rule] {
            let above = above(&file(&root.join("bin/op"), guard));
            for (name, what) in [
                ("bin", Some("a folder above it")),
                ("cellar/op", Some("a folder above it")),
                ("cellar", Some("a folder above it")),
                ("", Some("a folder above it")),
                ("bin/op", Some("a symlink on the way to it")),
                ("cellar/op/op", None),
            ] {
                let path = root.join(name);
                let path = path.components().collect::<PathBuf>();
                let found: Vec<_> = above.iter().filter(|known| known.path == path).collect();
                assert_eq!(found.len(), usize::from(what.is_some()), "{name} {above:?}");
                if let Some(what) = what {
                    assert_eq!(found[0].what, what);
                    assert_eq!(found[0].guard, guard.above());
                }
            }
            let has_root = above.iter().any(|known| known.path == Path::new("/"));
            // A system may be mounted to be read only as a whole.
            assert!(has_root || (guard == Guard::Rule && is_read_only(Path::new("/"))));
        }
    }

    #[test]
    fn the_folders_count_of_a_file_that_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        for (name, guard) in [("users", Guard::Rule), ("op", Guard::Command)] {
            let above = above(&file(&folder.path().join("none").join(name), guard));
            let nearest: Vec<_> = above.iter().take(2).collect();
            assert_eq!(nearest[0].facts, Look::Missing);
            assert_eq!(nearest[1].path, folder.path());
            assert_eq!(nearest[1].facts.seen().unwrap().mode, 0o777);
        }
    }
}
