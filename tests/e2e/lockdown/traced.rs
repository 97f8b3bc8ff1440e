//! Who may look into the process, and into its helper.

use super::helper_of;
use crate::recorder::Recorder;
use crate::sidecar::Setup;
use nix::unistd::geteuid;
use std::process::{Child, Command, Stdio};

/// Nobody's, where the tests run as root: it could look into anything.
const USER: &str = "65534";

/// Runs as the unprivileged user of the test.
fn as_user(program: &str) -> Command {
    if !geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups", program]);
    // What root has installed for itself is not for that user.
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command
}

/// The error numbers that opening its memory, reading its environment and attaching to
/// it come to; 0 is success.
fn looks(pid: u32) -> Vec<i32> {
    const LOOK: &str = "
import ctypes, sys
pid = int(sys.argv[1])
def opened(name):
    try:
        open(f'/proc/{pid}/{name}', 'rb').read(1)
    except OSError as error:
        return error.errno
    return 0
libc = ctypes.CDLL(None, use_errno=True)
attached = 0 if libc.ptrace(16, pid, 0, 0) == 0 else ctypes.get_errno()
print(opened('environ'), opened('maps'), attached)
";
    let output = as_user("python3")
        .args(["-c", LOOK, &pid.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect()
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_process_of_the_same_user_can_look_into_neither() {
    let upstream = Recorder::spawn().await;
    let mut setup = Setup::new();
    if geteuid().is_root() {
        setup = setup.user(USER);
    }
    let sidecar = setup.spawn(&upstream.url());
    let (denied, forbidden) = (nix::libc::EACCES, nix::libc::EPERM);
    for pid in [sidecar.pid(), helper_of(&sidecar)] {
        assert_eq!(looks(pid), [denied, denied, forbidden]);
    }
    // It would be seen if it could: this is another process of that user.
    let other = as_user("sleep")
        .arg("1000")
        .stdin(Stdio::null())
        .spawn()
        .map(Killed)
        .unwrap();
    let name = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    crate::sidecar::until(|| (name(other.0.id()).trim() == "sleep").then_some(())).await;
    assert_eq!(looks(other.0.id())[..2], [0, 0]);
}
