//! `dropCookies`: the names of cookies that the gateway must not see.

use super::entry::Entry;
use super::shape::Shape;
use super::walk::Walk;

/// The session cookies of oauth2-proxy, Pomerium and Cloudflare Access: with
/// one of them the gateway could act as the user at the identity proxy.
const DEFAULT: [&str; 3] = ["_oauth2_proxy*", "_pomerium*", "CF_Authorization"];

const EXPECTED: &str = "an array of cookies' names, `*` standing for anything";
const NAME: &str = "a cookie's name, `*` standing for anything";

pub(super) fn read(entry: &Entry<'_>, walk: &mut Walk<'_>) -> Vec<String> {
    let Some(items) = entry.items(walk, EXPECTED) else {
        return DEFAULT.map(str::to_owned).to_vec();
    };
    items
        .iter()
        .filter_map(|item| {
            item.parse(walk, Shape::Hidden, NAME, |text| {
                if is_pattern(text) {
                    Ok(text.to_owned())
                } else {
                    Err(String::new())
                }
            })
        })
        .collect()
}

/// A cookie's name is a token (RFC 6265 §4.1.1), in which `*` may stand anyway.
fn is_pattern(text: &str) -> bool {
    let special = b"!#$%&'*+-.^_`|~";
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || special.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_token() {
        for (text, good) in [
            ("_oauth2_proxy*", true),
            ("*", true),
            ("__Host-session", true),
            ("", false),
            ("a b", false),
            ("a=b", false),
            ("a;b", false),
            ("é", false),
        ] {
            assert_eq!(is_pattern(text), good, "{text}");
        }
    }
}
