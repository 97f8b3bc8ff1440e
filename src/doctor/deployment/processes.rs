//! The running processes that serve a config, as `/proc` shows them to every user.

use crate::config::{DEFAULT_PATHS, PATH_VARIABLE};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const PROC: &str = "/proc";
const PROGRAM: &str = "portcullis";

/// A running process that serves the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceProcess {
    /// Its number.
    pub pid: u32,
    /// The effective user.
    pub user: u32,
    /// Whether it has this process' user, and no groups that this one hasn't.
    pub is_like_this: bool,
    /// How large a core file may become, in bytes.
    pub core_bytes: Option<u64>,
    /// Whether it was told to leave its memory open to core files and to its user.
    pub is_unsealed: bool,
    /// Files that it may open, at most.
    pub open_files: Option<u64>,
}

/// The running processes, by what they serve.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Processes {
    /// Those that serve the config.
    pub(super) serving: Vec<ServiceProcess>,
    /// Those that serve one which the system doesn't show.
    pub(super) unclear: Vec<u32>,
}

/// Which config a process serves.
#[derive(Debug, PartialEq, Eq)]
enum Served {
    Config(PathBuf),
    /// What would tell it is not shown: a process that has closed its memory to others
    /// shows its environment and its folder to root alone.
    Hidden,
    /// None: it is another program, or does something else.
    Nothing,
}

/// The processes that may serve `config`. A system that hides processes shows none.
pub(super) fn serving(config: &Path) -> Processes {
    let mut processes = Processes::default();
    let Ok(config) = config.canonicalize() else {
        return processes;
    };
    let Ok(entries) = fs::read_dir(PROC) else {
        return processes;
    };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    for pid in numbers {
        match served_by(pid) {
            Served::Config(named) if named.canonicalize().is_ok_and(|named| named == config) => {
                processes.serving.extend(examine(pid));
            }
            Served::Hidden => processes.unclear.push(pid),
            Served::Config(_) | Served::Nothing => {}
        }
    }
    processes.serving.sort_by_key(|process| process.pid);
    processes.unclear.sort_unstable();
    processes
}

/// Those that are known to serve `config`.
#[must_use]
pub fn service_processes(config: &Path) -> Vec<ServiceProcess> {
    serving(config).serving
}

/// A process that says of itself that it serves; `None` where it is none of ours.
pub(super) fn of(pid: u32) -> Option<ServiceProcess> {
    match served_by(pid) {
        Served::Config(_) | Served::Hidden => examine(pid),
        Served::Nothing => None,
    }
}

fn folder(pid: u32) -> PathBuf {
    Path::new(PROC).join(pid.to_string())
}

fn served_by(pid: u32) -> Served {
    let folder = folder(pid);
    let name = fs::read_to_string(folder.join("comm")).unwrap_or_default();
    if name.trim_end() != PROGRAM {
        return Served::Nothing;
    }
    let line = fs::read(folder.join("cmdline")).unwrap_or_default();
    let Some(named) = named_by(&line) else {
        return Served::Nothing;
    };
    let Some(named) = named.or_else(|| fs::read(folder.join("environ")).ok().map(set_in)) else {
        return Served::Hidden;
    };
    let named = match named {
        Named::Path(path) if path.is_absolute() => return Served::Config(path),
        Named::Path(path) => vec![path],
        Named::Nothing => DEFAULT_PATHS.map(PathBuf::from).into(),
    };
    let Ok(working) = fs::read_link(folder.join("cwd")) else {
        return Served::Hidden;
    };
    let mut named = named.into_iter().map(|path| working.join(path));
    let found = named.find(|path| path.exists());
    found.map_or(Served::Nothing, Served::Config)
}

