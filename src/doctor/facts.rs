//! Looks at the files that a config depends on. Content is read only of units
//! and of the files that they take variables from.

use super::above::{above, with_way};
use super::custody::{FileFacts, GuardedFile};
use super::deployment::ServiceProcess;
use super::finding::Place;
use super::guard::{Below, Guard};
use super::holder::Holder;
use super::key_lines::KeyLines;
use super::look::Look;
use super::units::Units;
use crate::config::{Config, FileRole, MAX_CONFIG_BYTES, NamedFile};
use crate::credentials::TokenSink;
use crate::regular_file;
use crate::secrets::{Custody, Environment, Provider, is_in_volume};
use nix::unistd::User;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What the checks are made on, beside the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The effective user's id.
    pub user: u32,
    /// Its name, where it has one.
    pub user_name: Option<String>,
    /// By whom owners are judged.
    pub holder: Holder,
    /// The config's file.
    pub config_path: PathBuf,
    /// What that file is like.
    pub config_file: Look<FileFacts>,
    /// Where in it the keys are.
    pub key_lines: KeyLines,
    /// The files of secrets and commands, and what leads to them and to the config.
    pub guarded: Vec<GuardedFile>,
    /// The units that run Portcullis.
    pub units: Units,
}

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
        let user = nix::unistd::geteuid();
        let units = Units::gather(folders);
        Self {
            user: user.as_raw(),
            holder: Holder::of(&[], &units, user.as_raw()),
            user_name: User::from_uid(user).ok().flatten().map(|it| it.name),
            config_path: config_path.to_owned(),
            config_file: FileFacts::of(config_path),
            key_lines: key_lines(config_path),
            guarded: guarded(config, config_path, environment),
            units,
        }
    }
}

impl Facts {
    /// Where the config has a key.
    #[must_use]
    pub fn at_key(&self, key: &str) -> Place {
        self.at_key_as(key, key)
    }

    /// Whether this user's eyes are the service's, as far as is known.
    #[must_use]
    pub fn is_service(&self) -> bool {
        match self.holder {
            Holder::Service(user) | Holder::Onlooker(user) => user == self.user,
            Holder::Unknown => false,
        }
    }

    /// Judges owners by the running processes as well.
    pub fn learn(&mut self, processes: &[ServiceProcess]) {
        let users: Vec<_> = processes.iter().map(|process| process.user).collect();
        self.holder = Holder::of(&users, &self.units, self.user);
    }

    /// Where the config names a file.
    pub(super) fn line_of(&self, file: &GuardedFile) -> Option<usize> {
        self.key_lines.of(file.key.as_deref()?)
    }

    /// Where the config has a key, which is not to be shown in full.
    pub(super) fn at_key_as(&self, key: &str, shown: &str) -> Place {
        Place::File {
            path: self.config_path.clone(),
            line: self.key_lines.of(key),
            key: Some(shown.to_owned()),
        }
    }
}

