//! The way from `POST /reload` to whoever builds the configuration anew.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::answer::{Answer, Refusal};

/// Where requests for a reload go. Each is answered by a build that began after it.
pub type ReloadQueue = mpsc::Sender<ReloadRequest>;

/// Requests that may wait for the next build: each holds a connection of the
/// listener, which has others to serve.
pub const MAX_WAITING: usize = 8;

/// A request for a reload, and the way back.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Who waits for the outcome.
    pub answer: oneshot::Sender<ReloadOutcome>,
}

/// What came of a reload.
pub type ReloadOutcome = Result<Reloaded, ReloadFailure>;

/// A configuration took force.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reloaded {
    /// Its number.
    pub generation: u64,
    /// The keys whose change waits for a restart.
    pub restart_required: Vec<&'static str>,
}

/// Nothing changed: the last good configuration is served on.
#[derive(Debug, Clone)]
pub struct ReloadFailure {
    /// The number of the one that is served.
    pub generation: u64,
    /// Everything that is wrong with the new one.
    pub problems: Vec<ReloadProblem>,
}

/// One thing that is wrong. Holds no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReloadProblem {
    /// The configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column in characters, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The config key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// A code for scripts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// What was got and what was expected.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Asks for a reload and waits for what comes of it.
pub(super) async fn answer(queue: Option<&ReloadQueue>) -> Result<Answer, Refusal> {
    let queue = queue.ok_or(Refusal::ReloadNotSupported)?;
    let (answer, outcome) = oneshot::channel();
    queue
        .try_send(ReloadRequest { answer })
        .map_err(|error| match error {
            TrySendError::Full(_) => Refusal::Overloaded,
            // Whoever reloads is gone only when the process is about to be.
            TrySendError::Closed(_) => Refusal::Draining,
        })?;
    match outcome.await.map_err(|_| Refusal::Draining)? {
        Ok(reloaded) => Ok(Answer::json(200, &json!(reloaded))),
        Err(failure) => {
            let ReloadFailure {
                generation,
                problems,
            } = failure;
            let mut answer = Refusal::ReloadFailed.to_json();
            answer["generation"] = json!(generation);
            answer["problems"] = json!(problems);
            Ok(Answer::json(422, &answer))
        }
    }
}
