use super::super::checklist::tests::{config, deployment, facts};
use super::super::deployment::{Answer, Gateway};
use super::*;
use serde_json::json;
use std::net::SocketAddr;

const USERS: [&str; 1] = ["nick@example.com"];

fn gateway(changes: serde_json::Value) -> OpenClaw {
    let mut gateway = json!({
        "trustedProxies": ["127.0.0.1"],
        "auth": { "mode": "trusted-proxy", "trustedProxy": {
            "userHeader": "x-forwarded-user", "allowUsers": USERS, "allowLoopback": true,
        } },
        "controlUi": { "allowedOrigins": ["https://claw.example.com"] },
    });
    let changes = changes.as_object().unwrap().clone();
    gateway.as_object_mut().unwrap().extend(changes);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("openclaw.json");
    std::fs::write(&path, json!({ "gateway": gateway }).to_string()).unwrap();
    OpenClaw::read(&path).unwrap()
}

fn target(address: &str, source: &str, answer: Answer) -> Target {
    Target {
        address: address.parse::<SocketAddr>().unwrap(),
        source: Some(source.parse().unwrap()),
        answer,
    }
}

fn found(config: &Config, targets: Vec<Target>, openclaw: &OpenClaw) -> Vec<(FindingId, Severity)> {
    let findings = findings(config, targets, openclaw);
    let mut found: Vec<_> = findings.iter().map(|it| (it.id, it.severity)).collect();
    found.sort();
    found
}

fn findings(config: &Config, targets: Vec<Target>, openclaw: &OpenClaw) -> Vec<Finding> {
    let crate::config::AllowUsersSource::Inline(users) = &config.gateway.trusted_proxy.allow_users
    else {
        panic!("the users are listed");
    };
    let deployment = Deployment {
        gateway: Gateway::Tcp {
            targets,
            unresolved: None,
            past: Vec::new(),
        },
        users: Ok(users.clone()),
        ..deployment()
    };
    check_openclaw(config, &facts(), &deployment, openclaw, &[])
}

/// Portcullis on the gateway's host, as it should be.
fn beside(rest: &str) -> (Config, Vec<Target>) {
    let target = target("127.0.0.1:18789", "127.0.0.1", Answer::Taken);
    let config = config("127.0.0.1:8443", "http://127.0.0.1:18789", rest);
    (config, vec![target])
}

/// What is found at the gateway's `auth`, with these changes to its `trustedProxy`.
fn at_auth(mode: serde_json::Value, changes: serde_json::Value) -> Vec<(FindingId, Severity)> {
    let mut trusted_proxy = json!({
        "userHeader": "x-forwarded-user", "allowUsers": USERS, "allowLoopback": true,
    });
    let changes = changes.as_object().unwrap().clone();
    trusted_proxy.as_object_mut().unwrap().extend(changes);
    let auth = json!({ "mode": mode, "trustedProxy": trusted_proxy });
    let (config, targets) = beside("");
    found(&config, targets, &gateway(json!({ "auth": auth })))
}

#[test]
fn of_two_addresses_the_one_that_answers_counts() {
    let config = config("127.0.0.1:8443", "http://localhost:18789", "");
    let refused = || Answer::Failed("connection refused".to_owned());
    let two = |v4: Answer, v6: Answer| {
        vec![
            target("127.0.0.1:18789", "127.0.0.1", v4),
            target("[::1]:18789", "::1", v6),
        ]
    };
    let openclaw = gateway(json!({}));
    let both = gateway(json!({ "trustedProxies": ["127.0.0.1", "::1"] }));
    assert_eq!(found(&config, two(Answer::Taken, refused()), &both), []);
    let untrusted = [(FindingId::OpenclawTrustedProxies, Severity::Critical)];
    for (targets, expected) in [
        (two(Answer::Taken, refused()), &[][..]),
        (two(refused(), Answer::Taken), &untrusted),
        (two(refused(), refused()), &untrusted),
    ] {
        assert_eq!(found(&config, targets, &openclaw), expected);
    }
}

#[test]
fn a_gateway_on_another_host_listens_for_others() {
    let config = config("127.0.0.1:8443", "http://10.0.0.9:18789", "");
    let targets = || vec![target("10.0.0.9:18789", "10.0.0.2", Answer::Taken)];
    let good = json!({ "bind": "lan", "trustedProxies": ["10.0.0.2"] });
    let with = |key: &str, value: serde_json::Value| {
        let mut changed = good.clone();
        changed[key] = value;
        gateway(changed)
    };
    for (openclaw, expected) in [
        (gateway(good.clone()), vec![]),
        (
            with("bind", json!("loopback")),
            vec![(FindingId::OpenclawBind, Severity::Critical)],
        ),
        // Between hosts a port may be another.
        (
            with("port", json!(1)),
            vec![(FindingId::OpenclawPort, Severity::Warning)],
        ),
        (
            with("trustedProxies", json!(["10.0.0.2", "10.0.0.0/8"])),
            vec![(FindingId::OpenclawTrustedProxies, Severity::Warning)],
        ),
    ] {
        assert_eq!(found(&config, targets(), &openclaw), expected);
    }
}

