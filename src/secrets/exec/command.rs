//! Whether a command is one that only its owner could have put there.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::unistd::geteuid;

use super::ExecProvider;

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
    #[error("its folder has mode {0:04o}, expected others not to write")]
    FolderWritable(u32),
    /// Somebody else's.
    #[error("it belongs to user {0}, expected root, or the user that Portcullis runs as")]
    Owner(u32),
}

/// Checks the command and what it links to.
///
/// Between this and the start the owner could still swap the file: whoever may do
/// that may run any command as this user anyway.
pub(super) fn check(provider: &ExecProvider) -> Result<(), CommandProblem> {
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
    let target = command.canonicalize().map_err(Missing)?;
    let facts = target.metadata().map_err(Missing)?;
    if !facts.is_file() {
        return Err(NotRegular);
    }
    if !trusted_dirs.is_empty() {
        let is_trusted = |path: &Path| trusted_dirs.iter().any(|folder| lies_in(path, folder));
        if !is_trusted(command)
            || !trusted_dirs
                .iter()
                .any(|folder| leads_into(&target, folder))
        {
            return Err(Untrusted);
        }
    }
    check_custody(&facts)?;
    let folder = target.parent().unwrap_or(Path::new("/"));
    check_folder(&folder.metadata().map_err(Missing)?)
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

fn check_custody(facts: &Metadata) -> Result<(), CommandProblem> {
    let (mode, owner) = (facts.mode() & 0o7777, facts.uid());
    if mode & 0o022 != 0 {
        return Err(CommandProblem::Writable(mode));
    }
    if owner != 0 && owner != geteuid().as_raw() {
        return Err(CommandProblem::Owner(owner));
    }
    Ok(())
}

fn check_folder(facts: &Metadata) -> Result<(), CommandProblem> {
    const STICKY: u32 = 0o1000;
    let mode = facts.mode() & 0o7777;
    if mode & 0o002 != 0 && mode & STICKY == 0 {
        return Err(CommandProblem::FolderWritable(mode));
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
            (0o755, 0o775, true),
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
