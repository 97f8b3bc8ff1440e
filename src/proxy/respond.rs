//! The one place that turns a refusal into an answer: JSON for programs, a page
//! for people. Pure, so that every answer can be looked at without a socket.

mod accept;
mod advice;
mod page;
mod problem;

use serde::Serialize;

pub use problem::Problem;

/// What is answered instead of the upstream's own answer, as plain values: a
/// denial of the policy, or a [`Problem`].
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// An HTTP status of 400 to 599.
    pub status: u16,
    /// The body's `type`, such as `forbidden`.
    pub kind: &'a str,
    /// The stable code, such as `trusted_proxy_user_missing`.
    pub code: &'a str,
    /// The code, made more precise where it can be.
    pub reason: &'a str,
    /// A sentence for the client. It goes out, so it must not quote headers.
    pub message: &'a str,
}

/// An answer of our own. `content-length`, `date`, HSTS and `x-request-id` are
/// the engine's to add, since every answer carries them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The value of `content-type`.
    pub content_type: &'static str,
    /// The body; a HEAD request gets its length alone.
    pub body: Vec<u8>,
    /// Further fields, names in lower case.
    pub extra: Vec<(&'static str, String)>,
}

/// Turns `refusal` into a page where `accept`, the value of the request's
/// `Accept` (several joined by commas), prefers `text/html`, else into JSON.
///
/// Neither form says more than the refusal's own words and `request_id`: no
/// user, no address, no header.
pub fn answer(refusal: &Refusal<'_>, request_id: &str, accept: Option<&[u8]>) -> Answer {
    let mut extra = vec![
        // A shared cache that kept a denial would serve it to the permitted.
        ("cache-control", "no-store".to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
    ];
    if refusal.status == 401 {
        // RFC 9110 §15.5.2 demands a challenge. The scheme is one that no
        // browser knows, so that none asks the user for a password.
        extra.push(("www-authenticate", "TrustedProxy".to_owned()));
    }
    if accept.is_some_and(accept::prefers_html) {
        extra.push(("content-security-policy", page::POLICY.to_owned()));
        extra.push(("referrer-policy", "no-referrer".to_owned()));
        Answer {
            status: refusal.status,
            content_type: "text/html; charset=utf-8",
            body: page::render(refusal, request_id).into_bytes(),
            extra,
        }
    } else {
        Answer {
            status: refusal.status,
            content_type: "application/json",
            body: json(refusal, request_id),
            extra,
        }
    }
}

/// What whoever runs Portcullis is advised to do about `code`: the page's own words.
pub fn remedy(code: &str) -> &'static str {
    advice::for_code(code).administrator
}

fn json(refusal: &Refusal<'_>, request_id: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        error: Error<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Error<'a> {
        message: &'a str,
        r#type: &'a str,
        code: &'a str,
        reason: &'a str,
        request_id: &'a str,
    }
    serde_json::to_vec(&Body {
        error: Error {
            message: refusal.message,
            r#type: refusal.kind,
            code: refusal.code,
            reason: refusal.reason,
            request_id,
        },
    })
    .expect("strings always serialise")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENIED: Refusal<'static> = Refusal {
        status: 401,
        kind: "unauthorized",
        code: "trusted_proxy_missing_header",
        reason: "trusted_proxy_missing_header_x-forwarded-proto",
        message: "a header that the trusted proxy must set is missing",
    };

    fn field<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
        let mut values = answer.extra.iter().filter(|(field, _)| *field == name);
        let first = values.next().map(|(_, value)| value.as_str());
        assert_eq!(values.next(), None, "{name} comes twice");
        first
    }

    #[test]
    fn a_program_gets_the_json_of_the_contract_to_the_letter() {
        let answer = answer(&DENIED, "req-1", None);
        assert_eq!(answer.status, 401);
        assert_eq!(answer.content_type, "application/json");
        assert_eq!(
            String::from_utf8(answer.body.clone()).unwrap(),
            concat!(
                r#"{"error":{"message":"a header that the trusted proxy must set is missing","#,
                r#""type":"unauthorized","code":"trusted_proxy_missing_header","#,
                r#""reason":"trusted_proxy_missing_header_x-forwarded-proto","requestId":"req-1"}}"#,
            )
        );
        assert_eq!(field(&answer, "cache-control"), Some("no-store"));
        assert_eq!(field(&answer, "www-authenticate"), Some("TrustedProxy"));
        assert_eq!(field(&answer, "content-security-policy"), None);
    }

    #[test]
    fn a_browser_gets_a_page_that_may_load_nothing() {
        let browser = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let answer = answer(&DENIED, "req-1", Some(browser));
        assert_eq!(answer.status, 401);
        assert_eq!(answer.content_type, "text/html; charset=utf-8");
        let policy = field(&answer, "content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'unsafe-inline'"));
        assert_eq!(field(&answer, "cache-control"), Some("no-store"));
        assert_eq!(field(&answer, "x-content-type-options"), Some("nosniff"));
    }

    #[test]
    fn only_a_401_challenges() {
        let forbidden = Refusal {
            status: 403,
            ..DENIED
        };
        assert_eq!(
            field(&answer(&forbidden, "r", None), "www-authenticate"),
            None
        );
    }
}
