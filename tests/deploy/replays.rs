//! Traefik and Pomerium, which don't run here: the requests that their documentation says they send,
//! replayed to Portcullis on the committed configuration, with the client's spoofs that they would
//! pass on.

use crate::client::Client;
use crate::portcullis::Portcullis;
use crate::recorder::{Head, Recorder};
use crate::sandbox::Sandbox;

const CEILING: &str = "operator.read,operator.write,operator.approvals,operator.questions";

struct Replay {
    gateway: Recorder,
    proxy: Client,
    _portcullis: Portcullis,
    _sandbox: Sandbox,
}

impl Replay {
    fn of(folder: &str) -> Self {
        let sandbox = Sandbox::new();
        let gateway = Recorder::gateway();
        let portcullis = Portcullis::start(
            &sandbox,
            &format!("deploy/identity-proxies/{folder}/portcullis.toml"),
            gateway.address(),
            // The proxy's address can't be had here, so loopback stands in for it.
            &[
                ("[\"10.0.0.5\"]", "[\"127.0.0.1\"]"),
                ("allowLoopback = false", "allowLoopback = true"),
            ],
        );
        let proxy = Client::with_certificate(
            portcullis.door,
            "portcullis.internal",
            &sandbox.path("tls/ca.pem"),
            &sandbox.path("tls/proxy.pem"),
            &sandbox.path("tls/proxy.key"),
        );
        Self {
            gateway,
            proxy,
            _portcullis: portcullis,
            _sandbox: sandbox,
        }
    }

    fn assert_the_upstream_gets(&self, user_header: &str, dropped: &[&str]) -> Head {
        let head = self.gateway.only_head();
        for (name, value) in [
            (user_header, "nick@example.com"),
            ("x-forwarded-for", "198.51.100.9"),
            ("x-real-ip", "198.51.100.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "claw.example.com"),
            ("x-forwarded-port", "443"),
            ("x-openclaw-scopes", CEILING),
            ("host", "claw.example.com"),
        ] {
            assert_eq!(head.values(name), [value], "{name} in\n{}", head.text());
        }
        for name in dropped {
            assert!(head.values(name).is_empty(), "{name} in\n{}", head.text());
        }
        assert!(!head.text().contains("spoof"), "{}", head.text());
        head
    }
}

/// What Traefik sets ("What are the forwarded headers when proxying HTTP requests?" in its FAQ) and
/// what ForwardAuth copies (`authResponseHeaders`).
const TRAEFIK: &str = "Host: claw.example.com\r\n\
    X-Auth-Request-Email: nick@example.com\r\n\
    X-Forwarded-For: 198.51.100.9\r\n\
    X-Forwarded-Host: claw.example.com\r\n\
    X-Forwarded-Port: 443\r\n\
    X-Forwarded-Server: traefik-7d9f\r\n\
    X-Real-Ip: 198.51.100.9\r\n";

#[test]
fn replayed_traefik_forward_auth_is_let_in_with_the_verified_user() {
    let replay = Replay::of("traefik");
    let answer = replay.proxy.send(&format!(
        "GET / HTTP/1.1\r\n{TRAEFIK}X-Forwarded-Proto: https\r\nX-Remote-User: spoofed-user\r\n\
         X-Forwarded-Prefix: /spoofed\r\nForwarded: for=spoofed\r\nCookie: _oauth2_proxy=spoofed-session\r\n\r\n"
    ));
    assert_eq!(answer.status, 200, "{answer:?}");
    replay.assert_the_upstream_gets(
        "x-auth-request-email",
        &[
            "x-forwarded-server",
            "x-forwarded-prefix",
            "x-remote-user",
            "forwarded",
            "x-forwarded-user",
        ],
    );
}

#[test]
fn replayed_traefik_websocket_upgrade_says_wss_and_is_read_as_https() {
    let replay = Replay::of("traefik");
    let headers = TRAEFIK.strip_prefix("Host: claw.example.com\r\n").unwrap();
    let echoed = replay.proxy.websocket_echo(
        "claw.example.com",
        &format!("{headers}X-Forwarded-Proto: wss\r\n"),
        "through",
    );
    assert_eq!(echoed, "through");
    replay.assert_the_upstream_gets("x-auth-request-email", &["x-forwarded-server"]);
}

/// The spelling that older releases of Traefik leave in place (CVE-2026-39858).
#[test]
fn replayed_traefik_with_a_second_spelling_of_the_user_header_is_refused() {
    let replay = Replay::of("traefik");
    for (spoof, code) in [
        (
            "X_Auth_Request_Email: spoofed-user",
            "trusted_proxy_ambiguous_header",
        ),
        (
            "x-auth-request-email: spoofed-user",
            "trusted_proxy_ambiguous_header",
        ),
    ] {
        let answer = replay.proxy.send(&format!(
            "GET / HTTP/1.1\r\n{TRAEFIK}X-Forwarded-Proto: https\r\n{spoof}\r\n\r\n"
        ));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, code),
            "{spoof}"
        );
    }
    assert!(replay.gateway.heads().is_empty());
}

