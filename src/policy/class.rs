//! What each header field is to us, told from its name in a few nanoseconds.
//!
//! Most names are ordinary: a bit for each pair of first letter and length
//! settles those. The others are compared by their first eight bytes, folded
//! (`_` and `.` read as `-`), before anything longer is looked at.

mod entry;

pub(super) use entry::Entry;

use super::names::{FieldName, fold, same_folded};
use entry::Entries;

/// What a header field is to the proxy. Decided once, used by policy and rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// End to end, none of our business.
    Pass,
    /// Never passed on: framing, a field of the connection, an identity header
    /// of some proxy that nobody named, or a stand-in for one we set.
    Drop,
    /// Named in `requiredHeaders` or `passHeaders`: passes with a verified user.
    Named,
    /// `host`.
    Host,
    /// `connection`.
    Connection,
    /// `cookie`.
    Cookie,
    /// `x-forwarded-for`.
    ForwardedFor,
    /// `x-forwarded-proto`.
    ForwardedProto,
    /// `x-forwarded-host`.
    ForwardedHost,
    /// The `userHeader`.
    User,
    /// `x-openclaw-scopes`.
    Scopes,
    /// The header in which the upstream's credential goes.
    Credential,
}

/// Identity headers of known proxies and whatever else could speak for the
/// client's identity, address or target, by what their names start with.
pub(crate) const FOREIGN_FAMILIES: [&str; 17] = [
    "x-forwarded-",
    "x-auth-request-",
    "x-pomerium-",
    "cf-access-",
    "x-goog-authenticated-",
    "x-goog-iap-",
    "x-amzn-oidc-",
    "x-ms-client-principal",
    "x-ms-token-",
    "tailscale-",
    "remote-",
    "x-remote-",
    "x-webauth-",
    "x-authentik-",
    "x-vouch-",
    "x-tls-client-",
    "x-ssl-",
];

/// Whatever else could speak for them, whole names.
pub(crate) const FOREIGN_NAMES: [&str; 4] = [
    "forwarded",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
];

/// Whether a header is taken out of every request unless the config names it: it
/// belongs to some proxy's ways to say who or where a client is.
#[must_use]
pub fn is_foreign(name: &str) -> bool {
    let begins_with = |family: &&str| {
        let start = name.as_bytes().get(..family.len());
        start.is_some_and(|start| same_folded(start, family.as_bytes()))
    };
    FOREIGN_FAMILIES.iter().any(begins_with)
        || FOREIGN_NAMES
            .iter()
            .any(|known| same_folded(name.as_bytes(), known.as_bytes()))
}

/// Tells the class of a field name under one policy.
pub(super) struct Classifier {
    /// By folded first byte: a bit for each length that any entry may have.
    lengths: Box<[u64; 128]>,
    entries: Box<[Entry]>,
    families: Box<[Family]>,
}

struct Family {
    prefix: &'static str,
    head: u64,
    mask: u64,
}

/// What a name turned out to be.
pub(super) enum Found<'c> {
    /// Nothing to us.
    Ordinary,
    /// A name that we know, to the letter but for case.
    Known(&'c Entry),
    /// A stand-in for a name of ours.
    Alias(&'c Entry),
    /// A name to take out.
    Foreign,
}

/// The names that differ from policy to policy.
pub(super) struct Names<'n> {
    pub(super) user: &'n FieldName,
    pub(super) credential: Option<&'n FieldName>,
    pub(super) assertion: Option<&'n FieldName>,
    pub(super) required: &'n [FieldName],
    pub(super) pass: &'n [FieldName],
}

impl Classifier {
    pub(super) fn new(names: &Names<'_>) -> Self {
        let entries = Entries::of(names);
        let families: Box<[Family]> = FOREIGN_FAMILIES.into_iter().map(Family::new).collect();
        let mut lengths = Box::new([0; 128]);
        for entry in &*entries {
            lengths[slot(entry.name.as_str())] |= length_bit(entry.name.as_str().len());
        }
        for family in &families {
            lengths[slot(family.prefix)] |= !(length_bit(family.prefix.len()) - 1);
        }
        Self {
            lengths,
            entries,
            families,
        }
    }

    /// Every name that means something to us, but for those known by a prefix.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    #[inline]
    pub(super) fn find(&self, name: &str) -> Found<'_> {
        if self.lengths[slot(name)] & length_bit(name.len()) == 0 {
            return Found::Ordinary;
        }
        self.find_among_ours(name.as_bytes())
    }

    fn find_among_ours(&self, name: &[u8]) -> Found<'_> {
        let head = head(name);
        let mut alias = None;
        for entry in &self.entries {
            if entry.head == head && same_folded(entry.name.as_str().as_bytes(), name) {
                if entry.name.as_str().as_bytes().eq_ignore_ascii_case(name) {
                    return Found::Known(entry);
                }
                // Of two entries with the same folding, the owned one is what
                // an alias would stand in for.
                alias = alias.filter(|known: &&Entry| known.owned).or(Some(entry));
            }
        }
        match alias {
            Some(entry) if entry.owned => Found::Alias(entry),
            Some(_) => Found::Foreign,
            None if self.families.iter().any(|family| family.holds(head, name)) => Found::Foreign,
            None => Found::Ordinary,
        }
    }
}

impl Family {
    fn new(prefix: &'static str) -> Self {
        let mask = if prefix.len() < 8 {
            (1 << (8 * prefix.len())) - 1
        } else {
            u64::MAX
        };
        Self {
            prefix,
            head: head(prefix.as_bytes()) & mask,
            mask,
        }
    }

    fn holds(&self, head: u64, name: &[u8]) -> bool {
        head & self.mask == self.head
            && name
                .get(..self.prefix.len())
                .is_some_and(|start| same_folded(start, self.prefix.as_bytes()))
    }
}

/// The row of a name's folded first byte. Names are ASCII; were one not, it
/// would share a row and be compared in full.
fn slot(name: &str) -> usize {
    usize::from(fold(name.bytes().next().unwrap_or_default()) & 0x7f)
}

fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

/// The first eight bytes, folded, in one word.
fn head(name: &[u8]) -> u64 {
    let mut head = [0; 8];
    for (folded, &byte) in head.iter_mut().zip(name) {
        *folded = fold(byte);
    }
    u64::from_le_bytes(head)
}

#[cfg(test)]
mod tests;
