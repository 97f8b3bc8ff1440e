//! What is told where something in front gives the answer to one request to another.

use crate::doctor::{Finding, FindingId, Place, Severity};

pub(super) const REMEDY: &str = "let nothing in front keep what Portcullis answers, which says \
                                 `no-store`: one user is given what was for another; in nginx: \
                                 `proxy_cache off;`, and no `proxy_ignore_headers`";

/// Of the attacks at `url`, `how_many` were answered so.
pub(super) fn replayed(url: &str, how_many: &str) -> Finding {
    Finding {
        id: FindingId::AttackReplayed,
        severity: Severity::Critical,
        evidence: format!(
            "{how_many} attacks got an answer to another request, so nothing is known of them: \
             something in front caches or replays"
        ),
        remedy: REMEDY.to_owned(),
        place: Place::address(url),
    }
}
