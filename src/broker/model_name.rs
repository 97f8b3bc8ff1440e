//! The `model` of a request's body, and the profile that it may end in.
//!
//! The body is looked through, not parsed: it may be megabytes, and what is sent must
//! be what came, but for the pin.

use crate::credentials::ProfileId;
use bytes::{Bytes, BytesMut};
use std::ops::Range;

/// The model that a body names: `Opus`, or `Opus@anthropic:work` with a profile.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NamedModel {
    /// The profile that the name ends in.
    pub(super) profile: Option<ProfileId>,
    /// Where the model's JSON string stands, quotes included.
    place: Range<usize>,
    /// The model's name alone.
    name: String,
}

/// Why a body's model can't be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TwoModels;

/// The longest name that is logged, in bytes.
const MAX_LOGGED: usize = 128;

impl NamedModel {
    /// Looks for a `model` at the top of a JSON object. Anything else has none.
    ///
    /// # Errors
    /// [`TwoModels`]: readers differ in which one counts.
    pub(super) fn find(body: &[u8]) -> Result<Option<Self>, TwoModels> {
        let mut models = Members { rest: body, at: 0 }.start().into_iter().flatten();
        let Some(place) = models.next() else {
            return Ok(None);
        };
        if models.next().is_some() {
            return Err(TwoModels);
        }
        let Ok(whole) = serde_json::from_slice::<String>(&body[place.clone()]) else {
            return Ok(None);
        };
        let (name, profile) = match split(&whole) {
            Some((name, profile)) => (name.to_owned(), Some(profile)),
            None => (whole, None),
        };
        Ok(Some(Self {
            profile,
            place,
            name,
        }))
    }

    /// The body with the model's name alone.
    pub(super) fn without_pin(&self, body: &[u8]) -> Bytes {
        let name = serde_json::Value::from(self.name.as_str()).to_string();
        let mut written = BytesMut::with_capacity(body.len());
        written.extend_from_slice(&body[..self.place.start]);
        written.extend_from_slice(name.as_bytes());
        written.extend_from_slice(&body[self.place.end..]);
        written.freeze()
    }

    /// The model's name for the log; none where it is nothing to be logged.
    pub(super) fn loggable(self) -> Option<String> {
        let is_plain = |name: &String| {
            name.len() <= MAX_LOGGED && name.bytes().all(|byte| byte.is_ascii_graphic())
        };
        Some(self.name).filter(is_plain)
    }
}

/// A name and the profile that it ends in. Both may hold an `@`; a profile's provider
/// does not, so that there is one reading.
fn split(name: &str) -> Option<(&str, ProfileId)> {
    let mut parts = name.match_indices('@').filter(|(at, _)| *at > 0);
    parts.find_map(|(at, _)| {
        let profile = ProfileId::parse(&name[at + 1..]).ok()?;
        Some((&name[..at], profile))
    })
}