/// What Pomerium sets ("Pass Identity Headers", "JWT Claim Headers"), and its Envoy.
const POMERIUM: &str = "Host: claw.example.com\r\n\
    X-Forwarded-Host: claw.example.com\r\n\
    X-Forwarded-Proto: https\r\n\
    X-Pomerium-Jwt-Assertion: eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl\r\n\
    X-Envoy-External-Address: 198.51.100.9\r\n\
    X-Request-Id: 5c5d47e0-2b7c-4f3a-9f5e-0f8a3f0d2f11\r\n";

#[test]
fn replayed_pomerium_is_let_in_with_the_claimed_user() {
    let replay = Replay::of("pomerium");
    // Envoy appends to the client's own X-Forwarded-For.
    let answer = replay.proxy.send(&format!(
        "GET / HTTP/1.1\r\n{POMERIUM}X-Forwarded-For: 203.0.113.66,198.51.100.9\r\n\
         X-Pomerium-Claim-Email: nick@example.com\r\nX-Auth-Request-Email: spoofed-email\r\n\
         Cookie: theme=dark; _pomerium=spoofed-session\r\n\r\n"
    ));
    assert_eq!(answer.status, 200, "{answer:?}");
    let head = replay.assert_the_upstream_gets(
        "x-pomerium-claim-email",
        &[
            "x-pomerium-jwt-assertion",
            "x-auth-request-email",
            "x-forwarded-user",
        ],
    );
    assert_eq!(head.values("cookie"), ["theme=dark"]);
    assert_eq!(
        head.values("x-request-id"),
        ["5c5d47e0-2b7c-4f3a-9f5e-0f8a3f0d2f11"]
    );
}

/// Two claims of one name are sent joined by a comma, and OpenClaw would take that for one user.
#[test]
fn replayed_pomerium_without_one_clear_claim_is_refused() {
    let replay = Replay::of("pomerium");
    for (claim, status, code) in [
        ("", 401, "trusted_proxy_user_missing"),
        (
            "X-Pomerium-Claim-Email: \r\n",
            401,
            "trusted_proxy_user_missing",
        ),
        (
            "X-Pomerium-Claim-Email: nick@example.com,eve@example.com\r\n",
            400,
            "trusted_proxy_ambiguous_header",
        ),
        (
            "X-Pomerium-Claim-Email: eve@example.com\r\n",
            403,
            "trusted_proxy_user_not_allowed",
        ),
    ] {
        let answer = replay.proxy.send(&format!(
            "GET / HTTP/1.1\r\n{POMERIUM}X-Forwarded-For: 198.51.100.9\r\n{claim}\r\n"
        ));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "`{claim}`"
        );
    }
    assert!(replay.gateway.heads().is_empty());
}
