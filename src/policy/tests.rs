//! The decision as a table: one row a rule, in the contract's order.

use proptest::prelude::*;

use super::*;

mod proof;

fn name(text: &str) -> FieldName {
    FieldName::parse(text).unwrap()
}

fn config() -> PolicyConfig {
    PolicyConfig {
        trusted_proxies: TrustedNets::parse(["10.0.0.0/8", "127.0.0.1", "::1", "2001:db8::/32"])
            .unwrap(),
        required_headers: vec![name("x-forwarded-proto"), name("x-proxy-secret")],
        allow_users: AllowUsers::only(["nick@example.com", "admin@x"]).unwrap(),
        ..PolicyConfig::sample()
    }
}

fn ceilings() -> Option<ScopeCeilings> {
    let nick = ("nick@example.com", vec!["operator.read", "operator.write"]);
    Some(ScopeCeilings::new([nick, ("*", vec!["operator.read"])]).unwrap())
}

fn hooks(sources: Option<&[&str]>) -> Vec<PublicRoute> {
    let sources = sources.map(|sources| TrustedNets::parse(sources).unwrap());
    let path = RoutePath::parse("/hooks/").unwrap();
    vec![PublicRoute::new(path, ["POST"], false, sources).unwrap()]
}

const GOOD: [(&str, &str); 3] = [
    ("x-forwarded-proto", "https"),
    ("x-proxy-secret", "s3"),
    ("X-Forwarded-User", "nick@example.com"),
];

fn good_and<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&GOOD[..], more].concat()
}

/// The outcome in a word: `user NAME scopes SCOPES`, `public`, or the denial's reason.
fn outcome(
    config: PolicyConfig,
    source: Source,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
) -> String {
    let fields: Vec<_> = fields
        .iter()
        .map(|&(name, value)| Field {
            name,
            value: value.as_bytes(),
        })
        .collect();
    let policy = Policy::new(config);
    let request = Request {
        method,
        target,
        upgrade: Upgrade::None,
        fields: &fields,
    };
    match policy.decide(source, &request, &Keyless) {
        Err(denial) => denial.reason().into_owned(),
        Ok(permit) => match permit.identity() {
            Identity::Public => format!("public {:?}", permit.standing()),
            Identity::User { user, scopes } if scopes.is_sent() => {
                let mut out = Vec::new();
                scopes.write_to(&mut out);
                format!("{} [{}]", user.as_str(), String::from_utf8(out).unwrap())
            }
            Identity::User { user, .. } => user.as_str().to_owned(),
        },
    }
}

fn from(address: &str) -> Source {
    Source::new(address.parse().unwrap(), LocalInterface::No)
}

fn get(config: PolicyConfig, fields: &[(&str, &str)]) -> String {
    outcome(config, from("10.0.0.1"), "GET", "/", fields)
}

#[test]
fn permits_an_allowed_user_of_a_trusted_proxy() {
    assert_eq!(get(config(), &GOOD), "nick@example.com");
    let blanks = good_and(&[])[..2]
        .iter()
        .copied()
        .chain([("x-forwarded-user", "\t nick@example.com ")])
        .collect::<Vec<_>>();
    assert_eq!(get(config(), &blanks), "nick@example.com");
}

#[test]
fn denies_a_source_outside_trusted_proxies() {
    for (address, expected) in [
        ("11.0.0.1", "trusted_proxy_untrusted_source"),
        ("::ffff:11.0.0.1", "trusted_proxy_untrusted_source"),
        ("::10.0.0.1", "trusted_proxy_untrusted_source"),
        ("::ffff:10.0.0.1", "nick@example.com"),
        ("2001:db8::9", "nick@example.com"),
    ] {
        assert_eq!(
            outcome(config(), from(address), "GET", "/", &GOOD),
            expected,
            "{address}"
        );
    }
    let nobody = PolicyConfig {
        trusted_proxies: TrustedNets::default(),
        ..config()
    };
    assert_eq!(get(nobody, &GOOD), "trusted_proxy_untrusted_source");
}

