//! Runs a command within bounds, and leaves nothing of its group behind.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::WaitStatus;
use zeroize::Zeroizing;

use super::super::buffer::SecretBuffer;
use super::ExecError;
use super::group::Group;

/// What a run may take.
pub(super) struct Bounds {
    pub(super) timeout: Duration,
    pub(super) silence: Duration,
    /// Both outputs together, in bytes.
    pub(super) max_output: usize,
}

/// A command's two names.
pub(super) struct Names<'a> {
    /// The path that is run.
    pub(super) real: &'a Path,
    /// What it is told that it is: some programs go by that.
    pub(super) configured: &'a Path,
}

/// Runs a command in its own folder and process group, with `input` on its standard
/// input and nothing but `variables` in its environment. Gives what it printed.
///
/// The command has to end, and everybody has to let go of its outputs; whatever is
/// left of its group then, or when a bound is reached, is killed and reaped. What has
/// left its group (`setsid`) is beyond reach.
pub(super) fn run(
    command: Names<'_>,
    args: &[String],
    variables: &BTreeMap<OsString, OsString>,
    input: &[u8],
    bounds: &Bounds,
) -> Result<SecretBuffer, ExecError> {
    let began = Instant::now();
    let Names { real, configured } = command;
    let mut to_start = Command::new(real);
    to_start
        .arg0(configured)
        .args(args)
        .env_clear()
        .envs(variables)
        .current_dir(real.parent().unwrap_or(Path::new("/")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let (mut child, group) = Group::start(&mut to_start).map_err(|source| ExecError::Start {
        command: configured.to_owned(),
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
