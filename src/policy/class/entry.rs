//! The names that mean something under one policy.

use super::super::names::{CONNECTION_FIELDS, FieldName, PROBE_HEADER, SCOPES_FIELD, SET_FIELDS};
use super::{Class, FOREIGN_NAMES, Names, head};

/// A name that means something to us.
pub(in crate::policy) struct Entry {
    pub(in crate::policy) name: FieldName,
    pub(in crate::policy) class: Class,
    /// Its place among the required headers.
    pub(in crate::policy) required: Option<u8>,
    /// Set by us or what a decision rests on: an alias of it is an attack.
    pub(in crate::policy) owned: bool,
    /// The assertion comes in it.
    pub(in crate::policy) is_assertion: bool,
    pub(super) head: u64,
}

/// Entries while they are collected. The first one of a name stands: no configuration
/// turns `connection` into something that passes.
pub(super) struct Entries(Vec<Entry>);

impl Entries {
    /// Every name that means something where `names` are configured.
    pub(super) fn of(names: &Names<'_>) -> Box<[Entry]> {
        let mut entries = Self(Vec::new());
        entries.add_those_of_every_policy();
        entries.add_configured(names);
        for name in FOREIGN_NAMES {
            entries.add(&fixed(name), Class::Drop);
        }
        entries.0.into()
    }

    fn add_those_of_every_policy(&mut self) {
        for name in CONNECTION_FIELDS {
            let class = match name {
                "connection" => Class::Connection,
                _ => Class::Drop,
            };
            self.add(&fixed(name), class);
        }
        self.add(&fixed("host"), Class::Host);
        self.add(&fixed("cookie"), Class::Cookie);
        // The nonce in it is for us alone.
        self.add(&fixed(PROBE_HEADER), Class::Drop);
        for name in SET_FIELDS {
            let class = match name {
                "x-forwarded-for" => Class::ForwardedFor,
                "x-forwarded-proto" => Class::ForwardedProto,
                "x-forwarded-host" => Class::ForwardedHost,
                _ => Class::Drop,
            };
            self.own(&fixed(name), class);
        }
        self.own(&fixed(SCOPES_FIELD), Class::Scopes);
    }

    fn add_configured(&mut self, names: &Names<'_>) {
        self.own(names.user, Class::User);
        if let Some(credential) = names.credential {
            self.own(credential, Class::Credential);
        }
        for (place, name) in names.required.iter().enumerate() {
            self.own(name, Class::Named).required = u8::try_from(place).ok();
        }
        for name in names.pass {
            self.add(name, Class::Named);
        }
        // Used up here, unless it was named above. On a public route `authorization` is
        // the route's own proof.
        if let Some(name) = names.assertion {
            let class = match name.as_str() {
                "authorization" => Class::Credential,
                _ => Class::Drop,
            };
            self.own(name, class).is_assertion = true;
        }
    }

    /// The entry of a name; a new one of this class where it has none yet.
    fn add(&mut self, name: &FieldName, class: Class) -> &mut Entry {
        let Self(entries) = self;
        let known = entries.iter().position(|entry| entry.name == *name);
        let place = known.unwrap_or(entries.len());
        if known.is_none() {
            entries.push(Entry {
                name: name.clone(),
                class,
                required: None,
                owned: false,
                is_assertion: false,
                head: head(name.as_str().as_bytes()),
            });
        }
        &mut entries[place]
    }

    /// The same of a name that nobody may stand in for.
    fn own(&mut self, name: &FieldName, class: Class) -> &mut Entry {
        let entry = self.add(name, class);
        entry.owned = true;
        entry
    }
}

fn fixed(name: &str) -> FieldName {
    FieldName::parse(name).expect("the names in this room are valid")
}