#[test]
fn a_unix_peer_is_trusted_by_its_uid_alone() {
    let trusting = |uids: &[u32]| PolicyConfig {
        trusted_proxies: TrustedNets::parse(["0.0.0.0/0", "::/0"]).unwrap(),
        unix_peer_uids: uids.to_vec(),
        client_names: None,
        assertion: None,
        ..config()
    };
    for (uids, uid, expected) in [
        (&[33, 1000][..], 33, "nick@example.com"),
        (&[33, 1000], 1000, "nick@example.com"),
        (&[33], 0, "trusted_proxy_untrusted_source"),
        (&[], 33, "trusted_proxy_untrusted_source"),
    ] {
        let peer = Source::unix_peer(uid);
        assert_eq!(outcome(trusting(uids), peer, "GET", "/", &GOOD), expected);
    }
}

#[test]
fn denies_loopback_without_its_flag_and_without_trust() {
    let flagged = || PolicyConfig {
        allow_loopback: true,
        ..config()
    };
    for (config, address, expected) in [
        (config(), "127.0.0.1", "trusted_proxy_loopback_source"),
        (config(), "::1", "trusted_proxy_loopback_source"),
        (
            config(),
            "::ffff:127.0.0.1",
            "trusted_proxy_loopback_source",
        ),
        (config(), "127.0.0.2", "trusted_proxy_untrusted_source"),
        (flagged(), "127.0.0.2", "trusted_proxy_untrusted_source"),
        (flagged(), "127.0.0.1", "nick@example.com"),
        (flagged(), "::1", "nick@example.com"),
    ] {
        assert_eq!(
            outcome(config, from(address), "GET", "/", &GOOD),
            expected,
            "{address}"
        );
    }
}

#[test]
fn denies_this_hosts_own_addresses_without_their_flag() {
    for (local, allowed, expected) in [
        (LocalInterface::No, false, "nick@example.com"),
        (
            LocalInterface::Yes,
            false,
            "trusted_proxy_local_interface_source",
        ),
        (
            LocalInterface::Unknown,
            false,
            "trusted_proxy_local_interface_check_failed",
        ),
        (LocalInterface::Yes, true, "nick@example.com"),
        (LocalInterface::Unknown, true, "nick@example.com"),
    ] {
        let config = PolicyConfig {
            allow_local_interface: allowed,
            ..config()
        };
        let source = Source::new("10.0.0.5".parse().unwrap(), local);
        assert_eq!(
            outcome(config, source, "GET", "/", &GOOD),
            expected,
            "{local:?}"
        );
    }
    let untrusted = Source::new("11.0.0.5".parse().unwrap(), LocalInterface::Yes);
    assert_eq!(
        outcome(config(), untrusted, "GET", "/", &GOOD),
        "trusted_proxy_untrusted_source"
    );
}

#[test]
fn denies_headers_that_can_be_read_in_two_ways() {
    let ambiguous = "trusted_proxy_ambiguous_header";
    for (more, expected) in [
        (&[("X_Forwarded_User", "admin@x")][..], ambiguous),
        (&[("x.forwarded.user", "admin@x")], ambiguous),
        (&[("X-Forwarded_User", "admin@x")], ambiguous),
        (&[("x-forwarded-user", "nick@example.com")], ambiguous),
        (&[("X-FORWARDED-USER", "")], ambiguous),
        (&[("x-forwarded-proto", "https")], ambiguous),
        (&[("x-forwarded-proto", "")], ambiguous),
        (&[("x-proxy-secret", "x")], ambiguous),
        (&[("x_proxy_secret", "x")], ambiguous),
        (&[("x_forwarded_for", "x")], ambiguous),
        (&[("x.real.ip", "x")], ambiguous),
        (&[("x_forwarded_host", "x")], ambiguous),
        (&[("x-forwarded_port", "x")], ambiguous),
        (&[("x_request_id", "x")], ambiguous),
        (&[("x_openclaw_scopes", "")], ambiguous),
        (
            &[("x-openclaw-scopes", "a"), ("X-OpenClaw-Scopes", "a")],
            ambiguous,
        ),
        (
            &[("x-forwarded-for", "a"), ("x-forwarded-for", "b")],
            "nick@example.com",
        ),
        (
            &[("x-forwarded-host", "a"), ("x-forwarded-host", "b")],
            "nick@example.com",
        ),
        (&[("x_auth_request_user", "a")], "nick@example.com"),
        (&[("x_custom", "a"), ("x.custom", "a")], "nick@example.com"),
    ] {
        assert_eq!(get(config(), &good_and(more)), expected, "{more:?}");
    }
}

