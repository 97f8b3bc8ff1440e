//! What the upstream gets, line by line.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::policy::{
    Keyless, LocalInterface, Policy, PolicyConfig, PublicRoute, Request, RoutePath, ScopeCeilings,
    Source,
};
use crate::secrets::SecretValue;

struct Door {
    policy: Policy,
    rewriter: Rewriter,
    source: Source,
    scheme: Scheme,
    upgrade: Upgrade,
    target: &'static str,
}

fn name(text: &str) -> FieldName {
    FieldName::parse(text).unwrap()
}

fn door(adjust: impl FnOnce(&mut PolicyConfig)) -> Door {
    let route_sources = TrustedNets::parse(["10.0.0.0/8", "198.51.100.1"]).unwrap();
    let hooks = PublicRoute::new(
        RoutePath::parse("/hooks/").unwrap(),
        ["GET"],
        false,
        Some(route_sources),
    )
    .unwrap();
    let mut config = PolicyConfig {
        trusted_proxies: TrustedNets::parse(["10.0.0.0/8"]).unwrap(),
        scope_ceilings: Some(
            ScopeCeilings::new([("*", vec!["operator.read", "operator.write"])]).unwrap(),
        ),
        public_routes: vec![hooks],
        credential_header: Some(name("authorization")),
        ..PolicyConfig::sample()
    };
    adjust(&mut config);
    let value = HeaderBytes::new(SecretValue::concat(&["Bearer ours"])).unwrap();
    let rewriter = Rewriter::new(ForwardedConfig {
        user_header: config.user_header.clone(),
        trusted: config.trusted_proxies.clone(),
        drop_cookies: CookiePatterns::default(),
        credential: config
            .credential_header
            .clone()
            .map(|header| Credential { header, value }),
    });
    Door {
        policy: Policy::new(config),
        rewriter,
        source: Source::new("10.0.0.1".parse().unwrap(), LocalInterface::No),
        scheme: Scheme::Https,
        upgrade: Upgrade::None,
        target: "/",
    }
}

impl Door {
    fn send(&self, fields: &[(&str, &str)]) -> (String, Written) {
        let mut all = vec![Field {
            name: "x-forwarded-user",
            value: b"nick",
        }];
        all.extend(fields.iter().map(|&(name, value)| Field {
            name,
            value: value.as_bytes(),
        }));
        let request = Request {
            method: "GET",
            target: self.target,
            upgrade: self.upgrade,
            fields: &all,
        };
        let permit = self.policy.decide(self.source, &request, &Keyless).unwrap();
        let facts = Facts {
            scheme: self.scheme,
            host: "claw.example.com",
            request_id: "id-1",
        };
        let mut out = Vec::new();
        let written = self.rewriter.rewrite(&permit, &facts, &mut out);
        (String::from_utf8(out).unwrap(), written)
    }

    /// The values that the upstream gets under one name.
    fn got(&self, name: &str, fields: &[(&str, &str)]) -> Vec<String> {
        let (head, _) = self.send(fields);
        let named = head.lines().filter_map(|line| line.split_once(": "));
        named
            .filter(|(got, _)| got.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .collect()
    }
}

#[test]
fn sets_ours_once_after_what_passes() {
    let (head, written) = door(|_| {}).send(&[
        ("Accept", "*/*"),
        ("Host", "claw.example.com"),
        ("X-OpenClaw-Agent", "main"),
        ("x-custom", "1"),
        ("x-custom", "2"),
        ("Content-Length", "5"),
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "claw.example.com:8443"),
        ("X-Request-Id", "spoofed"),
        ("X-Real-Ip", "1.1.1.1"),
        ("Authorization", "Bearer theirs"),
        ("Origin", "https://claw.example.com"),
    ]);
    let expected = [
        "host: claw.example.com",
        "Accept: */*",
        "X-OpenClaw-Agent: main",
        "x-custom: 1",
        "x-custom: 2",
        "Origin: https://claw.example.com",
        "x-forwarded-user: nick",
        "x-openclaw-scopes: operator.read,operator.write",
        "authorization: Bearer ours",
        "x-forwarded-for: 203.0.113.7",
        "x-real-ip: 203.0.113.7",
        "x-forwarded-proto: https",
        "x-forwarded-host: claw.example.com:8443",
        "x-forwarded-port: 8443",
        "x-request-id: id-1",
        "",
    ];
    assert_eq!(head, expected.join("\r\n"));
    assert_eq!(
        written,
        Written {
            scheme: Scheme::Https,
            client: "203.0.113.7".parse().unwrap()
        }
    );
}

