//! Seccomp: which of the kernel's calls the process can make.

use super::report::Strength;
use super::syscalls::{ALWAYS, sometimes};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};
use std::collections::BTreeMap;

/// Every other call fails as if the kernel didn't have it, which the C library and
/// the standard library are used to: they take an older one.
const REFUSAL: SeccompAction = SeccompAction::Errno(nix::libc::ENOSYS as u32);

/// Installs the filter for every thread of this process.
pub(super) fn install(unix_sockets: bool) -> Strength {
    match program(unix_sockets).and_then(|program| apply_filter_all_threads(&program)) {
        Ok(()) => Strength::Whole(String::new()),
        Err(error) => Strength::Off(with_cause(&error)),
    }
}

fn program(unix_sockets: bool) -> Result<BpfProgram, seccompiler::Error> {
    let architecture = if cfg!(target_arch = "x86_64") {
        TargetArch::x86_64
    } else if cfg!(target_arch = "aarch64") {
        TargetArch::aarch64
    } else {
        // Never reached: the lists don't compile elsewhere. Should they, then closed.
        return Err(seccompiler::Error::EmptyFilter);
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = sometimes(unix_sockets)?;
    rules.extend(ALWAYS.iter().map(|&call| (call, Vec::new())));
    let filter = SeccompFilter::new(rules, REFUSAL, SeccompAction::Allow, architecture)?;
    Ok(BpfProgram::try_from(filter)?)
}

fn with_cause(error: &seccompiler::Error) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_leads_further_is_on_a_list() {
        use nix::libc;
        let lists = sometimes(true).unwrap();
        for call in [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_clone3,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_open,
            libc::SYS_pidfd_getfd,
            libc::SYS_kill,
            libc::SYS_tkill,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_mount,
            libc::SYS_chroot,
            libc::SYS_pivot_root,
            libc::SYS_bpf,
            libc::SYS_perf_event_open,
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_userfaultfd,
            libc::SYS_io_uring_setup,
            libc::SYS_kexec_load,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_memfd_create,
            libc::SYS_memfd_secret,
            libc::SYS_setuid,
            libc::SYS_setresuid,
            libc::SYS_setgroups,
            libc::SYS_capset,
            libc::SYS_personality,
            libc::SYS_symlinkat,
            libc::SYS_linkat,
            libc::SYS_mknodat,
            libc::SYS_pkey_mprotect,
            libc::SYS_splice,
            libc::SYS_vmsplice,
            libc::SYS_fchmod,
            libc::SYS_fchmodat,
            libc::SYS_fchownat,
            libc::SYS_setxattr,
        ] {
            assert!(
                !ALWAYS.contains(&call) && !lists.contains_key(&call),
                "{call}"
            );
        }
    }

    #[test]
    fn the_filter_compiles_and_no_call_is_in_both_lists() {
        assert!(!program(false).unwrap().is_empty());
        let sometimes = sometimes(true).unwrap();
        for call in ALWAYS {
            assert!(!sometimes.contains_key(call), "{call}");
        }
    }
}