/// `None` where it has ended.
fn examine(pid: u32) -> Option<ServiceProcess> {
    let folder = folder(pid);
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let own = fs::read_to_string(Path::new(PROC).join("self/status")).unwrap_or_default();
    let limits = fs::read_to_string(folder.join("limits")).unwrap_or_default();
    let line = fs::read(folder.join("cmdline")).unwrap_or_default();
    Some(ServiceProcess {
        pid,
        user: effective_user(&status)?,
        is_like_this: is_like(&status, &own),
        core_bytes: limit(&limits, "Max core file size", Which::Soft),
        is_unsealed: line
            .split(|byte| *byte == 0)
            .any(|argument| argument == b"--allow-core-dumps"),
        open_files: limit(&limits, "Max open files", Which::Hard),
    })
}

/// What names a config.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    Path(PathBuf),
    Nothing,
}

impl Named {
    fn path(bytes: &[u8]) -> Self {
        Self::Path(OsStr::from_bytes(bytes).into())
    }
}

/// The config that a command line has `run` serve, if it names one; nothing at all where
/// it doesn't `run`.
fn named_by(line: &[u8]) -> Option<Option<Named>> {
    let arguments: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    if !arguments.contains(&b"run".as_slice()) {
        return None;
    }
    let after = |flag: &[u8]| {
        let at = arguments.iter().position(|argument| *argument == flag)?;
        arguments.get(at + 1).copied()
    };
    let joined = arguments
        .iter()
        .find_map(|argument| argument.strip_prefix(b"--config=".as_slice()));
    Some(after(b"--config").or(joined).map(Named::path))
}

/// The config that an environment names.
fn set_in(environment: Vec<u8>) -> Named {
    // Secrets are in it, too.
    let environment = Zeroizing::new(environment);
    let mut variables = environment.split(|byte| *byte == 0);
    let named = variables.find_map(|variable| {
        let rest = variable.strip_prefix(PATH_VARIABLE.as_bytes())?;
        rest.strip_prefix(b"=")
    });
    named.map_or(Named::Nothing, Named::path)
}

/// The second number of `Uid:` (`proc_pid_status(5)`).
fn effective_user(status: &str) -> Option<u32> {
    effective(status, "Uid:")
}

fn effective(status: &str, name: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Whether the first has the user of the second, and no further group.
fn is_like(status: &str, own: &str) -> bool {
    let user = effective_user(status);
    let (groups, own_groups) = (groups(status), groups(own));
    let are_ours = groups.zip(own_groups);
    user.is_some()
        && user == effective_user(own)
        && are_ours.is_some_and(|(groups, own)| groups.is_subset(&own))
}

/// The effective and the supplementary groups.
fn groups(status: &str) -> Option<BTreeSet<u32>> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Groups:"))?;
    let groups = line
        .split_ascii_whitespace()
        .map(|group| group.parse().ok());
    groups.chain([effective(status, "Gid:")]).collect()
}

#[derive(Clone, Copy)]
enum Which {
    Soft,
    Hard,
}

