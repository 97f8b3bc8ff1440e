//! What of a refused value may be repeated in a message.
//!
//! A password put under the wrong key must not end up in a terminal or a log,
//! so a value is quoted only where its characters say that it is what its key
//! is for; anything else is described by its type and length.

use toml::de::DeValue;

use super::suggest;

/// What a key's values look like, which decides whether one is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Never quoted.
    Hidden,
    /// Addresses and CIDRs: hexadecimal digits, `.`, `:`, `/`, brackets.
    Address,
    /// Durations and sizes: a number and a unit.
    Quantity,
    /// Plain integers.
    Number,
    /// One of these words: quoted when it is nearly one of them.
    Word(&'static [&'static str]),
}

/// Words that people write for another word, safe to repeat.
const FAMILIAR: [&str; 18] = [
    "none",
    "token",
    "password",
    "trusted_proxy",
    "trustedproxy",
    "warning",
    "verbose",
    "fatal",
    "off",
    "plain",
    "pretty",
    "logfmt",
    "true",
    "false",
    "1.0",
    "1.1",
    "tls1.2",
    "tls1.3",
];

impl Shape {
    /// How a message calls `value`.
    pub(super) fn describe(self, value: &DeValue<'_>) -> String {
        match value {
            DeValue::String(text) if self.quotes(text) => format!("`{text}`"),
            DeValue::String(text) => match text.chars().count() {
                0 => "an empty string".to_owned(),
                1 => "a string of 1 character".to_owned(),
                count => format!("a string of {count} characters"),
            },
            DeValue::Integer(number)
                if self == Self::Number && number.as_str().len() <= 12 && number.radix() == 10 =>
            {
                format!("`{number}`")
            }
            DeValue::Integer(_) => "an integer".to_owned(),
            DeValue::Float(_) => "a decimal number".to_owned(),
            DeValue::Boolean(value) => format!("`{value}`"),
            DeValue::Datetime(_) => "a date".to_owned(),
            DeValue::Array(items) if items.is_empty() => "an empty array".to_owned(),
            DeValue::Array(_) => "an array".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        }
    }

    /// Whether `text` is plainly what the key is for, and may be repeated.
    pub(super) fn quotes(self, text: &str) -> bool {
        match self {
            Self::Hidden | Self::Number => false,
            Self::Address => {
                // A separator is asked for: a bare run of hexadecimal digits is
                // what tokens look like.
                (2..=64).contains(&text.len())
                    && text.contains(['.', ':'])
                    && text
                        .bytes()
                        .all(|byte| byte.is_ascii_hexdigit() || b".:/[]".contains(&byte))
            }
            Self::Quantity => {
                let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
                text.starts_with(|c: char| c.is_ascii_digit())
                    && text.len() <= 12
                    && unit.len() <= 5
                    && unit
                        .trim_start_matches(' ')
                        .bytes()
                        .all(|byte| byte.is_ascii_alphabetic())
            }
            Self::Word(accepted) => {
                let folded = text.to_ascii_lowercase();
                FAMILIAR.contains(&folded.as_str()) || suggest::nearest(text, accepted).is_some()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_its_key_is_for_and_nothing_else() {
        const LEVELS: Shape = Shape::Word(&["error", "info"]);
        for (shape, text, quoted) in [
            (Shape::Address, "10.0.0.0/33", true),
            (Shape::Address, "[::1]:99999", true),
            (Shape::Address, "fe80::1/200", true),
            (Shape::Address, "deadbeefdeadbeef", false),
            (Shape::Address, "hunter2", false),
            (Shape::Address, "", false),
            (Shape::Quantity, "30sec", true),
            (Shape::Quantity, "1.5 s", true),
            (Shape::Quantity, "30", true),
            (Shape::Quantity, "7a9Bx2", false),
            (Shape::Quantity, "7hunter", false),
            (Shape::Quantity, "hunter2", false),
            (LEVELS, "inof", true),
            (LEVELS, "INFO", true),
            (LEVELS, "warning", true),
            (LEVELS, "hunter", false),
            (Shape::Hidden, "info", false),
            (Shape::Number, "7", false),
        ] {
            assert_eq!(shape.quotes(text), quoted, "{shape:?} {text}");
        }
    }
}
