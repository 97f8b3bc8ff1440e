//! The process itself: its limits, and what others may see of its memory.

use super::ServerError;
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

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

/// Descriptors for what is no connection of a client: listeners, files, the admin
/// listener's connections.
const RESERVED: u64 = 256;

/// Each connection needs two descriptors. Takes what the system allows, and says so
/// where that is too little: how many connections there is room for, at most
/// `max_connections`. Without descriptors nothing could be reached any more, the
/// upstream and `/livez` included.
pub(super) fn room_for_connections(max_connections: usize) -> usize {
    let wanted = max_connections as u64 * 2 + RESERVED;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return max_connections;
    };
    let target = wanted.min(hard);
    let had = if target > soft && setrlimit(Resource::RLIMIT_NOFILE, target, hard).is_err() {
        soft
    } else {
        target.max(soft)
    };
    let room = room_in(had, max_connections);
    if room < max_connections {
        tracing::warn!(
            limit = had,
            wanted,
            connections = room,
            "fewer open files are allowed than `limits.maxConnections` needs: raise LimitNOFILE"
        );
    }
    room
}

fn room_in(descriptors: u64, max_connections: usize) -> usize {
    let room = descriptors.saturating_sub(RESERVED) / 2;
    usize::try_from(room).map_or(max_connections, |room| room.clamp(1, max_connections))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_no_more_connections_than_there_are_descriptors_for() {
        assert_eq!(room_in(40_256, 20_000), 20_000);
        assert_eq!(room_in(u64::MAX, 20_000), 20_000);
        assert_eq!(room_in(40_255, 20_000), 19_999);
        assert_eq!(room_in(20_000, 20_000), 9_872);
        assert_eq!(room_in(100, 20_000), 1);
    }
}
