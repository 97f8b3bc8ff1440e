//! `[gateway.auth.trustedProxy.scopeCeilings]`: the most that each user's scopes may hold.

use super::entry::Entry;
use super::section::Section;
use super::shape::Shape;
use super::trusted_proxy::AllowUsersSource;
use super::walk::Walk;
use crate::policy::{AllowUsers, ScopeCeilings, ScopeError};

const EVERYONE_ELSE: &str = "*";
const SCOPES: &str = "an array of scopes such as [\"operator.read\"]";
const SCOPE: &str = "a scope such as \"operator.read\": a letter a to z, then letters, digits, `.`, `_`, `-` or `:`";

/// Reads the ceilings and checks that each allowed user has one. `users` is the
/// entry of `allowUsers`; `source` is what was made of it, if it was right.
pub(super) fn read(
    section: &Section<'_>,
    users: &Entry<'_>,
    source: Option<&AllowUsersSource>,
    walk: &mut Walk<'_>,
) -> Option<ScopeCeilings> {
    let mut complete = section.is_present();
    let mut members = Vec::new();
    for (user, entry) in section.members(walk) {
        walk.note(entry.place());
        if user.trim() != EVERYONE_ELSE && AllowUsers::only([&user]).is_err() {
            walk.refuse(
                entry.place(),
                "got a name that no request can have, expected a user or `*`",
            );
            complete = false;
        }
        let items = entry.items(walk, SCOPES);
        let scopes: Vec<&str> = items
            .iter()
            .flatten()
            .filter_map(|item| item.text(walk, Shape::Hidden, SCOPE))
            .collect();
        complete &= items
            .as_ref()
            .is_some_and(|items| items.len() == scopes.len());
        members.push((user, entry, items.unwrap_or_default(), scopes));
    }
    if !complete {
        return None;
    }
    let named = members
        .iter()
        .map(|(user, _, _, scopes)| (user, scopes.clone()));
    match ScopeCeilings::new(named) {
        Ok(ceilings) => {
            check_coverage(&ceilings, section, users, source, walk);
            Some(ceilings)
        }
        Err(errors) => {
            for error in errors {
                let (name, index) = match &error {
                    ScopeError::NotAScope { user, index } => (user, Some(*index)),
                    ScopeError::Twice { user } => (user, None),
                };
                let same = members
                    .iter()
                    .rev()
                    .find(|(user, ..)| user.trim() == name.as_str());
                let Some((_, entry, items, _)) = same else {
                    continue;
                };
                match index.and_then(|index| items.get(index)) {
                    Some(item) => item.refuse(walk, Shape::Hidden, SCOPE),
                    None => walk.refuse(
                        entry.place(),
                        "got a second ceiling for this user, expected one",
                    ),
                }
            }
            None
        }
    }
}

/// An allowed user without a ceiling would get no scopes at all and wonder why.
fn check_coverage(
    ceilings: &ScopeCeilings,
    section: &Section<'_>,
    users: &Entry<'_>,
    source: Option<&AllowUsersSource>,
    walk: &mut Walk<'_>,
) {
    let allowed = match source {
        Some(AllowUsersSource::Inline(allowed @ AllowUsers::Only(_))) => allowed,
        Some(AllowUsersSource::Inline(AllowUsers::Any) | AllowUsersSource::File(_)) => {
            if !ceilings.covers_everyone() {
                walk.refuse(
                    section.place(),
                    "got no entry `\"*\"`, expected one for every user without an entry of their own",
                );
            }
            return;
        }
        None => return,
    };
    let bare: Vec<usize> = users
        .items(walk, "an array of users")
        .unwrap_or_default()
        .iter()
        .enumerate()
        .filter_map(|(index, item)| {
            let user = item.value()?.as_str()?.trim();
            (!ceilings.covers(user)).then_some(index)
        })
        .collect();
    if let Some(first) = bare.first() {
        let others = match bare.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        walk.refuse(
            section.place(),
            format!(
                "got no entry for `allowUsers[{first}]`{others}, expected one for each allowed \
                 user, or `\"*\"` for everyone else"
            ),
        );
    }
    let strangers = ceilings
        .users()
        .filter(|user| !allowed.allows(user))
        .count();
    if strangers > 0 {
        walk.warn(
            section.place(),
            format!("{strangers} of the entries are for users that are not in `allowUsers`"),
        );
    }
}
