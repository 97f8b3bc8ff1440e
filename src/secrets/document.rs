//! JSON that may hold secrets: every string of it is wiped when it goes.
//!
//! A string with escapes passes through the parser's own scratch space, which
//! isn't wiped; one without is copied straight from the input.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

/// A JSON value.
pub(super) enum Document {
    /// `null`, `true` or `false`.
    Word,
    /// A number.
    Number(f64),
    /// A string.
    Text(Zeroizing<String>),
    /// An array.
    Array(Vec<Document>),
    /// An object; of a name that comes twice the last one counts, as in JavaScript.
    Object(BTreeMap<String, Document>),
}

impl Document {
    /// Reads a whole JSON text; `None` where it is none. The parser's own words
    /// are left out: they could quote the text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Word => "`true`, `false` or `null`",
            Self::Number(_) => "a number",
            Self::Text(text) if super::trim(text).is_empty() => "a blank string",
            Self::Text(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    pub(super) fn as_object(&self) -> Option<&BTreeMap<String, Document>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What a JSON pointer (RFC 6901) that begins with `/` points at.
    pub(super) fn at(&self, pointer: &str) -> Option<&Document> {
        let segments = pointer.strip_prefix('/')?.split('/');
        segments.into_iter().try_fold(self, |value, segment| {
            let name = segment.replace("~1", "/").replace("~0", "~");
            match value {
                Self::Object(members) => members.get(&name),
                Self::Array(items) => items.get(index(&name)?),
                Self::Word | Self::Number(_) | Self::Text(_) => None,
            }
        })
    }
}

/// RFC 6901 section 4: digits without a leading zero.
fn index(name: &str) -> Option<usize> {
    let is_digits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let has_leading_zero = name.len() > 1 && name.starts_with('0');
    (is_digits && !has_leading_zero)
        .then(|| name.parse().ok())
        .flatten()
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Document;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Document, E> {
        Ok(Document::Word)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Document, E> {
        Ok(Document::Word)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Document, E> {
        Ok(Document::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Document, E> {
        Ok(Document::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Document, E> {
        Ok(Document::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Document, E> {
        Ok(Document::Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Document, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Document::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Document, A::Error> {
        let mut object = BTreeMap::new();
        while let Some((name, value)) = members.next_entry()? {
            object.insert(name, value);
        }
        Ok(Document::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_follow_rfc_6901() {
        let text = r#"{"a":{"b":["x","y"],"":"empty","c/d":"slash","e~f":"tilde","~1":"odd"},
            "n":5,"0":"zero","twice":"first","twice":"last"}"#;
        let document = Document::parse(text).unwrap();
        for (pointer, found) in [
            ("/a/b/0", Some("x")),
            ("/a/b/1", Some("y")),
            ("/a/b/01", None),
            ("/a/b/2", None),
            ("/a/b/-", None),
            ("/a/b/+1", None),
            ("/a/", Some("empty")),
            ("/a/c~1d", Some("slash")),
            ("/a/e~0f", Some("tilde")),
            ("/a/~01", Some("odd")),
            ("/0", Some("zero")),
            ("/twice", Some("last")),
            ("/n", None),
            ("/n/0", None),
            ("/a", None),
            ("/missing", None),
            ("", None),
            ("a", None),
        ] {
            let text = document.at(pointer).and_then(Document::as_text);
            assert_eq!(text, found, "{pointer}");
        }
    }

    #[test]
    fn says_what_a_value_is() {
        for (text, kind) in [
            ("null", "`true`, `false` or `null`"),
            ("1e3", "a number"),
            ("\" \"", "a blank string"),
            ("\"a\"", "a string"),
            ("[]", "an array"),
            ("{}", "an object"),
        ] {
            assert_eq!(Document::parse(text).unwrap().kind(), kind);
        }
        for text in ["", "{", "{} x", "{'a':1}"] {
            assert!(Document::parse(text).is_none(), "{text}");
        }
    }
}
