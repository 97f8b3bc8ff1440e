//! The import as a whole: what comes along, what stays, and that nothing opens.

mod keys;
mod leaks;

use super::*;
use crate::config::{Config, parse};
use crate::policy::AllowUsers;

/// A gateway behind an identity proxy on another machine: all that is needed.
const COMPLETE: &str = r#"{
  // as people write it
  gateway: {
    port: 18790,
    bind: 'loopback',
    trustedProxies: ['10.0.0.5', "172.17.0.0/16",],
    auth: {
      mode: 'trusted-proxy',
      trustedProxy: {
        userHeader: 'X-Forwarded-User',
        requiredHeaders: ['x-forwarded-proto'],
        allowUsers: ['nick@example.com', "o'neill"],
      },
    },
  },
}"#;

fn import(text: &str) -> Imported {
    import_openclaw(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// [`COMPLETE`] with `from` replaced.
fn with(from: &str, to: &str) -> Imported {
    assert!(COMPLETE.contains(from), "{from}");
    import(&COMPLETE.replacen(from, to, 1))
}

/// [`COMPLETE`] with further keys at its root.
fn and(more: &str) -> Imported {
    with("  gateway: {", &format!("  {more},\n  gateway: {{"))
}

fn config(imported: &Imported) -> Config {
    let Imported { toml, problems, .. } = imported;
    assert_eq!(problems, &[], "{toml}");
    parse(toml).unwrap().config
}

fn reason(imported: &Imported, key: &str) -> &'static str {
    let found = imported.left_out.iter().find(|left| left.key == key);
    found
        .unwrap_or_else(|| panic!("{key} is not named\n{}", imported.toml))
        .reason
}

fn refusals(imported: &Imported) -> Vec<&str> {
    let keys = imported.problems.iter();
    keys.map(|problem| problem.key.as_str()).collect()
}

#[test]
fn a_complete_config_comes_over_whole() {
    let imported = import(COMPLETE);
    let config = config(&imported);
    assert_eq!(
        config.upstream.url,
        crate::config::UpstreamUrl::Tcp {
            host: crate::config::UpstreamHost::Ip([127, 0, 0, 1].into()),
            port: 18790,
            tls: false
        }
    );
    assert_eq!(config.upstream.credential, None);
    let proxies = &config.gateway.trusted_proxies;
    assert!(proxies.contains([172, 17, 9, 9].into()) && !proxies.contains([10, 0, 0, 6].into()));
    let proxy = &config.gateway.trusted_proxy;
    assert_eq!(proxy.user_header.as_str(), "x-forwarded-user");
    assert_eq!(proxy.required_headers[0].as_str(), "x-forwarded-proto");
    let crate::config::AllowUsersSource::Inline(users @ AllowUsers::Only(_)) = &proxy.allow_users
    else {
        panic!("anyone may pass");
    };
    assert!(users.allows("o'neill") && !users.allows("ann"));
    let left: Vec<_> = imported.left_out.iter().map(|left| &left.key).collect();
    assert_eq!(left, ["gateway.bind"]);
}

#[test]
fn an_empty_object_gives_a_page_to_fill_in() {
    let imported = import("{}");
    assert_eq!(imported.left_out, []);
    assert_eq!(
        refusals(&imported),
        [
            "gateway.trustedProxies",
            "gateway.auth.trustedProxy.userHeader"
        ],
        "{}",
        imported.toml
    );
    for problem in &imported.problems {
        let (_, leaf) = problem.key.rsplit_once('.').unwrap();
        let line = imported.toml.lines().nth(problem.line - 1).unwrap();
        assert!(
            line[problem.column - 1..].starts_with(leaf),
            "{problem}\n{line}"
        );
    }
    let mut filled = imported.toml;
    for (from, to) in [
        ("#trustedProxies", "trustedProxies"),
        ("#userHeader", "userHeader"),
        ("#allowUsers", "allowUsers"),
        (
            "#[gateway.auth.trustedProxy.scope",
            "[gateway.auth.trustedProxy.scope",
        ),
        ("#\"*\"", "\"*\""),
    ] {
        assert!(filled.contains(from), "{from}\n{filled}");
        filled = filled.replacen(from, to, 1);
    }
    assert_eq!(parse(&filled).unwrap().warnings, [], "{filled}");
}

#[test]
fn users_are_never_widened_by_what_could_not_be_read() {
    const USERS: &str = "['nick@example.com', \"o'neill\"]";
    const KEY: &str = "gateway.auth.trustedProxy.allowUsers";
    for unreadable in [
        "['${ADMIN}']",
        "[7]",
        "'nick'",
        "null",
        "['a,b', ' ']",
        "{}",
    ] {
        let imported = with(USERS, unreadable);
        assert_eq!(
            refusals(&imported),
            [KEY],
            "{unreadable}\n{}",
            imported.toml
        );
    }
    // An included file may hold the list, so its absence says nothing.
    for place in ["  gateway: {", "    auth: {", "      trustedProxy: {"] {
        let text = COMPLETE
            .replacen(place, &format!("{place} $include: './more.json5',"), 1)
            .replacen(&format!("allowUsers: {USERS},"), "", 1);
        let imported = import(&text);
        assert_eq!(refusals(&imported), [KEY], "{place}\n{}", imported.toml);
        assert!(
            imported
                .left_out
                .iter()
                .any(|left| left.key.ends_with("\"$include\"")),
            "{:?}",
            imported.left_out
        );
    }
    let imported = with(USERS, "['${ADMIN}', 'ann']");
    assert!(
        imported.toml.contains("allowUsers = [\"ann\"]"),
        "{}",
        imported.toml
    );
    assert!(reason(&imported, &format!("{KEY}[0]")).contains("${…}"));
    config(&imported);
}

#[test]
fn an_empty_list_of_users_is_said_aloud() {
    let imported = with("['nick@example.com', \"o'neill\"]", "[]");
    config(&imported);
    assert!(
        imported.toml.contains("EVERYBODY MAY PASS"),
        "{}",
        imported.toml
    );
    assert!(
        imported.toml.contains("\n#allowUsers = "),
        "{}",
        imported.toml
    );
    assert!(reason(&imported, "gateway.auth.trustedProxy.allowUsers").contains("everybody"));
    let absent = with("allowUsers: ['nick@example.com', \"o'neill\"],", "");
    assert!(
        absent.toml.contains("EVERYBODY MAY PASS"),
        "{}",
        absent.toml
    );
}

#[test]
fn required_headers_are_never_fewer() {
    for unreadable in ["['x-a', '${B}']", "[7]", "'x-forwarded-proto'", "null"] {
        let imported = with("['x-forwarded-proto']", unreadable);
        let refused = refusals(&imported);
        assert_eq!(refused.len(), 1, "{unreadable}\n{}", imported.toml);
        assert!(refused[0].starts_with("gateway.auth.trustedProxy.requiredHeaders["));
    }
}

#[test]
fn loopback_is_the_gateways_view_and_lets_nobody_in_here() {
    let imported = with("['10.0.0.5', \"172.17.0.0/16\",]", "['127.0.0.1', '::1']");
    assert!(
        imported.toml.contains("Loopback alone"),
        "{}",
        imported.toml
    );
    config(&imported);
    let loopback = "userHeader: 'X-Forwarded-User', allowLoopback: ";
    let allowed = with(
        "userHeader: 'X-Forwarded-User',",
        &format!("{loopback}true,"),
    );
    assert!(!config(&allowed).gateway.trusted_proxy.allow_loopback);
    assert!(reason(&allowed, "gateway.auth.trustedProxy.allowLoopback").contains("any user"));
    let denied = with(
        "userHeader: 'X-Forwarded-User',",
        &format!("{loopback}false,"),
    );
    assert!(
        denied.toml.contains("\nallowLoopback = false\n"),
        "{}",
        denied.toml
    );
}

#[test]
fn the_gateways_secret_moves_as_a_reference_alone() {
    let modes = [
        ("mode: 'token', token: '$GW'", "\"$GW\""),
        (
            "mode: 'token', token: '${GW}', password: 'hunter2'",
            "\"${GW}\"",
        ),
        ("mode: 'password', password: '$PW', token: '$GW'", "\"$PW\""),
        (
            "token: { source: 'env', provider: 'default', id: 'GW' }",
            "{ id = \"GW\", provider = \"default\", source = \"env\" }",
        ),
        ("password: '$PW'", "\"$PW\""),
    ];
    for (written, value) in modes {
        let imported = with("mode: 'trusted-proxy'", written);
        let credential = config(&imported).upstream.credential.unwrap();
        assert_eq!(credential.header.as_str(), "authorization");
        assert!(
            imported.toml.contains(&format!("\nvalue = {value}\n")),
            "{}",
            imported.toml
        );
        assert!(
            imported.toml.contains("whatever their"),
            "{}",
            imported.toml
        );
    }
    let without = [
        "mode: 'token', token: 'hunter2'",
        "mode: 'token', password: '$PW'",
        "mode: 'trusted-proxy', token: '$GW'",
        "token: '$GW', password: '$PW'",
        "mode: 'none'",
        "mode: 'hunter2'",
    ];
    for written in without {
        let imported = with("mode: 'trusted-proxy'", written);
        assert_eq!(config(&imported).upstream.credential, None, "{written}");
        assert!(!imported.toml.contains("hunter2"), "{}", imported.toml);
    }
    let plain = with("mode: 'trusted-proxy'", without[0]);
    assert!(reason(&plain, "gateway.auth.token").contains("plaintext"));
    assert!(
        plain.toml.contains("\n#[upstream.credential]\n"),
        "{}",
        plain.toml
    );
}
