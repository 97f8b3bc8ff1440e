//! Signals and limits of the process.

use super::ServerError;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that stop the server.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

/// Starts listening for SIGTERM and SIGINT, and keeps SIGHUP from killing.
///
/// # Errors
/// [`ServerError::System`] where the system refuses a handler.
pub fn stop_signals() -> Result<StopSignals, ServerError> {
    let listen = |kind| {
        signal(kind).map_err(|source| ServerError::System {
            what: "listen for signals",
            source,
        })
    };
    let mut hangup = listen(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::warn!("reloading is not supported yet: restart to apply a new configuration");
        }
    });
    Ok(StopSignals {
        terminate: listen(SignalKind::terminate())?,
        interrupt: listen(SignalKind::interrupt())?,
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

/// Each connection needs two descriptors. Takes what the system allows, and says
/// so where that is too little.
pub(super) fn raise_descriptor_limit(max_connections: usize) {
    let wanted = max_connections as u64 * 2 + 256;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    let target = wanted.min(hard);
    if target > soft && setrlimit(Resource::RLIMIT_NOFILE, target, hard).is_err() {
        tracing::warn!(soft, "the limit of open files can't be raised");
    } else if target < wanted {
        tracing::warn!(
            limit = hard,
            wanted,
            "fewer open files are allowed than `limits.maxConnections` needs: raise LimitNOFILE"
        );
    }
}
