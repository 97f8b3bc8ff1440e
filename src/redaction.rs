//! A header field as it may be shown to an operator: its name, how long its value is, and
//! the value itself where it can be no secret.

use crate::policy::{Field, trim};
use serde::{Deserialize, Serialize};

const MAX_NAME_BYTES: usize = 64;
/// More than the longest user, so that one that is too long stays so.
const MAX_VALUE_BYTES: usize = 384;

/// A field as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenField {
    /// Its name, as it was spelt.
    pub name: String,
    /// Whether there was a value.
    pub state: State,
    /// How long the value was.
    pub bytes: usize,
    /// The value, where it is no secret.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<String>,
}

/// Whether a field has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has.
    Present,
    /// White space at most.
    Blank,
}

impl SeenField {
    /// `field` as it may be shown; with its value where `is_open` says so.
    pub fn new(field: &Field<'_>, is_open: bool) -> Self {
        let value = trim(field.value);
        let state = match value.is_empty() {
            true => State::Blank,
            false => State::Present,
        };
        let shown = &value[..value.len().min(MAX_VALUE_BYTES)];
        Self {
            name: cut(field.name, MAX_NAME_BYTES).to_owned(),
            state,
            bytes: value.len(),
            value: is_open.then(|| String::from_utf8_lossy(shown).into_owned()),
        }
    }
}

/// The start of `text`, at most `bytes` long, whole characters alone.
#[must_use]
pub fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Whether a field's name is kept whole.
#[must_use]
pub fn is_kept_whole(field: &Field<'_>) -> bool {
    field.name.len() <= MAX_NAME_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_value_only_where_it_is_open_and_cuts_what_is_long() {
        let value = "é".repeat(1000);
        let name = "x".repeat(100);
        let field = Field {
            name: &name,
            value: value.as_bytes(),
        };
        let closed = SeenField::new(&field, false);
        assert_eq!((closed.value, closed.bytes), (None, 2000));
        let open = SeenField::new(&field, true);
        assert_eq!(open.name.len(), MAX_NAME_BYTES);
        assert_eq!(open.value.unwrap().len(), MAX_VALUE_BYTES);
        assert!(!is_kept_whole(&field));
    }

    #[test]
    fn white_space_alone_is_blank() {
        let state = |value| SeenField::new(&Field { name: "a", value }, true).state;
        assert_eq!(state(b" \t"), State::Blank);
        assert_eq!(state(b" a"), State::Present);
    }
}
