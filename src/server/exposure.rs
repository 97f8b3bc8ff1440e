//! What this process could change for its own next start: files that say what it does, in
//! folders in which it goes on writing.

use super::lockdown::named_files;
use crate::config::Config;
use crate::secrets::{Environment, Provider, check_custody, way_to};
use crate::snapshot::BuildError;
use std::path::{Path, PathBuf};

/// Files that hold secrets and say nothing else: who writes them has had those anyway.
const SECRETS_ALONE: [&str; 2] = ["models.envFile", "secrets.providers."];

/// What lies where this process may write, though it decides what is run, whom to let in
/// or whom to believe: whoever breaks in would change it. `file` is the configuration's
/// own. The folders of sockets don't count: no file is made or written there.
#[must_use]
pub fn exposed(config: &Config, file: &Path, environment: Environment<'_>) -> Vec<BuildError> {
    let of_secrets = |key: &str| SECRETS_ALONE.iter().any(|start| key.starts_with(start));
    let mut files = vec![(String::new(), file.to_owned())];
    let named = named_files(config, environment).into_iter();
    files.extend(named.filter(|(key, _)| !of_secrets(key)));
    for (name, provider) in config.secrets.listed() {
        if let Provider::Exec(exec) = provider {
            let key = format!("secrets.providers.{name}");
            files.push((format!("{key}.command"), exec.command.clone()));
            let folders = exec.trusted_dirs.iter().cloned();
            files.extend(folders.map(|folder| (format!("{key}.trustedDirs"), folder)));
        }
    }
    within(config, &files)
}

/// The same of files that hold secrets and say nothing else.
#[must_use]
pub fn exposed_secrets(config: &Config, environment: Environment<'_>) -> Vec<BuildError> {
    let mut files = named_files(config, environment);
    files.retain(|(key, _)| SECRETS_ALONE.iter().any(|start| key.starts_with(start)));
    within(config, &files)
}

/// Why the helper process, which a locked process has instead, would run no command that
/// `file` names; none where it names none.
#[must_use]
pub fn unkept_commands(config: &Config, file: &Path) -> Option<BuildError> {
    let name = config.secrets.first_command()?;
    let source = check_custody(file).err()?;
    Some(BuildError::Custody {
        key: format!("secrets.providers.{name}.command"),
        path: file.to_owned(),
        source,
    })
}

fn within(config: &Config, files: &[(String, PathBuf)]) -> Vec<BuildError> {
    if config.models.listen.is_none() {
        return Vec::new();
    }
    let folders: Vec<_> = config
        .models
        .sinks()
        .map(|(key, folder)| (key, folder, real(folder)))
        .collect();
    let mut exposed = Vec::new();
    for (key, path) in files {
        let places = places(path);
        let found = folders
            .iter()
            .find(|(_, _, folder)| places.iter().any(|place| place.starts_with(folder)));
        if let Some((folder_key, folder, _)) = found {
            exposed.push(BuildError::Exposed {
                key: if key.is_empty() { folder_key } else { key }.clone(),
                path: path.clone(),
                folder_key: folder_key.clone(),
                folder: (*folder).to_owned(),
            });
        }
    }
    exposed
}

/// Under their real names: each folder in which a name on the way to `path` is looked up,
/// and what it leads to.
fn places(path: &Path) -> Vec<PathBuf> {
    let Ok(path) = std::path::absolute(path) else {
        return Vec::new();
    };
    match way_to(&path) {
        Ok(way) => way.folders.into_iter().chain([way.target]).collect(),
        Err(_) => vec![real(&path)],
    }
}

/// As far as it is there; what isn't would be made below.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut above = path.ancestors();
    let found = above.find_map(|folder| Some((folder, folder.canonicalize().ok()?)));
    match found {
        Some((folder, real)) => match path.strip_prefix(folder) {
            Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
            _ => real,
        },
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::secrets::env;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_decides_is_nowhere_where_the_process_may_write() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["state/bin", "safe", "agent"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        for name in [
            "state/bin/op",
            "safe/op",
            "state/c.toml",
            "safe/c.toml",
            "safe/users",
        ] {
            fs::write(root.join(name), "").unwrap();
        }
        symlink(root.join("state"), root.join("by-link")).unwrap();
        symlink(root.join("safe/op"), root.join("state/to-safe")).unwrap();
        symlink(root.join("state/bin/op"), root.join("safe/to-state")).unwrap();
        let found = |listen: &str, state: &str, command: &str, users: &str, file: &str| {
            let at = |name: &str| root.join(name).display().to_string();
            let text = format!(
                "[listen]\naddress = \"127.0.0.1:0\"\n[upstream]\nurl = \"http://127.0.0.1:9\"\n\
                 [gateway]\ntrustedProxies = [\"10.0.0.1\"]\n[gateway.auth]\n\
                 mode = \"trusted-proxy\"\n[gateway.auth.trustedProxy]\n\
                 userHeader = \"x-user\"\nallowUsersFile = \"{}\"\n\
                 [models]\n{listen}\nstateDir = \"{}\"\nenvFile = \"{}\"\n\
                 [secrets.providers.op]\nsource = \"exec\"\ncommand = \"{}\"\n",
                at(users),
                at(state),
                at("state/models.env"),
                at(command),
            );
            let config = config::parse(&text).unwrap().config;
            let secrets = exposed_secrets(&config, &env::Process);
            let is_on = !listen.is_empty() && state != "agent";
            assert_eq!(secrets.len(), usize::from(is_on), "{secrets:?}");
            let errors = exposed(&config, &root.join(file), &env::Process);
            errors
                .iter()
                .map(|error| error.key().to_owned())
                .collect::<Vec<_>>()
        };
        let on = "listen = \"127.0.0.1:0\"\nclientToken = \"$T\"";
        let command = "secrets.providers.op.command";
        let users = "gateway.auth.trustedProxy.allowUsersFile";
        for (state, run, allow, file, expected) in [
            ("state", "safe/op", "safe/users", "safe/c.toml", &[][..]),
            (
                "state",
                "safe/op",
                "safe/users",
                "state/c.toml",
                &["models.stateDir"],
            ),
            (
                "by-link",
                "safe/op",
                "safe/users",
                "state/c.toml",
                &["models.stateDir"],
            ),
            (
                "state",
                "safe/op",
                "safe/users",
                "by-link/c.toml",
                &["models.stateDir"],
            ),
            (
                "state",
                "state/bin/op",
                "safe/users",
                "safe/c.toml",
                &[command],
            ),
            (
                "state",
                "by-link/bin/op",
                "safe/users",
                "safe/c.toml",
                &[command],
            ),
            (
                "state",
                "state/to-safe",
                "safe/users",
                "safe/c.toml",
                &[command],
            ),
            (
                "state",
                "safe/to-state",
                "safe/users",
                "safe/c.toml",
                &[command],
            ),
            (
                "state",
                "safe/op",
                "state/none-yet",
                "safe/c.toml",
                &[users],
            ),
            ("agent", "state/bin/op", "state/users", "state/c.toml", &[]),
        ] {
            let errors = found(on, state, run, allow, file);
            assert_eq!(errors, expected, "{state} {run} {allow} {file}");
        }
        // Nothing is written where no model is called.
        assert!(found("", "state", "state/bin/op", "safe/users", "state/c.toml").is_empty());
    }
}
