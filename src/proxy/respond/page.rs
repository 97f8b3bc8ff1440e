//! The page that a person sees instead of JSON. One file without outside
//! assets, so that it needs nothing from a service which has just refused.

use super::{Refusal, advice};
use crate::html::Escaped;

/// The page's `content-security-policy`: its own style and nothing else. The
/// page holds no script, loads nothing, and is framed nowhere.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page for `refusal`, all of it escaped.
pub(super) fn render(refusal: &Refusal<'_>, request_id: &str) -> String {
    let advice = advice::for_code(refusal.code);
    let what = if advice.what.is_empty() {
        refusal.message
    } else {
        advice.what
    };
    format!(
        include_str!("page.html"),
        status = refusal.status,
        title = Escaped(advice.title),
        what = Escaped(what),
        person = Escaped(advice.person),
        administrator = Escaped(advice.administrator),
        code = Escaped(refusal.code),
        request_id = Escaped(request_id),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_happened_what_to_do_and_how_to_ask_about_it() {
        let page = render(
            &Refusal {
                status: 403,
                kind: "forbidden",
                code: "trusted_proxy_user_not_allowed",
                reason: "trusted_proxy_user_not_allowed",
                message: "the user is not allowed",
            },
            "0af7651916cd43dd",
        );
        for shown in [
            "<title>This account has no access</title>",
            "You are signed in, but your account is not among those",
            "ask your administrator for access",
            "gateway.auth.trustedProxy.allowUsers",
            "trusted_proxy_user_not_allowed",
            "0af7651916cd43dd",
            ">403<",
        ] {
            assert!(page.contains(shown), "{shown} is missing in\n{page}");
        }
    }

    #[test]
    fn a_page_loads_nothing_and_runs_nothing() {
        let page = include_str!("page.html");
        for forbidden in [
            "http:", "https:", "src=", "<script", "@import", "url(", " on",
        ] {
            let found = page.match_indices(forbidden).any(|(at, _)| {
                forbidden != " on" || page[at + 3..].starts_with(|c: char| c.is_ascii_lowercase())
            });
            assert!(!found, "{forbidden}");
        }
    }

    #[test]
    fn whatever_stands_in_a_refusal_is_escaped() {
        let hostile = "<script>alert('1')</script>&\"";
        let page = render(
            &Refusal {
                status: 400,
                kind: hostile,
                code: hostile,
                reason: hostile,
                message: hostile,
            },
            hostile,
        );
        assert!(!page.contains("<script"), "{page}");
        let escaped = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;";
        assert_eq!(
            page.matches(escaped).count(),
            3,
            "message, code, request ID"
        );
    }
}
