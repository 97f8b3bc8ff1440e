//! Who may talk to the admin listener: no web page, no rebound name, and only a
//! holder of the token.
//!
//! A page in the operator's browser can reach loopback. It can't forge `Origin`,
//! `Sec-Fetch-Site` or `Host`, so these three tell it from the operator's own
//! tools.

use std::net::{IpAddr, SocketAddr};

use hyper::Request;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN};

use super::answer::Refusal;
use crate::authority::Authority;
use crate::snapshot::Token;

/// The `Host` names that the listener answers to: `localhost`, every loopback
/// address, the address it is bound to, and the one that the connection came in
/// on. With any of these, DNS rebinding gains nothing, for it needs a name of
/// the attacker's. The port is not compared: a port that is forwarded has
/// another number.
#[derive(Clone, Copy, Debug)]
pub struct AllowedHosts {
    bound: IpAddr,
}

impl AllowedHosts {
    /// For a listener bound to `bound`.
    pub fn for_listener(bound: SocketAddr) -> Self {
        Self {
            bound: bound.ip().to_canonical(),
        }
    }

    /// Whether `host`, with or without port, names this listener; `local` is the
    /// address that the connection came in on.
    fn allows(self, host: &str, local: IpAddr) -> bool {
        let Some(authority) = Authority::parse(host.as_bytes()) else {
            return false;
        };
        let name = authority.host();
        if name.eq_ignore_ascii_case("localhost") {
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

/// Refuses a request for another host's name, and one without a single clear
/// name.
pub(super) fn check_host<B>(
    request: &Request<B>,
    allowed: &AllowedHosts,
    local: IpAddr,
) -> Result<(), Refusal> {
    // An absolute target would be a second name beside `Host`.
    if request.uri().authority().is_some() {
        return Err(Refusal::BadRequest {
            message: "expected a path as the request's target, got an absolute one",
        });
    }
    let Some(host) = only_value(request.headers(), HOST.as_str()) else {
        return Err(Refusal::BadRequest {
            message: "expected one Host header",
        });
    };
    match host.to_str() {
        Ok(host) if allowed.allows(host, local) => Ok(()),
        _ => Err(Refusal::HostNotAllowed),
    }
}

/// Refuses what a web page sends: any `Origin`, and a `Sec-Fetch-Site` other
/// than `none` (typed by the user) and `same-origin`.
pub(super) fn refuse_web_pages(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(ORIGIN) {
        return Err(Refusal::WebPage);
    }
    let innocent = headers
        .get_all("sec-fetch-site")
        .iter()
        .all(|site| matches!(site.as_bytes(), b"none" | b"same-origin"));
    if innocent {
        Ok(())
    } else {
        Err(Refusal::WebPage)
    }
}

/// Refuses whoever doesn't show the token.
pub(super) fn check_token(token: &Token, headers: &HeaderMap) -> Result<(), Refusal> {
    match only_value(headers, AUTHORIZATION.as_str()).and_then(bearer) {
        Some(shown) if token.is(shown) => Ok(()),
        _ => Err(Refusal::Unauthorized),
    }
}

fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let value = value.as_bytes();
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

fn only_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::SecretValue;

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
    fn only_the_whole_token_opens() {
        let token = Token::new(SecretValue::concat(&["s3cret"])).unwrap();
        for (values, opens) in [
            (&["Bearer s3cret"][..], true),
            (&["bearer s3cret"], true),
            (&["BEARER  s3cret"], true),
            (&[], false),
            (&[""], false),
            (&["Bearer"], false),
            (&["Bearer "], false),
            (&["Bearer s3cre"], false),
            (&["Bearer s3crett"], false),
            (&["Bearer S3cret"], false),
            (&["Basic s3cret"], false),
            (&["s3cret"], false),
            (&["Bearer s3cret", "Bearer s3cret"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            assert_eq!(check_token(&token, &headers).is_ok(), opens, "{values:?}");
        }
    }
}
