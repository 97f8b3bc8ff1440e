//! `portcullis exec-helper`: started by `run`, never by hand. Runs the commands of
//! exec providers for a process that has locked itself down.

use super::{EXIT_FAILURE, EXIT_USAGE, output};
use crate::config::{self, Config, MAX_CONFIG_BYTES};
use crate::regular_file;
use crate::secrets::{
    CUSTODY_REMEDY, CommandProblem, ExecId, Listed, Provider, ProviderName, SecretId, SecretInput,
    Unlisted, check_custody, env, serve_commands,
};
use crate::server;
use clap::Parser;
use nix::sys::prctl;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The command's name.
pub(super) const NAME: &str = "exec-helper";

/// Arguments of `exec-helper`.
#[derive(Debug, Parser)]
#[command(name = NAME)]
struct Arguments {
    /// The configuration whose commands are run
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// As `run --allow-core-dumps`
    #[arg(long)]
    allow_core_dumps: bool,
}

/// What `run` starts it with.
pub(super) fn command_line(config: &Path, allow_core_dumps: bool) -> Vec<OsString> {
    let mut line = vec![NAME.into(), "--config".into(), config.into()];
    line.extend(allow_core_dumps.then(|| "--allow-core-dumps".into()));
    line
}

pub(super) fn run(line: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(line) {
        Ok(arguments) => arguments,
        Err(error) => {
            output::complain(format_args!("portcullis: {error}"));
            return EXIT_USAGE.into();
        }
    };
    let outcome = prepare(arguments.allow_core_dumps).and_then(|stream| {
        let answers = stream.try_clone().map_err(|error| error.to_string())?;
        let mut book = Book::of(arguments.config);
        let look_up = |name: &ProviderName| book.look_up(name);
        // That the stream breaks off means the same as its end.
        let _ = serve_commands(stream, answers, &env::Process, look_up);
        Ok(())
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            output::complain(format_args!("portcullis: {NAME}: {message}"));
            EXIT_FAILURE.into()
        }
    }
}

/// The stream of questions, once this process is as closed as the one that asks.
fn prepare(allow_core_dumps: bool) -> Result<UnixStream, String> {
    if !allow_core_dumps {
        server::seal().map_err(|error| super::chain(&error))?;
    }
    // In `ps` its program would be called `exe`, by the path that started it.
    let _ = prctl::set_name(c"portcullis-exec");
    server::outlive_signals().map_err(|error| super::chain(&error))?;
    let stream = io::stdin().as_fd().try_clone_to_owned();
    let stream = UnixStream::from(stream.map_err(|error| error.to_string())?);
    match stream.peer_addr() {
        Ok(_) => Ok(stream),
        Err(_) => Err(
            "got no socket on standard input, expected the one that `portcullis run` gives: \
             this is no command to be called by hand"
                .to_owned(),
        ),
    }
}

/// The exec providers of the configuration file, read again when it has changed.
struct Book {
    path: PathBuf,
    /// Of the text that was read last.
    digest: Option<[u8; 32]>,
    providers: BTreeMap<ProviderName, Listed>,
}

impl Book {
    fn of(path: PathBuf) -> Self {
        Self {
            path,
            digest: None,
            providers: BTreeMap::new(),
        }
    }

    fn look_up(&mut self, name: &ProviderName) -> Result<Listed, Unlisted> {
        // Not even what it held before: that may be another's as well.
        let custody = check_custody(&self.path).or_else(|problem| match problem {
            CommandProblem::Missing(_) => Ok(()),
            problem => Err(problem),
        });
        custody.map_err(|problem| Unlisted {
            message: format!(
                "the helper process runs no command by {}, which others may change: {problem}",
                self.path.display()
            ),
            remedy: CUSTODY_REMEDY.to_owned(),
        })?;
        let problem = self.read_again().err();
        self.providers.get(name).cloned().ok_or_else(|| {
            let file = self.path.display();
            match problem {
                Some(message) => Unlisted {
                    message: format!("the helper process can't use {file}: {message}"),
                    remedy: "mend the configuration file".to_owned(),
                },
                None => Unlisted {
                    message: format!(
                        "the helper process does not run this command: {file} has no exec \
                         provider `{name}`"
                    ),
                    remedy: "reload, if the file has changed; nothing but what it holds is run"
                        .to_owned(),
                },
            }
        })
    }

    /// While the file is damaged, what it held before is served on, as at a reload.
    fn read_again(&mut self) -> Result<(), String> {
        let text = regular_file::read_to_string(&self.path, MAX_CONFIG_BYTES)
            .map_err(|error| error.to_string())?;
        let digest = Sha256::digest(&text).into();
        if self.digest == Some(digest) {
            return Ok(());
        }
        let parsed = config::parse(&text).map_err(|problems| match problems.first() {
            Some(problem) => problem.to_string(),
            None => "it is no configuration".to_owned(),
        })?;
        // The master checks it as well, unless somebody has taken it over.
        let exposed = server::exposed(&parsed.config, &self.path, &env::Process);
        if let Some(error) = exposed.first() {
            return Err(error.in_full());
        }
        let mut referred = references(&parsed.config);
        let listed = parsed.config.secrets.listed();
        self.providers = listed
            .filter_map(|(name, provider)| match provider {
                Provider::Exec(provider) => {
                    let mut ids = referred.remove(name).unwrap_or_default();
                    ids.extend(provider.profile_ids.iter().cloned());
                    let provider = provider.clone();
                    Some((name.clone(), Listed { provider, ids }))
                }
                Provider::Env(_) | Provider::File(_) => None,
            })
            .collect();
        self.digest = Some(digest);
        Ok(())
    }
}

