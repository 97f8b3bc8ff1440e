//! A profile's name.

use std::fmt;

/// `provider:name`: up to 128 visible ASCII characters, none of which means something
/// in a path, a query or a header's list. The name may hold an `@`, as OpenClaw's of a
/// login by e-mail does; the provider may not, so that `model@provider:name` has one
/// reading.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileId(String);

/// Why a text is no [`ProfileId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a profile's name is `provider:name`, at most {max} visible ASCII characters without any of {FORBIDDEN}, and without @ in the provider",
    max = ProfileId::MAX_BYTES
)]
pub struct ProfileIdError;

const FORBIDDEN: &str = "/ ? # % \\ \" ' , ; `";

impl ProfileId {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 128;

    /// Reads a name.
    ///
    /// # Errors
    /// [`ProfileIdError`].
    pub fn parse(text: &str) -> Result<Self, ProfileIdError> {
        let is_plain = |c: char| c.is_ascii_graphic() && !FORBIDDEN.contains(c);
        let has_parts = text.split_once(':').is_some_and(|(provider, name)| {
            !provider.is_empty() && !provider.contains('@') && !name.is_empty()
        });
        if has_parts && text.len() <= Self::MAX_BYTES && text.chars().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ProfileIdError)
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProfileId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_has_a_provider_and_nothing_that_means_something_elsewhere() {
        let longest = format!("a:{}", "b".repeat(126));
        let too_long = format!("a:{}", "b".repeat(127));
        for (text, good) in [
            ("anthropic:default", true),
            ("openai-codex:work.2_b+c", true),
            ("a:b:c", true),
            (&longest, true),
            (&too_long, false),
            ("", false),
            ("anthropic", false),
            (":default", false),
            ("anthropic:", false),
            ("a:b c", false),
            ("a:b\n", false),
            ("a:é", false),
            ("a:b/c", false),
            ("a:b?c", false),
            ("a:b#c", false),
            ("a:b%20", false),
            ("a:b\\c", false),
            ("a:\"b\"", false),
            ("a:'b'", false),
            ("a:b,c", false),
            ("a:b;c", false),
            ("openai-codex:me@example.com", true),
            ("a@b:c", false),
            ("a:`b`", false),
        ] {
            assert_eq!(ProfileId::parse(text).is_ok(), good, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_safe_in_a_path_and_a_header(text in "\\PC{0,140}|[a-z]+:[!-~]{1,8}") {
            if let Ok(id) = ProfileId::parse(&text) {
                prop_assert_eq!(id.as_str(), &text);
                prop_assert!(http::HeaderValue::from_str(&text).is_ok());
                let path = format!("http://h/{text}/x");
                let url = url::Url::parse(&path).unwrap();
                prop_assert!(url.query().is_none() && url.fragment().is_none());
                prop_assert_eq!(url.path_segments().unwrap().count(), 2);
            }
        }
    }
}
