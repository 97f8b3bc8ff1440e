//! A header field as a person writes it down: `name: value`.

/// Why a text is no such line. None of them repeats a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldLineError {
    /// No colon.
    #[error("got a header without a colon, expected `name: value`")]
    NoColon,
    /// No token before the colon.
    #[error("got what is no header name before the colon, expected `name: value`")]
    NoName,
    /// A character that would end the line, or is none of a value's.
    #[error("`{0}`: the value holds a control character")]
    Control(String),
}

/// The name as it is written, and the value without the white space around it.
///
/// # Errors
/// [`FieldLineError`].
pub fn split_field_line(text: &str) -> Result<(&str, &str), FieldLineError> {
    let (name, value) = text.split_once(':').ok_or(FieldLineError::NoColon)?;
    if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(FieldLineError::NoName);
    }
    let value = value.trim_matches([' ', '\t']);
    if http::HeaderValue::from_bytes(value.as_bytes()).is_err() {
        return Err(FieldLineError::Control(name.to_owned()));
    }
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_first_colon_and_takes_nothing_that_would_end_the_line() {
        for (text, split) in [
            ("Cookie:  a=b:c\t", Ok(("Cookie", "a=b:c"))),
            ("x-a:", Ok(("x-a", ""))),
            ("x-a: é", Ok(("x-a", "é"))),
            ("s3cret", Err(FieldLineError::NoColon)),
            (": s3cret", Err(FieldLineError::NoName)),
            ("a b: s3cret", Err(FieldLineError::NoName)),
            ("a : s3cret", Err(FieldLineError::NoName)),
            ("a\n: s3cret", Err(FieldLineError::NoName)),
            (
                "a: s3\r\ncret",
                Err(FieldLineError::Control("a".to_owned())),
            ),
            (
                "a: s3cret\r\n",
                Err(FieldLineError::Control("a".to_owned())),
            ),
            ("a: \0s3cret", Err(FieldLineError::Control("a".to_owned()))),
        ] {
            assert_eq!(split_field_line(text), split, "{text:?}");
            if let Err(error) = split {
                assert!(!error.to_string().contains("s3"), "{error}");
            }
        }
    }
}
