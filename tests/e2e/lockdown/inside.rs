//! The lock-down itself, called as `run` calls it, and tried from within.

use crate::reserved_port::reserve;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use portcullis::config;
use portcullis::confinement::Report;
use portcullis::secrets::env;
use portcullis::server;
use socket2::{Domain, Socket, Type};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::net::{TcpListener, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) const FOLDER: &str = "PORTCULLIS_TEST_FOLDER";
const PORT: &str = "PORTCULLIS_TEST_PORT";

#[test]
fn a_process_that_is_locked_down_reaches_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["config", "outside"] {
        fs::create_dir(path(name)).unwrap();
    }
    fs::write(path("outside/shadow"), "root:s3cret").unwrap();
    let port = reserve().port();
    let config = format!(
        "[listen]\naddress = \"127.0.0.1:{port}\"\n[upstream]\nurl = \"http://127.0.0.1:9\"\n\
         [gateway]\ntrustedProxies = [\"10.0.0.1\"]\n[gateway.auth]\nmode = \"trusted-proxy\"\n\
         [gateway.auth.trustedProxy]\nuserHeader = \"x-user\"\nallowUsersFile = \"{users}\"\n\
         [admin]\naddress = \"127.0.0.1:9180\"\n[models]\nlisten = \"127.0.0.1:8790\"\n\
         stateDir = \"{state}\"\n",
        users = path("config/users").display(),
        state = path("state").display(),
    );
    fs::write(path("config/portcullis.toml"), config).unwrap();
    fs::write(path("config/users"), "nick").unwrap();
    let told = (PORT, port.to_string());
    run_by_itself("lockdown::inside::attempts", folder.path(), told);
    // What it was to write is there, and no more.
    assert_eq!(fs::read_to_string(path("state/kept")).unwrap(), "two");
    assert!(!path("config/planted").exists() && !path("outside/planted").exists());
}

/// Runs an ignored test in a process of its own, which is told a folder and one thing more.
pub(super) fn run_by_itself(test: &str, folder: &Path, (name, value): (&str, String)) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(name, value)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{complaints}");
    assert!(text.contains("1 passed"), "{text}");
}

/// What a thread of the process comes to.
pub(super) fn attempt<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(what).join().unwrap()
}

pub(super) fn denied<T>(outcome: io::Result<T>) {
    let error = outcome.err().expect("it is not denied");
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
}

/// Not known to the kernel, as far as this process can tell.
pub(super) fn absent<T>(outcome: io::Result<T>) {
    let error = outcome.err().expect("it is there");
    assert_eq!(error.raw_os_error(), Some(libc::ENOSYS), "{error}");
}

/// What the kernel's Landlock can do: one may have less than all, and without any of it
/// there is nothing to be shown.
pub(super) fn abi_of(report: &Report) -> u32 {
    let landlock = report.landlock.to_string();
    let abi = landlock.split_once("ABI ").map(|(_, rest)| rest);
    let abi = abi.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    let abi = abi.and_then(|abi| abi.parse().ok()).unwrap_or(0);
    assert!(report.no_new_privs && abi > 0, "{report:?}");
    abi
}

#[test]
#[ignore = "gives up most of what it may do: the test above runs it in a process of its own"]
fn attempts() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let port: u16 = std::env::var(PORT).unwrap().parse().unwrap();
    let file = folder.join("config/portcullis.toml");
    let parsed = config::parse(&fs::read_to_string(&file).unwrap()).unwrap();
    // Everything below can be done before.
    fs::read_to_string(folder.join("outside/shadow")).unwrap();
    Command::new("/bin/true").status().unwrap();
    memmap2::MmapMut::map_anon(1).unwrap().make_exec().unwrap();
    let _service = UnixListener::bind(folder.join("outside/service")).unwrap();
    UnixStream::connect(folder.join("outside/service")).unwrap();

    let confinement = server::lock_down(&parsed.config, &file, &env::Process);
    let report = confinement.report();
    let abi = abi_of(report);
    assert_eq!(report.is_whole(), abi >= 6, "{report:?}");

    let here = folder.clone();
    attempt(move || files(&here));
    let here = folder.clone();
    attempt(move || services(&here));
    attempt(programs);
    attempt(move || network(port, abi));
}

