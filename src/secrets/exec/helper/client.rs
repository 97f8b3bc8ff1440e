//! The asking side: starts the helper, and asks it from any thread.

use super::super::{ExecError, ExecProvider, reap_orphans};
use super::wire::{self, Answer, Question, Refusal};
use super::{HelperError, fingerprint};
use crate::secrets::buffer::SecretBuffer;
use crate::secrets::{ExecId, ProviderName};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How much longer than its command the helper may take, waiting for others included.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take until it is ready.
const START: Duration = Duration::from_secs(10);
/// How long it may take to end, beside what it kills.
const END: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// This program itself, even where another one stands at its path by now.
const OURSELVES: &str = "/proc/self/exe";
/// What it calls itself in front of its arguments.
const CALLED: &str = "portcullis";

/// The helper of this process; where there is one, commands are run by it alone.
static APPOINTED: OnceLock<ExecHelper> = OnceLock::new();

/// A helper process that was started and isn't asked yet.
#[derive(Debug)]
pub struct HelperStart {
    child: Child,
    stream: UnixStream,
}

/// The helper process.
#[derive(Debug)]
pub struct ExecHelper {
    child: Mutex<Child>,
    /// Questions, one at a time.
    questions: Mutex<UnixStream>,
    /// The same stream, to be closed whatever is being written to it.
    stream: UnixStream,
    waiting: Arc<Mutex<Waiting>>,
}

/// Who waits for which answer.
#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    answers: BTreeMap<u64, SyncSender<Answer>>,
    is_over: bool,
}

impl HelperStart {
    /// Starts this program anew with `arguments`, which make it a helper: it finds the
    /// other end of a stream on its standard input. `program` is where it is found, for a
    /// container without `/proc`.
    ///
    /// # Errors
    /// The system's.
    pub fn new(program: Option<&Path>, arguments: &[OsString]) -> io::Result<Self> {
        let (stream, theirs) = UnixStream::pair()?;
        let theirs = OwnedFd::from(theirs);
        let start = |program: &Path| {
            Command::new(program)
                .arg0(CALLED)
                .args(arguments)
                .stdin(Stdio::from(theirs.try_clone()?))
                .spawn()
        };
        let child = match (start(Path::new(OURSELVES)), program) {
            (Err(error), Some(program)) if error.kind() == io::ErrorKind::NotFound => {
                start(program)?
            }
            (started, _) => started?,
        };
        Ok(Self { child, stream })
    }

    /// From now on this process' commands are run by the helper, which is waited for.
    /// Starts the thread that takes its answers; `when_gone` is called there if it ends
    /// before us.
    ///
    /// # Errors
    /// The system's, and where it isn't ready in time.
    pub fn appoint(self, when_gone: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let Self { child, mut stream } = self;
        stream.set_read_timeout(Some(START))?;
        wire::greeted(&mut stream)?;
        stream.set_read_timeout(None)?;
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let (mut answers, of_thread) = (stream.try_clone()?, waiting.clone());
        std::thread::Builder::new()
            .name("exec answers".to_owned())
            .spawn(move || {
                // What makes no sense is no answer, and nor is what comes after it.
                while let Ok(Some((number, answer))) = wire::answered(&mut answers) {
                    let asker = lock(&of_thread).answers.remove(&number);
                    // Whoever asked may have lost patience.
                    let _ = asker.map(|asker| asker.try_send(answer));
                }
                let mut waiting = lock(&of_thread);
                let was_told_to = std::mem::replace(&mut waiting.is_over, true);
                waiting.answers.clear();
                drop(waiting);
                if !was_told_to {
                    when_gone();
                }
            })?;
        let helper = ExecHelper {
            child: Mutex::new(child),
            questions: Mutex::new(stream.try_clone()?),
            stream,
            waiting,
        };
        let refused = APPOINTED.set(helper).is_err();
        if refused {
            return Err(io::Error::other("there is a helper already"));
        }
        Ok(())
    }
}

/// The helper of this process, if it has one.
pub(in crate::secrets::exec) fn appointed() -> Option<&'static ExecHelper> {
    APPOINTED.get()
}

/// Ends this process' helper; false where it has none.
pub(in crate::secrets::exec) fn end_appointed() -> bool {
    let helper = APPOINTED.get();
    helper.map(ExecHelper::end).is_some()
}

impl ExecHelper {
    /// Whether this process has a helper that hasn't ended.
    #[must_use]
    pub fn is_there() -> bool {
        appointed().is_some_and(|helper| !lock(&helper.waiting).is_over)
    }

    /// Whether this process ever had a helper.
    #[must_use]
    pub fn was_appointed() -> bool {
        appointed().is_some()
    }

    /// What the provider's command printed for `ids`.
    pub(in crate::secrets::exec) fn run(
        &self,
        name: &ProviderName,
        provider: &ExecProvider,
        ids: &BTreeSet<ExecId>,
    ) -> Result<SecretBuffer, ExecError> {
        let question = Question {
            provider: name.as_str().to_owned(),
            fingerprint: fingerprint(provider),
            ids: ids.iter().map(|id| id.as_str().to_owned()).collect(),
        };
        let answer = self.ask(&question, provider.timeout + PATIENCE);
        // The orphans of a command are the first process', whoever started it.
        reap_orphans();
        answer
            .and_then(|answer| {
                answer.map_err(|Refusal { message, remedy }| HelperError::Told { message, remedy })
            })
            .map_err(ExecError::Helper)
    }

    fn ask(&self, question: &Question, patience: Duration) -> Result<Answer, HelperError> {
        let (asker, answer) = sync_channel(1);
        let number = {
            let mut waiting = lock(&self.waiting);
            if waiting.is_over {
                return Err(HelperError::Gone);
            }
            waiting.last += 1;
            let number = waiting.last;
            waiting.answers.insert(number, asker);
            number
        };
        let sent = wire::ask(&mut *lock(&self.questions), number, question);
        let answer = match sent {
            Ok(()) => answer.recv_timeout(patience),
            Err(_) => Err(RecvTimeoutError::Disconnected),
        };
        answer.map_err(|error| {
            lock(&self.waiting).answers.remove(&number);
            match error {
                RecvTimeoutError::Timeout => HelperError::Silent,
                RecvTimeoutError::Disconnected => HelperError::Gone,
            }
        })
    }

    /// Lets it kill what it runs, and waits until it has ended.
    fn end(&self) {
        lock(&self.waiting).is_over = true;
        // Its end of the stream ends as well, and that is its sign.
        let _ = self.stream.shutdown(Shutdown::Both);
        let began = Instant::now();
        let mut child = lock(&self.child);
        while matches!(child.try_wait(), Ok(None)) && began.elapsed() < END {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// What is in there stays whole whatever panicked while it held it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
