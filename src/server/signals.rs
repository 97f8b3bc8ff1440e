//! The signals that the process acts on.

use super::ServerError;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that stop the server.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
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

/// Starts listening for SIGHUP, which kills otherwise.
pub(super) fn hangup() -> Result<Signal, ServerError> {
    listen(SignalKind::hangup())
}

fn listen(kind: SignalKind) -> Result<Signal, ServerError> {
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
