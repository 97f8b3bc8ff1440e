//! The front door's Unix sockets, where a process runs that doesn't tell of them itself.

use super::super::deployment::FrontSocket;
use super::super::finding::Finding;
use super::super::look::Look;
use super::super::running::displaced;
use super::Ground;

pub(super) fn check(ground: &Ground<'_>) -> Vec<Finding> {
    let deployment = ground.deployment;
    if deployment.processes.is_empty() || deployment.has_answered {
        return Vec::new();
    }
    let is_of_service = |owner: u32| {
        let mut processes = deployment.processes.iter();
        processes.any(|process| process.user == owner)
    };
    let found = deployment.sockets.iter().filter_map(|socket| {
        let FrontSocket { path, owner } = socket;
        match owner {
            Look::Missing => Some(displaced(ground.facts, path, "no socket is there")),
            Look::Seen(owner) if !is_of_service(*owner) => {
                let what = format!("the socket that is there is user {owner}'s");
                Some(displaced(ground.facts, path, &what))
            }
            Look::Seen(_) | Look::Hidden(_) => None,
        }
    });
    found.collect()
}
