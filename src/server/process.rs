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
