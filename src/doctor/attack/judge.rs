//! What one attack came to, from what was seen with it and without it. Pure.

use super::corpus::{Attack, Kind};
use super::seen::Seen;
use crate::denials::Entry;
use crate::policy::Code;
use crate::probe::{Mark, ProbeAnswer};
use crate::redaction::SeenField;
use std::net::IpAddr;

/// What an attack came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The attacker's word counted: as what.
    Believed(String),
    /// It took scopes from the user, and could give none.
    Cut,
    /// It came, and made no difference.
    Dropped,
    /// It came before the proxy's own word, which is the one that counts.
    Outranked,
    /// It came, and the whole request was refused: by which reason.
    Denied(String),
    /// A header that the proxy sets was gone.
    Removed,
    /// Nobody knows: in words.
    Unjudged(String),
}

/// As what a user is believed who isn't let in.
pub(super) const KEPT_OUT: &str = "the user, whom `allowUsers` alone kept out";

/// None where the attack came to nothing.
pub(super) fn judge(
    attack: &Attack,
    baseline: &ProbeAnswer,
    seen: &Seen,
    mark: &Mark,
) -> Option<Outcome> {
    match seen {
        Seen::Probe(answer) => permitted(attack, baseline, answer),
        Seen::Denied(entry) => Some(denied(attack, entry, mark)),
        Seen::Refused(status) if !blames_the_request(*status) => Some(Outcome::Unjudged(format!(
            "the answer was {status}, which any request may get"
        ))),
        other => other.trouble().map(Outcome::Unjudged),
    }
}

/// Whether a status tells that something about the request was wrong, and neither its
/// sender, nor the time that it came at or took.
fn blames_the_request(status: u16) -> bool {
    !matches!(status, 401 | 402 | 407 | 408 | 425 | 429)
}

fn permitted(attack: &Attack, baseline: &ProbeAnswer, answer: &ProbeAnswer) -> Option<Outcome> {
    if let Some(outcome) = believed(attack, baseline, answer) {
        return Some(outcome);
    }
    if attack.kind == Kind::Connection {
        let had = baseline.arrived(&attack.header).count();
        if answer.arrived(&attack.header).count() < had {
            return Some(Outcome::Removed);
        }
        let whole = |bytes: usize| bytes == attack.value.len();
        let came = answer
            .arrived("connection")
            .any(|field| whole(field.field.bytes));
        return came.then_some(Outcome::Dropped);
    }
    let mut came = answer
        .arrived(&attack.header)
        .filter(|field| field.is_marked || lists(&field.field, &attack.value))
        .peekable();
    came.peek()?;
    let is_outranked = attack.kind == Kind::Client
        && came.all(|field| {
            let value = field.field.value.as_deref().unwrap_or_default();
            value.rsplit(',').next().map(str::trim) != Some(&attack.value)
        });
    Some(match is_outranked {
        true => Outcome::Outranked,
        false => Outcome::Dropped,
    })
}

/// What the attacker's word changed for the upstream, if anything.
fn believed(attack: &Attack, baseline: &ProbeAnswer, answer: &ProbeAnswer) -> Option<Outcome> {
    let taken_as = |what: &str| Some(Outcome::Believed(what.to_owned()));
    // The doctor's own id bears the mark in every request.
    let passed = answer
        .upstream
        .iter()
        .find(|field| field.is_marked && !field.field.name.eq_ignore_ascii_case("x-request-id"));
    if let Some(passed) = passed {
        return taken_as(&format!("`{}` for the upstream", passed.field.name));
    }
    let became = |name: &str| {
        let (now, before) = (answer.sent(name), baseline.sent(name));
        now == Some(&attack.value) && before != now
    };
    match attack.kind {
        Kind::Client if answer.client == attack.value && !comes_from_loopback(answer) => {
            taken_as("the client's address")
        }
        Kind::Proto if became("x-forwarded-proto") => taken_as("the client's protocol"),
        Kind::Id if became("x-request-id") => taken_as("the request's id"),
        Kind::Scopes if answer.sent("x-openclaw-scopes") != baseline.sent("x-openclaw-scopes") => {
            Some(Outcome::Cut)
        }
        _ => None,
    }
}

/// Whether the proxy in front saw the doctor itself on loopback, which is passed over in
/// the list of addresses as no other client's is.
fn comes_from_loopback(answer: &ProbeAnswer) -> bool {
    let lists = answer.arrived("x-forwarded-for");
    let last = lists.last().and_then(|field| {
        let value = field.field.value.as_deref()?;
        value.rsplit(',').next()?.trim().parse::<IpAddr>().ok()
    });
    last.is_some_and(|address| address.is_loopback())
}

fn denied(attack: &Attack, entry: &Entry, mark: &Mark) -> Outcome {
    let reason = entry.reason.to_string();
    let whole = entry.request.as_ref().filter(|request| !request.is_cut);
    // What isn't the policy's, such as a limit, refuses whatever a request says.
    let (Some(code), Some(request)) = (Code::named(&entry.code), whole) else {
        return Outcome::Unjudged(format!("Portcullis refused it: {reason}"));
    };
    let named = || {
        let is_it = |field: &&SeenField| field.name.eq_ignore_ascii_case(&attack.header);
        request.fields.iter().filter(is_it)
    };
    if attack.kind == Kind::Connection {
        return match named().next() {
            None => Outcome::Removed,
            Some(_) => Outcome::Unjudged(format!("Portcullis refused it: {reason}")),
        };
    }
    let came = named().filter(|field| bears(field, attack, mark)).count();
    let is_users_list = code == Code::UserNotAllowed;
    match (came, attack.kind) {
        (0, _) => Outcome::Unjudged(format!("Portcullis refused it: {reason}")),
        (1, Kind::User) if is_users_list && named().count() == 1 => {
            Outcome::Believed(KEPT_OUT.to_owned())
        }
        _ => Outcome::Denied(reason),
    }
}

/// Whether a field holds an attack's value, as far as its own is kept.
pub(super) fn bears(field: &SeenField, attack: &Attack, mark: &Mark) -> bool {
    match &field.value {
        Some(value) => mark.is_in(value.as_bytes()) || lists(field, &attack.value),
        None => field.bytes == attack.value.len(),
    }
}

/// Whether an attacker's value is one of a field's.
fn lists(field: &SeenField, value: &str) -> bool {
    let listed = field.value.as_deref().unwrap_or_default().split(',');
    listed.map(str::trim).any(|one| one == value)
}
