//! The signals that the process acts on.

use super::ServerError;
use nix::sys::signal::{SigSet, Signal};
use tokio::signal::unix::{Signal as Listened, SignalKind, signal};

/// The signals that stop the server.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Listened,
    interrupt: Listened,
}

/// Starts listening for SIGTERM and SIGINT. Whoever started us may have had SIGCHLD
/// ignored, which would take the exit status of our commands from us: a handler, even
/// one that nobody asks, puts that right.
///
/// # Errors
/// [`ServerError::System`] where the system refuses a handler.
pub fn stop_signals() -> Result<StopSignals, ServerError> {
    drop(listen(SignalKind::child())?);
    Ok(StopSignals {
        terminate: listen(SignalKind::terminate())?,
        interrupt: listen(SignalKind::interrupt())?,
    })
}

/// Ends when a terminal goes or its user has had enough: SIGHUP, SIGINT, SIGQUIT or
/// SIGTERM.
///
/// # Errors
/// [`ServerError::System`] where the system refuses a handler.
pub async fn dismissed() -> Result<(), ServerError> {
    let mut stop = stop_signals()?;
    let mut hangup = hangup()?;
    let mut quit = listen(SignalKind::quit())?;
    tokio::select! {
        _ = stop.first() => {}
        _ = hangup.recv() => {}
        _ = quit.recv() => {}
    }
    Ok(())
}

/// Leaves the signals that end a process, or have it reload, to others: for one that
/// lives as long as the one that it helps. For the calling thread and those that it
/// starts; a command that they start has none of this.
///
/// # Errors
/// [`ServerError::System`] where the system refuses.
pub fn outlive_signals() -> Result<(), ServerError> {
    let failed = |source| ServerError::System {
        what: "keep signals away",
        source,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(failed)?;
    let entered = runtime.enter();
    // As above: the exit status of our commands.
    drop(listen(SignalKind::child())?);
    drop(entered);
    let others = [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
    ];
    SigSet::from_iter(others)
        .thread_block()
        .map_err(|error| failed(error.into()))
}

/// Starts listening for SIGHUP, which kills otherwise.
pub(super) fn hangup() -> Result<Listened, ServerError> {
    listen(SignalKind::hangup())
}

fn listen(kind: SignalKind) -> Result<Listened, ServerError> {
    signal(kind).map_err(|source| ServerError::System {
        what: "listen for signals",
        source,
    })
}

impl StopSignals {
    /// The first signal, by name.
    pub async fn first(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// The next one: whoever sends it does not want to wait.
    pub async fn again(&mut self) -> &'static str {
        self.first().await
    }
}
