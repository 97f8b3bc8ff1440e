//! The helper's side: questions in, commands run, answers out.

use super::super::group::kill_running;
use super::super::{Environment, ExecError, ExecProvider, protocol};
use super::wire::{self, Answer, Question, Refusal};
use super::{HelperError, fingerprint};
use crate::secrets::buffer::SecretBuffer;
use crate::secrets::error::exec_remedy;
use crate::secrets::{ExecId, ProviderName, SecretId, SecretSource};
use std::collections::BTreeSet;
use std::error::Error;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Commands that run at a time: several times what reloads and logins ask for.
const SIDE_BY_SIDE: usize = 32;

/// A provider as the configuration file has it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The provider.
    pub provider: ExecProvider,
    /// What it may be asked for.
    pub ids: BTreeSet<ExecId>,
}

/// The configuration has no such provider, or can't be read; in words.
#[derive(Debug)]
pub struct Unlisted {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// Answers questions until the stream ends or makes no sense, and then kills what
/// still runs. `look_up` gives a provider as the configuration file has it now.
///
/// # Errors
/// The stream's.
pub fn serve(
    mut questions: impl Read,
    mut answers: impl Write + Send,
    environment: Environment<'_>,
    mut look_up: impl FnMut(&ProviderName) -> Result<Listed, Unlisted>,
) -> io::Result<()> {
    wire::greet(&mut answers)?;
    let answers = Mutex::new(answers);
    let running = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let outcome = loop {
            let (number, question) = match wire::asked(&mut questions) {
                Ok(Some(asked)) => asked,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            let (answers, running) = (&answers, &running);
            let say = move |answer: &Answer| {
                let mut stream = answers.lock().unwrap_or_else(PoisonError::into_inner);
                // Whoever asked has gone: the loop sees that as well.
                let _ = wire::answer(&mut *stream, number, answer);
            };
            let task = match running.load(Ordering::SeqCst) {
                // Only this thread adds to it.
                0..SIDE_BY_SIDE => admit(&question, &mut look_up),
                _ => Err(too_many()),
            };
            match task {
                Ok(task) => {
                    running.fetch_add(1, Ordering::SeqCst);
                    scope.spawn(move || {
                        say(&task.run(environment).map_err(refusal));
                        // Until its answer is taken it counts: who takes none gets no more.
                        running.fetch_sub(1, Ordering::SeqCst);
                    });
                }
                // Waits for whoever takes no answers, and takes no question meanwhile.
                Err(refusal) => say(&Err(refusal)),
            }
        };
        kill_running();
        outcome
    })
}

/// A question that may be answered by a command.
pub(super) struct Task {
    name: ProviderName,
    pub(super) provider: ExecProvider,
    ids: BTreeSet<ExecId>,
}

impl Task {
    fn run(&self, environment: Environment<'_>) -> Result<SecretBuffer, ExecError> {
        let request = protocol::request(&self.name, &self.ids)?;
        self.provider.run(&request, environment)
    }
}

/// Nothing of a question is run: it only chooses among what is configured.
pub(super) fn admit(
    question: &Question,
    look_up: &mut impl FnMut(&ProviderName) -> Result<Listed, Unlisted>,
) -> Result<Task, Refusal> {
    let Question {
        provider,
        fingerprint: theirs,
        ids,
    } = question;
    let name = ProviderName::parse(provider).map_err(|_| malformed())?;
    let Listed {
        provider,
        ids: listed,
    } = look_up(&name).map_err(|Unlisted { message, remedy }| Refusal { message, remedy })?;
    if *theirs != fingerprint(&provider) {
        return Err(Refusal {
            message: format!(
                "the helper process does not run this command: got another provider `{name}` \
                 than the configuration file has"
            ),
            remedy: "reload, if the file has changed; nothing but what it holds is run".to_owned(),
        });
    }
    let ids = ids.iter().map(|id| match SecretSource::Exec.parse_id(id) {
        Ok(SecretId::Exec(id)) => Ok(id),
        _ => Err(malformed()),
    });
    let ids: BTreeSet<ExecId> = ids.collect::<Result<_, _>>()?;
    if ids.is_empty() {
        return Err(malformed());
    }
    if let Some(id) = ids.difference(&listed).next() {
        return Err(Refusal {
            message: format!(
                "the helper process does not ask provider `{name}` for the id `{id}`: got an id \
                 that the configuration file refers to nowhere",
                id = id.as_str()
            ),
            remedy: format!(
                "reload, if the file has changed; for a reference in a stored profile, list the \
                 id in `secrets.providers.{name}.profileIds`"
            ),
        });
    }
    Ok(Task {
        ids,
        name,
        provider,
    })
}

fn too_many() -> Refusal {
    Refusal {
        message: format!("the helper process runs {SIDE_BY_SIDE} commands already"),
        remedy: "try again when they have ended".to_owned(),
    }
}

fn malformed() -> Refusal {
    Refusal {
        message: "the helper process was asked for what can't be a reference".to_owned(),
        remedy: HelperError::Gone.remedy(),
    }
}

fn refusal(error: ExecError) -> Refusal {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !message.contains(&words) {
            message = format!("{message}: {words}");
        }
        cause = error.source();
    }
    Refusal {
        message,
        remedy: exec_remedy(&error),
    }
}
