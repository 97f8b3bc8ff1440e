//! What comes through in numbers and goes no further, told once.

use super::corpus::{Attack, Kind};
use super::judge::Outcome;
use crate::doctor::{Finding, FindingId, Place, Severity};

/// What to do about headers of Portcullis' in another spelling.
pub(super) const DROP_ALIASES: &str = "let the proxy in front drop such names; in nginx: \
                                       `underscores_in_headers off;` and \
                                       `ignore_invalid_headers on;`, the defaults";

/// The names of headers that Portcullis treats alike.
#[derive(Default)]
pub(super) struct Alike {
    /// Headers of other proxies, which it takes out.
    dropped: Vec<String>,
    /// Its own in another spelling, which it refuses.
    aliases: Vec<String>,
}

impl Alike {
    /// Whether an attack that came to this is told with others.
    pub(super) fn takes(&mut self, attack: &Attack, outcome: &Outcome) -> bool {
        let names = match (attack.kind, outcome) {
            (Kind::Foreign, Outcome::Dropped) => &mut self.dropped,
            (Kind::Alias, Outcome::Denied(_)) => &mut self.aliases,
            _ => return false,
        };
        let name = attack.header.to_ascii_lowercase();
        if !names.contains(&name) {
            names.push(name);
        }
        true
    }

    /// One for each kind of which there are any.
    pub(super) fn findings(&self, url: &str) -> impl Iterator<Item = Finding> {
        let finding = |names: &[String], severity, what: &str, remedy: &str| {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            let verb = if names.len() == 1 { "comes" } else { "come" };
            (!names.is_empty()).then(|| Finding {
                id: FindingId::AttackHeaderPassed,
                severity,
                evidence: format!("{} {verb} {what}: {}", names.len(), names.join(", ")),
                remedy: remedy.to_owned(),
                place: Place::address(url),
            })
        };
        let aliases = finding(
            &self.aliases,
            Severity::Warning,
            "through in another spelling of a header of Portcullis', which refuses such requests",
            DROP_ALIASES,
        );
        let dropped = finding(
            &self.dropped,
            Severity::Info,
            "through of the headers of other proxies, and are dropped here",
            "nothing, for the gateway: it gets none of them; where something else behind the proxy in \
             front believes one, let the proxy take it out; in nginx: `proxy_set_header NAME \"\";`",
        );
        aliases.into_iter().chain(dropped)
    }
}
