//! What the page says about each code: what happened, what the person can do,
//! and where the administrator should look.

/// The words of one page. They are plain text; the page escapes them.
#[derive(Debug)]
pub(super) struct Advice {
    /// The headline.
    pub(super) title: &'static str,
    /// What happened; empty where the refusal's own message must say it.
    pub(super) what: &'static str,
    /// For the person in front of the page.
    pub(super) person: &'static str,
    /// For whoever runs Portcullis.
    pub(super) administrator: &'static str,
}

/// The words for `code`; for one that has none of its own, words that fit all.
pub(super) fn for_code(code: &str) -> &'static Advice {
    ADVICE
        .iter()
        .find(|(known, _)| *known == code)
        .map_or(&UNKNOWN, |(_, advice)| advice)
}

const UNKNOWN: Advice = Advice {
    title: "This request was refused",
    what: "",
    person: "Go back and try again. If it happens again, tell your administrator the code and the request ID below.",
    administrator: "Search the log for the request ID: its line has the decision and the reason.",
};

const USE_THE_ADDRESS: &str =
    "Open the address that your administrator gave you, which signs you in first.";
const TELL: &str = "There is nothing to fix on your side: tell your administrator the code and the request ID below.";
const TRY_AGAIN: &str = "Wait a moment and try again. If it lasts, tell your administrator the code and the request ID below.";