/// The ids that the configuration refers to, in use or not, by their provider. What
/// stored profiles name is not among them: whoever asks can write those.
fn references(config: &Config) -> BTreeMap<ProviderName, BTreeSet<ExecId>> {
    let mut references: BTreeMap<ProviderName, BTreeSet<ExecId>> = BTreeMap::new();
    for surface in config.surfaces() {
        if let SecretInput::Ref(reference) = surface.input
            && let SecretId::Exec(id) = &reference.id
        {
            let ids = references.entry(reference.provider.clone());
            ids.or_default().insert(id.clone());
        }
    }
    references
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn config(command: &str) -> String {
        format!(
            "[listen]\naddress = \"127.0.0.1:8443\"\n[upstream]\nurl = \"http://127.0.0.1:9\"\n\
             [gateway]\ntrustedProxies = [\"10.0.0.1\"]\n[gateway.auth]\nmode = \"trusted-proxy\"\n\
             [gateway.auth.trustedProxy]\nuserHeader = \"x-user\"\nallowUsers = [\"nick\"]\n\
             [secrets.providers.env]\nsource = \"env\"\n{command}"
        )
    }

    #[test]
    fn what_the_file_holds_now_is_what_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portcullis.toml");
        let provider = |command: &str| {
            format!("[secrets.providers.vault]\nsource = \"exec\"\ncommand = \"{command}\"\n")
        };
        let vault = ProviderName::parse("vault").unwrap();
        let mut book = Book::of(path.clone());
        let mut command = |text: Option<String>| {
            match text {
                Some(text) => fs::write(&path, text).unwrap(),
                None => drop(fs::remove_file(&path)),
            }
            let found = book.look_up(&vault);
            found
                .map(|listed| listed.provider.command.display().to_string())
                .map_err(|error| error.message)
        };
        let missing = command(None).unwrap_err();
        assert!(missing.contains("can't use"), "{missing}");
        let unlisted = command(Some(config(""))).unwrap_err();
        assert!(unlisted.contains("no exec provider `vault`"), "{unlisted}");
        assert_eq!(command(Some(config(&provider("/a")))).unwrap(), "/a");
        assert_eq!(command(Some(config(&provider("/b")))).unwrap(), "/b");
        // Damaged, or gone: the last good ones stay.
        assert_eq!(command(Some("[".to_owned())).unwrap(), "/b");
        assert_eq!(command(None).unwrap(), "/b");
        assert!(command(Some(config(""))).is_err());
        assert!(command(Some("[".to_owned())).is_err());
        // Whose ids they are, wherever the file refers to them.
        let ids = |book: &mut Book, text: &str| {
            fs::write(&path, text).unwrap();
            let ids = book.look_up(&vault).unwrap().ids.into_iter();
            ids.map(|id| id.as_str().to_owned()).collect::<Vec<_>>()
        };
        let reference = |provider: &str, id: &str| {
            format!("{{ source = \"exec\", provider = \"{provider}\", id = \"{id}\" }}\n")
        };
        let mut text = config(&provider("/a"));
        assert_eq!(ids(&mut book, &text), [""; 0]);
        text.push_str("profileIds = [\"of/profile\"]\n[secrets.providers.other]\n");
        text.push_str("source = \"exec\"\ncommand = \"/b\"\n[upstream.credential]\n");
        text.push_str(&format!(
            "header = \"x-a\"\nvalue = {}",
            reference("vault", "a")
        ));
        text.push_str(&format!(
            "[admin]\ntoken = {}",
            reference("other", "theirs")
        ));
        // Nothing uses this one.
        text.push_str(&format!(
            "[models]\nclientToken = {}",
            reference("vault", "b/c")
        ));
        assert_eq!(ids(&mut book, &text), ["a", "b/c", "of/profile"]);
        // Who else may write it may name any command.
        for (mode, is_fit) in [(0o644, true), (0o664, false), (0o646, false), (0o600, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let found = book.look_up(&vault).map_err(|error| error.message);
            assert_eq!(found.is_ok(), is_fit, "{mode:o}: {found:?}");
            let is_told = |message: &String| message.contains("others may change");
            assert!(found.as_ref().err().is_none_or(is_told), "{found:?}");
        }
        // What this process could write itself, whoever has taken it over could as well.
        let state = folder.path().join("state");
        let mut text = config(&provider(&state.join("resolver").display().to_string()));
        text.push_str(&format!(
            "[models]\nlisten = \"127.0.0.1:0\"\nstateDir = \"{}\"\n",
            state.display()
        ));
        fs::write(&path, text).unwrap();
        let mut afresh = Book::of(path.clone());
        let refused = afresh.look_up(&vault).map(|_| ()).unwrap_err().message;
        assert!(refused.contains("models.stateDir"), "{refused}");
        // A variable is no command.
        let env = ProviderName::parse("env").unwrap();
        assert!(book.look_up(&env).is_err());
    }
}
