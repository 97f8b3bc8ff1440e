//! Who may talk to a listener that is for programs, and mostly for those of this
//! host: no web page, and nobody under a rebound name.
//!
//! A page in the operator's browser can reach loopback. It can't forge `Origin`,
//! `Sec-Fetch-Site` or `Host`, so these three tell it from the operator's own
//! tools.

use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use http::{HeaderName, Request};

use crate::authority::Authority;

/// Why a caller is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerProblem {
    /// The request's target is a whole URL: a second name beside `Host`.
    AbsoluteTarget,
    /// No `Host`, or several.
    NotOneHost,
    /// Another host's name.
    HostNotAllowed,
    /// A web page made the request.
    WebPage,
}

impl CallerProblem {
    /// For scripts.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::AbsoluteTarget | Self::NotOneHost => "bad_request",
            Self::HostNotAllowed => "host_not_allowed",
            Self::WebPage => "cross_site_request",
        }
    }

    /// What was got and what was expected.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::AbsoluteTarget => "expected a path as the request's target, got an absolute one",
            Self::NotOneHost => "expected one Host header",
            Self::HostNotAllowed => {
                "this listener answers only to localhost, a loopback address, or its own address in the Host header"
            }
            Self::WebPage => {
                "requests made by web pages are refused: Origin or a cross-site Sec-Fetch-Site came with it"
            }
        }
    }
}

/// The `Host` names that the listener answers to: `localhost`, every loopback
/// address, the address it is bound to, and the one that the connection came in
/// on. With any of these, DNS rebinding gains nothing, for it needs a name of
/// the attacker's. The port is not compared: a port that is forwarded has
/// another number.
#[derive(Clone, Debug)]
pub struct AllowedHosts {
    bound: IpAddr,
    named: Vec<String>,
}

impl AllowedHosts {
    /// For a listener bound to `bound`.
    pub fn for_listener(bound: SocketAddr) -> Self {
        Self {
            bound: bound.ip().to_canonical(),
            named: Vec::new(),
        }
    }

    /// These names, too, in lower case and without port.
    #[must_use]
    pub fn and(mut self, named: &[String]) -> Self {
        self.named.extend_from_slice(named);
        self
    }

    /// Whether `host`, with or without port, names this listener; `local` is the
    /// address that the connection came in on.
    fn allows(&self, host: &str, local: IpAddr) -> bool {
        let Some(authority) = Authority::parse(host.as_bytes()) else {
            return false;
        };
        let name = authority.host();
        let is_named = self
            .named
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known));
        if is_named || name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        let address = match name.strip_prefix('[').and_then(|v6| v6.strip_suffix(']')) {
            Some(v6) => v6.parse().map(IpAddr::V6),
            None => name.parse().map(IpAddr::V4),
        };
        address.is_ok_and(|address| {
            let address = address.to_canonical();
            address.is_loopback()
                || (address == self.bound && !address.is_unspecified())
                || address == local.to_canonical()
        })
    }
}

/// Refuses what a web page sends (any `Origin`, and a `Sec-Fetch-Site` other than
/// `none`, typed by the user, and `same-origin`).
///
/// # Errors
/// [`CallerProblem::WebPage`].
pub fn refuse_web_pages(headers: &HeaderMap) -> Result<(), CallerProblem> {
    if headers.contains_key(ORIGIN) {
        return Err(CallerProblem::WebPage);
    }
    let innocent = headers
        .get_all("sec-fetch-site")
        .iter()
        .all(|site| matches!(site.as_bytes(), b"none" | b"same-origin"));
    if innocent {
        Ok(())
    } else {
        Err(CallerProblem::WebPage)
    }
}

/// Refuses a request for another host's name, and one without a single clear name.
/// `local` is the address that the connection came in on.
///
/// # Errors
/// [`CallerProblem`].
pub fn check_host<B>(
    request: &Request<B>,
    allowed: &AllowedHosts,
    local: IpAddr,
) -> Result<(), CallerProblem> {
    if request.uri().authority().is_some() {
        return Err(CallerProblem::AbsoluteTarget);
    }
    let host = only_value(request.headers(), &HOST).ok_or(CallerProblem::NotOneHost)?;
    match host.to_str() {
        Ok(host) if allowed.allows(host, local) => Ok(()),
        _ => Err(CallerProblem::HostNotAllowed),
    }
}

/// The value of a header that must come once.
#[must_use]
pub fn only_value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// The token of `Bearer TOKEN` (RFC 6750 section 2.1).
#[must_use]
pub fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let value = value.as_bytes();
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_to_loopback_and_own_addresses_alone() {
        let loopback = ("127.0.0.1:9180", "127.0.0.1");
        let loopback_v6 = ("[::1]:9180", "::1");
        let outside = ("10.0.0.5:9180", "10.0.0.5");
        let everywhere = ("0.0.0.0:9180", "10.0.0.5");
        let everywhere_v6 = ("[::]:9180", "::ffff:10.0.0.5");
        for ((bound, local), host, allowed) in [
            (loopback, "localhost", true),
            (loopback, "LocalHost:9180", true),
            (loopback, "localhost:1", true),
            (loopback, "127.0.0.1:9180", true),
            (loopback, "127.0.0.2", true),
            (loopback, "[::1]:9180", true),
            (loopback, "[::ffff:127.0.0.1]", true),
            (loopback_v6, "[::1]", true),
            (outside, "10.0.0.5:9180", true),
            (outside, "localhost", true),
            (everywhere, "10.0.0.5", true),
            (everywhere_v6, "10.0.0.5", true),
            (loopback, "10.0.0.5", false),
            (outside, "10.0.0.6", false),
            (everywhere, "0.0.0.0", false),
            (everywhere, "10.0.0.6", false),
            (loopback, "evil.example", false),
            (loopback, "localhost.evil.example", false),
            (loopback, "evil.example:9180", false),
            (loopback, "127.0.0.1.evil.example", false),
            (loopback, "localhost:", false),
            (loopback, "localhost:99999", false),
            (loopback, "localhost:+1", false),
            (loopback, "localhost:80:80", false),
            (loopback, "localhost@evil.example", false),
            (loopback, "evil.example#localhost", false),
            (loopback, "::1", false),
            (loopback, "[::1", false),
            (loopback, "[::1]x", false),
            (loopback, "[127.0.0.1]", false),
            (loopback, "127.1", false),
            (loopback, "2130706433", false),
            (loopback, "", false),
            (loopback, ":80", false),
            (loopback, "localhost ", false),
        ] {
            let hosts = AllowedHosts::for_listener(bound.parse().unwrap());
            assert_eq!(
                hosts.allows(host, local.parse().unwrap()),
                allowed,
                "{bound} asked as `{host}`"
            );
        }
    }

    #[test]
    fn answers_to_names_that_are_configured() {
        let hosts = AllowedHosts::for_listener("0.0.0.0:8790".parse().unwrap());
        let hosts = hosts.and(&["portcullis".to_owned()]);
        let local = "10.0.0.5".parse().unwrap();
        for (host, allowed) in [
            ("portcullis:8790", true),
            ("Portcullis", true),
            ("portcullis.evil.example", false),
        ] {
            assert_eq!(hosts.allows(host, local), allowed, "{host}");
        }
    }
}
