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
    use nix::libc::{self, c_int};

    #[test]
    fn nothing_that_leads_further_is_on_a_list() {
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

    /// What the kernel does with a call, as far as it matters here.
    fn allows(program: &BpfProgram, call: i64, arguments: &[c_int]) -> bool {
        let architecture: u32 = if cfg!(target_arch = "x86_64") {
            0xc000_003e
        } else {
            0xc000_00b7
        };
        let mut data = vec![u32::try_from(call).unwrap(), architecture, 0, 0];
        data.extend(arguments.iter().flat_map(|it| [it.cast_unsigned(), 0]));
        data.resize(16, 0);
        let (mut at, mut register) = (0, 0);
        loop {
            let step = &program[at];
            at += 1;
            let holds = match step.code {
                0x06 => return step.k == libc::SECCOMP_RET_ALLOW,
                0x20 => {
                    register = data[step.k as usize / 4];
                    continue;
                }
                0x54 => {
                    register &= step.k;
                    continue;
                }
                0x05 => {
                    at += step.k as usize;
                    continue;
                }
                0x15 => register == step.k,
                0x25 => register > step.k,
                0x35 => register >= step.k,
                other => panic!("{other:#x}"),
            };
            at += usize::from(if holds { step.jt } else { step.jf });
        }
    }

    #[test]
    fn arguments_decide() {
        use nix::libc::*;
        let (none, unix) = (program(false).unwrap(), program(true).unwrap());
        let same = |call: c_long, arguments: &[c_int], expected: bool| {
            for program in [&none, &unix] {
                let allowed = allows(program, call, arguments);
                assert_eq!(allowed, expected, "{call} {arguments:?}");
            }
        };
        for (kind, expected) in [(SOCK_STREAM, true), (SOCK_DGRAM, false)] {
            let kind = kind | SOCK_CLOEXEC | SOCK_NONBLOCK;
            assert!(!allows(&none, SYS_socket, &[AF_UNIX, kind, 0]));
            assert_eq!(allows(&unix, SYS_socket, &[AF_UNIX, kind, 0]), expected);
            same(SYS_socketpair, &[AF_UNIX, kind, 0], expected);
        }
        for family in [AF_INET, AF_INET6] {
            for (kind, protocol, expected) in [
                (SOCK_STREAM, 0, true),
                (SOCK_STREAM, IPPROTO_TCP, true),
                (SOCK_STREAM, IPPROTO_MPTCP, false),
                (SOCK_STREAM, IPPROTO_SCTP, false),
                (SOCK_DGRAM, 0, true),
                (SOCK_DGRAM, IPPROTO_UDP, true),
                (SOCK_DGRAM, IPPROTO_UDPLITE, false),
                (SOCK_DGRAM, IPPROTO_ICMP, false),
                (SOCK_RAW, IPPROTO_TCP, false),
            ] {
                let kind = kind | SOCK_CLOEXEC | SOCK_NONBLOCK;
                same(SYS_socket, &[family, kind, protocol], expected);
            }
        }
        same(SYS_socket, &[AF_UNIX, SOCK_SEQPACKET, 0], false);
        for flags in [MAP_PRIVATE, MAP_SHARED, MAP_PRIVATE | MAP_ANONYMOUS] {
            same(
                SYS_mmap,
                &[0, 4096, PROT_READ | PROT_WRITE, flags, 3, 0],
                true,
            );
            for prot in [PROT_EXEC, PROT_READ | PROT_EXEC, PROT_WRITE | PROT_EXEC] {
                same(SYS_mmap, &[0, 4096, prot, flags, 3, 0], false);
                same(SYS_mprotect, &[0, 4096, prot], false);
            }
        }
        for command in [F_SETFL, F_GETFL, F_DUPFD_CLOEXEC, F_SETLKW, F_OFD_SETLK] {
            same(SYS_fcntl, &[3, command, 0], true);
        }
        // TIOCSTI types into the terminal, TIOCLINUX can paste into it.
        for (request, expected) in [(FIONBIO, true), (TIOCSTI, false), (TIOCLINUX, false)] {
            let request = i32::try_from(request).unwrap();
            same(SYS_ioctl, &[3, request, 0], expected);
        }
        const F_SETSIG: c_int = 10;
        const F_SETOWN_EX: c_int = 15;
        for command in [F_SETOWN, F_SETSIG, F_SETOWN_EX, F_NOTIFY, F_SETLEASE] {
            same(SYS_fcntl, &[3, command, 1], false);
        }
    }

    #[test]
    fn nothing_is_done_to_other_processes_and_no_other_is_started() {
        use nix::libc::*;
        let program = program(true).unwrap();
        let expect = |call: c_long, arguments: &[c_int], expected: bool| {
            let allowed = allows(&program, call, arguments);
            assert_eq!(allowed, expected, "{call} {arguments:?}");
        };
        let itself = c_int::try_from(std::process::id()).unwrap();
        for (process, expected) in [(itself, true), (itself + 1, false), (-1, false)] {
            expect(SYS_tgkill, &[process, process, SIGABRT], expected);
            expect(SYS_prlimit64, &[process, 7, 0, 0], expected);
        }
        expect(SYS_prlimit64, &[0, 7, 0, 0], true);
        let thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
        expect(SYS_clone, &[thread], true);
        for flags in [SIGCHLD, CLONE_VM | CLONE_VFORK | SIGCHLD] {
            expect(SYS_clone, &[flags], false);
        }
        for namespace in [
            CLONE_NEWNS,
            CLONE_NEWCGROUP,
            CLONE_NEWUTS,
            CLONE_NEWIPC,
            CLONE_NEWUSER,
            CLONE_NEWPID,
            CLONE_NEWNET,
        ] {
            expect(SYS_clone, &[thread | namespace], false);
        }
        for (protocol, expected) in [
            (NETLINK_ROUTE, true),
            (NETLINK_AUDIT, false),
            (NETLINK_NETFILTER, false),
            (NETLINK_KOBJECT_UEVENT, false),
        ] {
            let kind = SOCK_RAW | SOCK_CLOEXEC;
            expect(SYS_socket, &[AF_NETLINK, kind, protocol], expected);
        }
        for (option, expected) in [
            (PR_SET_NAME, true),
            (PR_SET_DUMPABLE, false),
            (PR_SET_PTRACER, false),
            (PR_SET_SECCOMP, false),
        ] {
            expect(SYS_prctl, &[option, 1], expected);
        }
    }
}
