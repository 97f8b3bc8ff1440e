//! Routes that carry their own proof (webhooks) and so need no user.

use super::nets::TrustedNets;
use super::request::{Request, Upgrade};

/// The path of a public route, free of everything that two servers could
/// resolve in two ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoutePath {
    /// This path alone.
    Exact(PlainPath),
    /// Every path below; ends in `/`, and so at a segment's boundary.
    Below(PlainPath),
}

/// A path that begins with `/` and holds no `%`, `\`, `//`, `;`, dot segment,
/// query or fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainPath(Box<str>);

/// A route that passes without a user.
#[derive(Debug, Clone)]
pub struct PublicRoute {
    path: RoutePath,
    methods: Box<[Box<str>]>,
    websocket: bool,
    sources: Option<TrustedNets>,
}

/// Why a public route can't be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No leading slash.
    #[error("got a path that does not begin with `/`, expected one that does")]
    NotAbsolute,
    /// Something that a request's path may not hold either.
    #[error("got a path with {0}, which no public route can have, expected a plain one")]
    NotPlain(&'static str),
    /// The prefix of everything.
    #[error("got `/`, which would make every path public, expected a narrower one")]
    Everything,
    /// No method.
    #[error("got no methods, expected at least one")]
    NoMethods,
    /// A text that is no method, or one that is never served.
    #[error("got no usable method at [{0}], expected one in upper case such as `POST`")]
    Method(usize),
    /// A WebSocket handshake is a GET.
    #[error("got `websocket = true` without the method `GET`, expected `GET` among the methods")]
    WebsocketNeedsGet,
    /// A list of sources with nothing in it.
    #[error("got an empty list of sources, expected at least one, or none of the key")]
    NoSources,
}

impl RoutePath {
    /// Reads a path: a prefix where it ends in `/`, else exact.
    ///
    /// # Errors
    /// What keeps it from being a path that can be matched safely.
    pub fn parse(text: &str) -> Result<Self, RouteError> {
        if !text.starts_with('/') {
            return Err(RouteError::NotAbsolute);
        }
        if text == "/" {
            return Err(RouteError::Everything);
        }
        if let Some(what) = oddity(text) {
            return Err(RouteError::NotPlain(what));
        }
        let path = PlainPath(text.into());
        Ok(if text.ends_with('/') {
            Self::Below(path)
        } else {
            Self::Exact(path)
        })
    }

    /// The path as configured.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Exact(path) | Self::Below(path) => &path.0,
        }
    }

    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(own) => *own.0 == *path,
            Self::Below(own) => path.starts_with(&*own.0),
        }
    }
}

impl PublicRoute {
    /// A route for these methods; WebSocket handshakes only where `websocket`.
    /// Without `sources` the trusted proxies are its sources.
    ///
    /// # Errors
    /// Methods or sources that would make it a route that can't be meant.
    pub fn new<S: AsRef<str>>(
        path: RoutePath,
        methods: impl IntoIterator<Item = S>,
        websocket: bool,
        sources: Option<TrustedNets>,
    ) -> Result<Self, RouteError> {
        let methods: Box<[Box<str>]> = methods
            .into_iter()
            .map(|method| method.as_ref().into())
            .collect();
        if methods.is_empty() {
            return Err(RouteError::NoMethods);
        }
        if let Some(index) = methods.iter().position(|method| !is_usable_method(method)) {
            return Err(RouteError::Method(index));
        }
        if websocket && !methods.iter().any(|method| **method == *"GET") {
            return Err(RouteError::WebsocketNeedsGet);
        }
        if sources.as_ref().is_some_and(TrustedNets::is_empty) {
            return Err(RouteError::NoSources);
        }
        Ok(Self {
            path,
            methods,
            websocket,
            sources,
        })
    }

    /// Where it leads.
    pub fn path(&self) -> &RoutePath {
        &self.path
    }

    /// The methods it takes: at least one.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.methods.iter().map(AsRef::as_ref)
    }

    /// Whether it takes WebSocket handshakes.
    pub fn takes_websocket(&self) -> bool {
        self.websocket
    }

    /// Who may use it; absent: the trusted proxies.
    pub fn sources(&self) -> Option<&TrustedNets> {
        self.sources.as_ref()
    }

    /// Whether method, upgrade and path fit; the path must be known to be plain.
    fn fits(&self, request: &Request<'_>, plain_path: &str) -> bool {
        self.path.matches(plain_path)
            && (self.websocket || request.upgrade == Upgrade::None)
            && self
                .methods
                .iter()
                .any(|method| **method == *request.method)
    }
}

/// The routes that fit a request. A path that servers could resolve in several
/// ways fits none.
pub(super) fn fitting<'r>(
    routes: &'r [PublicRoute],
    request: &'r Request<'r>,
) -> impl Iterator<Item = &'r PublicRoute> {
    let path = request.path();
    let routes = if routes.is_empty() || oddity(path).is_some() {
        &[]
    } else {
        routes
    };
    routes.iter().filter(move |route| route.fits(request, path))
}

