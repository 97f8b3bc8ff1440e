//! The running processes that serve a config, as `/proc` shows them to every user.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const PROC: &str = "/proc";
const PROGRAM: &str = "portcullis";
/// Where `run` looks when nobody names a config.
const DEFAULT_CONFIG: &str = "/etc/portcullis/portcullis.toml";

/// A running process that serves the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceProcess {
    /// Its number.
    pub pid: u32,
    /// The effective user.
    pub user: u32,
    /// How large a core file may become, in bytes.
    pub core_bytes: Option<u64>,
    /// Files that it may open, at most.
    pub open_files: Option<u64>,
}

/// The processes that serve `config`. A system that hides processes shows none.
pub(super) fn serving(config: &Path) -> Vec<ServiceProcess> {
    let Ok(config) = config.canonicalize() else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir(PROC) else {
        return Vec::new();
    };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut processes: Vec<ServiceProcess> =
        numbers.filter_map(|pid| examine(pid, &config)).collect();
    processes.sort_by_key(|process| process.pid);
    processes
}

/// `None` where it is another program, serves another config, or has ended.
fn examine(pid: u32, config: &Path) -> Option<ServiceProcess> {
    let folder = Path::new(PROC).join(pid.to_string());
    let name = fs::read_to_string(folder.join("comm")).ok()?;
    if name.trim_end() != PROGRAM {
        return None;
    }
    let line = fs::read(folder.join("cmdline")).ok()?;
    let named = config_of(&line)?;
    let working = fs::read_link(folder.join("cwd")).unwrap_or_default();
    // A path that stays relative names no file of ours.
    let named = working.join(named);
    if !named.is_absolute() || named.canonicalize().ok()? != config {
        return None;
    }
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let limits = fs::read_to_string(folder.join("limits")).unwrap_or_default();
    Some(ServiceProcess {
        pid,
        user: effective_user(&status)?,
        core_bytes: limit(&limits, "Max core file size", Which::Soft),
        open_files: limit(&limits, "Max open files", Which::Hard),
    })
}

/// The config that a command line has `run` serve; `None` where it doesn't `run`.
fn config_of(line: &[u8]) -> Option<PathBuf> {
    let arguments: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    if !arguments.contains(&b"run".as_slice()) {
        return None;
    }
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let after = |flag: &[u8]| {
        let at = arguments.iter().position(|argument| *argument == flag)?;
        arguments.get(at + 1).copied()
    };
    let joined = arguments
        .iter()
        .find_map(|argument| argument.strip_prefix(b"--config=".as_slice()));
    Some(
        after(b"--config")
            .or(joined)
            .map_or_else(|| DEFAULT_CONFIG.into(), path),
    )
}

/// The second number of `Uid:` (`proc_pid_status(5)`).
fn effective_user(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
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
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};

    #[test]
    fn a_command_line_tells_which_config_is_served() {
        for (line, config) in [
            (
                "/usr/bin/portcullis\0run\0--config\0/etc/p.toml\0",
                Some("/etc/p.toml"),
            ),
            ("portcullis\0run\0--config=p.toml\0", Some("p.toml")),
            ("portcullis\0-v\0run\0", Some(DEFAULT_CONFIG)),
            ("portcullis\0check\0--config\0/etc/p.toml\0", None),
            ("portcullis\0", None),
            ("", None),
        ] {
            let expected = config.map(PathBuf::from);
            assert_eq!(config_of(line.as_bytes()), expected, "{line:?}");
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
    fn a_process_is_found_by_its_name_and_its_config() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("portcullis");
        // Like a script, it is known by its own name. It ends with its standard input.
        fs::write(&program, "#!/bin/sh\nread line\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let config = folder.path().join("p.toml");
        let other = folder.path().join("other.toml");
        for path in [&config, &other] {
            fs::write(path, "").unwrap();
        }
        let mut child = Command::new(&program)
            .args(["run", "--config", "p.toml"])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let found = serving(&config);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].pid, child.id());
        assert_eq!(found[0].user, nix::unistd::geteuid().as_raw());
        assert!(found[0].open_files.is_some() && found[0].core_bytes.is_some());
        assert_eq!(serving(&other), []);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(serving(&config), []);
    }
}
