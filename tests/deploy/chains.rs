//! Client → identity proxy → Portcullis over TLS → recording upstream, with nginx and with Caddy.

use crate::chain::Chain;
use crate::client::Client;
use crate::portcullis::Portcullis;
use crate::recorder::Recorder;
use crate::sandbox::Sandbox;

const CEILING: &str = "operator.read,operator.write,operator.approvals,operator.questions";

/// What a client may try, with values that must never get through. Each comes in one request.
const SPOOFS: &str = "X-Forwarded-User: spoofed-user\r\n\
    x-forwarded-user: spoofed-again\r\n\
    X-Forwarded-For: 203.0.113.66\r\n\
    X-Forwarded-Host: spoofed.example.com\r\n\
    X-Forwarded-Proto: http\r\n\
    X-Forwarded-Port: 6666\r\n\
    X-Forwarded-Server: spoofed-server\r\n\
    X-Forwarded-Prefix: /spoofed\r\n\
    X-Forwarded-Uri: /spoofed\r\n\
    X-Forwarded-Method: SPOOFED\r\n\
    X-Forwarded-Email: spoofed-email\r\n\
    X-Forwarded-Groups: spoofed-groups\r\n\
    X-Forwarded-Access-Token: spoofed-token\r\n\
    X-Forwarded-Client-Cert: spoofed-certificate\r\n\
    Forwarded: for=203.0.113.66;host=spoofed.example.com;proto=http\r\n\
    X-Real-IP: 203.0.113.66\r\n\
    X-Auth-Request-User: spoofed-user\r\n\
    X-Auth-Request-Email: spoofed-email\r\n\
    X-Auth-Request-Groups: spoofed-groups\r\n\
    X-Auth-Request-Access-Token: spoofed-token\r\n\
    X-OpenClaw-Scopes: operator.admin\r\n\
    X-Original-URL: /spoofed\r\n\
    X-Rewrite-URL: /spoofed\r\n\
    X-HTTP-Method-Override: SPOOFED\r\n\
    X-Pomerium-Claim-Email: spoofed-email\r\n\
    Cf-Access-Authenticated-User-Email: spoofed-email\r\n\
    Remote-User: spoofed-user\r\n\
    X-Remote-User: spoofed-user\r\n\
    X-Webauth-User: spoofed-user\r\n";

impl Chain {
    fn spoofs_never_reach_the_upstream(&self) {
        let answer = self.get(
            "/chat?a=b",
            &format!("Cookie: theme=dark; _oauth2_proxy=nicks-session\r\n{SPOOFS}"),
        );
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "reached the upstream"),
            "{answer:?}"
        );

        let head = self.gateway.only_head();
        let text = head.text().to_ascii_lowercase();
        for trace in [
            "spoof",
            "203.0.113.66",
            "6666",
            "operator.admin",
            "\nforwarded:",
            "x-auth-request-",
            "_oauth2_proxy",
        ] {
            assert!(
                !text.contains(trace),
                "`{trace}` reached the upstream:\n{text}"
            );
        }
        let port = self.edge.port().to_string();
        for (name, value) in [
            ("x-forwarded-user", "nick@example.com"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-real-ip", "127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", &self.host),
            ("x-forwarded-port", &port),
            ("x-openclaw-scopes", CEILING),
            ("host", &self.host),
            ("cookie", "theme=dark"),
        ] {
            assert_eq!(head.values(name), [value], "{name} in\n{text}");
        }
        assert_eq!(head.values("x-request-id").len(), 1, "{text}");
        let owned = ["user", "for", "proto", "host", "port"];
        for (name, _) in head.headers() {
            let name = name.to_ascii_lowercase();
            if let Some(rest) = name.strip_prefix("x-forwarded-") {
                assert!(owned.contains(&rest), "`{name}` reached the upstream");
            }
        }
        assert!(text.starts_with("get /chat?a=b http/1.1\r\n"), "{text}");
    }

    fn a_request_without_a_session_never_reaches_portcullis(&self) {
        let before = self.portcullis.requests();
        for headers in ["", "Cookie: _oauth2_proxy=forged\r\n", SPOOFS] {
            let answer = self.get("/chat", headers);
            assert_eq!(answer.status, 302, "{answer:?}");
            let expected = format!("/oauth2/start?rd=https://{}/chat", self.host);
            let location = answer.values("location");
            assert!(
                location.len() == 1 && location[0].ends_with(&expected),
                "{location:?}"
            );
        }
        assert_eq!(
            self.portcullis.requests(),
            before,
            "Portcullis saw a request without a session"
        );
        assert!(
            self.gateway.heads().is_empty(),
            "{:?}",
            self.gateway.heads()
        );
        // The count does count.
        self.get("/chat", "Cookie: _oauth2_proxy=nicks-session\r\n");
        assert_eq!(self.portcullis.requests(), before + 1);
    }

    fn refusals_come_through_and_lead_to_no_sign_in(&self) {
        let eve = self.get(
            "/chat",
            &format!("Cookie: _oauth2_proxy=eves-session\r\n{SPOOFS}"),
        );
        assert_eq!(
            (eve.status, eve.code().as_str()),
            (403, "trusted_proxy_user_not_allowed")
        );
        assert!(
            self.gateway.heads().is_empty(),
            "{:?}",
            self.gateway.heads()
        );

        let own = self.get("/forbidden", "Cookie: _oauth2_proxy=nicks-session\r\n");
        assert_eq!(
            (own.status, own.body.as_str()),
            (403, "the gateway itself says no")
        );
    }

    fn a_websocket_goes_through(&self) {
        let cookie = "Cookie: _oauth2_proxy=nicks-session\r\nX-Forwarded-User: spoofed-user\r\n";
        assert_eq!(
            self.client
                .websocket_echo(&self.host, cookie, "over the moat"),
            "over the moat"
        );
        assert_eq!(
            self.gateway.only_head().values("x-forwarded-user"),
            ["nick@example.com"]
        );

        let refused = self.get(
            "/ws",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: _oauth2_proxy=eves-session\r\n",
        );
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "trusted_proxy_user_not_allowed")
        );
    }

    fn hsts_comes_once(&self) {
        for (session, status) in [("nicks-session", 200), ("eves-session", 403)] {
            let answer = self.get("/", &format!("Cookie: _oauth2_proxy={session}\r\n"));
            assert_eq!(answer.status, status, "{answer:?}");
            assert_eq!(
                answer.values("strict-transport-security").len(),
                1,
                "{answer:?}"
            );
        }
    }

    fn oauth2_proxy_is_told_the_truth(&self) {
        self.get("/chat", SPOOFS);
        self.get("/oauth2/sign_in", SPOOFS);
        let heads = self.oauth2_proxy.heads();
        assert_eq!(heads.len(), 2, "{heads:#?}");
        for head in heads {
            for (name, value) in [
                ("x-forwarded-host", self.host.as_str()),
                ("x-forwarded-proto", "https"),
                ("x-real-ip", "127.0.0.1"),
            ] {
                assert_eq!(head.values(name), [value], "{name} in {head:?}");
            }
            assert!(
                !head.values("x-forwarded-uri").contains(&"/spoofed"),
                "{head:?}"
            );
        }
    }
}

