//! The process group of a command: started, waited for, and ended with all that
//! it has started itself.

use super::ExecError;
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// How often what can't be waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How long the kernel may take to end what was killed.
const KILL_TIME: Duration = Duration::from_secs(2);
/// How long a command may be open for writing elsewhere: while it is replaced, or
/// in another thread's child between its fork and its exec.
const BUSY_TIME: Duration = Duration::from_millis(500);

/// The command's process group. Its leader is not reaped before the group is
/// killed: until then nobody else can get the group's number.
pub(super) struct Group(Pid);

/// The groups that run now: what the process must not leave behind when it ends.
static RUNNING: Mutex<BTreeSet<Pid>> = Mutex::new(BTreeSet::new());
/// The process ends: nothing is started any more.
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// Shared by whoever starts a command, until its group is known; held alone by whoever
/// reaps what is in no known group.
static STARTING: RwLock<()> = RwLock::new(());

/// Kills every command that this process runs now, and lets no other start.
pub(super) fn kill_running() {
    IS_OVER.store(true, Ordering::SeqCst);
    for &group in running().iter() {
        kill(group);
    }
}

/// Reaps the children that nobody here waits for: as the first process of a
/// container this one inherits every orphan, those of commands among them.
pub fn reap_orphans() {
    if std::process::id() != 1 {
        return;
    }
    // Somebody starts a command: there will be another time.
    let Ok(_alone) = STARTING.try_write() else {
        return;
    };
    let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let leaders = running();
    while let Ok(status) = waitid(Id::All, ended) {
        match status.pid() {
            // Its own run reaps it, and shows the next one by that.
            Some(child) if leaders.contains(&child) => return,
            Some(child) => drop(waitpid(child, Some(WaitPidFlag::WNOHANG))),
            None => return,
        }
    }
}

fn running() -> MutexGuard<'static, BTreeSet<Pid>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kill(group: Pid) {
    // Nobody may be left in it, which is fine.
    let _ = killpg(group, Signal::SIGKILL);
}

impl Group {
    /// Starts the command as the leader of a group of its own.
    pub(super) fn start(command: &mut Command) -> io::Result<(Child, Self)> {
        let began = Instant::now();
        command.process_group(0);
        loop {
            if IS_OVER.load(Ordering::SeqCst) {
                return Err(io::Error::other("the process ends"));
            }
            let starting = STARTING.read();
            match command.spawn() {
                Err(error)
                    if error.kind() == io::ErrorKind::ExecutableFileBusy
                        && began.elapsed() < BUSY_TIME =>
                {
                    drop(starting);
                    std::thread::sleep(LOOK_EVERY);
                }
                Err(error) => return Err(error),
                Ok(child) => {
                    let id = i32::try_from(child.id()).expect("process ids are positive `pid_t`");
                    let group = Self(Pid::from_raw(id));
                    running().insert(group.0);
                    // Whoever ends the process may have looked just before.
                    if IS_OVER.load(Ordering::SeqCst) {
                        kill(group.0);
                    }
                    return Ok((child, group));
                }
            }
        }
    }

    /// How the leader ended, waited for.
    pub(super) fn exit(&self, began: Instant, timeout: Duration) -> Result<WaitStatus, ExecError> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        loop {
            match waitid(Id::Pid(self.0), flags) {
                Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => {}
                Ok(status) => return Ok(status),
                Err(error) => return Err(ExecError::Io(error.into())),
            }
            if began.elapsed() >= timeout {
                return Err(ExecError::TimedOut(timeout));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Kills and reaps the group: the leader, and those of its children that are
    /// ours by now because we are the first process of a container.
    pub(super) fn end(self) {
        // On the list as long as it is killed, so that nobody reaps its leader meanwhile;
        // off it before that is reaped here, since its number may then be another's.
        kill(self.0);
        running().remove(&self.0);
        let began = Instant::now();
        let members = Pid::from_raw(-self.0.as_raw());
        while began.elapsed() < KILL_TIME {
            match waitpid(members, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => std::thread::sleep(LOOK_EVERY),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        reap_orphans();
    }
}
