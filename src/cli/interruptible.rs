//! Work that a signal ends, with the commands that it has started.

use super::{EXIT_FAILURE, output, terminal};
use crate::secrets::kill_running_commands;
use crate::server::{self, ServerError};
use std::process::ExitCode;
use std::time::Duration;

/// For the work to see that its commands are gone.
const STRAGGLERS: Duration = Duration::from_millis(500);

/// Does the work, in a process that shows its memory to nobody. SIGTERM, SIGINT,
/// SIGQUIT and a lost terminal end it: the commands that are asked for secrets have process groups of their own,
/// and a terminal's Ctrl-C does not reach them.
pub(super) fn run(work: impl FnOnce() -> ExitCode + Send + 'static) -> ExitCode {
    match attempt(work) {
        Ok(Some(code)) => code,
        // The shell's convention would be 128 and the signal's number; scripts here go
        // by 0, 1 and 2.
        Ok(None) => EXIT_FAILURE.into(),
        Err(error) => {
            output::complain(format_args!("portcullis: {}", super::chain(&error)));
            EXIT_FAILURE.into()
        }
    }
}

fn attempt(
    work: impl FnOnce() -> ExitCode + Send + 'static,
) -> Result<Option<ExitCode>, ServerError> {
    server::seal()?;
    let runtime = server::runtime(server::workers())?;
    let ended = runtime.block_on(async {
        // Its handlers are in place before the work begins.
        tokio::select! {
            biased;
            dismissed = server::dismissed() => dismissed.map(|()| None),
            done = async { tokio::task::spawn_blocking(work).await } => Ok(done.ok()),
        }
    });
    kill_running_commands();
    terminal::restore();
    runtime.shutdown_timeout(STRAGGLERS);
    ended
}
