//! Cookies of the sign-on in front, which the gateway must not see.

use crate::policy::trim;

/// Names of cookies to take out, with `*` for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookiePatterns(Box<[Box<str>]>);

/// Which pattern can't be one, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("got no cookie name, expected letters, digits and the like, with `*` for any text")]
pub struct CookieError {
    /// The pattern's place in the list, from 0.
    pub index: usize,
}

impl CookiePatterns {
    /// Reads patterns; none at all keeps every cookie.
    ///
    /// # Errors
    /// Every pattern with a character that no cookie name has (RFC 6265 §4.1.1).
    pub fn parse<S: AsRef<str>>(
        patterns: impl IntoIterator<Item = S>,
    ) -> Result<Self, Vec<CookieError>> {
        let (mut good, mut errors) = (Vec::new(), Vec::new());
        for (index, pattern) in patterns.into_iter().enumerate() {
            let pattern = pattern.as_ref();
            if pattern.is_empty() || !pattern.bytes().all(is_name_byte) {
                errors.push(CookieError { index });
            } else {
                good.push(pattern.into());
            }
        }
        if errors.is_empty() {
            Ok(Self(good.into()))
        } else {
            Err(errors)
        }
    }

    fn drop(&self, name: &[u8]) -> bool {
        self.0
            .iter()
            .any(|pattern| matches(pattern.as_bytes(), name))
    }

    /// Appends one `cookie` line made of all the values, without the cookies to
    /// take out; nothing where none is left. Cookies that stay do so byte for byte.
    pub(super) fn write_line<'a>(&self, values: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
        let mut separator: &[u8] = b"cookie: ";
        let start = out.len();
        let pairs = values
            .flat_map(|value| value.split(|&byte| byte == b';'))
            .map(trim);
        for pair in pairs.filter(|pair| !pair.is_empty()) {
            let name = pair.split(|&byte| byte == b'=').next().unwrap_or(pair);
            if self.drop(trim(name)) {
                continue;
            }
            out.extend_from_slice(separator);
            out.extend_from_slice(pair);
            separator = b"; ";
        }
        if out.len() > start {
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl Default for CookiePatterns {
    /// The cookies of oauth2-proxy, Pomerium and Cloudflare Access.
    fn default() -> Self {
        Self(
            ["_oauth2_proxy*", "_pomerium*", "CF_Authorization"]
                .map(Box::from)
                .into(),
        )
    }
}

/// A token's byte (RFC 9110 §5.6.2); `*` is one of them.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether the pattern fits the whole name. Goes back to the last `*` alone, so
/// that no pattern takes more than pattern times name.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut last_star = None;
    while read < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                last_star = Some((at, read));
                at += 1;
            }
            Some(byte) if *byte == name[read] => {
                at += 1;
                read += 1;
            }
            _ => match last_star {
                Some((star, from)) => {
                    at = star + 1;
                    read = from + 1;
                    last_star = Some((star, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn left(values: &[&str]) -> String {
        let mut out = Vec::new();
        CookiePatterns::default().write_line(values.iter().map(|value| value.as_bytes()), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cuts_out_the_cookies_of_the_sign_on_alone() {
        for (values, expected) in [
            (
                &["a=1; b=\"2\"; c==x="][..],
                "cookie: a=1; b=\"2\"; c==x=\r\n",
            ),
            (&["_oauth2_proxy=x; a=1"], "cookie: a=1\r\n"),
            (
                &["a=1; _oauth2_proxy_0=x; _oauth2_proxy_1=y;b=2"],
                "cookie: a=1; b=2\r\n",
            ),
            (&["_oauth2_proxy=x"], ""),
            (&["a=1", "_pomerium_csrf=x", "b=2"], "cookie: a=1; b=2\r\n"),
            (
                &[" CF_Authorization =x;CF_AppSession=y"],
                "cookie: CF_AppSession=y\r\n",
            ),
            (&["cf_authorization=x"], "cookie: cf_authorization=x\r\n"),
            (&["_oauth2_proxy"], ""),
            (&["my_oauth2_proxy=x"], "cookie: my_oauth2_proxy=x\r\n"),
            (&["a=_oauth2_proxy=x"], "cookie: a=_oauth2_proxy=x\r\n"),
            (&[""], ""),
        ] {
            assert_eq!(left(values), expected, "{values:?}");
        }
    }

    #[test]
    fn matches_stars_anywhere() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "abc", true),
            ("a*", "a", true),
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("*b*", "abc", true),
            ("*ab", "aab", true),
            ("a**c", "ac", true),
            ("abc", "ab", false),
            ("ab", "abc", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn refuses_patterns_that_no_cookie_could_have() {
        let errors = CookiePatterns::parse(["a", "", "a=b", "a b", "é"]).unwrap_err();
        assert_eq!(
            errors.iter().map(|error| error.index).collect::<Vec<_>>(),
            [1, 2, 3, 4]
        );
        let none: [&str; 0] = [];
        assert!(CookiePatterns::parse(none).is_ok());
    }

    proptest! {
        #[test]
        fn keeps_others_byte_for_byte_and_never_a_dropped_one(
            pairs in prop::collection::vec("(_oauth2_proxy[a-z0-9_]{0,3}|_pom|[a-z]{1,4})=[a-zA-Z0-9=\"%]{0,6}", 0..8),
        ) {
            let expected: Vec<_> = pairs.iter().filter(|pair| !pair.starts_with("_oauth2_proxy")).cloned().collect();
            let line = left(&[&pairs.join("; ")]);
            let expected = if expected.is_empty() { String::new() } else { format!("cookie: {}\r\n", expected.join("; ")) };
            prop_assert_eq!(line, expected);
        }
    }
}
