//! An object of `openclaw.json`, taken apart key by key: whatever nobody took is
//! left out by name.

use serde_json::{Map, Value};

use super::super::walk::Place;
use super::LeftOut;

/// An object, and where it stands.
pub(super) struct Object {
    place: Place,
    members: Map<String, Value>,
}

/// What was left out so far.
#[derive(Default)]
pub(super) struct LeftOuts(Vec<LeftOut>);

/// An element of an array of strings; `None` where it can't be read, which is on
/// record then.
pub(super) type Item = (Place, Option<String>);

/// The key by which the gateway draws other files in.
const INCLUDE: &str = "$include";

const NOT_OURS: &str = "the gateway's own";
const INCLUDED: &str = "the files it names were not read: put their content in its place, and \
                        import again";
const DRAWN_IN: &str = "part of it stands in a file that $include names, which was not read: put \
                        that in its place, and import again";
const EXPECTED_TEXT: &str = "got something else than a string";
const EXPECTED_TEXTS: &str = "got something else than an array of strings";
const EXPECTED_OBJECT: &str = "got something else than an object";
const EXPECTED_BOOLEAN: &str = "got something else than `true` or `false`";
const EXPECTED_COUNT: &str = "got something else than a whole number above 0";
const CONTROL: &str = "holds a control character";
const TEMPLATE: &str = "holds a `${…}`, which only the gateway replaces: write out what it stands \
                        for";
const ODD_NAME: &str = "its name holds more than letters, digits and `_-.`: write it anew";

impl LeftOuts {
    /// Records that the value at `place` doesn't come along.
    pub(super) fn add(&mut self, place: &Place, reason: &'static str) {
        self.0.push(LeftOut {
            key: place.shown().to_owned(),
            reason,
        });
    }

    /// All of it, by path.
    pub(super) fn sorted(mut self) -> Vec<LeftOut> {
        self.0.sort_by(|a, b| a.key.cmp(&b.key));
        self.0
    }
}

impl Object {
    /// The whole document.
    pub(super) fn root(members: Map<String, Value>) -> Self {
        Self {
            place: Place::root(),
            members,
        }
    }

    /// Where a key of it stands.
    pub(super) fn at(&self, key: &str) -> Place {
        self.place.key(key, 0)
    }