#[test]
fn walks_the_chain_from_the_right_and_falls_back_to_the_source() {
    for (lists, expected) in [
        (&["203.0.113.7"][..], "203.0.113.7"),
        (&["198.51.100.9, 203.0.113.7, 10.0.0.9"], "203.0.113.7"),
        (&["198.51.100.9", "203.0.113.7", "127.0.0.1"], "203.0.113.7"),
        (&["127.0.0.1"], "10.0.0.1"),
        (&["203.0.113.7, unknown"], "10.0.0.1"),
        (&[], "10.0.0.1"),
    ] {
        let fields: Vec<_> = lists
            .iter()
            .map(|list| ("X-Forwarded-For", *list))
            .collect();
        assert_eq!(
            door(|_| {}).got("x-forwarded-for", &fields),
            [expected],
            "{lists:?}"
        );
        assert_eq!(door(|_| {}).got("x-real-ip", &fields), [expected]);
    }
}

#[test]
fn believes_one_scheme_that_it_knows() {
    use Scheme::{Http, Https};
    for (values, upgrade, listener, expected) in [
        (&["https"][..], Upgrade::None, Http, Https),
        (&["http"], Upgrade::None, Https, Http),
        (&[" https "], Upgrade::None, Http, Https),
        (&[], Upgrade::None, Https, Https),
        (&["https, http"], Upgrade::None, Http, Http),
        (&["http, https"], Upgrade::None, Https, Https),
        (&["https", "https"], Upgrade::None, Http, Http),
        (&["HTTPSX"], Upgrade::None, Http, Http),
        (&["HTTPS"], Upgrade::None, Http, Http),
        (&["wss"], Upgrade::None, Http, Http),
        (&["wss"], Upgrade::Websocket, Http, Https),
        (&["ws"], Upgrade::Websocket, Https, Http),
    ] {
        let door = Door {
            scheme: listener,
            upgrade,
            ..door(|_| {})
        };
        let fields: Vec<_> = values
            .iter()
            .map(|value| ("x-forwarded-proto", *value))
            .collect();
        assert_eq!(
            door.got("x-forwarded-proto", &fields),
            [expected.as_str()],
            "{values:?}"
        );
        assert_eq!(door.send(&fields).1.scheme, expected);
    }
}

#[test]
fn believes_one_valid_host_and_keeps_its_port() {
    for (values, host, port) in [
        (&["a.example:8443"][..], "a.example:8443", "8443"),
        (&["a.example"], "a.example", "443"),
        (&["[2001:db8::1]:1234"], "[2001:db8::1]:1234", "1234"),
        (&[], "claw.example.com", "443"),
        (&["evil.com, real"], "claw.example.com", "443"),
        (&["a.example", "a.example"], "claw.example.com", "443"),
        (&["evil.com/x"], "claw.example.com", "443"),
        (&["u@evil.com"], "claw.example.com", "443"),
        (&["evil.com\r"], "claw.example.com", "443"),
    ] {
        let fields: Vec<_> = values
            .iter()
            .map(|value| ("x-forwarded-host", *value))
            .collect();
        assert_eq!(
            door(|_| {}).got("x-forwarded-host", &fields),
            [host],
            "{values:?}"
        );
        assert_eq!(
            door(|_| {}).got("x-forwarded-port", &fields),
            [port],
            "{values:?}"
        );
        assert_eq!(door(|_| {}).got("host", &fields), ["claw.example.com"]);
    }
}

