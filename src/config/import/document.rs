//! JSON5 into values, with a limit to its depth and errors that don't quote it.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::super::walk::Lines;
use super::ImportError;

/// The parser recurses: without a limit, brackets alone would exhaust the stack.
const MAX_DEPTH: usize = 100;
const TOO_DEEP: &str = "nested deeper than 100 levels";

/// Reads the text as one object.
pub(super) fn read(text: &str) -> Result<Map<String, Value>, ImportError> {
    match read_any(text)? {
        Value::Object(members) => Ok(members),
        other => Err(ImportError::NotObject { got: kind(&other) }),
    }
}

/// Reads the text as one value.
pub(super) fn read_any(text: &str) -> Result<Value, ImportError> {
    match json5::from_str(text) {
        Ok(Document(value)) => Ok(value),
        Err(error) => Err(syntax(text, &error)),
    }
}

/// What a value is, without saying what it holds.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Only messages that are known beforehand: any other may repeat the text.
fn syntax(text: &str, error: &json5::Error) -> ImportError {
    let message = match error.code() {
        Some(code) => code.to_string(),
        None if error.to_string().starts_with(TOO_DEEP) => TOO_DEEP.to_owned(),
        None => "malformed number or escape sequence".to_owned(),
    };
    // At the text's end the parser points to where the innermost object began.
    let position = error.position().filter(|_| !message.starts_with("EOF"));
    let (line, column) = match position {
        Some(position) => (position.line + 1, position.column + 1),
        None => Lines::new(text).position(text.len()),
    };
    ImportError::Syntax {
        line,
        column,
        message,
    }
}

struct Document(Value);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Node { depth: 0 }.deserialize(deserializer).map(Self)
    }
}

/// A value at its depth.
#[derive(Clone, Copy)]
struct Node {
    depth: usize,
}

impl Node {
    fn child<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(TOO_DEEP));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Node {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON5 value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let child = self.child()?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(child)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let child = self.child()?;
        let mut members = Map::new();
        // Of a key that comes twice the last counts, as at the gateway.
        while let Some(key) = entries.next_key::<String>()? {
            members.insert(key, entries.next_value_seed(child)?);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_gateway_reads() {
        let text = "\u{feff}// head\n{unquoted: 'single', \"quoted\": [1, 0x10, +2, .5, NaN,], /* in */ \
                    $include: \"a\\\n\u{e9}\\u00e9\", twice: 1, twice: 2,}";
        let members = read(text).unwrap();
        let expected = serde_json::json!({
            "unquoted": "single", "quoted": [1, 16, 2, 0.5, null], "$include": "a\u{e9}\u{e9}", "twice": 2
        });
        assert_eq!(Value::Object(members), expected);
    }

    #[test]
    fn locates_mistakes_and_never_quotes() {
        for (text, place, words) in [
            ("", (1, 1), "EOF"),
            ("{\n  a: hunter2\n}", (2, 6), "expected value"),
            ("{a: 1\n b: 'hunter2'}", (2, 2), "expected comma"),
            ("{a: 'hunter2\n'}", (1, 13), "line terminator"),
            ("{a: 'hunter2'\n", (2, 1), "EOF"),
            ("{} hunter2", (1, 4), "trailing"),
            ("{a: '\\ud800\\u0020hunter2'}", (1, 6), "malformed"),
            ("{a: 1e}", (1, 5), "malformed"),
            ("{'é': x}", (1, 7), "expected value"),
        ] {
            let Err(ImportError::Syntax {
                line,
                column,
                message,
            }) = read(text)
            else {
                panic!("{text}");
            };
            assert_eq!((line, column), place, "{text}");
            assert!(message.contains(words), "{text}: {message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn says_what_is_no_object() {
        for (text, got) in [
            ("null", "null"),
            ("true", "a boolean"),
            ("1", "a number"),
            ("'hunter2'", "a string"),
            ("[{}]", "an array"),
        ] {
            assert_eq!(read(text), Err(ImportError::NotObject { got }));
        }
    }

    #[test]
    fn brackets_alone_do_not_exhaust_the_stack() {
        let deep = |depth| format!("{{a: {}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&deep(MAX_DEPTH - 1)).is_ok());
        for text in [deep(MAX_DEPTH), deep(1_000_000), "{a:".repeat(1_000_000)] {
            let error = read(&text).unwrap_err();
            assert!(error.to_string().contains(TOO_DEEP), "{error}");
        }
    }
}
