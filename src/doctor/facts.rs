//! Looks at the files that a config depends on. Content is read only of units
//! and of the files that they take variables from.

use super::custody::{FileFacts, Guard, GuardedFile};
use super::key_lines::KeyLines;
use super::look::Look;
use super::units::Units;
use crate::config::{Config, TlsKey};
use crate::secrets::{Custody, Environment, Provider};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What the checks are made on, beside the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The effective user's id.
    pub user: u32,
    /// The config's file.
    pub config_path: PathBuf,
    /// What that file is like.
    pub config_file: Look<FileFacts>,
    /// Where in it the keys are.
    pub key_lines: KeyLines,
    /// The files that the config names and that must be guarded.
    pub guarded: Vec<GuardedFile>,
    /// The units that run Portcullis.
    pub units: Units,
}

/// What a Kubernetes volume has at its top.
const VOLUME_DATA: &str = "..data";
/// Where systemd mounts the credentials of its units, each readable by its unit
/// alone: modes there show the rights that an ACL gives that unit's user.
const SYSTEMD_CREDENTIALS: &str = "/run/credentials";

impl Facts {
    /// Looks at everything. `folders` are those of systemd's units.
    #[must_use]
    pub fn gather(
        config: &Config,
        config_path: &Path,
        folders: &[PathBuf],
        environment: Environment<'_>,
    ) -> Self {
        // A file that went away meanwhile leaves its findings without lines.
        let text = std::fs::read_to_string(config_path).map(zeroize::Zeroizing::new);
        let user = nix::unistd::geteuid().as_raw();
        Self {
            user,
            config_path: config_path.to_owned(),
            config_file: FileFacts::of(config_path),
            key_lines: text.map_or_else(|_| KeyLines::default(), |text| KeyLines::read(&text)),
            guarded: guarded(config, user, environment),
            units: Units::gather(folders),
        }
    }
}

impl FileFacts {
    /// What a path leads to is like; of what is no file, nothing.
    #[must_use]
    pub fn of(path: &Path) -> Look<Self> {
        match Look::from(path.metadata()) {
            Look::Seen(facts) if facts.is_file() => Look::Seen(Self::from(&facts)),
            Look::Seen(_) | Look::Missing => Look::Missing,
            Look::Hidden(reason) => Look::Hidden(reason),
        }
    }
}

impl From<&std::fs::Metadata> for FileFacts {
    fn from(facts: &std::fs::Metadata) -> Self {
        Self {
            owner: facts.uid(),
            mode: facts.mode() & 0o7777,
        }
    }
}

fn guarded(config: &Config, user: u32, environment: Environment<'_>) -> Vec<GuardedFile> {
    let mut files = Vec::new();
    if let Some(TlsKey::File(path)) = config.gateway.tls.as_ref().map(|tls| &tls.key) {
        let guard = if is_mounted(path, user) {
            Guard::MountedVolume
        } else {
            Guard::Private
        };
        let key = "gateway.tls.keyPath".to_owned();
        files.push(file("the private key", key, path.clone(), guard));
    }
    for (name, provider) in config.secrets.listed() {
        let key = |rest: &str| format!("secrets.providers.{name}.{rest}");
        match provider {
            Provider::Env(_) => {}
            Provider::File(provider) => {
                let guard = match provider.custody {
                    Custody::Own => Guard::OwnersAlone,
                    Custody::MountedVolume => Guard::MountedVolume,
                };
                const WHAT: &str = "the file of secrets";
                files.push(match provider.location(environment) {
                    Ok(path) => file(WHAT, key("path"), path, guard),
                    Err(error) => GuardedFile {
                        what: WHAT,
                        key: key("path"),
                        path: provider.path.clone(),
                        guard,
                        facts: Look::Hidden(error.to_string()),
                    },
                });
            }
            Provider::Exec(provider) => {
                let command = &provider.command;
                let guard = Guard::Command;
                files.push(file("the command", key("command"), command.clone(), guard));
                files.extend(folder_of(command).map(|(path, facts)| GuardedFile {
                    what: "the command's folder",
                    key: key("command"),
                    path,
                    guard: Guard::CommandFolder,
                    facts: Look::Seen(facts),
                }));
            }
        }
    }
    files
}

fn file(what: &'static str, key: String, path: PathBuf, guard: Guard) -> GuardedFile {
    GuardedFile {
        what,
        key,
        facts: FileFacts::of(&path),
        path,
        guard,
    }
}

/// The folder that a command really lies in.
fn folder_of(command: &Path) -> Option<(PathBuf, FileFacts)> {
    let target = command.canonicalize().ok()?;
    let folder = target.parent()?;
    let facts = folder.metadata().ok()?;
    Some((folder.to_owned(), FileFacts::from(&facts)))
}

/// Whether the platform mounted this file for one service: `keyPath` has no
/// `mountedVolume` of its own.
fn is_mounted(path: &Path, user: u32) -> bool {
    let Ok(target) = path.canonicalize() else {
        return path.starts_with(SYSTEMD_CREDENTIALS);
    };
    let is_volume = |folder: &Path| {
        let data = folder.join(VOLUME_DATA);
        // In a folder such as /tmp anybody could make one.
        let owner = data.symlink_metadata().map(|facts| facts.uid());
        owner.is_ok_and(|owner| owner == 0 || owner == user)
            && data
                .canonicalize()
                .is_ok_and(|data| target.starts_with(data))
    };
    target.starts_with(SYSTEMD_CREDENTIALS) || path.ancestors().skip(1).any(is_volume)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_volume_is_known_by_its_data_link_and_systemds_by_its_place() {
        let me = nix::unistd::geteuid().as_raw();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("..2026_01/tls")).unwrap();
        fs::write(path("..2026_01/tls/key"), "").unwrap();
        fs::write(path("beside"), "").unwrap();
        symlink("..data/tls", path("tls")).unwrap();
        assert!(!is_mounted(&path("tls/key"), me));
        symlink("..2026_01", path("..data")).unwrap();
        assert!(is_mounted(&path("tls/key"), me));
        assert!(!is_mounted(&path("beside"), me));
        let credential = "/run/credentials/portcullis.service/portcullis.key";
        assert!(is_mounted(Path::new(credential), me));
    }

    #[test]
    fn of_a_folder_nothing_is_said_and_of_a_link_what_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "").unwrap();
        symlink(&file, &link).unwrap();
        let facts = FileFacts::of(&file);
        assert!(facts.seen().is_some());
        assert_eq!(FileFacts::of(&link), facts);
        assert_eq!(FileFacts::of(folder.path()), Look::Missing);
        assert_eq!(FileFacts::of(&file.join("below")), Look::Missing);
    }
}
