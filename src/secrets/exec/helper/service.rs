//! The helper's side: questions in, commands run, answers out.

use super::super::group::kill_running;
use super::super::{Environment, ExecError, ExecProvider, protocol};
use super::wire::{self, Question, Refusal};
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
    mut look_up: impl FnMut(&ProviderName) -> Result<ExecProvider, Unlisted>,
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
            // Nobody waits here: the stream's end must be seen at once.
            let task = if running.fetch_add(1, Ordering::SeqCst) < SIDE_BY_SIDE {
                admit(&question, &mut look_up)
            } else {
                Err(too_many())
            };
            let (answers, running) = (&answers, &running);
            scope.spawn(move || {
                let answer = task.and_then(|task| task.run(environment).map_err(refusal));
                running.fetch_sub(1, Ordering::SeqCst);
                let mut stream = answers.lock().unwrap_or_else(PoisonError::into_inner);
                // Whoever asked has gone: the loop above sees that as well.
                let _ = wire::answer(&mut *stream, number, &answer);
            });
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
    look_up: &mut impl FnMut(&ProviderName) -> Result<ExecProvider, Unlisted>,
) -> Result<Task, Refusal> {
    let Question {
        provider,
        fingerprint: theirs,
        ids,
    } = question;
    let name = ProviderName::parse(provider).map_err(|_| malformed())?;
    let provider =
        look_up(&name).map_err(|Unlisted { message, remedy }| Refusal { message, remedy })?;
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
    Ok(Task {
        ids: ids.collect::<Result<_, _>>()?,
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