#[test]
fn behind_nginx_spoofed_headers_never_reach_the_upstream_and_ours_do_once_each() {
    Chain::nginx().spoofs_never_reach_the_upstream();
}

#[test]
fn behind_nginx_a_request_without_a_session_never_reaches_portcullis() {
    Chain::nginx().a_request_without_a_session_never_reaches_portcullis();
}

#[test]
fn behind_nginx_refusals_come_through_and_lead_to_no_sign_in() {
    Chain::nginx().refusals_come_through_and_lead_to_no_sign_in();
}

#[test]
fn behind_nginx_a_websocket_goes_through_and_one_of_a_stranger_does_not() {
    Chain::nginx().a_websocket_goes_through();
}

#[test]
fn behind_nginx_hsts_comes_once_and_oauth2_proxy_is_told_the_truth() {
    let chain = Chain::nginx();
    chain.oauth2_proxy_is_told_the_truth();
    chain.hsts_comes_once();
}

#[test]
fn behind_nginx_names_with_an_underscore_or_a_dot_go_no_further() {
    let chain = Chain::nginx();
    let answer = chain.get(
        "/",
        "Cookie: _oauth2_proxy=nicks-session\r\nX_Forwarded_User: spoofed-user\r\nX.Forwarded.User: spoofed-user\r\n",
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(!chain.gateway.only_head().text().contains("spoof"));
}

#[test]
fn behind_caddy_spoofed_headers_never_reach_the_upstream_and_ours_do_once_each() {
    Chain::caddy().spoofs_never_reach_the_upstream();
}

#[test]
fn behind_caddy_a_request_without_a_session_never_reaches_portcullis() {
    Chain::caddy().a_request_without_a_session_never_reaches_portcullis();
}

#[test]
fn behind_caddy_refusals_come_through_and_lead_to_no_sign_in() {
    Chain::caddy().refusals_come_through_and_lead_to_no_sign_in();
}

#[test]
fn behind_caddy_a_websocket_goes_through_and_one_of_a_stranger_does_not() {
    Chain::caddy().a_websocket_goes_through();
}

#[test]
fn behind_caddy_hsts_comes_once_and_oauth2_proxy_is_told_the_truth() {
    let chain = Chain::caddy();
    chain.oauth2_proxy_is_told_the_truth();
    chain.hsts_comes_once();
}

/// Caddy passes such names on, and only then is an alias of ours seen.
#[test]
fn behind_caddy_a_name_with_an_underscore_or_a_dot_is_refused_by_portcullis() {
    let chain = Chain::caddy();
    for alias in ["X_Forwarded_User", "X-Forwarded_User", "X.Forwarded.User"] {
        let answer = chain.get(
            "/",
            &format!("Cookie: _oauth2_proxy=nicks-session\r\n{alias}: spoofed-user\r\n"),
        );
        // Caddy's own HTTP library may refuse a name before Portcullis does; either way it is a 400.
        assert_eq!(answer.status, 400, "{alias}: {answer:?}");
    }
    assert!(
        chain.gateway.heads().is_empty(),
        "{:?}",
        chain.gateway.heads()
    );
}

/// `allowLoopback` is safe only because of the certificate: the agent can connect from 127.0.0.1 too.
#[test]
fn a_process_of_the_same_machine_without_the_proxys_certificate_is_turned_away() {
    for config in ["nginx-oauth2-proxy", "caddy"] {
        let sandbox = Sandbox::new();
        let gateway = Recorder::gateway();
        let config = format!("deploy/identity-proxies/{config}/portcullis.toml");
        let portcullis = Portcullis::start(&sandbox, &config, gateway.address(), &[]);
        let ca = sandbox.path("tls/ca.pem");
        assert!(
            Client::new(portcullis.door, "portcullis.internal", &ca).is_turned_away(),
            "{config}"
        );
        // The server's own certificate is of the same CA, and is no client's.
        let (certificate, key) = (
            sandbox.path("tls/portcullis.pem"),
            sandbox.path("tls/portcullis.key"),
        );
        let with_the_servers = Client::with_certificate(
            portcullis.door,
            "portcullis.internal",
            &ca,
            &certificate,
            &key,
        );
        assert!(with_the_servers.is_turned_away(), "{config}");
        assert!(gateway.heads().is_empty());
    }
}
