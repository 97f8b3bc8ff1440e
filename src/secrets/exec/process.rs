//! Runs a command within bounds, and leaves nothing of it behind.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use zeroize::Zeroizing;

use super::super::buffer::SecretBuffer;
use super::ExecError;

/// How often what can't be waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How long the kernel may take to end what was killed.
const KILL_TIME: Duration = Duration::from_secs(2);
/// How long a command may be open for writing elsewhere: while it is replaced, or
/// in another thread's child between its fork and its exec.
const BUSY_TIME: Duration = Duration::from_millis(500);

/// What a run may take.
pub(super) struct Bounds {
    pub(super) timeout: Duration,
    pub(super) silence: Duration,
    /// Both outputs together, in bytes.
    pub(super) max_output: usize,
}

/// Runs `command` in its own folder and process group, with `input` on its standard
/// input and nothing but `variables` in its environment. Gives what it printed.
///
/// The command has to end, and everybody has to let go of its outputs; whatever is
/// left of its group then, or when a bound is reached, is killed and reaped.
pub(super) fn run(
    command: &Path,
    args: &[String],
    variables: &BTreeMap<OsString, OsString>,
    input: &[u8],
    bounds: &Bounds,
) -> Result<SecretBuffer, ExecError> {
    let began = Instant::now();
    let (mut child, group) =
        start(command, args, variables).map_err(|source| ExecError::Start {
            command: command.to_owned(),
            source,
        })?;
    let ended = Talk::with(&mut child, bounds, began)
        .map_err(ExecError::Io)
        .and_then(|talk| talk.run(input))
        .and_then(|heard| Ok((heard, group.exit(began, bounds.timeout)?)));
    group.end();
    let (heard, status) = ended?;
    match end_of(status) {
        None => Ok(heard.stdout),
        Some(end) => Err(ExecError::Failed {
            end,
            stderr_bytes: heard.stderr_bytes,
        }),
    }
}

fn start(
    command: &Path,
    args: &[String],
    variables: &BTreeMap<OsString, OsString>,
) -> io::Result<(Child, Group)> {
    let began = Instant::now();
    loop {
        let mut running = running();
        if running.is_over {
            return Err(io::Error::other("the process ends"));
        }
        let started = Command::new(command)
            .args(args)
            .env_clear()
            .envs(variables)
            .current_dir(command.parent().unwrap_or(Path::new("/")))
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        match started {
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy
                    && began.elapsed() < BUSY_TIME =>
            {
                drop(running);
                std::thread::sleep(LOOK_EVERY);
            }
            Err(error) => return Err(error),
            Ok(child) => {
                let group = Group::of(&child);
                running.groups.insert(group.0);
                return Ok((child, group));
            }
        }
    }
}

/// How a run went wrong, in words; none where it didn't.
fn end_of(status: WaitStatus) -> Option<String> {
    match status {
        WaitStatus::Exited(_, 0) => None,
        WaitStatus::Exited(_, code) => Some(format!("exit status {code}")),
        WaitStatus::Signaled(_, signal, _) => Some(format!("signal {signal}")),
        other => Some(format!("{other:?}")),
    }
}

struct Heard {
    stdout: SecretBuffer,
    stderr_bytes: usize,
}

/// The three pipes.
struct Talk<'a> {
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    heard: Heard,
    bounds: &'a Bounds,
    began: Instant,
    last_heard: Instant,
    chunk: Zeroizing<Vec<u8>>,
}

