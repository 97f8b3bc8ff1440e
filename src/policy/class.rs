//! What each header field is to us, told from its name in a few nanoseconds.
//!
//! Most names are ordinary: a bit for each pair of first letter and length
//! settles those. The others are compared by their first eight bytes, folded
//! (`_` and `.` read as `-`), before anything longer is looked at.

use super::names::{
    CONNECTION_FIELDS, FieldName, PROBE_HEADER, SCOPES_FIELD, SET_FIELDS, fold, same_folded,
};

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

/// A name that means something to us.
pub(super) struct Entry {
    pub(super) name: FieldName,
    pub(super) class: Class,
    /// Its place among the required headers.
    pub(super) required: Option<u8>,
    /// Set by us or what a decision rests on: an alias of it is an attack.
    pub(super) owned: bool,
    /// The assertion comes in it.
    pub(super) is_assertion: bool,
    head: u64,
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
        let mut entries = Vec::new();
        for name in CONNECTION_FIELDS {
            let class = if name == "connection" {
                Class::Connection
            } else {
                Class::Drop
            };
            entries.push(Entry::new(&fixed(name), class, false));
        }
        entries.push(Entry::new(&fixed("host"), Class::Host, false));
        entries.push(Entry::new(&fixed("cookie"), Class::Cookie, false));
        // Whatever is configured: the nonce in it is for us alone.
        entries.push(Entry::new(&fixed(PROBE_HEADER), Class::Drop, false));
        for name in SET_FIELDS {
            let class = match name {
                "x-forwarded-for" => Class::ForwardedFor,
                "x-forwarded-proto" => Class::ForwardedProto,
                "x-forwarded-host" => Class::ForwardedHost,
                _ => Class::Drop,
            };
            entries.push(Entry::new(&fixed(name), class, true));
        }
        entries.push(Entry::new(&fixed(SCOPES_FIELD), Class::Scopes, true));
        // The first entry of a name stands: no configuration turns `connection`
        // into something that passes.
        let mut add = |name: &FieldName, class, owned| match entries
            .iter()
            .position(|entry| entry.name == *name)
        {
            Some(known) => {
                entries[known].owned |= owned;
                known
            }
            None => {
                entries.push(Entry::new(name, class, owned));
                entries.len() - 1
            }
        };
        add(names.user, Class::User, true);
        if let Some(credential) = names.credential {
            add(credential, Class::Credential, true);
        }
        let required: Vec<usize> = names
            .required
            .iter()
            .map(|name| add(name, Class::Named, true))
            .collect();
        for name in names.pass {
            add(name, Class::Named, false);
        }
        // Used up here, unless it was named above. On a public route `authorization` is
        // the route's own proof.
        let assertion = names.assertion.map(|name| match name.as_str() {
            "authorization" => add(name, Class::Credential, true),
            _ => add(name, Class::Drop, true),
        });
        for name in FOREIGN_NAMES {
            add(&fixed(name), Class::Drop, false);
        }
        if let Some(assertion) = assertion {
            entries[assertion].is_assertion = true;
        }
        for (place, entry) in required.into_iter().enumerate() {
            entries[entry].required = u8::try_from(place).ok();
        }

        let families: Box<[Family]> = FOREIGN_FAMILIES.into_iter().map(Family::new).collect();
        let mut lengths = Box::new([0; 128]);
        for entry in &entries {
            lengths[slot(entry.name.as_str())] |= length_bit(entry.name.as_str().len());
        }
        for family in &families {
            lengths[slot(family.prefix)] |= !(length_bit(family.prefix.len()) - 1);
        }
        Self {
            lengths,
            entries: entries.into(),
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

impl Entry {
    fn new(name: &FieldName, class: Class, owned: bool) -> Self {
        Self {
            name: name.clone(),
            class,
            required: None,
            owned,
            is_assertion: false,
            head: head(name.as_str().as_bytes()),
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

fn fixed(name: &str) -> FieldName {
    FieldName::parse(name).expect("the names in this room are valid")
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
