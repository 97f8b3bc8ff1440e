//! Capabilities: the pieces of root's power. A server that runs as root keeps those that
//! serving takes; one that doesn't mostly has none.

use super::report::Strength;
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
};

/// Ports below 1024; files and folders of other users, of which Landlock leaves those in
/// use; memory that is never swapped out, for the secrets.
const KEPT: CapabilitySet = CapabilitySet::NET_BIND_SERVICE
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::IPC_LOCK);

/// Gives up all others: for the calling thread, and those that it starts.
pub(super) fn reduce() -> Strength {
    match give_up() {
        Ok(left) if left.is_empty() => Strength::Whole("none left".to_owned()),
        Ok(left) => {
            let names: Vec<_> = left.iter_names().map(|(name, _)| name).collect();
            Strength::Whole(format!("left: {}", names.join(", ")))
        }
        Err(error) => Strength::Off(error.to_string()),
    }
}

fn give_up() -> Result<CapabilitySet, Errno> {
    let had = capabilities(None)?;
    // Only a second lock, each: they count where a program is started, and none can be.
    if had.effective.contains(CapabilitySet::SETPCAP) {
        for (_, capability) in CapabilitySet::all().difference(KEPT).iter_names() {
            if capability_is_in_bounding_set(capability) == Ok(true) {
                let _ = remove_capability_from_bounding_set(capability);
            }
        }
    }
    let _ = clear_ambient_capability_set();
    let left = CapabilitySets {
        effective: had.effective & KEPT,
        permitted: had.permitted & KEPT,
        inheritable: CapabilitySet::empty(),
    };
    let given_up = set_capabilities(None, left);
    // A sandbox that forbids the call has mostly taken them away itself.
    if left.permitted != had.permitted {
        given_up?;
    }
    Ok(left.permitted)
}
