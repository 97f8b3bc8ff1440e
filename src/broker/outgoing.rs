//! What a request looks like to the provider, and an answer to the caller.

use crate::credentials::Dialect;
use crate::credentials::provider::ACCOUNT_HEADER;
use crate::policy::{is_connection_field, same_folded};
use http::header::{self, ALT_SVC, CONTENT_LENGTH, HeaderName, HeaderValue, SET_COOKIE};
use http::{HeaderMap, Uri};

/// Fields that hyper sets, that tell of the caller's own network, that are meant for
/// Portcullis, or name the account that a login is for.
const OWN_FIELDS: [&str; 9] = [
    "accept-encoding",
    ACCOUNT_HEADER,
    "content-length",
    "expect",
    "forwarded",
    "host",
    "via",
    "x-portcullis-profile",
    "x-real-ip",
];
/// The family of what proxies tell of the caller.
const FORWARDED: &[u8] = b"x-forwarded-";

/// Parameters of Google's URLs that carry credentials.
const GOOGLE_KEYS: [&str; 3] = ["key", "access_token", "oauth_token"];

/// The header that pins a profile.
pub(super) const PROFILE_HEADER: HeaderName = HeaderName::from_static("x-portcullis-profile");

/// The request's fields without those of the connection, the caller's own network, and
/// every credential. Answers are asked for without compression: they are looked through
/// for limits and tokens, and the way from here to the caller is short.
pub(super) fn request_headers(incoming: &HeaderMap, credentials: &[HeaderName]) -> HeaderMap {
    let nominated = nominated(incoming);
    let is_dropped = |name: &[u8]| {
        is_connection_field(name)
            || OWN_FIELDS
                .iter()
                .any(|own| same_folded(name, own.as_bytes()))
            || name
                .get(..FORWARDED.len())
                .is_some_and(|start| same_folded(start, FORWARDED))
            || credentials
                .iter()
                .any(|known| same_folded(name, known.as_str().as_bytes()))
    };
    let mut headers = HeaderMap::with_capacity(incoming.len() + 2);
    for (name, value) in incoming {
        if !is_dropped(name.as_str().as_bytes()) && !is_nominated(name, &nominated) {
            headers.append(name, value.clone());
        }
    }
    let plain = HeaderValue::from_static("identity");
    headers.insert(header::ACCEPT_ENCODING, plain);
    headers
}

