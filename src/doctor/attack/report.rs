//! The findings of an attack: one for each header, the worst of what it came to, and one
//! for all those that Portcullis treats alike.

use super::alike::{Alike, DROP_ALIASES};
use super::corpus::{Attack, Kind};
use super::judge::{Outcome, judge};
use super::replayed::replayed;
use super::seen::Seen;
use crate::doctor::{Finding, FindingId, Place, Severity};
use crate::probe::{Mark, ProbeAnswer};
use std::cmp::Reverse;

/// An attack and what was seen of it.
#[derive(Debug, Clone)]
pub struct Fired {
    /// The attack.
    pub attack: Attack,
    /// What marks its values.
    pub mark: Mark,
    /// What was seen.
    pub seen: Seen,
}

/// What is found at `url`, whose answer without an attack was `baseline`.
#[must_use]
pub fn findings(url: &str, baseline: &ProbeAnswer, fired: &[Fired]) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let mut unjudged = Vec::new();
    let mut replays = 0;
    let mut alike = Alike::default();
    for Fired { attack, mark, seen } in fired {
        if matches!(seen, Seen::Replayed) {
            replays += 1;
            continue;
        }
        let finding = match judge(attack, baseline, seen, mark) {
            None => continue,
            Some(Outcome::Unjudged(why)) => {
                unjudged.push(format!("{}: {why}", attack.header));
                continue;
            }
            Some(outcome) if alike.takes(attack, &outcome) => continue,
            Some(outcome) => finding(url, attack, &outcome),
        };
        let same = found.iter_mut().find(|known| known.place == finding.place);
        match same {
            Some(known) if known.severity < finding.severity => *known = finding,
            Some(_) => {}
            None => found.push(finding),
        }
    }
    found.extend(alike.findings(url));
    if replays > 0 {
        found.push(replayed(url, &format!("{replays} of {}", fired.len())));
    }
    if !unjudged.is_empty() {
        found.push(Finding {
            id: FindingId::AttackUnjudged,
            severity: Severity::Warning,
            evidence: format!(
                "{} of {} attacks can't be judged: {}",
                unjudged.len(),
                fired.len(),
                unjudged.join("; ")
            ),
            remedy: "look what answered them, and run it again; limits of requests may be lifted \
                     meanwhile"
                .to_owned(),
            place: Place::address(url),
        });
    }
    found.sort_by_key(|finding| (Reverse(finding.severity), rank(finding.id)));
    found
}

/// Among findings of one severity: what is believed comes before what is only seen.
fn rank(id: FindingId) -> u8 {
    match id {
        FindingId::AttackHeaderBelieved => 0,
        FindingId::AttackHeaderRemoved => 1,
        FindingId::AttackUnjudged => 2,
        _ => 3,
    }
}

/// What `--insecure` leaves open.
#[must_use]
pub fn unverified(url: &str) -> Finding {
    Finding {
        id: FindingId::AttackUnverifiedTls,
        severity: Severity::Warning,
        evidence:
            "the certificate was not verified: whoever answered has the session that was sent"
                .to_owned(),
        remedy: "leave out --insecure; --ca names the authority of a certificate that the public \
                 web doesn't know"
            .to_owned(),
        place: Place::address(url),
    }
}

pub(super) fn finding(url: &str, attack: &Attack, outcome: &Outcome) -> Finding {
    let (id, severity) = verdict(attack, outcome);
    let header = match attack.kind {
        Kind::Connection => format!("connection: {}", attack.header),
        _ => attack.header.to_ascii_lowercase(),
    };
    Finding {
        id,
        severity,
        evidence: evidence(attack, outcome),
        remedy: remedy(attack),
        place: Place::header(url, header),
    }
}

fn verdict(attack: &Attack, outcome: &Outcome) -> (FindingId, Severity) {
    use FindingId::{
        AttackHeaderBelieved, AttackHeaderPassed, AttackHeaderRemoved, AttackUnjudged,
    };
    use Severity::{Critical, Info, Warning};
    match outcome {
        Outcome::Believed(_) if attack.kind == Kind::Id => (AttackHeaderBelieved, Warning),
        Outcome::Believed(_) => (AttackHeaderBelieved, Critical),
        Outcome::Cut => (AttackHeaderBelieved, Warning),
        Outcome::Dropped | Outcome::Denied(_) => (AttackHeaderPassed, Warning),
        Outcome::Outranked => (AttackHeaderPassed, Info),
        Outcome::Removed => (AttackHeaderRemoved, Warning),
        Outcome::Unjudged(_) => (AttackUnjudged, Warning),
    }
}

fn evidence(attack: &Attack, outcome: &Outcome) -> String {
    let sent = match attack.kind {
        Kind::Connection => format!("`Connection: {}`", attack.value),
        _ => format!("`{}: {}`", attack.header, attack.value),
    };
    match outcome {
        Outcome::Believed(what) => format!("{sent} of the client's was taken as {what}"),
        Outcome::Cut => format!(
            "{sent} of the client's was taken as a cut of the user's scopes, which it can't widen"
        ),
        Outcome::Dropped => {
            format!("{sent} of the client's reached Portcullis, which passes it to nobody")
        }
        Outcome::Outranked => format!(
            "{sent} of the client's reached Portcullis before the address that the proxy in front \
             adds, which is the one that counts"
        ),
        Outcome::Denied(reason) => format!(
            "{sent} of the client's reached Portcullis, which refuses such requests: {reason}"
        ),
        Outcome::Removed => format!(
            "with {sent} a client takes away the proxy's own `{}`",
            attack.header
        ),
        Outcome::Unjudged(why) => why.clone(),
    }
}

fn remedy(attack: &Attack) -> String {
    let name = title_case(&attack.header);
    let set = |value: &str| {
        format!(
            "let the proxy in front set it anew for every request; in nginx: \
             `proxy_set_header {name} {value};`"
        )
    };
    match attack.kind {
        Kind::User => set("$identity"),
        Kind::Named => format!(
            "{}, or `\"\"` where it has no value of its own; else take it out of passHeaders",
            set("$its_value")
        ),
        Kind::Client => set("$remote_addr"),
        Kind::Proto => set("$scheme"),
        Kind::Host => set("$http_host"),
        Kind::Id => set("$request_id"),
        Kind::Scopes | Kind::Foreign => {
            format!("let the proxy in front take it out; in nginx: `proxy_set_header {name} \"\";`")
        }
        Kind::Alias => DROP_ALIASES.to_owned(),
        Kind::Connection => {
            "let the proxy in front ignore the client's `Connection`, and update it: \
                             it takes out its own headers by the client's word"
                .to_owned()
        }
    }
}

/// As configurations write a header's name.
pub(super) fn title_case(name: &str) -> String {
    let parts = name.split('-').map(|part| {
        let mut chars = part.chars();
        let first = chars.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(chars).collect::<String>()
    });
    parts.collect::<Vec<_>>().join("-")
}