const ADVICE: &[(&str, Advice)] = &[
    (
        "trusted_proxy_untrusted_source",
        Advice {
            title: "You can’t come in this way",
            what: "This service answers only requests that come through its sign-in proxy, and this one did not.",
            person: USE_THE_ADDRESS,
            administrator: "If the request did come through your proxy, add the address that the log shows as source.ip to gateway.trustedProxies.",
        },
    ),
    (
        "trusted_proxy_untrusted_certificate",
        Advice {
            title: "You can’t come in this way",
            what: "The program that passed the request on is not one that this service knows.",
            person: USE_THE_ADDRESS,
            administrator: "The source’s certificate is for none of gateway.auth.trustedProxy.clientCertNames. If it is your proxy’s, add one of its subject alternative names there, or give the proxy a certificate for one that is; the log shows the first that came.",
        },
    ),
    (
        "trusted_proxy_loopback_source",
        Advice {
            title: "You can’t come in this way",
            what: "The request came from the machine that the service itself runs on, and such requests are not accepted.",
            person: USE_THE_ADDRESS,
            administrator: "If the sign-in proxy runs on this host, set gateway.auth.trustedProxy.allowLoopback and list the loopback address in gateway.trustedProxies.",
        },
    ),
    (
        "trusted_proxy_local_interface_source",
        Advice {
            title: "You can’t come in this way",
            what: "The request came from the machine that the service itself runs on, and such requests are not accepted.",
            person: USE_THE_ADDRESS,
            administrator: "If the sign-in proxy connects from one of this host’s own addresses, set gateway.auth.trustedProxy.allowLocalInterface; know that every process here can then do the same.",
        },
    ),
    (
        "trusted_proxy_local_interface_check_failed",
        Advice {
            title: "The request could not be checked",
            what: "The service could not tell where the request came from, so it was refused.",
            person: TELL,
            administrator: "Whether the request came from this host itself could not be told. Check that the process may open sockets, use netlink (AF_NETLINK) and read /proc/sys/net, and look in the log for the cause.",
        },
    ),
    (
        "trusted_proxy_ambiguous_header",
        Advice {
            title: "The request contradicts itself",
            what: "It names the user, or another thing that must be certain, more than once or in a disguised form.",
            person: "If you use a browser extension or a program that sets headers, turn it off and try again. Otherwise tell your administrator the request ID below.",
            administrator: "The sign-in proxy must overwrite its headers, not append to them, and drop the client’s spellings of them with underscores or dots. The log names the header.",
        },
    ),
    (
        "trusted_proxy_unexpected_scopes",
        Advice {
            title: "The request asks for more than it may",
            what: "It brings its own list of permissions, which this service does not take from outside.",
            person: "If you use a program that sets x-openclaw-scopes, turn that off. Otherwise tell your administrator the request ID below.",
            administrator: "Configure gateway.auth.trustedProxy.scopeCeilings, or passScopes where the sign-in proxy overwrites x-openclaw-scopes; else make it drop the header.",
        },
    ),
    (
        "trusted_proxy_missing_header",
        Advice {
            title: "The sign-in is incomplete",
            what: "The request lacks something that the sign-in proxy always adds.",
            person: "Sign in again at the address that your administrator gave you.",
            administrator: "The sign-in proxy did not send one of gateway.auth.trustedProxy.requiredHeaders, or sent it blank. The log names it.",
        },
    ),
    (
        "trusted_proxy_assertion_missing",
        Advice {
            title: "You are not signed in",
            what: "The request reached the service without the signed proof of who you are.",
            person: "Sign in again at the address that your administrator gave you.",
            administrator: "The sign-in proxy did not send the header of gateway.auth.trustedProxy.assertion. See that the route requires a sign-in and passes the assertion on.",
        },
    ),
    (
        "trusted_proxy_assertion_invalid",
        Advice {
            title: "Your sign-in could not be verified",
            what: "The signed proof of who you are is not one that this service accepts.",
            person: "Sign in again at the address that your administrator gave you.",
            administrator: "The log says what is wrong with the assertion: compare it with gateway.auth.trustedProxy.assertion (issuer, audience, algorithms, keysUrl). /status of the admin listener shows the state of the issuer’s keys.",
        },
    ),
    (
        "trusted_proxy_assertion_expired",
        Advice {
            title: "Your sign-in has expired",
            what: "The signed proof of who you are was good for a time that is over.",
            person: "Reload the page, or sign in again at the address that your administrator gave you.",
            administrator: "If it happens right after a sign-in, the clocks of the sign-in proxy and of this host differ by more than 30 seconds.",
        },
    ),
    (
        "trusted_proxy_assertion_user_mismatch",
        Advice {
            title: "The request contradicts itself",
            what: "It names one user, and carries the signed proof of another.",
            person: "If you use a browser extension or a program that sets headers, turn it off and try again. Otherwise tell your administrator the request ID below.",
            administrator: "The sign-in proxy must overwrite the header in gateway.auth.trustedProxy.userHeader with the user that it signs for, or not send it.",
        },
    ),
    (
        "trusted_proxy_user_missing",
        Advice {
            title: "You are not signed in",
            what: "The request reached the service without a user.",
            person: "Sign in again at the address that your administrator gave you.",
            administrator: "The sign-in proxy did not send the header in gateway.auth.trustedProxy.userHeader. See that the route requires a sign-in and passes the user on.",
        },
    ),
    (
        "trusted_proxy_user_invalid",
        Advice {
            title: "Your user name can’t be used here",
            what: "The sign-in gave a user name that is too long or holds characters other than plain ASCII.",
            person: TELL,
            administrator: "Let the sign-in proxy send a plain identifier, such as the e-mail address, in gateway.auth.trustedProxy.userHeader.",
        },
    ),
    (
        "trusted_proxy_user_not_allowed",
        Advice {
            title: "This account has no access",
            what: "You are signed in, but your account is not among those that may use this service.",
            person: "If you have another account, sign out and use that one. Otherwise ask your administrator for access.",
            administrator: "Add the user to gateway.auth.trustedProxy.allowUsers, spelt exactly as the log shows it; upper and lower case differ.",
        },
    ),
    (
        "bad_request",
        Advice {
            title: "The request could not be understood",
            what: "It breaks a rule of HTTP, or could be read in more than one way.",
            person: "Go back and try again. Clearing this site’s cookies may help.",
            administrator: "The log says which rule. A proxy in between that rewrites requests is the usual cause.",
        },
    ),
    (
        "headers_too_large",
        Advice {
            title: "The request’s headers are too large",
            what: "The browser or a proxy sent more headers than this service takes.",
            person: "Clear this site’s cookies and try again.",
            administrator: "Large sign-in cookies are the usual cause. limits.maxHeaderBytes sets the limit.",
        },
    ),
    (
        "request_too_large",
        Advice {
            title: "The upload is too large",
            what: "The request’s body is larger than this service takes.",
            person: "Send a smaller file, or several.",
            administrator: "limits.maxBodyBytes sets the limit; the gateway has one of its own.",
        },
    ),
    (
        "request_timeout",
        Advice {
            title: "The request took too long",
            what: "It did not arrive in full within the time allowed.",
            person: "Check your connection and try again.",
            administrator: "limits.headerTimeout and limits.bodyStallTimeout set the times.",
        },
    ),
    (
        "method_not_allowed",
        Advice {
            title: "This method is not allowed",
            what: "The request uses an HTTP method that this service never passes on.",
            person: "If a program of yours sent this, use another method.",
            administrator: "CONNECT, TRACE and TRACK are always refused.",
        },
    ),
    (
        "expectation_failed",
        Advice {
            title: "The request expects something unknown",
            what: "Its Expect header asks for something other than 100-continue.",
            person: "If a program of yours sent this, let it leave out the Expect header.",
            administrator: "Only Expect: 100-continue is supported.",
        },
    ),
    (
        "misdirected_request",
        Advice {
            title: "The request took the wrong connection",
            what: "It came over a connection that was opened for another host name.",
            person: "Reload the page.",
            administrator: "A proxy or browser used one TLS connection for two host names. Let each name’s proxy connect with that name.",
        },
    ),
    (
        "rate_limited",
        Advice {
            title: "Too many requests",
            what: "Your account sent more requests than it may in so short a time.",
            person: "Wait a moment and try again.",
            administrator: "limits.requestsPerSecondPerUser sets the limit.",
        },
    ),
    (
        "upstream_unreachable",
        Advice {
            title: "The gateway can’t be reached",
            what: "You are let in, but the gateway behind this door did not take the connection or broke it off.",
            person: TRY_AGAIN,
            administrator: "Check that the gateway runs and listens where upstream.url says. /readyz of the admin listener shows what Portcullis sees.",
        },
    ),
    (
        "upstream_timeout",
        Advice {
            title: "The gateway did not answer in time",
            what: "You are let in, but the gateway behind this door did not begin its answer within the time allowed.",
            person: TRY_AGAIN,
            administrator: "Look in the gateway’s own log for what it was doing. limits.upstreamFirstByteTimeout sets the time.",
        },
    ),
    (
        "overloaded",
        Advice {
            title: "The service is busy",
            what: "More connections are open than this service takes.",
            person: TRY_AGAIN,
            administrator: "limits.maxConnections sets the limit; the metric portcullis_connections shows the use.",
        },
    ),
    (
        "draining",
        Advice {
            title: "The service is restarting",
            what: "It takes no new requests while it stops.",
            person: "Wait a few seconds and reload the page.",
            administrator: "A stop was asked for with SIGTERM. If it doesn’t come back, look at its service manager.",
        },
    ),
];

#[cfg(test)]
mod tests {
    use super::super::problem;
    use super::*;
    use crate::policy::Code;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_of_the_front_door_has_advice_of_its_own() {
        let denials = Code::ALL.map(Code::as_str);
        let problems = problem::ALL.iter().map(|problem| problem.code());
        // A problem or two share their code.
        let codes: BTreeSet<_> = denials.into_iter().chain(problems).collect();
        assert_eq!(codes.len(), ADVICE.len());
        for code in codes {
            let advice = for_code(code);
            assert!(!advice.what.is_empty(), "{code}");
            for words in [advice.title, advice.person, advice.administrator] {
                assert!(words.len() > 10, "{code}: {words}");
            }
        }
    }

    #[test]
    fn an_unknown_code_leaves_the_explanation_to_the_message() {
        assert!(for_code("of_next_year").what.is_empty());
    }
}