#[test]
fn denies_a_list_of_users() {
    for user in [
        "nick@example.com, admin@x",
        ",nick@example.com",
        "nick@example.com,",
        ",",
    ] {
        let fields = [GOOD[0], GOOD[1], ("x-forwarded-user", user)];
        assert_eq!(
            get(config(), &fields),
            "trusted_proxy_ambiguous_header",
            "{user}"
        );
    }
}

#[test]
fn counts_a_credentials_alias_as_ambiguous_and_a_required_list_as_one() {
    let config = || PolicyConfig {
        credential_header: Some(name("x-api-key")),
        required_headers: vec![name("x-forwarded-for"), name("cookie"), name("host")],
        ..config()
    };
    let lists = [
        ("x-forwarded-for", ""),
        ("x-forwarded-for", "203.0.113.7"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("x-forwarded-user", "nick@example.com"),
    ];
    assert_eq!(get(config(), &lists), "nick@example.com");
    assert_eq!(get(config(), &lists[1..]), "nick@example.com");
    assert_eq!(
        get(config(), &lists[2..]),
        "trusted_proxy_missing_header_x-forwarded-for"
    );
    let alias = [&lists[..], &[("x_api_key", "k")]].concat();
    assert_eq!(get(config(), &alias), "trusted_proxy_ambiguous_header");
}

#[test]
fn denies_scopes_that_nothing_says_how_to_read() {
    for value in ["operator.admin", "", " "] {
        let fields = good_and(&[("X-OpenClaw-Scopes", value)]);
        assert_eq!(
            get(config(), &fields),
            "trusted_proxy_unexpected_scopes",
            "{value:?}"
        );
    }
}

#[test]
fn cuts_scopes_to_the_users_ceiling() {
    for (user, incoming, expected) in [
        (
            "nick@example.com",
            None,
            "nick@example.com [operator.read,operator.write]",
        ),
        (
            "nick@example.com",
            Some("operator.admin"),
            "nick@example.com []",
        ),
        (
            "nick@example.com",
            Some("operator.admin, operator.write"),
            "nick@example.com [operator.write]",
        ),
        ("nick@example.com", Some(""), "nick@example.com []"),
        ("admin@x", None, "admin@x [operator.read]"),
        ("admin@x", Some("operator.write"), "admin@x []"),
    ] {
        let config = PolicyConfig {
            scope_ceilings: ceilings(),
            pass_scopes: true,
            ..config()
        };
        let mut fields = vec![GOOD[0], GOOD[1], ("x-forwarded-user", user)];
        fields.extend(incoming.map(|value| ("x-openclaw-scopes", value)));
        assert_eq!(get(config, &fields), expected, "{user} {incoming:?}");
    }
}

#[test]
fn believes_scopes_where_told_to() {
    let config = || PolicyConfig {
        pass_scopes: true,
        ..config()
    };
    for (incoming, expected) in [
        (None, "nick@example.com []"),
        (
            Some(" operator.admin,b "),
            "nick@example.com [operator.admin,b]",
        ),
        (Some(""), "nick@example.com []"),
        (
            Some("operator.read operator.admin"),
            "trusted_proxy_ambiguous_header",
        ),
        (Some("é"), "trusted_proxy_ambiguous_header"),
    ] {
        let mut fields = GOOD.to_vec();
        fields.extend(incoming.map(|value| ("x-openclaw-scopes", value)));
        assert_eq!(get(config(), &fields), expected, "{incoming:?}");
    }
}

#[test]
fn denies_a_missing_or_blank_required_header_by_name() {
    for (fields, expected) in [
        (&GOOD[1..], "trusted_proxy_missing_header_x-forwarded-proto"),
        (
            &[GOOD[0], GOOD[2]][..],
            "trusted_proxy_missing_header_x-proxy-secret",
        ),
        (
            &[GOOD[0], ("x-proxy-secret", " \t"), GOOD[2]],
            "trusted_proxy_missing_header_x-proxy-secret",
        ),
        (&[], "trusted_proxy_missing_header_x-forwarded-proto"),
    ] {
        assert_eq!(get(config(), fields), expected);
    }
}

#[test]
fn denies_every_request_where_more_headers_are_required_than_can_come() {
    let required_headers: Vec<_> = (0..200).map(|i| name(&format!("x-r{i}"))).collect();
    let names: Vec<_> = required_headers.iter().map(ToString::to_string).collect();
    let config = || PolicyConfig {
        required_headers: required_headers.clone(),
        ..config()
    };
    let fields: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
    assert_eq!(
        get(config(), &fields[..128]),
        "trusted_proxy_missing_header_x-r128"
    );
    assert_eq!(get(config(), &fields), "trusted_proxy_ambiguous_header");
}

#[test]
fn denies_what_is_no_user() {
    let long = "a".repeat(321);
    let longest = "a".repeat(320);
    let huge = "a".repeat(8192);
    for (user, expected) in [
        (None, "trusted_proxy_user_missing"),
        (Some(""), "trusted_proxy_user_missing"),
        (Some("   "), "trusted_proxy_user_missing"),
        (Some("\t"), "trusted_proxy_user_missing"),
        (Some("nick\u{a0}"), "trusted_proxy_user_invalid"),
        (Some("\u{200b}admin@x"), "trusted_proxy_user_invalid"),
        (Some("аdmin@x"), "trusted_proxy_user_invalid"),
        (Some("a\u{7f}"), "trusted_proxy_user_invalid"),
        (Some(&long), "trusted_proxy_user_invalid"),
        (Some(&huge), "trusted_proxy_user_invalid"),
        (Some(&longest), "trusted_proxy_user_not_allowed"),
        (Some("Admin@X"), "trusted_proxy_user_not_allowed"),
        (Some("%61dmin@x"), "trusted_proxy_user_not_allowed"),
        (Some("a@evil@x"), "trusted_proxy_user_not_allowed"),
        (Some("*"), "trusted_proxy_user_not_allowed"),
        (Some("admin@x"), "admin@x"),
    ] {
        let mut fields = GOOD[..2].to_vec();
        fields.extend(user.map(|user| ("x-forwarded-user", user)));
        assert_eq!(get(config(), &fields), expected, "{user:?}");
    }
}

#[test]
fn lets_any_named_user_pass_where_nobody_is_listed() {
    let config = || PolicyConfig {
        allow_users: AllowUsers::Any,
        required_headers: vec![],
        ..config()
    };
    assert_eq!(
        get(config(), &[("x-forwarded-user", "John Smith")]),
        "John Smith"
    );
    assert_eq!(get(config(), &[]), "trusted_proxy_user_missing");
    assert_eq!(
        get(config(), &[("x-forwarded-user", "a, b")]),
        "trusted_proxy_ambiguous_header"
    );
}

#[test]
fn checks_in_the_contracts_order() {
    let all_wrong = [
        ("x_real_ip", "x"),
        ("x-openclaw-scopes", "x"),
        ("x-forwarded-user", "é"),
    ];
    let own = Source::new("10.0.0.5".parse().unwrap(), LocalInterface::Yes);
    for (source, fields, expected) in [
        (
            from("11.0.0.1"),
            &all_wrong[..],
            "trusted_proxy_untrusted_source",
        ),
        (
            from("127.0.0.1"),
            &all_wrong,
            "trusted_proxy_loopback_source",
        ),
        (own, &all_wrong, "trusted_proxy_local_interface_source"),
        (
            from("10.0.0.1"),
            &all_wrong,
            "trusted_proxy_ambiguous_header",
        ),
        (
            from("10.0.0.1"),
            &all_wrong[1..],
            "trusted_proxy_unexpected_scopes",
        ),
        (
            from("10.0.0.1"),
            &all_wrong[2..],
            "trusted_proxy_missing_header_x-forwarded-proto",
        ),
        (
            from("10.0.0.1"),
            &[GOOD[0], GOOD[1], all_wrong[2]],
            "trusted_proxy_user_invalid",
        ),
    ] {
        assert_eq!(outcome(config(), source, "GET", "/", fields), expected);
    }
}

#[test]
fn gives_no_path_and_no_health_checker_a_way_around() {
    for target in [
        "/",
        "/healthz",
        "/ping",
        "/favicon.ico",
        "/..%2f",
        "//x",
        "/hooks/x",
        "/__openclaw__/worker",
    ] {
        let fields = [
            ("user-agent", "kube-probe/1.30"),
            ("x-original-url", "/public"),
        ];
        let denied = outcome(config(), from("10.0.0.1"), "POST", target, &fields);
        assert_eq!(
            denied, "trusted_proxy_missing_header_x-forwarded-proto",
            "{target}"
        );
    }
}

#[test]
fn refuses_more_fields_than_it_can_examine() {
    let fields = vec![("accept", "x"); MAX_FIELDS - 3];
    assert_eq!(get(config(), &good_and(&fields)), "nick@example.com");
    let fields = vec![("accept", "x"); MAX_FIELDS - 2];
    assert_eq!(
        get(config(), &good_and(&fields)),
        "trusted_proxy_ambiguous_header"
    );
    let config = PolicyConfig {
        public_routes: hooks(None),
        ..config()
    };
    let refused = outcome(
        config,
        from("10.0.0.1"),
        "POST",
        "/hooks/x",
        &good_and(&fields),
    );
    assert_eq!(refused, "trusted_proxy_ambiguous_header");
}

#[test]
fn opens_a_public_route_to_its_sources_alone() {
    let missing = "trusted_proxy_missing_header_x-forwarded-proto";
    let own = Source::new("10.0.0.5".parse().unwrap(), LocalInterface::Yes);
    let unknown = Source::new("10.0.0.5".parse().unwrap(), LocalInterface::Unknown);
    let outside = Some(&["203.0.113.0/24", "10.0.0.1"][..]);
    for (sources, source, target, expected) in [
        (None, from("10.0.0.1"), "/hooks/x", "public TrustedProxy"),
        (
            None,
            from("203.0.113.7"),
            "/hooks/x",
            "trusted_proxy_untrusted_source",
        ),
        (
            outside,
            from("203.0.113.7"),
            "/hooks/x",
            "public RouteSource",
        ),
        (outside, from("10.0.0.1"), "/hooks/x", "public TrustedProxy"),
        (outside, from("10.0.0.2"), "/hooks/x", missing),
        (
            outside,
            from("203.0.113.7"),
            "/other",
            "trusted_proxy_untrusted_source",
        ),
        (
            None,
            from("127.0.0.1"),
            "/hooks/x",
            "trusted_proxy_loopback_source",
        ),
        (
            Some(&["127.0.0.0/8"]),
            from("127.0.0.2"),
            "/hooks/x",
            "trusted_proxy_untrusted_source",
        ),
        (
            None,
            own,
            "/hooks/x",
            "trusted_proxy_local_interface_source",
        ),
        (
            None,
            unknown,
            "/hooks/x",
            "trusted_proxy_local_interface_check_failed",
        ),
        (None, from("10.0.0.1"), "/hooks/%2e%2e/x", missing),
        (None, from("10.0.0.1"), "/hooks/../x", missing),
        (None, from("10.0.0.1"), "/hooks//x", missing),
        (None, from("10.0.0.1"), "/hooks;x", missing),
        (None, from("10.0.0.1"), "/HOOKS/x", missing),
    ] {
        let config = PolicyConfig {
            public_routes: hooks(sources),
            ..config()
        };
        assert_eq!(
            outcome(config, source, "POST", target, &[]),
            expected,
            "{sources:?} {source:?} {target}"
        );
    }
}

#[test]
fn takes_no_identity_on_a_public_route_and_refuses_aliases_there_too() {
    let config = || PolicyConfig {
        public_routes: hooks(None),
        ..config()
    };
    let post =
        |fields: &[(&str, &str)]| outcome(config(), from("10.0.0.1"), "POST", "/hooks/x", fields);
    assert_eq!(
        post(&good_and(&[("x-openclaw-scopes", "operator.admin")])),
        "public TrustedProxy"
    );
    assert_eq!(
        post(&[("x-forwarded-user", "a"), ("x-forwarded-user", "b")]),
        "public TrustedProxy"
    );
    assert_eq!(
        post(&[("x_forwarded_user", "a")]),
        "trusted_proxy_ambiguous_header"
    );
    assert_eq!(
        outcome(config(), from("10.0.0.1"), "GET", "/hooks/x", &GOOD),
        "nick@example.com"
    );
}

#[test]
fn passes_on_what_is_named_and_no_nonce_whatever_is_configured() {
    let policy = Policy::new(PolicyConfig {
        pass_headers: vec![name("x-groups"), name(PROBE_HEADER)],
        ..config()
    });
    for name in [PROBE_HEADER, "X-Portcullis-Probe", "x_portcullis_probe"] {
        assert_eq!(policy.class_of(name), Class::Drop, "{name}");
    }
    let named: Vec<_> = policy.named_headers().map(FieldName::as_str).collect();
    assert_eq!(named, ["x-proxy-secret", "x-groups"]);
}

#[test]
fn tells_the_operator_what_was_found_and_no_secret() {
    let fields = good_and(&[("x-proxy-secret", "hunter2"), ("authorization", "hunter2")]);
    let fields: Vec<_> = fields
        .iter()
        .map(|&(name, value)| Field {
            name,
            value: value.as_bytes(),
        })
        .collect();
    let policy = Policy::new(config());
    let request = Request {
        method: "GET",
        target: "/",
        upgrade: Upgrade::None,
        fields: &fields,
    };
    let denial = policy
        .decide(from("10.0.0.1"), &request, &Keyless)
        .unwrap_err();
    assert_eq!(
        denial.detail(),
        "got `x-proxy-secret` 2 times, expected it once"
    );
    assert!(!format!("{denial:?} {policy:?} {request:?}").contains("hunter2"));
}

fn some_name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("x-forwarded-user".to_owned()),
        Just("X_Forwarded-User".to_owned()),
        Just("x-forwarded-proto".to_owned()),
        Just("x-proxy-secret".to_owned()),
        Just("x-openclaw-scopes".to_owned()),
        Just("accept".to_owned()),
        "[xX][-_.][a-zA-Z._-]{0,20}",
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn permits_only_what_a_slow_reading_of_the_rules_permits(
        fields in prop::collection::vec(
            (some_name(), prop_oneof![
                Just(b"nick@example.com".to_vec()), Just(b" ".to_vec()), prop::collection::vec(any::<u8>(), 0..8),
            ]),
            0..12,
        ),
        complete in any::<bool>(),
    ) {
        let mut fields = fields;
        if complete {
            fields.extend(GOOD.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())));
        }
        let policy = Policy::new(config());
        let borrowed: Vec<_> = fields.iter().map(|(name, value)| Field { name, value }).collect();
        let request = Request { method: "GET", target: "/", upgrade: Upgrade::None, fields: &borrowed };
        let decision = policy.decide(from("10.0.0.1"), &request, &Keyless);

        let normal = |name: &str| name.to_ascii_lowercase().replace(['_', '.'], "-");
        let literal = |wanted: &str| -> Vec<&[u8]> {
            borrowed.iter().filter(|field| field.name.eq_ignore_ascii_case(wanted)).map(|field| trim(field.value)).collect()
        };
        let owned = ["x-forwarded-for", "x-real-ip", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port",
            "x-request-id", "x-openclaw-scopes", "x-forwarded-user", "x-proxy-secret"];
        let aliased = borrowed.iter().any(|field| {
            owned.contains(&normal(field.name).as_str()) && !owned.contains(&field.name.to_ascii_lowercase().as_str())
        });
        let expected = !aliased
            && literal("x-openclaw-scopes").is_empty()
            && ["x-forwarded-proto", "x-proxy-secret"].iter().all(|name| matches!(literal(name)[..], [value] if !value.is_empty()))
            && literal("x-forwarded-user") == [b"nick@example.com"];
        prop_assert_eq!(decision.is_ok(), expected);
    }

    #[test]
    fn never_panics_on_any_request(
        method in any::<String>(),
        target in any::<String>(),
        fields in prop::collection::vec((any::<String>(), prop::collection::vec(any::<u8>(), 0..20)), 0..140),
        websocket in any::<bool>(),
    ) {
        let config = PolicyConfig { public_routes: hooks(None), scope_ceilings: ceilings(), ..config() };
        let policy = Policy::new(config);
        let fields: Vec<_> = fields.iter().map(|(name, value)| Field { name, value }).collect();
        let upgrade = if websocket { Upgrade::Websocket } else { Upgrade::None };
        let request = Request { method: &method, target: &target, upgrade, fields: &fields };
        if let Err(denial) = policy.decide(from("10.0.0.1"), &request, &Keyless) {
            let _ = (denial.detail(), denial.reason());
        }
    }
}
