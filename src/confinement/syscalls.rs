//! The calls that serving takes: of this program, its runtime, its allocator, and the
//! C library (glibc or musl) when it finds addresses by name. Not among them: all that
//! starts a program or a process, looks into another one, changes rights, mounts or
//! namespaces, or has a history of being the way into the kernel.

use nix::libc::{self, c_long};
use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{BackendError, SeccompCondition, SeccompRule};
use std::collections::BTreeMap;

/// Whatever their arguments.
pub(super) const ALWAYS: &[c_long] = &[
    // Reading and writing what is open.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_flock,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fadvise64,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    // Files, as far as Landlock lets it.
    libc::SYS_openat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_umask,
    // Waiting.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_restart_syscall,
    // The network.
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
    libc::SYS_shutdown,
    libc::SYS_setsockopt,
    libc::SYS_getsockopt,
    // Memory.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_munlock,
    libc::SYS_membarrier,
    // Threads and signals of its own.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // What became of the helper, and of orphans in a container.
    libc::SYS_wait4,
    libc::SYS_waitid,
    // Who and where it is.
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_getrusage,
    libc::SYS_getrlimit,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_times,
    libc::SYS_getrandom,
    // What a call above is on this architecture alone.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_dup2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_pipe,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_select,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

/// Namespaces are the first step of many ways to more rights.
const NAMESPACES: libc::c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;
/// The type of a socket without its flags (`SOCK_TYPE_MASK`).
const TYPE: u64 = 0xf;
/// What is asked of descriptors: non-blocking, how much there is, whether it is a
/// terminal; of the network: an interface's number. Not `TIOCSTI`, which types into
/// the terminal.
const ASKED_OF_DESCRIPTORS: [u64; 9] = [
    0x5401, // TCGETS
    0x5411, // TIOCOUTQ
    0x5413, // TIOCGWINSZ
    0x541b, // FIONREAD
    0x5421, // FIONBIO
    0x5450, // FIONCLEX
    0x5451, // FIOCLEX
    0x8910, // SIOCGIFNAME
    0x8933, // SIOCGIFINDEX
];
/// What is asked of descriptors by `fcntl`: copies, flags and locks. Not who is sent a
/// signal when there is something to be read, nor which.
const COMMANDS: [libc::c_int; 12] = [
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_GETLK,
    libc::F_SETLK,
    libc::F_SETLKW,
    libc::F_OFD_GETLK,
    libc::F_OFD_SETLK,
    libc::F_OFD_SETLKW,
];

/// Those whose arguments decide. Behind Unix sockets are services that do what this
/// process can't, and Landlock doesn't know of those with a path.
pub(super) fn sometimes(
    unix_sockets: bool,
) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let thread = bits(libc::CLONE_THREAD);
    let itself = u64::from(std::process::id());
    let exec = bits(libc::PROT_EXEC);
    // The protocol by its number, or 0: the usual one. Landlock's rules for ports are of
    // TCP, and MPTCP would be let past them.
    let socket = |(family, kind, protocol)| {
        rule([
            (0, Eq, bits(family)),
            (1, MaskedEq(TYPE), bits(kind)),
            (2, Eq, bits(protocol)),
        ])
    };
    let stream = (libc::AF_UNIX, libc::SOCK_STREAM, 0);
    let sockets = [libc::AF_INET, libc::AF_INET6]
        .into_iter()
        .flat_map(|family| {
            [
                (family, libc::SOCK_STREAM, 0),
                (family, libc::SOCK_STREAM, libc::IPPROTO_TCP),
                (family, libc::SOCK_DGRAM, 0),
                (family, libc::SOCK_DGRAM, libc::IPPROTO_UDP),
            ]
        });
    let sockets = sockets.chain(unix_sockets.then_some(stream));
    let sockets = sockets.map(socket);
    let routes = [libc::SOCK_RAW, libc::SOCK_DGRAM].map(|kind| {
        rule([
            (0, Eq, bits(libc::AF_NETLINK)),
            (1, MaskedEq(TYPE), bits(kind)),
            (2, Eq, bits(libc::NETLINK_ROUTE)),
        ])
    });
    let one_of = |argument: u8, values: &[u64]| -> Result<Vec<SeccompRule>, BackendError> {
        values
            .iter()
            .map(|&value| rule([(argument, Eq, value)]))
            .collect()
    };
    let calls = [
        // A thread, and no process. `clone3` hides its flags from filters: without it the
        // C library takes this one.
        (
            libc::SYS_clone,
            vec![rule([(0, MaskedEq(thread | bits(NAMESPACES)), thread)])?],
        ),
        (
            libc::SYS_socket,
            sockets.chain(routes).collect::<Result<_, _>>()?,
        ),
        // One of a pair of datagrams could be connected to any other socket.
        (libc::SYS_socketpair, vec![socket(stream)?]),
        (libc::SYS_mmap, vec![rule([(2, MaskedEq(exec), 0)])?]),
        (libc::SYS_mprotect, vec![rule([(2, MaskedEq(exec), 0)])?]),
        (libc::SYS_fcntl, one_of(1, &COMMANDS.map(bits))?),
        (libc::SYS_ioctl, one_of(1, &ASKED_OF_DESCRIPTORS)?),
        (
            libc::SYS_prctl,
            one_of(
                0,
                &[
                    bits(libc::PR_SET_NAME),
                    bits(libc::PR_GET_NAME),
                    bits(libc::PR_GET_DUMPABLE),
                    // Naming memory, as allocators do.
                    bits(libc::PR_SET_VMA),
                ],
            )?,
        ),
        (libc::SYS_tgkill, one_of(0, &[itself])?),
        (libc::SYS_prlimit64, one_of(0, &[0, itself])?),
    ];
    Ok(calls.into_iter().collect())
}

/// Arguments by their number; only the half that the kernel looks at counts.
fn rule<const N: usize>(
    conditions: [(u8, seccompiler::SeccompCmpOp, u64); N],
) -> Result<SeccompRule, BackendError> {
    let conditions = conditions
        .into_iter()
        .map(|(argument, operator, value)| SeccompCondition::new(argument, Dword, operator, value));
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

/// Flags as the filter compares them.
fn bits(flags: libc::c_int) -> u64 {
    u64::from(flags.cast_unsigned())
}
