//! Which provider and which profile a request means, by its path, and what of the path
//! goes to the provider.

/// A path, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Route<'a> {
    /// The provider's name.
    pub(super) provider: &'a str,
    /// The profile that the path pins, its escapes read.
    pub(super) pin: Option<String>,
    /// What goes behind the base URL's path: empty, or from a slash on.
    pub(super) rest: &'a str,
}

/// Why a path leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RouteError {
    /// It names no provider.
    NoProvider,
    /// It could be read as another path by whoever gets it.
    Ambiguous,
}

impl<'a> Route<'a> {
    /// Reads `/PROVIDER/REST` or `/PROVIDER@PROFILE/REST`. A rest that could climb out
    /// of the base URL's path, or be taken for another host, is refused.
    pub(super) fn parse(path: &'a str) -> Result<Self, RouteError> {
        let inner = path.strip_prefix('/').ok_or(RouteError::NoProvider)?;
        let (first, rest) = inner.split_at(inner.find('/').unwrap_or(inner.len()));
        let (provider, pin) = match split_at_sign(first) {
            Some((provider, pin)) => (provider, Some(decoded(pin))),
            None => (first, None),
        };
        if provider.is_empty() {
            return Err(RouteError::NoProvider);
        }
        if is_ambiguous(rest) {
            return Err(RouteError::Ambiguous);
        }
        Ok(Self {
            provider,
            pin,
            rest,
        })
    }
}

/// Parts at the first `@`, which some clients escape.
fn split_at_sign(segment: &str) -> Option<(&str, &str)> {
    let signs = ["@", "%40"].map(|sign| segment.split_once(sign));
    let found = signs.into_iter().flatten();
    found.min_by_key(|(before, _)| before.len())
}

/// A pin with the two characters read that clients escape in it.
fn decoded(pin: &str) -> String {
    let pin = pin.replace("%40", "@");
    pin.replace("%3A", ":").replace("%3a", ":")
}

/// Whether a path holds a dot segment, in any spelling, a backslash, or begins with two
/// slashes.
fn is_ambiguous(rest: &str) -> bool {
    let climbs = |segment: &str| {
        let folded = segment.to_ascii_lowercase().replace("%2e", ".");
        let name = folded.split([';', '%']).next().unwrap_or_default();
        matches!(name, "." | "..") && (folded == name || folded.contains([';', '%']))
    };
    let folded = rest.to_ascii_lowercase();
    let slashes = folded.replace("%2f", "/").replace("%5c", "\\");
    rest.starts_with("//")
        || slashes.contains('\\')
        || slashes.split('/').any(climbs)
        || rest.split('/').any(climbs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_provider_pin_and_rest() {
        for (path, provider, pin, rest) in [
            ("/anthropic/v1/messages", "anthropic", None, "/v1/messages"),
            ("/anthropic", "anthropic", None, ""),
            ("/anthropic/", "anthropic", None, "/"),
            (
                "/anthropic@anthropic:work/v1/messages",
                "anthropic",
                Some("anthropic:work"),
                "/v1/messages",
            ),
            ("/anthropic@work", "anthropic", Some("work"), ""),
            (
                "/openai%40openai%3Ame%40example.com/v1",
                "openai",
                Some("openai:me@example.com"),
                "/v1",
            ),
            ("/anthropic@/v1", "anthropic", Some(""), "/v1"),
            ("/google/models/a@b:c", "google", None, "/models/a@b:c"),
            (
                "/openai/files/a%20b/..c/d..",
                "openai",
                None,
                "/files/a%20b/..c/d..",
            ),
            ("/openai/a//b", "openai", None, "/a//b"),
        ] {
            let pin = pin.map(str::to_owned);
            let route = Route {
                provider,
                pin,
                rest,
            };
            assert_eq!(Route::parse(path), Ok(route), "{path}");
        }
    }

    #[test]
    fn refuses_what_could_lead_elsewhere() {
        for path in ["", "/", "//", "//anthropic/v1", "anthropic/v1", "/@work/v1"] {
            assert_eq!(Route::parse(path), Err(RouteError::NoProvider), "{path}");
        }
        for rest in [
            "/..",
            "/../openai/v1",
            "/v1/../../x",
            "/v1/./x",
            "/%2e%2e/x",
            "/%2E./x",
            "/.%2e/x",
            "/..%2fx",
            "/a%2f..%2fx",
            "/..;/x",
            "/..;a=b/x",
            "/..%00/x",
            "/..\\x",
            "/a\\..\\x",
            "/a%5c..%5cx",
            "//evil.example/x",
        ] {
            let path = format!("/anthropic{rest}");
            assert_eq!(Route::parse(&path), Err(RouteError::Ambiguous), "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_is_passed_on_never_climbs(path in "/anthropic(/|%2[eEfF]|%5[cC]|\\.|;|[a-z]|%25|\\\\){0,12}") {
            if let Ok(route) = Route::parse(&path) {
                let base = url::Url::parse("https://gateway.example/tenant/").unwrap();
                let whole = format!("https://gateway.example/tenant{}", route.rest);
                let read = base.join(&whole).unwrap();
                prop_assert_eq!(read.host_str(), Some("gateway.example"));
                prop_assert!(read.path().starts_with("/tenant"), "{} {}", path, read);
            }
        }
    }
}
