//! JSON that holds secrets: its strings are wiped when it goes.

use serde_json::{Map, Value};
use zeroize::Zeroize;

/// A JSON object of others that is kept no longer than it is worked on. What stands
/// in it unknown to us is kept as it is, which a typed document couldn't.
#[derive(PartialEq)]
pub(super) struct Wiped(Map<String, Value>);

impl Wiped {
    pub(super) fn new(object: Map<String, Value>) -> Self {
        Self(object)
    }

    /// Reads an object; `None` where it is none. The parser's words are left out.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        match serde_json::from_slice(text) {
            Ok(Value::Object(object)) => Some(Self(object)),
            Ok(mut other) => {
                wipe(&mut other);
                None
            }
            Err(_) => None,
        }
    }

    pub(super) fn get(&self) -> &Map<String, Value> {
        &self.0
    }

    pub(super) fn get_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

/// Wipes every string of a value.
pub(super) fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