impl FileFacts {
    /// What a path leads to is like, which must be a file.
    #[must_use]
    pub fn of(path: &Path) -> Look<Self> {
        match Look::from(path.metadata()) {
            Look::Seen(facts) if facts.is_file() => Look::Seen(Self::from(&facts)),
            Look::Seen(_) => Look::Hidden("it is not a regular file".to_owned()),
            Look::Missing => Look::Missing,
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

/// A file that went away meanwhile leaves its findings without lines.
fn key_lines(config: &Path) -> KeyLines {
    let text = regular_file::read(config, MAX_CONFIG_BYTES).map(Zeroizing::new);
    let text = text.as_ref().ok();
    let text = text.and_then(|text| std::str::from_utf8(text).ok());
    text.map_or_else(KeyLines::default, KeyLines::read)
}

/// The config itself is left to the audit, which knows whether it holds secrets.
fn guarded(config: &Config, config_path: &Path, environment: Environment<'_>) -> Vec<GuardedFile> {
    let command = config.secrets.first_command();
    let mut files = above(&GuardedFile {
        what: "the config".into(),
        key: command.map(|name| format!("secrets.providers.{name}.command")),
        path: config_path.to_owned(),
        guard: Guard::Above(match command {
            Some(_) => Below::CommandsConfig,
            None => Below::Config,
        }),
        facts: Look::Missing,
    });
    let named = config.named_files().into_iter();
    let secrets = named.filter(|file| file.role.is_secret());
    files.extend(secrets.map(GuardedFile::from).flat_map(with_way));
    for (key, folder) in config.models.sinks() {
        let path = TokenSink::new(folder.to_owned()).path();
        // There is none before the first login.
        if path.try_exists().unwrap_or(true) {
            files.push(file("the token sink", key, path, Guard::Held(Custody::Own)));
        }
    }
    for (name, provider) in config.secrets.listed() {
        let key = |rest: &str| format!("secrets.providers.{name}.{rest}");
        match provider {
            Provider::Env(_) => {}
            Provider::File(provider) => {
                let guard = Guard::Held(provider.custody);
                const WHAT: &str = "the file of secrets";
                match provider.location(environment) {
                    Ok(path) => files.extend(with_way(file(WHAT, key("path"), path, guard))),
                    Err(error) => files.push(GuardedFile {
                        what: WHAT.into(),
                        key: Some(key("path")),
                        path: provider.path.clone(),
                        guard,
                        facts: Look::Hidden(error.to_string()),
                    }),
                }
            }
            Provider::Exec(provider) => {
                let command = provider.command.clone();
                let command = file("the command", key("command"), command, Guard::Command);
                files.extend(with_way(command));
            }
        }
    }
    files
}

impl From<NamedFile<'_>> for GuardedFile {
    fn from(named: NamedFile<'_>) -> Self {
        let (what, guard) = match named.role {
            FileRole::PrivateKey if is_mounted(named.path) => {
                ("the private key", Guard::Held(Custody::MountedVolume))
            }
            FileRole::PrivateKey => ("the private key", Guard::Private),
            FileRole::ModelKeys => ("the file of keys", Guard::Held(Custody::Own)),
            FileRole::Users => ("the file of users", Guard::Rule),
            FileRole::Certificate => ("the certificate", Guard::Rule),
            FileRole::SourceAuthorities => ("the sources' authorities", Guard::Rule),
            FileRole::IssuerAuthorities => ("the issuer's authorities", Guard::Rule),
            FileRole::GatewayAuthorities => ("the gateway's authorities", Guard::Authorities),
            FileRole::ModelAuthorities => ("the model provider's authorities", Guard::Authorities),
        };
        file(what, named.key, named.path.to_owned(), guard)
    }
}

fn file(what: &'static str, key: String, path: PathBuf, guard: Guard) -> GuardedFile {
    GuardedFile {
        what: what.into(),
        key: Some(key),
        facts: FileFacts::of(&path),
        path,
        guard,
    }
}

/// Whether the platform mounted this file for one service: `keyPath` has no
/// `mountedVolume` of its own.
fn is_mounted(path: &Path) -> bool {
    let target = path.canonicalize();
    let target = target.as_deref().unwrap_or(path);
    target.starts_with(SYSTEMD_CREDENTIALS) || is_in_volume(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_volume_is_known_by_its_data_link_and_systemds_by_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("..2026_01/tls")).unwrap();
        fs::write(path("..2026_01/tls/key"), "").unwrap();
        symlink("..data/tls", path("tls")).unwrap();
        symlink("/etc/passwd", path("outside")).unwrap();
        assert!(!is_mounted(&path("..2026_01/tls/key")));
        symlink("..2026_01", path("..data")).unwrap();
        assert!(is_mounted(&path("tls/key")));
        assert!(!is_mounted(&path("outside")));
        let credential = "/run/credentials/portcullis.service/portcullis.key";
        assert!(is_mounted(Path::new(credential)));
    }

    #[test]
    fn what_is_no_file_is_not_judged_and_of_a_link_what_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "").unwrap();
        symlink(&file, &link).unwrap();
        let facts = FileFacts::of(&file);
        assert!(facts.seen().is_some());
        assert_eq!(FileFacts::of(&link), facts);
        assert!(matches!(FileFacts::of(folder.path()), Look::Hidden(_)));
        assert_eq!(FileFacts::of(&file.join("below")), Look::Missing);
    }
}
