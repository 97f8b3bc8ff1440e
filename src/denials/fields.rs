//! What is kept of a request's header fields.

use crate::policy::{Field, Policy};
use crate::redaction::{SeenField, is_kept_whole};

/// For all fields of a request together.
const MAX_BYTES: usize = 4096;

/// The first fields, as many as there is room for, and whether that is not all.
pub(super) fn keep(policy: &Policy, fields: &[Field<'_>]) -> (Vec<SeenField>, bool) {
    let mut kept = Vec::new();
    let mut room = MAX_BYTES;
    for field in fields {
        let is_open = policy.is_open(field.name);
        let seen = SeenField::new(field, is_open);
        let bytes =
            size_of::<SeenField>() + seen.name.len() + seen.value.as_ref().map_or(0, String::len);
        let Some(left) = room.checked_sub(bytes) else {
            return (kept, true);
        };
        room = left;
        kept.push(seen);
    }
    (kept, !fields.iter().all(is_kept_whole))
}
