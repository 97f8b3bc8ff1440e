//! A variable that is set somewhere: its name, never its value.

/// That a variable is set. What it is set to is forgotten while it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The variable.
    pub name: String,
    /// The line where it is set, from 1.
    pub line: usize,
    /// Whether nothing but white space is assigned.
    pub is_blank: bool,
}

impl Assignment {
    /// Reads `NAME=value`; `None` where that is no assignment.
    pub(super) fn read(text: &str, line: usize) -> Option<Self> {
        let (name, value) = text.split_once('=')?;
        is_name(name).then(|| Self {
            name: name.to_owned(),
            line,
            is_blank: value.trim().is_empty(),
        })
    }
}

/// Whether a variable can have this name.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The name, where it is written like one. A line of a key that lost its quotes
/// (`MIIEvQ…KEY=`) reads as an assignment, too, and its "name" is secret.
pub(super) fn shown(name: &str) -> Option<&str> {
    let is_all = |fits: fn(&u8) -> bool| {
        name.bytes()
            .all(|byte| fits(&byte) || byte.is_ascii_digit() || byte == b'_')
    };
    let has_one_case = is_all(u8::is_ascii_uppercase) || is_all(u8::is_ascii_lowercase);
    (is_name(name) && name.len() <= 64 && has_one_case).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_written_like_a_name_is_shown() {
        for (name, is_shown) in [
            ("API_KEY_2", true),
            ("api_key", true),
            ("MIIEvQIBADANBgkqKEY", false),
            ("2TOKEN", false),
            ("A-TOKEN", false),
            (&"K".repeat(65), false),
            ("", false),
        ] {
            assert_eq!(shown(name).is_some(), is_shown, "{name}");
        }
    }

    #[test]
    fn an_assignment_keeps_its_name_and_whether_it_has_a_value() {
        for (text, expected) in [
            ("A=b", Some(("A", false))),
            ("A=b=c", Some(("A", false))),
            ("A=", Some(("A", true))),
            ("A= \t", Some(("A", true))),
            ("_a1=x", Some(("_a1", false))),
            ("A", None),
            ("=b", None),
            ("1A=b", None),
            ("A B=c", None),
        ] {
            let read = Assignment::read(text, 7);
            let read = read.as_ref();
            assert_eq!(
                read.map(|read| (read.name.as_str(), read.is_blank)),
                expected,
                "{text}"
            );
        }
    }
}