#[test]
fn a_service_is_a_user_to_the_gateway() {
    let assertion = "[gateway.auth.trustedProxy.assertion]\npreset = \"cloudflare-access\"\n\
         issuer = \"https://example.cloudflareaccess.com\"\naudience = \"a\"\n\
         allowServices = [\"robot\"]\n";
    let config = config("127.0.0.1:8443", "http://127.0.0.1:18789", assertion);
    let targets = || vec![target("127.0.0.1:18789", "127.0.0.1", Answer::Taken)];
    let users = |users: &[&str]| {
        gateway(json!({ "auth": { "mode": "trusted-proxy", "trustedProxy": {
            "userHeader": "x-forwarded-user", "allowUsers": users, "allowLoopback": true,
        } } }))
    };
    let differ = [(FindingId::OpenclawAllowUsers, Severity::Warning)];
    assert_eq!(found(&config, targets(), &users(&USERS)), differ);
    let both = users(&["robot", "nick@example.com"]);
    assert_eq!(found(&config, targets(), &both), []);
}

const UNREAD: (FindingId, Severity) = (FindingId::OpenclawUnread, Severity::Warning);

#[test]
fn a_mode_that_cannot_be_read_hides_nothing() {
    use FindingId::*;
    let wrong = json!({
        "userHeader": "x-other", "requiredHeaders": ["x-pomerium-jwt-assertion"],
        "allowUsers": ["eve@example.com"], "allowLoopback": false,
    });
    let differences = [
        (OpenclawUserHeader, Severity::Critical),
        (OpenclawRequiredHeaders, Severity::Critical),
        (OpenclawAllowUsers, Severity::Warning),
        (OpenclawAllowUsers, Severity::Warning),
        (OpenclawAllowLoopback, Severity::Critical),
    ];
    assert_eq!(at_auth(json!("trusted-proxy"), wrong.clone()), differences);
    for mode in [json!("${MODE}"), json!(7), json!(["trusted-proxy"])] {
        let expected = [&[UNREAD][..], &differences].concat();
        assert_eq!(at_auth(mode, wrong.clone()), expected);
    }
    // In another mode it doesn't matter.
    let token = [(OpenclawMode, Severity::Critical)];
    assert_eq!(at_auth(json!("token"), wrong), token);

    // What is said holds on one condition, and a token may be right on the other.
    let (config, targets) = beside("");
    let auth = json!({ "mode": "${MODE}", "token": "t", "trustedProxy": {} });
    let findings = findings(&config, targets, &gateway(json!({ "auth": auth })));
    let severity = |id| findings.iter().find(|it| it.id == id).unwrap().severity;
    assert_eq!(severity(OpenclawSecretBeside), Severity::Warning);
    for finding in findings.iter().filter(|it| it.id != OpenclawUnread) {
        let evidence = &finding.evidence;
        assert!(
            evidence.starts_with("if the mode is trusted-proxy: "),
            "{evidence}"
        );
    }
}

#[test]
fn an_entry_that_cannot_be_read_hides_no_other() {
    use FindingId::*;
    let (config, targets) = beside("");
    let trusted = |entries: serde_json::Value| {
        found(
            &config,
            targets.clone(),
            &gateway(json!({ "trustedProxies": entries })),
        )
    };
    let wide = (OpenclawTrustedProxies, Severity::Critical);
    assert_eq!(
        trusted(json!(["127.0.0.1", "0.0.0.0/0", "${X}"])),
        [UNREAD, wide]
    );
    assert_eq!(
        trusted(json!(["127.0.0.1", "0.0.0.0/0", 7])),
        [UNREAD, wide]
    );
    // Portcullis may be the entry that wasn't read.
    assert_eq!(trusted(json!(["${X}"])), [UNREAD]);
    assert_eq!(trusted(json!("${X}")), [UNREAD]);

    let users =
        |users: serde_json::Value| at_auth(json!("trusted-proxy"), json!({ "allowUsers": users }));
    let differ = (OpenclawAllowUsers, Severity::Warning);
    assert_eq!(users(json!(["eve@example.com", "${X}"])), [UNREAD, differ]);
    assert_eq!(users(json!(["${X}"])), [UNREAD]);
    assert_eq!(users(json!(["nick@example.com", "${X}"])), [UNREAD]);

    let headers = json!({ "requiredHeaders": ["${X}", "x-pomerium-jwt-assertion"] });
    let dropped = (OpenclawRequiredHeaders, Severity::Critical);
    let mode = json!("trusted-proxy");
    assert_eq!(at_auth(mode.clone(), headers), [UNREAD, dropped]);

    let auto = json!({ "enabled": true, "scopes": ["${X}", "operator.read"] });
    assert_eq!(
        at_auth(mode, json!({ "deviceAutoApprove": auto })),
        [UNREAD]
    );

    let origins = |origins: serde_json::Value| {
        let ui = json!({ "allowedOrigins": origins });
        found(
            &config,
            targets.clone(),
            &gateway(json!({ "controlUi": ui })),
        )
    };
    let any = (OpenclawAllowedOrigins, Severity::Warning);
    assert_eq!(origins(json!(["${X}", "*"])), [UNREAD, any]);
    assert_eq!(origins(json!(["${X}"])), [UNREAD]);
}