#[test]
fn derives_the_port_from_the_clients_scheme() {
    let fields = [("x-forwarded-proto", "http"), ("x-forwarded-port", "9999")];
    assert_eq!(door(|_| {}).got("x-forwarded-port", &fields), ["80"]);
}

#[test]
fn takes_out_whatever_could_speak_for_another_proxy() {
    for name in [
        "Forwarded",
        "X-Forwarded-Uri",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-Forwarded-Client-Cert",
        "X-Tls-Client-Subject",
        "X-SSL-Client-S-DN",
        "X-Auth-Request-Email",
        "x_auth_request_email",
        "x.auth.request.email",
        "Remote-User",
        "Remote_User",
        "CF-Access-Jwt-Assertion",
        "X-Pomerium-Jwt-Assertion",
        "Tailscale-User-Login",
        "X-Forwarded-Email",
        "X-Forwarded-Groups",
    ] {
        assert_eq!(
            door(|_| {}).got(name, &[(name, "admin")]),
            [""; 0],
            "{name}"
        );
    }
}

#[test]
fn lets_named_identity_headers_pass_to_the_letter() {
    let door = door(|config| {
        config.pass_headers = vec![name("x-auth-request-groups")];
        config.required_headers = vec![name("x-pomerium-jwt-assertion"), name("x-forwarded-proto")];
    });
    let fields = [
        ("X-Auth-Request-Groups", "ops"),
        ("x_auth_request_groups", "admin"),
        ("x-auth-request-email", "e"),
        ("x-pomerium-jwt-assertion", "jwt"),
        ("x-forwarded-proto", "https"),
    ];
    assert_eq!(door.got("x-auth-request-groups", &fields), ["ops"]);
    assert_eq!(door.got("x_auth_request_groups", &fields), [""; 0]);
    assert_eq!(door.got("x-auth-request-email", &fields), [""; 0]);
    assert_eq!(door.got("x-pomerium-jwt-assertion", &fields), ["jwt"]);
    assert_eq!(door.got("x-forwarded-proto", &fields), ["https"]);
}

#[test]
fn takes_out_the_fields_of_the_connection() {
    for name in [
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Content-Length",
        "Upgrade",
        "HTTP2-Settings",
    ] {
        assert_eq!(door(|_| {}).got(name, &[(name, "x")]), [""; 0], "{name}");
    }
}

