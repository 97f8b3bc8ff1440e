//! Landlock: which files and ports the process can reach, whatever its user could.

use super::folders::Folders;
use super::report::Strength;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
    path_beneath_rules,
};
use std::collections::BTreeSet;

/// What this program was tested with: a later kernel's further rules are not asked for.
const TESTED: ABI = ABI::V6;

/// Enforces them for the calling thread, and for what it starts.
pub(super) fn enforce(folders: &Folders, tcp_ports: &BTreeSet<u16>) -> Strength {
    match restrict(folders, tcp_ports) {
        Ok(status) => strength(&status),
        Err(error) => Strength::Off(error.to_string()),
    }
}

fn restrict(
    folders: &Folders,
    tcp_ports: &BTreeSet<u16>,
) -> Result<RestrictionStatus, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let keep: BitFlags<AccessFs> = read
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile;
    let socket = AccessFs::MakeSock | AccessFs::RemoveFile;
    let ports = tcp_ports.iter();
    let ports = ports.map(|port| Ok::<_, RulesetError>(NetPort::new(*port, AccessNet::BindTcp)));
    Ruleset::default()
        .handle_access(AccessFs::from_all(TESTED))?
        // Where it connects to changes with its configuration; where it listens doesn't.
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(TESTED))?
        .create()?
        .add_rules(path_beneath_rules(&folders.readable, read))?
        .add_rules(path_beneath_rules(&folders.state, keep))?
        .add_rules(path_beneath_rules(&folders.sockets, socket))?
        .add_rules(ports)?
        .restrict_self()
}

fn strength(status: &RestrictionStatus) -> Strength {
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi.min(TESTED) as i32,
        LandlockStatus::NotEnabled => {
            return Strength::Off("not turned on when the kernel was booted".to_owned());
        }
        LandlockStatus::NotImplemented => {
            return Strength::Off("not in this kernel, or forbidden here".to_owned());
        }
    };
    match status.ruleset {
        RulesetStatus::FullyEnforced => Strength::Whole(format!("ABI {abi}")),
        RulesetStatus::PartiallyEnforced => {
            Strength::Less(format!("ABI {abi}, expected {}", TESTED as i32))
        }
        RulesetStatus::NotEnforced => Strength::Off("the kernel enforces none of it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Needs;
    use super::*;
    use std::io;
    use std::process::{Command, ExitStatus};

    /// By these rules alone, without the filter: they hold the thread that takes them.
    #[test]
    fn what_is_read_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("true");
        std::fs::copy("/bin/true", &program).unwrap();
        let folders = Folders::of(&Needs {
            files: BTreeSet::from([program.clone()]),
            state_folders: BTreeSet::from([folder.path().to_owned()]),
            ..Needs::default()
        });
        let run = move || -> io::Result<ExitStatus> { Command::new(&program).status() };
        assert!(run().unwrap().success());
        let held = std::thread::spawn(move || {
            nix::sys::prctl::set_no_new_privs().unwrap();
            let strength = enforce(&folders, &BTreeSet::new());
            assert!(!matches!(strength, Strength::Off(_)), "{strength:?}");
            std::fs::read(folder.path().join("true")).unwrap();
            run().unwrap_err()
        });
        let error = held.join().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
    }
}
