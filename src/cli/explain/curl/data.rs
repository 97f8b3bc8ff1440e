//! What `-G` puts into the query of each `-d` and its like.

/// The content of a `-d`; none where it is a file's, which is not read here.
pub(super) fn plain(value: String) -> Option<String> {
    (!value.starts_with('@')).then_some(value)
}

/// The content of a `--data-urlencode`, of which curl leaves a name as it stands; none where
/// it is a file's. The first `=` parts them, else the first `@`.
pub(super) fn encoded(value: &str) -> Option<String> {
    match value.split_once('=') {
        Some(("", content)) => Some(encode(content)),
        Some((name, content)) => Some(format!("{name}={}", encode(content))),
        None if value.contains('@') => None,
        None => Some(encode(value)),
    }
}

/// As curl writes it: all but RFC 3986's unreserved, and `+` for a space.
fn encode(content: &str) -> String {
    use std::fmt::Write as _;
    content.bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b' ' => text.push('+'),
            b'-' | b'.' | b'_' | b'~' => text.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => text.push(byte.into()),
            _ => write!(text, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As curl 7.88.1 sent them, whose digits are small in a query.
    #[test]
    fn encodes_what_curl_encodes() {
        for (value, sent) in [
            ("x=a b&c", Some("x=a+b%26c")),
            ("=a b&c=d", Some("a+b%26c%3Dd")),
            ("a b&c", Some("a+b%26c")),
            ("n=a+/~._-*!", Some("n=a%2B%2F~._-%2A%21")),
            ("a=é%25", Some("a=%C3%A9%2525")),
            ("", Some("")),
            ("=", Some("")),
            ("x=", Some("x=")),
            ("a=b@file", Some("a=b%40file")),
            ("a@file=b", Some("a@file=b")),
            ("@file", None),
            ("name@file", None),
        ] {
            assert_eq!(encoded(value).as_deref(), sent, "{value}");
        }
    }
}