#[test]
fn who_may_be_on_a_list_is_not_said_to_be_missing() {
    let (mut config, targets) = beside("");
    let users = crate::policy::AllowUsers::Any;
    config.gateway.trusted_proxy.allow_users = crate::config::AllowUsersSource::Inline(users);
    let differ = (FindingId::OpenclawAllowUsers, Severity::Warning);
    let at = |users: serde_json::Value| {
        let auth = json!({ "mode": "trusted-proxy", "trustedProxy": {
            "userHeader": "x-forwarded-user", "allowUsers": users, "allowLoopback": true,
        } });
        found(&config, targets.clone(), &gateway(json!({ "auth": auth })))
    };
    assert_eq!(at(json!([])), []);
    // A list that isn't empty leaves others out, whoever is on it.
    assert_eq!(at(json!(["${X}"])), [UNREAD, differ]);
}

#[test]
fn a_value_of_another_kind_is_a_warning_that_says_what_is_expected() {
    let mode = json!("trusted-proxy");
    for value in [json!("${T}"), json!("true"), json!(1), json!(null)] {
        assert_eq!(
            at_auth(mode.clone(), json!({ "allowLoopback": value })),
            [UNREAD]
        );
    }
    let (config, targets) = beside("");
    for (changes, key, expected) in [
        (json!({ "port": "18789" }), "gateway.port", "a number"),
        (
            json!({ "tls": { "enabled": "no" } }),
            "gateway.tls.enabled",
            "true or false",
        ),
        (
            json!({ "trustedProxies": "10.0.0.1" }),
            "gateway.trustedProxies",
            "a list",
        ),
        (json!({ "tls": true }), "gateway.tls", "an object"),
        (
            json!({ "tailscale": "${X}" }),
            "gateway.tailscale",
            "an object",
        ),
        // One finding, though much is in it.
        (json!({ "auth": "${X}" }), "gateway.auth", "an object"),
    ] {
        let findings = findings(&config, targets.clone(), &gateway(changes));
        let unread: Vec<_> = findings
            .iter()
            .filter(|it| it.id == FindingId::OpenclawUnread)
            .collect();
        let [finding] = unread.as_slice() else {
            panic!("{key}: {findings:?}");
        };
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.place.shown_key().as_deref(), Some(key));
        let remedy = format!("write {expected}");
        assert!(finding.remedy.starts_with(&remedy), "{}", finding.remedy);
        // What isn't known isn't claimed.
        assert_eq!(findings.len(), 1, "{findings:?}");
    }
}

#[test]
fn the_entries_that_were_not_read_are_named() {
    let (config, targets) = beside("");
    let evidence = |entries: Vec<serde_json::Value>| {
        let openclaw = gateway(json!({ "trustedProxies": entries }));
        let mut findings = findings(&config, targets.clone(), &openclaw);
        findings.retain(|it| it.id == FindingId::OpenclawUnread);
        findings
            .into_iter()
            .map(|it| it.evidence)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let key = "gateway.trustedProxies";
    for (entries, words) in [
        (
            vec![json!("127.0.0.1"), json!("${X}")],
            format!("entry 2 of {key} holds a ${{…}}"),
        ),
        (
            vec![json!("${X}"), json!("${Y}")],
            format!("entries 1 and 2 of {key}: each holds"),
        ),
        (
            vec![json!("${X}"); 11],
            format!("11 entries of {key}: each holds"),
        ),
    ] {
        let said = evidence(entries);
        assert!(said.starts_with(&words) && !said.contains('\n'), "{said}");
    }
    assert_eq!(evidence(vec![json!("${X}"), json!(1)]).lines().count(), 2);
}

#[test]
fn a_bind_host_that_cannot_be_read_is_not_said_to_be_wide() {
    let (config, targets) = beside("");
    let custom = json!({ "bind": "custom", "customBindHost": "${HOST}" });
    assert_eq!(found(&config, targets.clone(), &gateway(custom)), [UNREAD]);
    let wide = json!({ "bind": "custom", "customBindHost": "0.0.0.0" });
    let expected = [(FindingId::OpenclawBind, Severity::Critical)];
    assert_eq!(found(&config, targets, &gateway(wide)), expected);
}