/// What in a path could be resolved in several ways (GHSA-7rh7, CVE-2026-66490).
fn oddity(path: &str) -> Option<&'static str> {
    let odd = path.bytes().find_map(|byte| match byte {
        b'%' => Some("`%`"),
        b'\\' => Some("`\\`"),
        b';' => Some("`;`"),
        b'?' => Some("`?`"),
        b'#' => Some("`#`"),
        b'!'..=b'~' => None,
        _ => Some("a character outside printable ASCII"),
    });
    odd.or_else(|| path.contains("//").then_some("`//`"))
        .or_else(|| {
            path.split('/')
                .any(|segment| matches!(segment, "." | ".."))
                .then_some("a dot segment")
        })
}

/// CONNECT, TRACE and TRACK are answered 405 before any policy.
fn is_usable_method(method: &str) -> bool {
    !method.is_empty()
        && method
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'-' || byte == b'_')
        && !matches!(method, "CONNECT" | "TRACE" | "TRACK")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &str, methods: &[&str], websocket: bool) -> PublicRoute {
        PublicRoute::new(RoutePath::parse(path).unwrap(), methods, websocket, None).unwrap()
    }

    fn fits(route: &PublicRoute, method: &str, target: &str, upgrade: Upgrade) -> bool {
        let request = Request {
            method,
            target,
            upgrade,
            fields: &[],
        };
        fitting(std::slice::from_ref(route), &request)
            .next()
            .is_some()
    }

    #[test]
    fn matches_a_prefix_at_a_segment_boundary_and_no_trick() {
        let hooks = route("/hooks/", &["POST"], false);
        for (target, expected) in [
            ("/hooks/", true),
            ("/hooks/x", true),
            ("/hooks/x/y?z=%2e//..;", true),
            ("/hooks/..x", true),
            ("/hooks", false),
            ("/hooksx", false),
            ("/HOOKS/x", false),
            ("/hooks/%2e%2e/x", false),
            ("/hooks/../x", false),
            ("/hooks/..", false),
            ("/hooks/./x", false),
            ("/hooks//x", false),
            ("//hooks/x", false),
            ("/hooks;x", false),
            ("/hooks/;x", false),
            ("/hooks/\\x", false),
            ("/hooks/x#y", false),
            ("/hooks/\u{e9}", false),
            ("/a/../hooks/x", false),
            ("http://h/hooks/x", false),
            ("?/hooks/x", false),
            ("", false),
        ] {
            assert_eq!(
                fits(&hooks, "POST", target, Upgrade::None),
                expected,
                "{target}"
            );
        }
    }

    #[test]
    fn matches_an_exact_path_alone() {
        let events = route("/slack/events", &["POST", "GET"], false);
        assert!(fits(&events, "GET", "/slack/events?x", Upgrade::None));
        assert!(!fits(&events, "GET", "/slack/events/", Upgrade::None));
        assert!(!fits(&events, "GET", "/slack/events/x", Upgrade::None));
    }

    #[test]
    fn matches_its_methods_and_upgrades_alone() {
        let hooks = route("/hooks/", &["POST", "GET"], false);
        assert!(!fits(&hooks, "PUT", "/hooks/x", Upgrade::None));
        assert!(!fits(&hooks, "post", "/hooks/x", Upgrade::None));
        assert!(!fits(&hooks, "GET", "/hooks/x", Upgrade::Websocket));
        assert!(fits(
            &route("/hooks/", &["GET"], true),
            "GET",
            "/hooks/x",
            Upgrade::Websocket
        ));
    }

    #[test]
    fn refuses_routes_that_could_mean_more_than_they_say() {
        for (path, error) in [
            ("hooks/", RouteError::NotAbsolute),
            ("", RouteError::NotAbsolute),
            ("/", RouteError::Everything),
            ("/a%2e", RouteError::NotPlain("`%`")),
            ("//", RouteError::NotPlain("`//`")),
            ("/a/../b", RouteError::NotPlain("a dot segment")),
            ("/a;b", RouteError::NotPlain("`;`")),
            ("/a?b", RouteError::NotPlain("`?`")),
            (
                "/a b",
                RouteError::NotPlain("a character outside printable ASCII"),
            ),
        ] {
            assert_eq!(RoutePath::parse(path), Err(error), "{path}");
        }
        let make = |methods: &[&str], websocket, sources| {
            PublicRoute::new(RoutePath::parse("/a").unwrap(), methods, websocket, sources)
                .map(|_| ())
        };
        assert_eq!(make(&[], false, None), Err(RouteError::NoMethods));
        assert_eq!(
            make(&["GET", "post"], false, None),
            Err(RouteError::Method(1))
        );
        assert_eq!(make(&["CONNECT"], false, None), Err(RouteError::Method(0)));
        assert_eq!(
            make(&["POST"], true, None),
            Err(RouteError::WebsocketNeedsGet)
        );
        assert_eq!(
            make(&["POST"], false, Some(TrustedNets::default())),
            Err(RouteError::NoSources)
        );
    }
}
