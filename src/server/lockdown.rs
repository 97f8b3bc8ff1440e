//! What a configuration needs of the system, so that the process can give up the rest.

use crate::admin::ReloadProblem;
use crate::config::{Config, UpstreamUrl};
use crate::confinement::{Confinement, Needs};
use crate::credentials::TokenSink;
use crate::listener;
use crate::secrets::{Environment, ExecHelper, Provider};
use crate::snapshot::watched_files;
use std::io;
use std::path::{Path, PathBuf};

/// What to do about a path that was given up.
const RESTART: &str = "restart Portcullis, or keep it in a folder that it uses already";

/// Gives up what serving this configuration doesn't take: for the calling thread, and
/// those that it starts from here on. `file` is the configuration's own.
#[must_use]
pub fn lock_down(config: &Config, file: &Path, environment: Environment<'_>) -> Confinement {
    listener::hold_settings();
    if config.models.listen.is_some() {
        for (_, folder) in config.models.sinks() {
            // A folder that isn't there can't be kept. What is wrong with it, its first
            // use tells.
            let _ = TokenSink::new(folder.to_owned()).make_folder();
        }
    }
    Confinement::enter(&needs(config, file, environment))
}

/// Tells the log what holds the process, and what doesn't.
pub fn tell(confinement: &Confinement) {
    let report = confinement.report();
    let (landlock, seccomp) = (report.landlock.to_string(), report.seccomp.to_string());
    let capabilities = report.capabilities.to_string();
    if report.is_whole() {
        tracing::info!(
            confinement.no_new_privs = report.no_new_privs,
            confinement.landlock = landlock,
            confinement.capabilities = capabilities,
            confinement.seccomp = seccomp,
            confinement.unix_sockets = report.unix_sockets,
            "locked down"
        );
    } else {
        tracing::warn!(
            confinement.no_new_privs = report.no_new_privs,
            confinement.landlock = landlock,
            confinement.capabilities = capabilities,
            confinement.seccomp = seccomp,
            confinement.unix_sockets = report.unix_sockets,
            "locked down less than it could be: whoever breaks into this process can do more"
        );
    }
}

/// What the status says of it.
pub(super) fn status(confinement: &Confinement) -> serde_json::Value {
    let mut status = serde_json::json!(confinement.report());
    status["execHelper"] = ExecHelper::is_there().into();
    status
}

/// What to do where the configuration can't be read: its name may lead to another folder
/// than it did, and then it isn't the file's mode that forbids it.
pub(super) fn remedy(confinement: &Confinement, error: &io::Error) -> Option<String> {
    let is_forbidden = error.kind() == io::ErrorKind::PermissionDenied;
    (is_forbidden && confinement.holds_files()).then(|| {
        format!("let this process' user read it; where it lies in another folder than at the start, {RESTART}")
    })
}

/// Says which files for finding addresses by name others have taken the place of: what
/// they would tell is not known to this process, and a name that isn't found says nothing
/// of why.
pub(super) fn warn_of_lost_name_files(confinement: &Confinement) {
    for file in confinement.lost_name_files() {
        tracing::warn!(
            file = %file.display(),
            remedy = "restart Portcullis",
            "a file by which addresses are found by name was replaced since this process locked \
             itself down, which may not read the new one"
        );
    }
}

/// What a further configuration names, and this process has given up.
pub(super) fn given_up(
    confinement: &Confinement,
    config: &Config,
    file: &Path,
    environment: Environment<'_>,
) -> Vec<ReloadProblem> {
    let keys = named_files(config, environment);
    let key_of = |path: &Path| {
        let mut keys = keys.iter().filter(|(_, named)| named == path);
        keys.next().map(|(key, _)| key.clone())
    };
    let watched = watched_files(config, environment);
    let unread = watched
        .iter()
        .filter(|path| !confinement.admits(path))
        .map(|path| (key_of(path), path.clone(), "read"));
    let sinks = config.models.sinks();
    let unkept = sinks
        .filter(|(_, folder)| config.models.listen.is_some() && !confinement.keeps(folder))
        .map(|(key, folder)| (Some(key), folder.to_owned(), "write"));
    let problem = |(key, path, what): (_, PathBuf, _)| ReloadProblem {
        file: Some(file.to_owned()),
        key,
        message: format!(
            "{}: got a place where this process may no more {what}, expected one of the folders \
             that the configuration named at the start: then it locked itself down",
            path.display()
        ),
        remedy: Some(RESTART.to_owned()),
        ..ReloadProblem::default()
    };
    let mut problems: Vec<_> = unread.chain(unkept).map(problem).collect();
    if let Some(name) = config.secrets.first_command()
        && confinement.is_asked_for()
        && !ExecHelper::was_appointed()
    {
        problems.push(ReloadProblem {
            file: Some(file.to_owned()),
            key: Some(format!("secrets.providers.{name}")),
            message: "got a command, which nobody could run: no helper process could be started \
                      when this one locked itself down"
                .to_owned(),
            remedy: Some("restart Portcullis".to_owned()),
            ..ReloadProblem::default()
        });
    }
    if connects_to_unix(config) && !confinement.report().unix_sockets {
        problems.push(ReloadProblem {
            file: Some(file.to_owned()),
            key: Some("upstream.url".to_owned()),
            message: "got a Unix socket, expected http:// or https://: no Unix socket was named \
                      at the start, so this process gave them up when it locked itself down"
                .to_owned(),
            remedy: Some("restart Portcullis".to_owned()),
            ..ReloadProblem::default()
        });
    }
    problems
}

fn needs(config: &Config, file: &Path, environment: Environment<'_>) -> Needs {
    let mut needs = Needs {
        files: watched_files(config, environment),
        ..Needs::default()
    };
    needs.files.insert(file.to_owned());
    let named = named_files(config, environment);
    needs.files.extend(named.into_iter().map(|(_, path)| path));
    if config.models.listen.is_some() {
        let sinks = config.models.sinks();
        needs
            .state_folders
            .extend(sinks.map(|(_, folder)| folder.to_owned()));
    }
    for path in config.listen.sockets() {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        needs
            .socket_folders
            .extend(path.parent().map(Path::to_owned));
    }
    needs.unix_sockets = connects_to_unix(config) || !needs.socket_folders.is_empty();
    let listeners = config.tcp_listeners();
    needs
        .tcp_ports
        .extend(listeners.map(|address| address.port()));
    needs
}

fn connects_to_unix(config: &Config) -> bool {
    matches!(config.upstream.url, UpstreamUrl::Unix(_))
}

/// Every file that a configuration names by a key of its own, in use or not: a reload
/// may put it to use.
pub(super) fn named_files(config: &Config, environment: Environment<'_>) -> Vec<(String, PathBuf)> {
    let named = config.named_files().into_iter();
    let mut files: Vec<_> = named.map(|file| (file.key, file.path.to_owned())).collect();
    for (name, provider) in config.secrets.listed() {
        if let Provider::File(file) = provider {
            let path = file.location(environment).ok();
            files.extend(path.map(|path| (format!("secrets.providers.{name}.path"), path)));
        }
    }
    files
}
