//! A table of the config, opened in a way that can't forget a key: the caller
//! gets exactly the entries it names, and every other key is refused.

use toml::de::{DeTable, DeValue};

use super::entry::Entry;
use super::suggest;
use super::walk::{Place, Walk};

/// A table, present or not.
pub(super) struct Section<'a> {
    place: Place,
    content: Content<'a>,
}

/// What there is of something.
#[derive(Clone, Copy)]
pub(super) enum Content<'a, T = DeTable<'a>> {
    /// It is there.
    Found(&'a T),
    /// It isn't.
    Missing,
    /// Something else stands in its place or its parent's, and was refused
    /// already: nothing more is to be said about it.
    Refused,
}

impl<'a> Section<'a> {
    /// The whole document.
    pub(super) fn root(table: &'a DeTable<'a>) -> Self {
        Self::new(Place::root(), Content::Found(table))
    }

    pub(super) fn new(place: Place, content: Content<'a>) -> Self {
        Self { place, content }
    }

    /// Where the table stands.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether the config has this table.
    pub(super) fn is_present(&self) -> bool {
        matches!(self.content, Content::Found(_))
    }

    /// The same table, its keys being no keys of the config's own.
    pub(super) fn unlisted(self) -> Self {
        Self::new(self.place.unlisted(), self.content)
    }

    /// One entry, looked at ahead of [`Section::fields`] to see which fields to expect.
    pub(super) fn peek(&self, name: &'static str) -> Entry<'a> {
        self.entry(name)
    }

    /// The entries of the keys `known`, to be destructured. A key of `foreign`
    /// (one that the gateway knows and that means nothing here) is passed over
    /// with a warning, any other refused.
    pub(super) fn fields<const N: usize>(
        &self,
        walk: &mut Walk<'_>,
        known: [&'static str; N],
        foreign: &[&str],
    ) -> [Entry<'a>; N] {
        if let Content::Found(table) = self.content {
            for key in table.keys() {
                let name: &str = key.get_ref();
                let at = key.span().start;
                if foreign.contains(&name) {
                    walk.warn(
                        &self.place.key(name, at),
                        "this key of the gateway means nothing here and is passed over",
                    );
                } else if !known.contains(&name) {
                    let message = match hint(name, &known) {
                        Some(meant) => format!("unknown key, did you mean `{meant}`?"),
                        None => format!("unknown key, expected {}", list(&known)),
                    };
                    walk.refuse(&self.place.stranger(name, at), message);
                }
            }
        }
        known.map(|name| {
            let entry = self.entry(name);
            walk.note(entry.place());
            entry
        })
    }

    /// The entries of a table whose keys are the user's own, in the order of
    /// their names, each with its name.
    pub(super) fn members(&self, walk: &Walk<'_>) -> Vec<(String, Entry<'a>)> {
        match self.content {
            Content::Found(table) => table
                .iter()
                .map(|(key, value)| {
                    let name = key.get_ref().to_string();
                    let place = self.place.member(&name, value.span().start);
                    (name, Entry::new(place, Content::Found(value.get_ref())))
                })
                .collect(),
            Content::Missing if walk.learns() => {
                let place = self.place.member("*", self.place.at);
                vec![("any".to_owned(), Entry::new(place, Content::Missing))]
            }
            Content::Missing | Content::Refused => Vec::new(),
        }
    }

    /// Where a key below this section stands, for a problem that shows only
    /// together with another section.
    pub(super) fn locate(&self, path: &[&'static str]) -> Place {
        let Some((name, rest)) = path.split_first() else {
            return self.place.clone();
        };
        let entry = self.entry(name);
        match entry.value() {
            Some(DeValue::Table(table)) if !rest.is_empty() => {
                Self::new(entry.place().clone(), Content::Found(table)).locate(rest)
            }
            _ => entry.place().clone(),
        }
    }

    fn entry(&self, name: &'static str) -> Entry<'a> {
        let absent = |content| Entry::new(self.place.key(name, self.place.at), content);
        match self.content {
            Content::Found(table) => match table.get(name) {
                Some(value) => {
                    let value: &'a toml::Spanned<DeValue<'a>> = value;
                    let place = self.place.key(name, value.span().start);
                    Entry::new(place, Content::Found(value.get_ref()))
                }
                None => absent(Content::Missing),
            },
            Content::Missing => absent(Content::Missing),
            Content::Refused => absent(Content::Refused),
        }
    }
}

/// What an unknown key was meant to be: a sibling, or a key of another section.
fn hint(name: &str, siblings: &[&'static str]) -> Option<String> {
    if let Some(near) = suggest::nearest(name, siblings) {
        return Some(near.to_owned());
    }
    let mut homes = super::known_keys()
        .iter()
        .filter(|path| path.rsplit('.').next() == Some(name));
    match (homes.next(), homes.next()) {
        (Some(only), None) => Some(only.clone()),
        _ => None,
    }
}

/// `a`, `b` or `c`.
pub(super) fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "nothing".to_owned(),
    }
}