/// The answer's fields without those of the connection, and without the provider's
/// cookies and other ways to it, which lead past Portcullis.
pub(super) fn answer_headers(incoming: &HeaderMap) -> HeaderMap {
    let nominated = nominated(incoming);
    let mut headers = HeaderMap::with_capacity(incoming.len() + 1);
    for (name, value) in incoming {
        let is_framing = is_connection_field(name.as_str().as_bytes()) && name != CONTENT_LENGTH;
        let leads_past = *name == SET_COOKIE || *name == ALT_SVC;
        if !is_framing && !leads_past && !is_nominated(name, &nominated) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// The names that `Connection` lists.
fn nominated(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::CONNECTION).iter();
    let names = values.filter_map(|value| value.to_str().ok());
    names
        .flat_map(|names| names.split(','))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

fn is_nominated(name: &HeaderName, nominated: &[String]) -> bool {
    nominated
        .iter()
        .any(|named| name.as_str().eq_ignore_ascii_case(named))
}

/// The path and query at the provider: what stands in front of every path there, and
/// the request's own, without Google's credentials.
pub(super) fn target(
    base_path: &str,
    rest: &str,
    query: Option<&str>,
    dialect: Dialect,
) -> Option<Uri> {
    let mut target = format!("{base_path}{rest}");
    if target.is_empty() {
        target.push('/');
    }
    let kept = query.map(|query| match dialect {
        Dialect::Google => without_keys(query),
        Dialect::Anthropic | Dialect::OpenAi => query.to_owned(),
    });
    if let Some(kept) = kept.filter(|kept| !kept.is_empty()) {
        target.push('?');
        target.push_str(&kept);
    }
    target.parse().ok()
}

fn without_keys(query: &str) -> String {
    let is_key = |part: &&str| {
        let decoded = url::form_urlencoded::parse(part.as_bytes()).next();
        decoded.is_some_and(|(name, _)| {
            let name = name.trim();
            GOOGLE_KEYS.iter().any(|key| name.eq_ignore_ascii_case(key))
        })
    };
    // Some servers read `;` as `&`.
    let parts = query.split('&').flat_map(|part| part.split(';'));
    let kept: Vec<&str> = parts.filter(|part| !is_key(part)).collect();
    kept.join("&")
}

/// Puts a credential's headers on. Anthropic's list of betas is joined, not replaced.
pub(super) fn put_on(headers: &mut HeaderMap, credential: &[(HeaderName, HeaderValue)]) {
    for (name, value) in credential {
        let value = match name == BETA {
            true => joined(headers, value),
            false => value.clone(),
        };
        headers.insert(name, value);
    }
}

/// Anthropic's list of betas.
pub(super) const BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// All betas of the request in one line, and `further`.
fn joined(headers: &HeaderMap, further: &HeaderValue) -> HeaderValue {
    let own = headers.get_all(BETA).iter().map(HeaderValue::as_bytes);
    let mut lines: Vec<&[u8]> = own.collect();
    let mut betas = lines
        .iter()
        .flat_map(|line| line.split(|byte| *byte == b','));
    if !betas.any(|beta| beta.trim_ascii() == further.as_bytes()) {
        lines.push(further.as_bytes());
    }
    HeaderValue::from_bytes(&lines.join(&b","[..])).unwrap_or_else(|_| further.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn drops_credentials_connection_fields_and_the_callers_network() {
        let incoming = map(&[
            ("authorization", "Bearer own"),
            ("x-api-key", "own"),
            ("x_api_key", "own"),
            ("x.goog.api_key", "own"),
            ("cookie", "a=b"),
            ("x-custom-auth", "own"),
            ("x_custom_auth", "own"),
            ("chatgpt-account-id", "own"),
            ("x_forwarded_for", "10.0.0.1"),
            ("x.forwarded.host", "a"),
            ("connection", "close, X-Secret-Hop"),
            ("x-secret-hop", "1"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("te", "trailers"),
            ("expect", "100-continue"),
            ("x-forwarded-for", "10.0.0.1"),
            ("forwarded", "for=x"),
            ("x-portcullis-profile", "a:b"),
            ("accept-encoding", "br"),
            ("content-type", "application/json"),
            ("anthropic-version", "2023-06-01"),
            ("user-agent", "sdk"),
            ("x-stainless-lang", "js"),
        ]);
        let credentials = [
            "authorization",
            "cookie",
            "x-api-key",
            "x-custom-auth",
            "x-goog-api-key",
        ]
        .map(HeaderName::from_static);
        let headers = request_headers(&incoming, &credentials);
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "accept-encoding",
                "anthropic-version",
                "content-type",
                "user-agent",
                "x-stainless-lang"
            ]
        );
        assert_eq!(headers["accept-encoding"], "identity");
    }

    #[test]
    fn answers_lose_what_leads_past_us() {
        let incoming = map(&[
            ("content-type", "application/json"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("set-cookie", "__cf_bm=x"),
            ("alt-svc", "h3=\":443\""),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("request-id", "req_1"),
            ("location", "https://elsewhere.example/"),
        ]);
        let headers = answer_headers(&incoming);
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["content-length", "content-type", "location", "request-id"]
        );
    }

    #[test]
    fn the_target_is_the_base_paths_own_and_has_no_key() {
        use Dialect::{Google, OpenAi};
        for (base, rest, query, dialect, target_is) in [
            (
                "/v1",
                "/chat/completions",
                None,
                OpenAi,
                "/v1/chat/completions",
            ),
            ("", "", None, OpenAi, "/"),
            (
                "",
                "/v1/messages",
                Some("beta=true"),
                OpenAi,
                "/v1/messages?beta=true",
            ),
            ("/v1", "/a%20b", Some("key=x"), OpenAi, "/v1/a%20b?key=x"),
            (
                "/v1beta",
                "/models",
                Some("key=AIza"),
                Google,
                "/v1beta/models",
            ),
            (
                "",
                "/m",
                Some("alt=sse&key=AIza&x=1"),
                Google,
                "/m?alt=sse&x=1",
            ),
            (
                "",
                "/m",
                Some("k%65y=AIza&KEY=a;key=b&monkey=1"),
                Google,
                "/m?monkey=1",
            ),
            ("", "/m", Some("access_token=ya29&+key=x"), Google, "/m"),
        ] {
            let uri = target(base, rest, query, dialect).unwrap();
            assert_eq!(uri.to_string(), target_is);
        }
    }

    #[test]
    fn betas_are_joined_and_everything_else_is_replaced() {
        let put =
            |own: &[(&'static str, &'static str)], name: &'static str, value: &'static str| {
                let mut headers = map(own);
                let credential = (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                );
                put_on(&mut headers, &[credential]);
                headers[name].to_str().unwrap().to_owned()
            };
        let oauth = "oauth-2025-04-20";
        assert_eq!(put(&[], "anthropic-beta", oauth), oauth);
        assert_eq!(
            put(&[("anthropic-beta", "a-1, b-2")], "anthropic-beta", oauth),
            "a-1, b-2,oauth-2025-04-20"
        );
        assert_eq!(
            put(
                &[("anthropic-beta", "a-1, oauth-2025-04-20")],
                "anthropic-beta",
                oauth
            ),
            "a-1, oauth-2025-04-20"
        );
        assert_eq!(
            put(
                &[("anthropic-beta", "a-1"), ("anthropic-beta", "b-2")],
                "anthropic-beta",
                oauth
            ),
            "a-1,b-2,oauth-2025-04-20"
        );
        assert_eq!(put(&[("x-api-key", "a")], "x-api-key", "b"), "b");
    }
}
