//! Where Portcullis answers otherwise than the gateway, and why.

#[path = "differences/blocks.rs"]
mod blocks;
#[path = "differences/refs.rs"]
mod refs;

use super::outcome::{Comparison, Kind};

/// Names of cases that differ in the same way, for the same reason.
struct Difference {
    reason: &'static str,
    seen_by: Users,
    /// Both outcomes, as [`Comparison::words`] has them.
    portcullis: &'static str,
    gateway: &'static str,
    names: &'static [&'static str],
}

/// Who has to run the test to see a difference.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Users {
    All,
    /// To root, its own files and the system's are the same.
    NotRoot,
}

/// The table, without what this user can't see.
fn table() -> impl Iterator<Item = &'static Difference> {
    let tables = [refs::REFS, blocks::BLOCKS];
    tables.into_iter().flatten().filter(|entry| entry.is_seen())
}

impl Difference {
    fn is_seen(&self) -> bool {
        self.seen_by == Users::All || !nix::unistd::geteuid().is_root()
    }

    fn covers(&self, comparison: &Comparison) -> bool {
        self.names.contains(&comparison.name.as_str())
            && comparison.words() == (self.portcullis, self.gateway)
    }
}

/// Every difference that isn't in the table, and every entry of the table that
/// differs no more.
pub(crate) fn objections(comparisons: &[Comparison]) -> Vec<String> {
    let differing: Vec<&Comparison> = comparisons.iter().filter(|one| !one.agrees()).collect();
    let surprises = differing
        .iter()
        .filter(|one| reason(one).is_none())
        .map(ToString::to_string);
    let names = table().flat_map(|entry| entry.names.iter().map(move |name| (entry, name)));
    let dead = names
        .filter(|(entry, name)| {
            !differing
                .iter()
                .any(|one| one.name == **name && entry.covers(one))
        })
        .map(|(_, name)| format!("{name}: no longer differs as the table says"));
    surprises.chain(dead).collect()
}

/// Each reason with the number of cases, and the totals in the last line.
pub(crate) fn summary(comparisons: &[Comparison], left_out: Vec<&str>) -> String {
    let mut lines = Vec::new();
    for reason in reasons() {
        let has_it = |one: &&Comparison| self::reason(one) == Some(reason);
        let count = comparisons.iter().filter(has_it).count();
        lines.push(format!("{count:5} {reason}"));
    }
    lines.extend(
        left_out
            .iter()
            .map(|what| format!("left out, as only root can try it: {what}")),
    );
    let count = |kind: Kind| comparisons.iter().filter(|one| one.kind == kind).count();
    let meant = comparisons.iter().filter(|one| !one.agrees()).count();
    lines.push(format!(
        "secret oracle: {} references and {} blocks compared, {meant} differ by intention",
        count(Kind::Ref),
        count(Kind::Block),
    ));
    lines.join("\n")
}

fn reason(comparison: &Comparison) -> Option<&'static str> {
    let differs = !comparison.agrees();
    let entry = table().find(|entry| entry.covers(comparison));
    entry.filter(|_| differs).map(|entry| entry.reason)
}

/// Each once, in the table's order.
fn reasons() -> Vec<&'static str> {
    let mut reasons: Vec<&str> = Vec::new();
    for entry in table() {
        if !reasons.contains(&entry.reason) {
            reasons.push(entry.reason);
        }
    }
    reasons
}