fn files(folder: &Path) {
    let path = |name: &str| folder.join(name);
    // A file that comes into a folder later is read, for so it is renewed.
    denied(fs::read_to_string(path("outside/shadow")));
    for secret in [
        "/etc/shadow",
        "/etc/passwd",
        "/proc/self/environ",
        "/proc/self/mem",
    ] {
        // Only root is kept from all of `/etc`: it could read secrets there.
        if secret != "/etc/passwd" || nix::unistd::geteuid().is_root() {
            denied(File::open(secret));
        }
    }
    for place in ["/", "/root", "/proc", folder.to_str().unwrap()] {
        denied(fs::read_dir(place));
    }
    assert_eq!(fs::read_to_string(path("config/users")).unwrap(), "nick");
    let mut writing = OpenOptions::new();
    writing.write(true);
    denied(writing.open(path("config/users")));
    denied(fs::write(path("config/planted"), ""));
    denied(fs::write(path("outside/planted"), ""));
    denied(fs::rename(path("outside/shadow"), path("config/planted")));
    denied(fs::remove_file(path("config/users")));
    denied(fs::remove_file(path("outside/shadow")));
    absent(std::os::unix::fs::symlink(
        "/etc/shadow",
        path("state/link"),
    ));
    absent(fs::hard_link(path("outside/shadow"), path("state/link")));

    // Whose they are and what their mode is, no rule for files says.
    for file in ["outside/shadow", "config/users", "config/portcullis.toml"] {
        absent(fs::set_permissions(
            path(file),
            Permissions::from_mode(0o666),
        ));
    }
    let users = File::open(path("config/users")).unwrap();
    absent(users.set_permissions(Permissions::from_mode(0o666)));

    fs::write(path("state/next"), "one").unwrap();
    fs::rename(path("state/next"), path("state/kept")).unwrap();
    fs::write(path("state/kept"), "two").unwrap();
    fs::write(path("state/gone"), "").unwrap();
    fs::remove_file(path("state/gone")).unwrap();
    File::open(path("state")).unwrap().sync_all().unwrap();
}

/// Other processes that would do what this one can't.
fn services(folder: &Path) {
    absent(UnixStream::connect(folder.join("outside/service")));
    absent(UnixDatagram::unbound());
    // The runtime's own signals take a pair of streams.
    UnixStream::pair().unwrap();
    absent(UnixDatagram::pair());
    let (one, _other) = UnixStream::pair().unwrap();
    fcntl(&one, FcntlArg::F_GETFL).unwrap();
    absent(fcntl(&one, FcntlArg::F_GETPIPE_SZ).map_err(io::Error::from));
}

fn programs() {
    assert!(Command::new("/bin/true").status().is_err());
    // Neither `fork` nor `vfork` stands behind that alone.
    absent(Err::<(), _>(std::os::unix::process::CommandExt::exec(
        &mut Command::new("/bin/true"),
    )));
    let parent = nix::unistd::getppid();
    absent(kill(parent, None).map_err(io::Error::from));
    absent(kill(Pid::this(), None).map_err(io::Error::from));
    for name in ["mem", "environ", "maps"] {
        denied(File::open(format!("/proc/{parent}/{name}")));
    }
    // What would let others look into it again.
    absent(prctl::set_dumpable(true).map_err(io::Error::from));
    let memory = memmap2::MmapMut::map_anon(1).unwrap();
    absent(memory.make_exec());
}

fn network(port: u16, abi: u32) {
    TcpListener::bind(("127.0.0.1", port)).unwrap();
    if abi >= 4 {
        denied(TcpListener::bind(("127.0.0.1", 0)));
    }
    for family in [libc::AF_PACKET, libc::AF_VSOCK, libc::AF_ALG] {
        absent(Socket::new(Domain::from(family), Type::STREAM, None));
    }
    absent(Socket::new(Domain::IPV4, Type::RAW, None));
    // Addresses are still found by name, and interfaces listed.
    assert!(("localhost", 80).to_socket_addrs().unwrap().count() > 0);
    assert!(nix::ifaddrs::getifaddrs().unwrap().count() > 0);
}
