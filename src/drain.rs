//! The end of the process, in three steps that every connection can wait for.

use std::sync::Arc;
use tokio::sync::watch;

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Everything is served.
    Running,
    /// No new connections; requests end, and each connection with its request.
    Draining,
    /// The grace time is over: WebSockets are closed with a code, and whatever else
    /// still lives ends with the process.
    Closing,
}

/// The one that decides the phase.
#[derive(Debug)]
pub struct DrainControl {
    sender: watch::Sender<Phase>,
}

/// The view that connections have. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Drain {
    receiver: Arc<watch::Receiver<Phase>>,
}

/// One waiter's view.
#[derive(Debug)]
pub struct DrainWatch {
    receiver: watch::Receiver<Phase>,
}

/// A control with its first view.
pub fn channel() -> (DrainControl, Drain) {
    let (sender, receiver) = watch::channel(Phase::Running);
    (
        DrainControl { sender },
        Drain {
            receiver: Arc::new(receiver),
        },
    )
}

impl DrainControl {
    /// Moves on to `phase`; never back.
    pub fn advance(&self, phase: Phase) {
        self.sender.send_if_modified(|current| {
            let moves_on = phase > *current;
            *current = phase.max(*current);
            moves_on
        });
    }
}

impl Drain {
    /// The phase now.
    pub fn phase(&self) -> Phase {
        *self.receiver.borrow()
    }

    /// A view that can wait.
    pub fn watch(&self) -> DrainWatch {
        DrainWatch {
            receiver: (*self.receiver).clone(),
        }
    }
}

impl DrainWatch {
    /// Ends when the drain has begun.
    pub async fn begun(&mut self) {
        self.reached(Phase::Draining).await;
    }

    /// Ends when the grace time is over.
    pub async fn closing(&mut self) {
        self.reached(Phase::Closing).await;
    }

    async fn reached(&mut self, phase: Phase) {
        // A control that is gone means that the process is ending as well.
        let _ = self.receiver.wait_for(|current| *current >= phase).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiters_see_each_phase_and_none_goes_back() {
        let (control, drain) = channel();
        assert_eq!(drain.phase(), Phase::Running);
        control.advance(Phase::Draining);
        drain.watch().begun().await;
        control.advance(Phase::Closing);
        control.advance(Phase::Draining);
        drain.watch().closing().await;
        assert_eq!(drain.phase(), Phase::Closing);
    }
}