    /// Whether it has a key that nobody took yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.members.contains_key(key)
    }

    /// Whether nobody took `false` yet from under a key.
    pub(super) fn is_false(&self, key: &str) -> bool {
        self.members.get(key) == Some(&Value::Bool(false))
    }

    /// Whether nobody took this string yet from under a key.
    pub(super) fn is_text(&self, key: &str, text: &str) -> bool {
        self.members.get(key).and_then(Value::as_str) == Some(text)
    }

    /// Whether other files are drawn in here, which may hold any key.
    pub(super) fn includes(&self) -> bool {
        self.has(INCLUDE)
    }

    /// Takes a value out.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.members.remove(key)
    }

    /// Takes an object out, empty where there is none.
    pub(super) fn object(&mut self, key: &str, out: &mut LeftOuts) -> Self {
        let place = self.at(key);
        let members = match self.take(key) {
            Some(Value::Object(members)) => members,
            Some(_) => {
                out.add(&place, EXPECTED_OBJECT);
                Map::new()
            }
            None => Map::new(),
        };
        Self { place, members }
    }

    /// The members of an object whose keys are the user's own: those that are
    /// objects, with their names. Odd names could be anything, secrets included,
    /// so they stay.
    pub(super) fn named_objects(&mut self, out: &mut LeftOuts) -> Vec<(String, Self)> {
        let mut objects = Vec::new();
        for (name, place, value) in self.named(out) {
            match value {
                // Another file may hold the rule that confines it.
                Value::Object(members) if members.contains_key(INCLUDE) => {
                    out.add(&place, DRAWN_IN)
                }
                Value::Object(members) => objects.push((name, Self { place, members })),
                _ => out.add(&place, EXPECTED_OBJECT),
            }
        }
        objects
    }

    /// Likewise for members of any kind.
    pub(super) fn named(&mut self, out: &mut LeftOuts) -> Vec<(String, Place, Value)> {
        let mut named = Vec::new();
        for (name, value) in std::mem::take(&mut self.members) {
            let place = self.place.member(&name, 0);
            if name == INCLUDE {
                out.add(&place, INCLUDED);
            } else if is_plain_name(&name) {
                named.push((name, place, value));
            } else {
                out.add(&place, ODD_NAME);
            }
        }
        named
    }

    /// Takes a string out.
    pub(super) fn text(&mut self, key: &str, out: &mut LeftOuts) -> Option<String> {
        let value = self.take(key)?;
        usable(value)
            .map_err(|reason| out.add(&self.at(key), reason))
            .ok()
    }

    /// Takes `true` or `false` out.
    pub(super) fn flag(&mut self, key: &str, out: &mut LeftOuts) -> Option<bool> {
        let flag = self.take(key)?.as_bool();
        if flag.is_none() {
            out.add(&self.at(key), EXPECTED_BOOLEAN);
        }
        flag
    }

    /// Takes a whole number above 0 out.
    pub(super) fn count(&mut self, key: &str, out: &mut LeftOuts) -> Option<i64> {
        let count = self.take(key)?.as_i64().filter(|count| *count > 0);
        if count.is_none() {
            out.add(&self.at(key), EXPECTED_COUNT);
        }
        count
    }

    /// Takes an array of strings out. One element that can't be read stands for
    /// all that isn't an array.
    pub(super) fn texts(&mut self, key: &str, out: &mut LeftOuts) -> Option<Vec<Item>> {
        let value = self.take(key)?;
        Some(items(&self.at(key), value, out))
    }

    /// Names the object as a whole.
    pub(super) fn leave(self, reason: &'static str, out: &mut LeftOuts) {
        out.add(&self.place, reason);
    }

    /// The text under `source`, which decides about the keys beside it.
    pub(super) fn source(&self) -> Option<String> {
        self.members.get("source")?.as_str().map(str::to_owned)
    }

    /// Names what is still there, each key with its reason of `reasons`.
    pub(super) fn leave_rest(self, reasons: &[(&str, &'static str)], out: &mut LeftOuts) {
        for name in self.members.keys() {
            let named = reasons.iter().find(|(key, _)| key == name);
            match named {
                Some((_, reason)) => out.add(&self.at(name), reason),
                None if name == INCLUDE => out.add(&self.at(name), INCLUDED),
                None => out.add(&self.place.stranger(name, 0), NOT_OURS),
            }
        }
    }
}

/// The elements of an array of strings.
pub(super) fn items(place: &Place, value: Value, out: &mut LeftOuts) -> Vec<Item> {
    let Value::Array(values) = value else {
        out.add(place, EXPECTED_TEXTS);
        return vec![(place.clone(), None)];
    };
    let read = |(index, value)| {
        let place = place.element(index, 0);
        let text = usable(value).map_err(|reason| out.add(&place, reason)).ok();
        (place, text)
    };
    values.into_iter().enumerate().map(read).collect()
}

/// A string that means the same in TOML as it did at the gateway.
fn usable(value: Value) -> Result<String, &'static str> {
    match value {
        Value::String(text) if text.chars().any(char::is_control) => Err(CONTROL),
        Value::String(text) if has_template(&text) => Err(TEMPLATE),
        Value::String(text) => Ok(text),
        _ => Err(EXPECTED_TEXT),
    }
}

/// `${NAME}` anywhere, as the gateway replaces it in every string.
fn has_template(text: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_uppercase() || first == '_')
            && name
                .bytes()
                .all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'))
    };
    text.split("${")
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .any(|(name, _)| is_name(name))
}

fn is_plain_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_the_gateway_would_replace() {
        for (text, found) in [
            ("${NAME}", true),
            ("https://${HOST_2}/v1", true),
            ("a${b}${C}", true),
            ("${}", false),
            ("${lower}", false),
            ("${2A}", false),
            ("$NAME", false),
            ("${NAME", false),
        ] {
            assert_eq!(has_template(text), found, "{text}");
        }
    }
}
