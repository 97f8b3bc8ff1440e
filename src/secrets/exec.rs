//! The `exec` secret provider: a command that answers for ids, over the gateway's
//! own resolver protocol or with one plain value.

mod command;
mod group;
mod helper;
mod process;
mod protocol;
mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub use command::{CUSTODY_REMEDY, CommandProblem, check_custody, custody_way, is_read_only};
pub use group::reap_orphans;
pub use helper::{ExecHelper, HelperError, HelperStart, Listed, Unlisted, serve as serve_commands};
pub use protocol::AnswerProblem;
pub(crate) use protocol::answers;
pub use way::{Way, way_to};

use super::buffer::SecretBuffer;
use super::{EnvName, Environment, ExecId, ProviderName, SecretError, SecretValue};
use process::{Bounds, Names};

/// A configured `source = "exec"` provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecProvider {
    /// The command: an absolute path, run as it is, without a shell.
    pub command: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables of our own environment that it gets; it gets no others.
    pub pass_env: Vec<EnvName>,
    /// Variables that it gets beside those, and instead of one of the same name.
    pub env: BTreeMap<String, String>,
    /// Whether its answer must be the protocol's JSON. Default true; otherwise the
    /// plain output counts where one id is asked for.
    pub json_only: bool,
    /// Whether the command may be a symlink. Default false; needs `trusted_dirs`.
    pub allow_symlink_command: bool,
    /// The folders in which the command, and what it links to, must lie; empty:
    /// anywhere.
    pub trusted_dirs: Vec<PathBuf>,
    /// The ids that stored profiles may name, beside those that the configuration
    /// refers to. Whoever has taken the process over can write profiles.
    pub profile_ids: BTreeSet<ExecId>,
    /// How long a run may take. Default 5 s.
    pub timeout: Duration,
    /// How long it may be silent. Default: as long as it may take.
    pub no_output_timeout: Duration,
    /// How much it may print, standard error included, in bytes. Default 1 MiB.
    pub max_output_bytes: usize,
}

/// Why a command gave no answer. Nothing that it printed is repeated.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The command is unfit to be run.
    #[error("{command}: {problem}", command = command.display())]
    Command {
        /// The command.
        command: PathBuf,
        /// What is wrong with it.
        problem: CommandProblem,
    },
    /// The system did not start it.
    #[error("{command}: can't be started", command = command.display())]
    Start {
        /// The command.
        command: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// Talking to it failed.
    #[error("talking to the command failed")]
    Io(#[source] std::io::Error),
    /// It ran longer than `timeoutMs`.
    #[error("the command did not end within {0:?}")]
    TimedOut(Duration),
    /// It printed nothing for `noOutputTimeoutMs`.
    #[error("the command printed nothing for {0:?}")]
    Silent(Duration),
    /// It printed more than `maxOutputBytes`.
    #[error("the command printed more than {0} bytes")]
    TooMuchOutput(usize),
    /// It failed.
    #[error("the command ended with {end} ({stderr_bytes} bytes on standard error, not shown)")]
    Failed {
        /// Its exit status or signal.
        end: String,
        /// How much it complained.
        stderr_bytes: usize,
    },
    /// What it printed is no answer.
    #[error("the command's answer {0}")]
    Answer(AnswerProblem),
    /// There is a helper process for commands, and it gave no output.
    #[error("{0}")]
    Helper(#[source] HelperError),
    /// More is asked of it at once than a request may hold.
    #[error("a request of {got} bytes, expected at most {most}")]
    RequestTooLarge {
        /// The request's size in bytes.
        got: usize,
        /// The limit.
        most: usize,
    },
}

/// Kills every command that runs now, with its children, and lets no other start:
/// for the end of the process, and of its helper. Whoever waits for one gets an error.
pub fn kill_running_commands() {
    if !helper::end_appointed() {
        group::kill_running();
    }
}

/// What came for each id that was asked for.
pub(super) type Answers = BTreeMap<ExecId, Result<SecretValue, SecretError>>;

impl ExecProvider {
    /// The time that a run may take unless configured.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
    /// The output that a run may print unless configured, in bytes.
    pub const DEFAULT_MAX_OUTPUT_BYTES: usize = 1 << 20;

    /// Has the command run once for all `ids`: by the helper process, where there is one.
    pub(super) fn resolve(
        &self,
        provider: &ProviderName,
        ids: &BTreeSet<ExecId>,
        environment: Environment<'_>,
    ) -> Result<Answers, ExecError> {
        let request = protocol::request(provider, ids)?;
        let output = match helper::appointed() {
            Some(helper) => helper.run(provider, self, ids)?,
            None => self.run(&request, environment)?,
        };
        answers(provider, ids, output.as_slice(), self.json_only).map_err(ExecError::Answer)
    }

    /// Runs the command.
    fn run(&self, request: &[u8], environment: Environment<'_>) -> Result<SecretBuffer, ExecError> {
        let real = command::check(self).map_err(|problem| ExecError::Command {
            command: self.command.clone(),
            problem,
        })?;
        let bounds = Bounds {
            timeout: self.timeout,
            silence: self.no_output_timeout,
            max_output: self.max_output_bytes,
        };
        process::run(
            Names {
                real: &real,
                configured: &self.command,
            },
            &self.args,
            &self.variables(environment),
            request,
            &bounds,
        )
    }

    fn variables(&self, environment: Environment<'_>) -> BTreeMap<OsString, OsString> {
        let passed = self.pass_env.iter().filter_map(|name| {
            let value = environment.value(name.as_str())?;
            Some((name.as_str().into(), value))
        });
        let set = self
            .env
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        passed.chain(set).collect()
    }
}

#[cfg(test)]
mod tests;
