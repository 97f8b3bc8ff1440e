//! On what the call of a connection stands: the token that was shown for it. A reload
//! that takes the token away ends what is still under way.

use super::Broker;
use super::caller::Caller;
use super::keeper::lock;
use crate::snapshot::{BackDoor, Token};
use std::sync::Mutex;

/// The caller of a connection's latest call.
#[derive(Debug, Default)]
pub(super) struct Standing(Mutex<Option<Shown>>);

#[derive(Debug)]
struct Shown {
    agent: Option<String>,
    token: Token,
}

impl Standing {
    /// Notes who calls. Without a token nothing can be taken away.
    pub(super) fn note(&self, caller: Caller<'_>, door: &BackDoor) {
        let token = match caller {
            Caller::Main => door.client_token.as_ref(),
            Caller::Agent(agent) => Some(&agent.token),
        };
        *lock(&self.0) = token.map(|token| Shown {
            agent: caller.agent().map(str::to_owned),
            token: token.clone(),
        });
    }

    fn holds(&self, door: Option<&BackDoor>) -> bool {
        let shown = lock(&self.0);
        let Some(Shown { agent, token }) = shown.as_ref() else {
            return true;
        };
        let now = door.and_then(|door| match agent {
            None => door.client_token.as_ref(),
            Some(name) => {
                let mut agents = door.agents.iter();
                agents
                    .find(|agent| agent.name == *name)
                    .map(|agent| &agent.token)
            }
        });
        now.is_some_and(|now| now.is(token.expose().as_bytes()))
    }

    /// Ends when a reload has taken away what the latest call stands on.
    pub(super) async fn revoked(&self, broker: &Broker) {
        let mut replaced = broker.replaced.subscribe();
        // Without a sender the process is ending as well.
        while replaced.changed().await.is_ok() {
            if !self.holds(broker.door().as_deref()) {
                broker.metrics.revoked();
                return;
            }
        }
        std::future::pending().await
    }
}
