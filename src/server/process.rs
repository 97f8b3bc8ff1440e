//! The process itself: its limits, and what others may see of its memory.

use super::ServerError;
use crate::config::{Limits, RESERVED_DESCRIPTORS};
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::num::NonZeroUsize;

/// Keeps other processes of the same user from reading this one's memory
/// (`ptrace`, `/proc/PID/mem`, `/proc/PID/environ`), and the kernel from writing it
/// to a core file. Root still can.
///
/// # Errors
/// [`ServerError::System`] where the system refuses: then the secrets would be
/// readable, and none should be read.
pub fn seal() -> Result<(), ServerError> {
    // Only a second lock: what isn't dumpable has no core file. A sandbox may forbid
    // the call, and then mostly has set the limit itself.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    set_dumpable(false).map_err(|error| ServerError::System {
        what: "keep other processes out of this one's memory",
        source: error.into(),
    })
}

/// A worker for each processor that this process may use: to be asked before it gives up
/// the files that a container's limit stands in.
#[must_use]
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// What there are descriptors for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Connections of the front door.
    pub(super) connections: usize,
    /// Requests with the gateway at a time, WebSockets apart.
    pub(super) requests: usize,
}

/// A connection needs a descriptor, and one more as a WebSocket; each request with the
/// gateway needs one, of which an HTTP/2 connection may have many. Takes what the system
/// allows, and says so where that is too little: without descriptors nothing could be
/// reached any more, the upstream and `/livez` included.
pub(super) fn room(limits: &Limits) -> Room {
    let wanted = Room {
        connections: limits.max_connections,
        requests: limits.max_requests_in_flight,
    };
    let needed = limits.descriptors();
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return wanted;
    };
    let target = needed.min(hard);
    let had = if target > soft && setrlimit(Resource::RLIMIT_NOFILE, target, hard).is_err() {
        soft
    } else {
        target.max(soft)
    };
    let room = wanted.within(had);
    if room != wanted {
        tracing::warn!(
            limit = had,
            wanted = needed,
            connections = room.connections,
            requests = room.requests,
            "fewer open files are allowed than `limits.maxConnections` and `limits.maxRequestsInFlight` need: raise LimitNOFILE"
        );
    }
    room
}

impl Room {
    /// As much of it as so many descriptors suffice for.
    fn within(self, descriptors: u64) -> Self {
        let free = descriptors.saturating_sub(RESERVED_DESCRIPTORS);
        let free = usize::try_from(free).unwrap_or(usize::MAX);
        let requests = (free / 4).clamp(1, self.requests);
        let connections = (free.saturating_sub(requests) / 2).clamp(1, self.connections);
        Self {
            connections,
            requests,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_no_more_than_there_are_descriptors_for() {
        let wanted = Room {
            connections: 20_000,
            requests: 4096,
        };
        for (descriptors, connections, requests) in [
            (u64::MAX, 20_000, 4096),
            (44_352, 20_000, 4096),
            (44_350, 19_999, 4096),
            (20_000, 7824, 4096),
            (1024, 288, 192),
            (100, 1, 1),
        ] {
            let expected = Room {
                connections,
                requests,
            };
            assert_eq!(wanted.within(descriptors), expected, "{descriptors}");
        }
    }
}
