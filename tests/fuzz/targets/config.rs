//! A config as text. Whatever is accepted keeps people out; whatever is refused is
//! refused at a place that exists.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::config::{AllowUsersSource, Config, ListenAddress, Parsed, ScopeRule, parse};
use portcullis::policy::{
    AllowUsers, Field, Identity, Keyless, LocalInterface, Policy, Request, Source, Upgrade,
};
use std::net::IpAddr;

/// All that a config must hold, so that one more line, or one line in the place of a
/// list's, is often a whole one.
const LEAST: &str = r#"
[listen]
address = "127.0.0.1:8443"
[upstream]
url = "http://127.0.0.1:18789"
[gateway]
trustedProxies = ["10.0.0.1"]
[gateway.auth]
mode = "trusted-proxy"
[gateway.auth.trustedProxy]
userHeader = "x-forwarded-user"
allowUsers = ["nick@example.com"]
"#;

fuzz_target!(|text: &str| {
    check(text);
    check(&format!("{LEAST}{text}\n"));
    if !text.contains('\n') {
        check(&LEAST.replace("\"10.0.0.1\"", text));
        check(&LEAST.replace("\"nick@example.com\"", text));
    }
});

fn check(text: &str) {
    match parse(text) {
        Ok(Parsed { config, warnings }) => {
            let places = warnings
                .iter()
                .map(|warning| (warning.line, warning.column));
            check_places(text, places.collect());
            check_config(config);
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            let places = problems
                .iter()
                .map(|problem| (problem.line, problem.column));
            check_places(text, places.collect());
        }
    }
}

fn check_places(text: &str, places: Vec<(usize, usize)>) {
    let lines = text.split('\n').count();
    for (line, column) in &places {
        assert!((1..=lines).contains(line) && *column > 0, "{line}:{column}");
    }
    assert!(places.is_sorted(), "{places:?} in {text}");
}

fn check_config(config: Config) {
    let gateway = &config.gateway;
    assert!(!gateway.trusted_proxies.is_empty());
    assert!(!config.listen.addresses.is_empty());
    let trusted_proxy = &gateway.trusted_proxy;
    let user_header = trusted_proxy.user_header.clone();
    let named = [
        &trusted_proxy.pass_headers[..],
        &trusted_proxy.required_headers,
    ]
    .concat();
    for never in [
        "host",
        "authorization",
        "cookie",
        "connection",
        "x-openclaw-scopes",
    ] {
        assert_ne!(user_header.as_str(), never);
        assert!(
            trusted_proxy
                .pass_headers
                .iter()
                .all(|name| name.as_str() != never)
        );
    }
    if let Some(credential) = &config.upstream.credential {
        assert_ne!(credential.header, user_header);
        assert!(!named.contains(&credential.header));
    }
    let is_capped = matches!(trusted_proxy.scopes, ScopeRule::Ceilings(_));
    let users = match &trusted_proxy.allow_users {
        AllowUsersSource::Inline(users) => users.clone(),
        AllowUsersSource::File(path) => {
            assert!(!path.as_os_str().is_empty());
            AllowUsers::only(["nick@example.com"]).expect("one user")
        }
    };
    if let AllowUsers::Only(list) = &users {
        assert!(list.count() > 0 && list.iter().all(|user| !user.is_empty()));
    }
    let is_reached_by_unix = config
        .listen
        .addresses
        .iter()
        .any(|address| matches!(address, ListenAddress::Unix(_)));
    let uids = config.listen.unix_peer_uids.clone();
    assert!(!is_reached_by_unix || !uids.is_empty());
    let trusted = gateway.trusted_proxies.clone();
    let policy = Policy::new(config.policy_config(users.clone()));

    // Nobody gets in unnamed, and nobody by a name that isn't on the list. (`/` is never
    // public.)
    let stranger = Field {
        name: user_header.as_str(),
        value: b"stranger",
    };
    let networks = ["10.0.0.1", "127.0.0.1", "198.51.100.7", "2001:db8::7"].map(|address| {
        let address: IpAddr = address.parse().expect("an address");
        Source::new(address, LocalInterface::No)
    });
    for source in networks.into_iter().chain([0, 33].map(Source::unix_peer)) {
        for (fields, user) in [(&[][..], None), (&[stranger], Some("stranger"))] {
            let request = Request {
                method: "GET",
                target: "/",
                upgrade: Upgrade::None,
                fields,
            };
            let Ok(permit) = policy.decide(source, &request, &Keyless) else {
                continue;
            };
            assert!(match (source.address(), source.uid()) {
                (Some(address), _) => trusted.contains(address),
                (None, uid) => uid.is_some_and(|uid| uids.contains(&uid)),
            });
            let user = user.expect("a request that names nobody was permitted");
            assert_eq!(permit.user().map(|user| user.as_str()), Some(user));
            assert!(users.allows(user));
            let Identity::User { scopes, .. } = permit.identity() else {
                panic!("a user without scopes");
            };
            assert!(scopes.is_sent() || !is_capped);
        }
    }
}
