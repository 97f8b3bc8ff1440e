use super::super::checklist::tests::{config, deployment, facts};
use super::super::deployment::Answer;
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
    let findings = check_openclaw(config, &facts(), &deployment, openclaw, &[]);
    let mut found: Vec<_> = findings.iter().map(|it| (it.id, it.severity)).collect();
    found.sort();
    found
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