impl<'a> Talk<'a> {
    fn with(child: &mut Child, bounds: &'a Bounds, began: Instant) -> io::Result<Self> {
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let pipes = [
            stdin.as_ref().map(AsFd::as_fd),
            stdout.as_ref().map(AsFd::as_fd),
            stderr.as_ref().map(AsFd::as_fd),
        ];
        for pipe in pipes.into_iter().flatten() {
            fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        Ok(Self {
            stdin,
            stdout,
            stderr,
            heard: Heard {
                stdout: SecretBuffer::new(),
                stderr_bytes: 0,
            },
            bounds,
            began,
            last_heard: began,
            chunk: Zeroizing::new(vec![0; 16 * 1024]),
        })
    }

    /// Writes and reads until both outputs have ended.
    fn run(mut self, input: &[u8]) -> Result<Heard, ExecError> {
        let mut unsent = input;
        while self.stdout.is_some() || self.stderr.is_some() {
            self.wait()?;
            self.send(&mut unsent).map_err(ExecError::Io)?;
            self.hear().map_err(ExecError::Io)?;
            if self.heard.stdout.len() + self.heard.stderr_bytes > self.bounds.max_output {
                return Err(ExecError::TooMuchOutput(self.bounds.max_output));
            }
        }
        Ok(self.heard)
    }

    /// Waits until a pipe is ready, within the bounds.
    fn wait(&self) -> Result<(), ExecError> {
        let Bounds {
            timeout, silence, ..
        } = *self.bounds;
        let left = timeout
            .checked_sub(self.began.elapsed())
            .ok_or(ExecError::TimedOut(timeout))?;
        let quiet_left = silence
            .checked_sub(self.last_heard.elapsed())
            .ok_or(ExecError::Silent(silence))?;
        let millis = left.min(quiet_left).as_millis() + 1;
        let patience = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
        let mut pipes: Vec<PollFd<'_>> = [
            awaited(self.stdin.as_ref(), PollFlags::POLLOUT),
            awaited(self.stdout.as_ref(), PollFlags::POLLIN),
            awaited(self.stderr.as_ref(), PollFlags::POLLIN),
        ]
        .into_iter()
        .flatten()
        .collect();
        match poll(&mut pipes, patience) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(ExecError::Io(error.into())),
        }
    }

    fn send(&mut self, unsent: &mut &[u8]) -> io::Result<()> {
        let Some(stdin) = &mut self.stdin else {
            return Ok(());
        };
        match stdin.write(unsent) {
            Ok(count) => *unsent = &unsent[count..],
            Err(error) if is_later(&error) => return Ok(()),
            // It may answer without a look at the request.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => *unsent = &[],
            Err(error) => return Err(error),
        }
        if unsent.is_empty() {
            self.stdin = None;
        }
        Ok(())
    }

    fn hear(&mut self) -> io::Result<()> {
        let before = self.heard.stdout.len() + self.heard.stderr_bytes;
        if let Some(stdout) = &mut self.stdout {
            match read_some(stdout, &mut self.chunk)? {
                Some(0) => self.stdout = None,
                Some(count) => self.heard.stdout.extend(&self.chunk[..count]),
                None => {}
            }
        }
        if let Some(stderr) = &mut self.stderr {
            match read_some(stderr, &mut self.chunk)? {
                Some(0) => self.stderr = None,
                Some(count) => self.heard.stderr_bytes += count,
                None => {}
            }
        }
        if self.heard.stdout.len() + self.heard.stderr_bytes > before {
            self.last_heard = Instant::now();
        }
        Ok(())
    }
}

fn awaited(pipe: Option<&impl AsFd>, event: PollFlags) -> Option<PollFd<'_>> {
    pipe.map(|pipe| PollFd::new(pipe.as_fd(), event))
}

/// Reads what is there; `None` where nothing is yet.
fn read_some(pipe: &mut impl Read, chunk: &mut [u8]) -> io::Result<Option<usize>> {
    match pipe.read(chunk) {
        Ok(count) => Ok(Some(count)),
        Err(error) if is_later(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// The command's process group. Its leader is not reaped before the group is
/// killed: until then nobody else can get the group's number.
struct Group(Pid);

/// What the process must not leave behind when it ends.
static RUNNING: Mutex<Running> = Mutex::new(Running {
    groups: BTreeSet::new(),
    is_over: false,
});

struct Running {
    groups: BTreeSet<Pid>,
    /// The process ends: nothing is started any more.
    is_over: bool,
}

/// Kills every command that runs now, with its children, and lets no other start:
/// for the end of the process. Whoever waits for one gets an error.
pub fn kill_running() {
    let mut running = running();
    running.is_over = true;
    for &group in &running.groups {
        // It may have ended by itself.
        let _ = killpg(group, Signal::SIGKILL);
    }
}

fn running() -> MutexGuard<'static, Running> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Group {
    fn of(leader: &Child) -> Self {
        let id = i32::try_from(leader.id()).expect("process ids are positive `pid_t`");
        Self(Pid::from_raw(id))
    }

    /// How the leader ended, waited for.
    fn exit(&self, began: Instant, timeout: Duration) -> Result<WaitStatus, ExecError> {
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
    fn end(self) {
        // Taken off the list first: once it is reaped, its number may be another's.
        running().groups.remove(&self.0);
        // Nobody may be left in it, which is fine.
        let _ = killpg(self.0, Signal::SIGKILL);
        let began = Instant::now();
        let members = Pid::from_raw(-self.0.as_raw());
        while began.elapsed() < KILL_TIME {
            match waitpid(members, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => std::thread::sleep(LOOK_EVERY),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }
}