#[test]
fn lets_connection_name_nothing_of_ours() {
    let tokens = "close, X-Forwarded-User, x-forwarded-for, x-openclaw-scopes, authorization, cookie, content-type, \
                  ORIGIN, host, sec-websocket-key, x-proxy-secret, x-auth-request-groups, x-hop, x-request-id";
    let door = door(|config| {
        config.required_headers = vec![name("x-proxy-secret")];
        config.pass_headers = vec![name("x-auth-request-groups")];
    });
    let fields = [
        ("Connection", tokens),
        ("connection", "X-HOP-2"),
        ("cookie", "a=1"),
        ("content-type", "text/plain"),
        ("origin", "https://x"),
        ("sec-websocket-key", "k"),
        ("x-proxy-secret", "s"),
        ("x-auth-request-groups", "g"),
        ("x-hop", "gone"),
        ("x-hop-2", "gone"),
        ("x-hop-3", "stays"),
    ];
    for (name, expected) in [
        ("x-forwarded-user", "nick"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-openclaw-scopes", "operator.read,operator.write"),
        ("authorization", "Bearer ours"),
        ("cookie", "a=1"),
        ("content-type", "text/plain"),
        ("origin", "https://x"),
        ("host", "claw.example.com"),
        ("sec-websocket-key", "k"),
        ("x-proxy-secret", "s"),
        ("x-auth-request-groups", "g"),
        ("x-request-id", "id-1"),
        ("x-hop-3", "stays"),
    ] {
        assert_eq!(door.got(name, &fields), [expected], "{name}");
    }
    assert_eq!(door.got("x-hop", &fields), [""; 0]);
    assert_eq!(door.got("x-hop-2", &fields), [""; 0]);
}

#[test]
fn joins_cookies_into_one_line_without_the_sign_ons() {
    let fields = [
        ("cookie", "a=1"),
        ("accept", "x"),
        ("cookie", "_oauth2_proxy=s; b=2"),
        ("cookie", "_pomerium=s"),
    ];
    assert_eq!(door(|_| {}).got("cookie", &fields), ["a=1; b=2"]);
    assert_eq!(
        door(|_| {}).got("cookie", &[("cookie", "_oauth2_proxy=s")]),
        [""; 0]
    );
}

#[test]
fn leaves_scopes_out_where_nothing_is_configured_and_sends_an_empty_cut() {
    let open = door(|config| config.scope_ceilings = None);
    assert_eq!(open.got("x-openclaw-scopes", &[]), [""; 0]);
    let cut = [("x-openclaw-scopes", "operator.admin")];
    assert_eq!(door(|_| {}).got("x-openclaw-scopes", &cut), [""]);
}

#[test]
fn passes_a_public_route_without_identity_scopes_or_credential() {
    let door = Door {
        target: "/hooks/x",
        ..door(|config| {
            config.required_headers = vec![name("x-proxy-secret")];
            config.pass_headers = vec![name("x-auth-request-groups")];
        })
    };
    let fields = [
        ("x-openclaw-scopes", "operator.admin"),
        ("x-proxy-secret", "s"),
        ("x-auth-request-groups", "g"),
        ("remote-user", "admin"),
        ("authorization", "Bearer hook"),
        ("cookie", "_oauth2_proxy=s; a=1"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "http"),
        ("x-hub-signature-256", "sha256=0"),
    ];
    let expected = [
        "host: claw.example.com",
        "authorization: Bearer hook",
        "cookie: a=1",
        "x-hub-signature-256: sha256=0",
        "x-forwarded-for: 203.0.113.7",
        "x-real-ip: 203.0.113.7",
        "x-forwarded-proto: http",
        "x-forwarded-host: claw.example.com",
        "x-forwarded-port: 80",
        "x-request-id: id-1",
        "",
    ];
    assert_eq!(door.send(&fields).0, expected.join("\r\n"));
}

#[test]
fn believes_nothing_of_a_routes_source_that_is_no_trusted_proxy() {
    let source = Source::new("198.51.100.1".parse().unwrap(), LocalInterface::No);
    let door = Door {
        target: "/hooks/x",
        source,
        ..door(|_| {})
    };
    let fields = [
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "evil.example"),
    ];
    let (head, written) = door.send(&fields);
    assert_eq!(
        written,
        Written {
            scheme: Scheme::Https,
            client: "198.51.100.1".parse().unwrap()
        }
    );
    assert!(
        head.contains("x-forwarded-host: claw.example.com\r\n") && !head.contains("203.0.113.7"),
        "{head}"
    );
}

fn some_name() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-real-ip",
        "x-request-id",
        "X-OpenClaw-Scopes",
        "authorization",
        "host",
        "connection",
        "cookie",
        "upgrade",
        "transfer-encoding",
        "x-auth-request-user",
        "Remote_User",
        "forwarded",
        "X_SSL_Client",
        "accept",
        "x-custom",
    ];
    prop_oneof![3 => prop::sample::select(KNOWN).prop_map(str::to_owned), 1 => "[a-zA-Z][a-zA-Z0-9._-]{0,20}"]
}