/// A limit of `proc_pid_limits(5)`; without one it is the largest number.
fn limit(limits: &str, name: &str, which: Which) -> Option<u64> {
    let rest = limits.lines().find_map(|line| line.strip_prefix(name))?;
    let value = rest.split_ascii_whitespace().nth(which as usize)?;
    match value {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};

    #[test]
    fn a_command_line_or_an_environment_tells_which_config_is_served() {
        let path = |path: &str| Named::Path(path.into());
        for (line, named) in [
            (
                "/usr/bin/portcullis\0run\0--config\0/etc/p.toml\0",
                Some(Some(path("/etc/p.toml"))),
            ),
            (
                "portcullis\0run\0--config=p.toml\0",
                Some(Some(path("p.toml"))),
            ),
            ("portcullis\0-v\0run\0", Some(None)),
            ("portcullis\0check\0--config\0/etc/p.toml\0", None),
            ("portcullis\0", None),
            ("", None),
        ] {
            assert_eq!(named_by(line.as_bytes()), named, "{line:?}");
        }
        for (environment, named) in [
            ("A=b\0PORTCULLIS_CONFIG=/etc/p.toml\0", path("/etc/p.toml")),
            ("A=PORTCULLIS_CONFIG=/x\0", Named::Nothing),
            ("", Named::Nothing),
        ] {
            assert_eq!(set_in(environment.into()), named, "{environment:?}");
        }
    }

    #[test]
    fn status_and_limits_are_read() {
        let status = "Name:\tportcullis\nUid:\t1000\t0\t0\t0\nGid:\t7\t7\t7\t7\n";
        assert_eq!(effective_user(status), Some(0));
        assert_eq!(effective_user("Uid:\tx\n"), None);
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
             Max core file size        0                    unlimited            bytes     \n\
             Max open files            1024                 524288               files     \n";
        assert_eq!(limit(limits, "Max core file size", Which::Soft), Some(0));
        assert_eq!(
            limit(limits, "Max core file size", Which::Hard),
            Some(u64::MAX)
        );
        assert_eq!(limit(limits, "Max open files", Which::Hard), Some(524_288));
        assert_eq!(limit(limits, "Max nothing", Which::Soft), None);
    }

    #[test]
    fn a_process_is_like_this_one_where_it_may_do_no_more() {
        let status = |user: u32, group: u32, groups: &str| {
            format!("Uid:\t9\t{user}\t9\t9\nGid:\t9\t{group}\t9\t9\nGroups:\t{groups} \n")
        };
        let own = status(1000, 1000, "4 27");
        for (other, is_like_own) in [
            (status(1000, 1000, "4 27"), true),
            (status(1000, 27, ""), true),
            (status(1000, 1000, "4 27 112"), false),
            (status(1000, 112, "4 27"), false),
            (status(999, 1000, "4 27"), false),
            ("Uid:\t1000\t1000\n".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(is_like(&other, &own), is_like_own, "{other}");
        }
        assert!(!is_like("", ""));
    }

    #[test]
    fn a_process_is_found_by_its_name_and_its_config() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("portcullis");
        // Like a script, it is known by its own name. It ends with its standard input.
        fs::write(&program, "#!/bin/sh\necho begun\nread line\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let config = folder.path().join("portcullis.toml");
        let other = folder.path().join("other.toml");
        for path in [&config, &other] {
            fs::write(path, "").unwrap();
        }
        let absolute = config.to_str().unwrap();
        for (arguments, variable) in [
            (&["--config", "portcullis.toml"][..], None),
            (&["--config", absolute, "--allow-core-dumps"], None),
            (&["--config", "portcullis.toml"], Some("other.toml")),
            (&[], Some(absolute)),
            (&[], Some("portcullis.toml")),
            // What is in its folder.
            (&[], None),
        ] {
            let mut command = Command::new(&program);
            command
                .arg("run")
                .args(arguments)
                .env_remove("PORTCULLIS_CONFIG")
                .envs(variable.map(|path| ("PORTCULLIS_CONFIG", path)))
                .current_dir(folder.path())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped());
            let mut child = command.spawn().unwrap();
            // Before, the kernel may not show its command line yet.
            let mut begun = [0; 6];
            child
                .stdout
                .as_mut()
                .unwrap()
                .read_exact(&mut begun)
                .unwrap();
            let found = serving(&config).serving;
            assert_eq!(found.len(), 1, "{arguments:?} {variable:?}");
            assert_eq!(found[0].pid, child.id());
            assert_eq!(found[0].user, nix::unistd::geteuid().as_raw());
            assert!(found[0].is_like_this);
            assert!(found[0].open_files.is_some() && found[0].core_bytes.is_some());
            assert_eq!(found[0].is_unsealed, arguments.len() > 2);
            assert_eq!(of(child.id()).as_ref(), Some(&found[0]));
            assert_eq!(serving(&other).serving, []);
            drop(child.stdin.take());
            child.wait().unwrap();
            assert_eq!(serving(&config).serving, []);
        }
        assert_eq!(of(std::process::id()), None, "it is none of ours");
    }
}