/// The places of every top-level `model` that is a string.
struct Members<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Members<'a> {
    /// The members, where the body is an object.
    fn start(mut self) -> Option<Self> {
        self.skip_space();
        (self.rest.get(self.at) == Some(&b'{')).then(|| {
            self.at += 1;
            self
        })
    }

    fn peek(&self) -> Option<u8> {
        self.rest.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Past a string that begins here.
    fn string(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        loop {
            let found = memchr::memchr2(b'"', b'\\', self.rest.get(self.at..)?)?;
            self.at += found + 1;
            match self.rest[self.at - 1] {
                b'"' => return Some(start..self.at),
                _ => self.at += 1,
            }
        }
    }

    /// Past a value that begins here; its place.
    fn value(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    if depth == 0 {
                        return Some(start..self.at);
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' | b',' if depth == 0 => return Some(start..self.at),
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        return Some(start..self.at);
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Past a member; the place of its value where it is a model's name.
    fn member(&mut self) -> Option<Option<Range<usize>>> {
        self.skip_space();
        if self.peek() == Some(b',') {
            self.at += 1;
            self.skip_space();
        }
        let name = self.string()?;
        self.skip_space();
        if self.peek()? != b':' {
            return None;
        }
        self.at += 1;
        self.skip_space();
        let value = self.value()?;
        let written = &self.rest[name];
        let is_model = written == b"\"model\""
            || (written.contains(&b'\\')
                && serde_json::from_slice::<String>(written).is_ok_and(|name| name == "model"));
        let is_string = self.rest[value.start] == b'"';
        Some((is_model && is_string).then_some(value))
    }
}

impl Iterator for Members<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        loop {
            if let Some(model) = self.member()? {
                return Some(model);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn pin(body: &str) -> Option<(String, String)> {
        let found = NamedModel::find(body.as_bytes()).unwrap()?;
        let sent = found.without_pin(body.as_bytes());
        Some((
            found.profile?.to_string(),
            String::from_utf8(sent.to_vec()).unwrap(),
        ))
    }

    #[test]
    fn takes_the_pin_off_and_leaves_the_rest_as_it_is() {
        for (body, profile, sent) in [
            (
                r#"{"model":"opus@anthropic:work"}"#,
                "anthropic:work",
                r#"{"model":"opus"}"#,
            ),
            (
                "\n{ \"a\" : [1, {\"model\": \"x@a:b\"}],\t\"model\" : \"gpt\\u0040openai:me\" , \"b\":1.0e5}",
                "openai:me",
                "\n{ \"a\" : [1, {\"model\": \"x@a:b\"}],\t\"model\" : \"gpt\" , \"b\":1.0e5}",
            ),
            (
                r#"{"s":"\"},{\"model\":\"x@a:b\"","mod\u0065l":"a@b@c:d"}"#,
                "c:d",
                r#"{"s":"\"},{\"model\":\"x@a:b\"","mod\u0065l":"a@b"}"#,
            ),
            (
                r#"{"model":"gpt-5@openai-codex:me@example.com"}"#,
                "openai-codex:me@example.com",
                r#"{"model":"gpt-5"}"#,
            ),
        ] {
            assert_eq!(pin(body), Some((profile.into(), sent.into())), "{body}");
        }
    }

    #[test]
    fn what_has_no_pin_is_left_alone() {
        for body in [
            "",
            "{}",
            "[]",
            "not json @a:b",
            r#"{"model":"claude-3@20240229"}"#,
            r#"{"model":"@cf/meta/llama:1"}"#,
            r#"{"model":"@a:b"}"#,
            r#"{"model":"opus@anthropic:"}"#,
            r#"{"model":5}"#,
            r#"{"model":["opus@a:b"]}"#,
            r#"{"x":{"model":"opus@a:b"}}"#,
            r#"["model","opus@a:b"]"#,
            r#"{"model":"opus@a:b"#,
            r#"{"model"}"#,
        ] {
            assert_eq!(pin(body), None, "{body}");
        }
    }

    #[test]
    fn a_plain_name_is_told_and_nothing_else() {
        let long = format!(r#"{{"model":"{}"}}"#, "x".repeat(129));
        for (body, name) in [
            (r#"{"max_tokens":5,"model":"opus"}"#, Some("opus")),
            (r#"{"model":"two words"}"#, None),
            (r#"{"model":"a\nb"}"#, None),
            (&long, None),
            (r#"{"messages":[]}"#, None),
            ("", None),
        ] {
            let found = NamedModel::find(body.as_bytes()).unwrap();
            let logged = found.and_then(NamedModel::loggable);
            assert_eq!(logged.as_deref(), name, "{body}");
        }
    }

    #[test]
    fn two_models_are_one_too_many() {
        let body = br#"{"model":"a","x":1,"model":"b@c:d"}"#;
        assert_eq!(NamedModel::find(body), Err(TwoModels));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("(model|[a-z\"\\\\]{0,4})", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_a_parser(before in value(), after in value(), model in "[^@]{0,12}", pretty in any::<bool>()) {
            let mut body = json!({"a": before, "z": after});
            body["model"] = json!(format!("{model}@anthropic:work"));
            let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();
            let found = NamedModel::find(text.as_bytes()).unwrap();
            if model.is_empty() {
                prop_assert!(found.unwrap().profile.is_none());
            } else {
                let sent = found.unwrap().without_pin(text.as_bytes());
                body["model"] = json!(model);
                prop_assert_eq!(serde_json::from_slice::<Value>(&sent).unwrap(), body);
            }
        }

        #[test]
        fn nothing_that_a_client_sends_panics(body in proptest::collection::vec(prop_oneof![
            Just(b'"'), Just(b'\\'), Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b','), Just(b':'), any::<u8>()
        ], 0..64)) {
            let _ = NamedModel::find(&body);
        }
    }
}
