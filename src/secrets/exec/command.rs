//! Whether a command is one that only its owner could have put there.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::geteuid;

use super::ExecProvider;
use super::way::{Way, way_to};

const GROUP_AND_OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// What makes a command unfit to be asked for secrets.
#[derive(Debug, thiserror::Error)]
pub enum CommandProblem {
    /// It isn't there, or can't be looked at.
    #[error("it can't be found: {0}")]
    Missing(io::Error),
    /// A symlink without `allowSymlinkCommand`.
    #[error("it is a symlink, expected the command itself (or `allowSymlinkCommand`)")]
    Symlink,
    /// A folder, a device.
    #[error("it is not a regular file")]
    NotRegular,
    /// Not in any of `trustedDirs`.
    #[error("it lies, or leads, outside `trustedDirs`")]
    Untrusted,
    /// Others may change it.
    #[error("its mode is {0:04o}, expected group and others not to write")]
    Writable(u32),
    /// Others may put another file in its place.
    #[error("the folder {folder} has mode {mode:04o}, expected group and others not to write", folder = folder.display())]
    FolderWritable {
        /// The command's folder, or one above it.
        folder: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Somebody else may put another file in its place.
    #[error("the folder {folder} belongs to user {owner}, expected root, or user {expected} that this runs as", folder = folder.display())]
    FolderOwner {
        /// The command's folder, or one above it.
        folder: PathBuf,
        /// Its owner's id.
        owner: u32,
        /// The effective user's id.
        expected: u32,
    },
    /// Somebody else may lead elsewhere by it.
    #[error("the symlink {link} on the way belongs to user {owner}, expected root, or user {expected} that this runs as", link = link.display())]
    LinkOwner {
        /// A symlink on the way to the command.
        link: PathBuf,
        /// Its owner's id.
        owner: u32,
        /// The effective user's id.
        expected: u32,
    },
    /// Somebody else's.
    #[error("it belongs to user {got}, expected root, or user {expected} that this runs as")]
    Owner {
        /// Its owner's id.
        got: u32,
        /// The effective user's id.
        expected: u32,
    },
}

/// Checks the command and the whole way to it, and gives the path to run: the real
/// one. Nobody else can change any folder or symlink on that way.
pub(super) fn check(provider: &ExecProvider) -> Result<PathBuf, CommandProblem> {
    use CommandProblem::{Missing, NotRegular, Symlink, Untrusted};
    let ExecProvider {
        command,
        trusted_dirs,
        allow_symlink_command,
        ..
    } = provider;
    let is_symlink = command
        .symlink_metadata()
        .map_err(Missing)?
        .file_type()
        .is_symlink();
    let may_be_symlink = *allow_symlink_command && !trusted_dirs.is_empty();
    if is_symlink && !may_be_symlink {
        return Err(Symlink);
    }
    let way = way_to(command).map_err(Missing)?;
    let target = &way.target;
    let facts = target.symlink_metadata().map_err(Missing)?;
    if !facts.is_file() {
        return Err(NotRegular);
    }
    if !trusted_dirs.is_empty() {
        let is_trusted = |path: &Path| trusted_dirs.iter().any(|folder| lies_in(path, folder));
        if !is_trusted(command) || !trusted_dirs.iter().any(|folder| leads_into(target, folder)) {
            return Err(Untrusted);
        }
    }
    let user = geteuid().as_raw();
    check_facts(&facts, user)?;
    for folder in &way.folders {
        check_folder(folder, user)?;
    }
    check_links(&way, user)?;
    Ok(way.target)
}

/// What to do where the configuration is not as [`check_custody`] asks.
pub const CUSTODY_REMEDY: &str = "make the configuration file, and the folders above it, root's \
                                  or the user's that Portcullis runs as, and let nobody else \
                                  write there";

/// As for a command, for the file that names it: whoever can change that has any other
/// command run.
///
/// # Errors
/// [`CommandProblem`].
pub fn check_custody(file: &Path) -> Result<(), CommandProblem> {
    use CommandProblem::Missing;
    let user = geteuid().as_raw();
    let way = custody_way(file).map_err(Missing)?;
    check_facts(&way.target.symlink_metadata().map_err(Missing)?, user)?;
    for folder in &way.folders {
        check_folder(folder, user)?;
    }
    check_links(&way, user)
}

/// The way to a file that nobody else may replace. Nothing is put into a folder that
/// [`is_read_only`]: those are left out.
///
/// # Errors
/// As [`way_to`].
pub fn custody_way(file: &Path) -> io::Result<Way> {
    let mut way = way_to(&std::path::absolute(file)?)?;
    way.folders.retain(|folder| !is_read_only(folder));
    Ok(way)
}

/// Whether a folder is of a file system that is mounted to be read only, as Kubernetes'
/// volumes are, whose modes say otherwise.
#[must_use]
pub fn is_read_only(folder: &Path) -> bool {
    let system = statvfs(folder);
    system.is_ok_and(|system| system.flags().contains(FsFlags::ST_RDONLY))
}

fn check_links(way: &Way, user: u32) -> Result<(), CommandProblem> {
    for link in &way.links {
        let facts = link.symlink_metadata();
        let owner = facts.map_err(CommandProblem::Missing)?.uid();
        if ![0, user].contains(&owner) {
            return Err(CommandProblem::LinkOwner {
                link: link.clone(),
                owner,
                expected: user,
            });
        }
    }
    Ok(())
}

/// As the paths are written: the same file under a name elsewhere doesn't count.
fn lies_in(path: &Path, folder: &Path) -> bool {
    let has_dots = path
        .components()
        .any(|component| component == Component::ParentDir);
    !has_dots && path.starts_with(folder)
}

/// As the system resolves them: a symlink out of the folder leads elsewhere.
fn leads_into(target: &Path, folder: &Path) -> bool {
    folder
        .canonicalize()
        .is_ok_and(|folder: PathBuf| target.starts_with(folder))
}

fn check_facts(facts: &Metadata, user: u32) -> Result<(), CommandProblem> {
    let (mode, owner) = (facts.mode() & 0o7777, facts.uid());
    if mode & GROUP_AND_OTHERS_WRITE != 0 {
        return Err(CommandProblem::Writable(mode));
    }
    if ![0, user].contains(&owner) {
        return Err(CommandProblem::Owner {
            got: owner,
            expected: user,
        });
    }
    Ok(())
}

fn check_folder(folder: &Path, user: u32) -> Result<(), CommandProblem> {
    let facts = folder.metadata().map_err(CommandProblem::Missing)?;
    let (mode, owner) = (facts.mode() & 0o7777, facts.uid());
    // In a sticky folder nobody replaces what is another's (/tmp).
    if mode & GROUP_AND_OTHERS_WRITE != 0 && mode & STICKY == 0 {
        return Err(CommandProblem::FolderWritable {
            folder: folder.to_owned(),
            mode,
        });
    }
    if ![0, user].contains(&owner) {
        return Err(CommandProblem::FolderOwner {
            folder: folder.to_owned(),
            owner,
            expected: user,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::Duration;

    fn provider(command: PathBuf) -> ExecProvider {
        ExecProvider {
            command,
            args: Vec::new(),
            pass_env: Vec::new(),
            env: Default::default(),
            json_only: true,
            allow_symlink_command: false,
            trusted_dirs: Vec::new(),
            profile_ids: Default::default(),
            timeout: Duration::from_secs(1),
            no_output_timeout: Duration::from_secs(1),
            max_output_bytes: 1,
        }
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn writers_and_folders_decide() {
        let folder = tempfile::tempdir().unwrap();
        let command = folder.path().join("resolver");
        fs::write(&command, "").unwrap();
        for (file_mode, folder_mode, fit) in [
            (0o700, 0o700, true),
            (0o755, 0o755, true),
            (0o755, 0o775, false),
            (0o755, 0o1777, true),
            (0o775, 0o700, false),
            (0o757, 0o700, false),
            (0o755, 0o777, false),
        ] {
            set_mode(&command, file_mode);
            set_mode(folder.path(), folder_mode);
            let verdict = check(&provider(command.clone()));
            assert_eq!(
                verdict.is_ok(),
                fit,
                "{file_mode:o} {folder_mode:o}: {verdict:?}"
            );
        }
        assert!(check(&provider(folder.path().to_owned())).is_err());
        assert!(check(&provider(folder.path().join("missing"))).is_err());
    }

    #[test]
    fn every_folder_above_counts_by_both_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("safe/bin")).unwrap();
        fs::create_dir(path("open")).unwrap();
        fs::write(path("safe/bin/op"), "").unwrap();
        symlink(path("safe/bin"), path("open/bin")).unwrap();
        for name in ["safe", "safe/bin", "safe/bin/op"] {
            set_mode(&path(name), 0o755);
        }
        let verdict = |command: &str| check(&provider(path(command)));
        let real = path("safe/bin/op").canonicalize().unwrap();
        set_mode(&path("open"), 0o755);
        // What is run is the real one, whatever leads there.
        assert_eq!(verdict("open/bin/op").unwrap(), real);
        set_mode(&path("open"), 0o777);
        assert!(verdict("open/bin/op").is_err());
        assert_eq!(verdict("safe/bin/op").unwrap(), real);
        // A folder that only lies between two symlinks counts as well.
        fs::create_dir(path("start")).unwrap();
        set_mode(&path("start"), 0o755);
        symlink(path("open/bin"), path("start/bin")).unwrap();
        assert!(verdict("start/bin/op").is_err());
        set_mode(&path("open"), 0o1777);
        assert_eq!(verdict("start/bin/op").unwrap(), real);
        if geteuid().is_root() {
            std::os::unix::fs::lchown(path("open/bin"), Some(65534), None).unwrap();
            let error = verdict("start/bin/op").unwrap_err();
            assert!(error.to_string().contains("on the way"), "{error}");
        }
        set_mode(&path("safe"), 0o775);
        assert!(verdict("safe/bin/op").is_err());
        if geteuid().is_root() {
            set_mode(&path("safe"), 0o755);
            std::os::unix::fs::chown(path("safe"), Some(65534), None).unwrap();
            let error = verdict("safe/bin/op").unwrap_err();
            assert!(error.to_string().contains("user 65534"), "{error}");
        }
    }

    #[test]
    fn symlinks_need_leave_and_trusted_folders_at_both_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["cellar", "bin", "other"] {
            fs::create_dir(path(name)).unwrap();
            set_mode(&path(name), 0o755);
        }
        for name in ["cellar/op", "other/op"] {
            fs::write(path(name), "").unwrap();
            set_mode(&path(name), 0o755);
        }
        symlink(path("cellar/op"), path("bin/op")).unwrap();
        symlink(path("other/op"), path("bin/evil")).unwrap();
        symlink(path("other"), path("bin/folder")).unwrap();
        let trusted = |names: &[&str]| names.iter().map(|name| path(name)).collect::<Vec<_>>();
        for (command, allowed, dirs, fit) in [
            ("bin/op", false, trusted(&[]), false),
            ("bin/op", true, trusted(&[]), false),
            ("bin/op", true, trusted(&["bin"]), false),
            ("bin/op", true, trusted(&["cellar"]), false),
            ("bin/op", true, trusted(&["bin", "cellar"]), true),
            ("bin/op", false, trusted(&["bin", "cellar"]), false),
            ("bin/evil", true, trusted(&["bin", "cellar"]), false),
            ("cellar/op", false, trusted(&[]), true),
            ("cellar/op", false, trusted(&["cellar"]), true),
            ("cellar/op", false, trusted(&["bin"]), false),
            ("bin/../cellar/op", false, trusted(&["cellar"]), false),
            ("cellar/../other/op", false, trusted(&["cellar"]), false),
            // A folder that is a symlink leads out as well.
            ("bin/folder/op", false, trusted(&["bin"]), false),
        ] {
            let mut provider = provider(path(command));
            provider.allow_symlink_command = allowed;
            provider.trusted_dirs = dirs.clone();
            let verdict = check(&provider);
            assert_eq!(verdict.is_ok(), fit, "{command} {dirs:?}: {verdict:?}");
        }
    }
}