proptest! {
    #[test]
    fn never_doubles_ours_nor_passes_another_identity(
        fields in prop::collection::vec((some_name(), "[ -~]{0,20}"), 0..20),
        tokens in prop::collection::vec(some_name(), 0..6),
        public in any::<bool>(),
    ) {
        let door = Door { target: if public { "/hooks/x" } else { "/" }, ..door(|_| {}) };
        let tokens = tokens.join(", ");
        let mut all = vec![Field { name: "X-Forwarded-User", value: b"nick" }, Field { name: "Connection", value: tokens.as_bytes() }];
        all.extend(fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }));
        let request = Request { method: "GET", target: door.target, upgrade: Upgrade::None, fields: &all };
        let Ok(permit) = door.policy.decide(door.source, &request, &Keyless) else { return Ok(()) };
        let facts = Facts { scheme: Scheme::Http, host: "claw.example.com", request_id: "id-1" };
        let mut out = Vec::new();
        let written = door.rewriter.rewrite(&permit, &facts, &mut out);
        let head = String::from_utf8(out).unwrap();
        let names: Vec<_> = head.lines().map(|line| line.split_once(": ").unwrap().0.to_ascii_lowercase()).collect();
        let count = |name: &str| names.iter().filter(|got| *got == name).count();

        let always = ["host", "x-forwarded-for", "x-real-ip", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-request-id"];
        for name in always {
            prop_assert_eq!(count(name), 1, "{} in {}", name, head);
        }
        for name in ["x-forwarded-user", "x-openclaw-scopes"] {
            prop_assert_eq!(count(name), usize::from(!public), "{} in {}", name, head);
        }
        prop_assert!(public || count("authorization") == 1);
        for name in &names {
            let normal = name.replace(['_', '.'], "-");
            let foreign = ["x-auth-request-", "remote-", "x-ssl-", "connection", "transfer-encoding", "upgrade"];
            prop_assert!(!foreign.iter().any(|start| normal.starts_with(start)) && normal != "forwarded", "{}", head);
            prop_assert!(!normal.starts_with("x-forwarded-") || always.contains(&name.as_str()) || name == "x-forwarded-user");
        }
        let in_head = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        prop_assert_eq!(in_head("x-forwarded-for: ").parse::<IpAddr>().unwrap(), written.client);
        prop_assert!(head.contains("\r\nx-real-ip: "));
    }

    #[test]
    fn never_panics_on_any_bytes(
        fields in prop::collection::vec((some_name(), prop::collection::vec(any::<u8>(), 0..40)), 0..30),
        host in any::<String>(),
    ) {
        let door = door(|_| {});
        let mut all = vec![Field { name: "x-forwarded-user", value: b"nick" }];
        all.extend(fields.iter().map(|(name, value)| Field { name, value }));
        let request = Request { method: "GET", target: "/", upgrade: Upgrade::None, fields: &all };
        if let Ok(permit) = door.policy.decide(door.source, &request, &Keyless) {
            let facts = Facts { scheme: Scheme::Http, host: &host, request_id: "id" };
            door.rewriter.rewrite(&permit, &facts, &mut Vec::new());
        }
    }
}

#[test]
fn decides_and_writes_without_allocating() {
    let door = door(|_| {});
    let fields = [
        ("Host", "claw.example.com"),
        ("Connection", "keep-alive, x-hop"),
        ("X-Forwarded-User", "nick"),
        ("X-Forwarded-For", "203.0.113.7, 10.0.0.9"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "claw.example.com:8443"),
        ("X-OpenClaw-Scopes", "operator.read, operator.admin"),
        ("Cookie", "a=1; _oauth2_proxy=s"),
        ("Accept", "*/*"),
        ("x-hop", "x"),
    ];
    let fields = fields.map(|(name, value)| Field {
        name,
        value: value.as_bytes(),
    });
    let request = Request {
        method: "GET",
        target: "/a?b",
        upgrade: Upgrade::None,
        fields: &fields,
    };
    let facts = Facts {
        scheme: Scheme::Https,
        host: "claw.example.com",
        request_id: "id-1",
    };
    let mut out = Vec::with_capacity(4096);
    let allocated = allocation_counter::measure(|| {
        let permit = door.policy.decide(door.source, &request, &Keyless).unwrap();
        door.rewriter.rewrite(&permit, &facts, &mut out);
    });
    assert!(out.len() > 200);
    assert_eq!(allocated.count_total, 0);
}
