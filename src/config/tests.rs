//! The config as a whole: every default, every problem's place, and no secret
//! in any message.

mod example;
mod hidden;
mod models;
mod named_files;
mod problems;
mod proof;
mod refusals;
mod secrets;

use std::time::Duration;

use super::*;
use crate::forwarded::CookiePatterns;
use crate::secrets::{SecretInput, SecretValue};
use crate::telemetry::logging::{AccessLog, LogFormat};
use crate::tls::MinVersion;

/// The least that holds, without a warning.
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
[gateway.auth.trustedProxy.scopeCeilings]
"*" = ["operator.read"]
"#;

/// [`LEAST`] with `from` replaced.
fn with(from: &str, to: &str) -> String {
    assert!(LEAST.contains(from), "{from}");
    LEAST.replacen(from, to, 1)
}

/// [`LEAST`] with more in it.
fn and(more: &str) -> String {
    format!("{LEAST}{more}\n")
}

fn config(text: &str) -> Config {
    match parse(text) {
        Ok(parsed) => parsed.config,
        Err(problems) => panic!("{problems:#?}\n{text}"),
    }
}

fn problems(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// Problems without their places.
fn messages(text: &str) -> Vec<String> {
    let strip = |problem: &Problem| format!("{}: {}", problem.key, problem.message);
    parse(text)
        .err()
        .unwrap_or_default()
        .iter()
        .map(strip)
        .collect()
}

fn warnings(text: &str) -> Vec<String> {
    let parsed = parse(text).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
    parsed.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn every_key_but_the_required_ones_has_a_default() {
    let Parsed { config, warnings } = parse(LEAST).unwrap();
    assert_eq!(warnings, []);
    let Config {
        listen,
        upstream,
        gateway,
        admin,
        limits,
        log,
        secrets,
        models,
    } = config;
    assert_eq!(listen.redirect_http, None);
    assert_eq!(upstream.idle_timeout, Duration::from_secs(4));
    assert_eq!((upstream.ca_file, upstream.credential), (None, None));
    assert_eq!(
        (gateway.tls, gateway.strict_transport_security),
        (None, None)
    );
    assert!(gateway.public_routes.is_empty());
    let proxy = gateway.trusted_proxy;
    assert_eq!(
        (proxy.required_headers, proxy.pass_headers),
        (vec![], vec![])
    );
    assert!(!proxy.allow_loopback && !proxy.allow_local_interface);
    assert_eq!(proxy.drop_cookies, CookiePatterns::default());
    assert_eq!(admin.address, "127.0.0.1:9180".parse().unwrap());
    assert_eq!((admin.probe_address, admin.token), (None, None));
    assert_eq!(limits, Limits::default());
    assert_eq!(log, Log::default());
    assert_eq!(secrets, Providers::default());
    assert_eq!(models, Models::default());
}

#[test]
fn tls_turns_itself_and_hsts_on() {
    let tls = "[gateway.tls]\ncertPath = \"/c\"\nkeyPath = \"/k\"\n";
    let gateway = config(&and(tls)).gateway;
    let expected = Tls {
        cert_path: "/c".into(),
        key: TlsKey::File("/k".into()),
        min_version: MinVersion::Tls12,
        client_ca_path: None,
    };
    assert_eq!(gateway.tls, Some(expected));
    assert_eq!(
        gateway.strict_transport_security.as_deref(),
        Some("max-age=31536000; includeSubDomains")
    );

    let off = and(&format!(
        "{tls}[gateway.http.securityHeaders]\nstrictTransportSecurity = false"
    ));
    assert_eq!(config(&off).gateway.strict_transport_security, None);
    let disabled = config(&and(&format!("{tls}enabled = false"))).gateway;
    assert_eq!(
        (disabled.tls, disabled.strict_transport_security),
        (None, None)
    );
}

#[test]
fn what_is_written_is_what_is_read() {
    let text = r#"
        listen = { address = ["127.0.0.1:1", "[::1]:2"], redirectHttp = "127.0.0.1:3", proxyProtocolFrom = [] }
        upstream.url = "https://gw:4"
        upstream.caFile = "/ca"
        upstream.idleTimeout = "3s"
        upstream.credential = { header = "X-Api-Key", value = "$KEY" }
        log = { level = "debug", format = "text", access = false }
        admin = { address = "0.0.0.0:5", probeAddress = "0.0.0.0:6", token = { source = "env", provider = "house", id = "TOKEN" } }
        secrets.defaults.env = "house"
        [gateway]
        trustedProxies = ["10.0.0.0/8", "::1"]
        publicRoutes = [{ path = "/hooks/", methods = ["GET", "POST"], websocket = true, sources = ["192.0.2.1"] }]
        tls = { certPath = "/c", key = "${PEM}", minVersion = "1.3", clientCaPath = "/cca" }
        auth.mode = "trusted-proxy"
        [gateway.auth.trustedProxy]
        userHeader = "X-User"
        requiredHeaders = ["X-Forwarded-Proto"]
        allowUsersFile = "/users"
        allowLoopback = true
        allowLocalInterface = true
        passHeaders = ["X-Groups"]
        passScopes = true
        dropCookies = []
    "#;
    let config = config(text);
    assert_eq!(config.listen.addresses.len(), 2);
    assert_eq!(
        config.listen.redirect_http,
        Some("127.0.0.1:3".parse().unwrap())
    );
    let host = UpstreamHost::Dns("gw".into());
    assert_eq!(
        config.upstream.url,
        UpstreamUrl::Tcp {
            host,
            port: 4,
            tls: true
        }
    );
    let credential = config.upstream.credential.as_ref().unwrap();
    assert_eq!(credential.header.as_str(), "x-api-key");
    let SecretInput::Ref(reference) = &credential.value else {
        panic!("{:?} is no reference", credential.value);
    };
    assert_eq!(reference.to_string(), "env:house:KEY");
    let secret = SecretValue::concat(&["s3cret"]);
    assert_eq!(
        credential.format.apply(&secret).unwrap().expose(),
        b"s3cret"
    );
    assert_eq!(
        config.log,
        Log {
            level: LogLevel::Debug,
            format: LogFormat::Text,
            access: AccessLog::Off
        }
    );
    assert_eq!(
        config.admin.probe_address,
        Some("0.0.0.0:6".parse().unwrap())
    );
    assert!(matches!(config.admin.token, Some(SecretInput::Ref(_))));
    let tls = config.gateway.tls.as_ref().unwrap();
    assert!(matches!(tls.key, TlsKey::Inline(SecretInput::Ref(_))));
    assert_eq!(tls.min_version, MinVersion::Tls13);
    assert_eq!(tls.client_ca_path, Some("/cca".into()));
    let source = &config.gateway.trusted_proxy.allow_users;
    assert!(matches!(source, AllowUsersSource::File(path) if path.as_os_str() == "/users"));
    let none: [&str; 0] = [];
    let cookies = &config.gateway.trusted_proxy.drop_cookies;
    assert_eq!(*cookies, CookiePatterns::parse(none).unwrap());

    let policy = config.policy_config(AllowUsers::only(["ann"]).unwrap());
    assert!(policy.trusted_proxies.contains("10.9.9.9".parse().unwrap()));
    assert_eq!(policy.user_header.as_str(), "x-user");
    assert_eq!(policy.required_headers[0].as_str(), "x-forwarded-proto");
    assert_eq!(policy.pass_headers[0].as_str(), "x-groups");
    assert!(policy.allow_users.allows("ann") && !policy.allow_users.allows("nick@example.com"));
    assert!(policy.allow_loopback && policy.allow_local_interface && policy.pass_scopes);
    assert!(policy.scope_ceilings.is_none());
    assert_eq!(policy.public_routes.len(), 1);
    assert_eq!(policy.credential_header.unwrap().as_str(), "x-api-key");
}

#[test]
fn a_byte_order_mark_and_crlf_change_nothing() {
    let text = format!("\u{feff}{}", LEAST.replace('\n', "\r\n"));
    assert!(parse(&text).is_ok());
    let text = text.replace("127.0.0.1:8443", "127.0.0.1");
    assert!(problems(&text)[0].starts_with("3:11: listen.address: got `127.0.0.1`"));
}

#[test]
fn warns_of_what_is_allowed_and_unwise() {
    for (text, warning) in [
        (
            with("allowUsers = [\"nick@example.com\"]\n", ""),
            "10:1: gateway.auth.trustedProxy: neither `allowUsers` nor",
        ),
        (
            with(
                "[gateway.auth.trustedProxy.scopeCeilings]\n\"*\" = [\"operator.read\"]\n",
                "",
            ),
            "10:1: gateway.auth.trustedProxy: neither `scopeCeilings` nor `passScopes` is set",
        ),
        (
            with("10.0.0.1", "0.0.0.0/0"),
            "7:18: gateway.trustedProxies: EVERY ADDRESS IS TRUSTED",
        ),
        (
            with("10.0.0.1", "::/0"),
            "7:18: gateway.trustedProxies: EVERY ADDRESS IS TRUSTED",
        ),
        (
            with("10.0.0.1", "127.0.0.1"),
            "7:18: gateway.trustedProxies: loopback is listed",
        ),
        (
            with("127.0.0.1:8443", "0.0.0.0:8443"),
            "3:11: listen.address: serves plain HTTP off loopback",
        ),
        (
            with(
                "\"127.0.0.1:8443\"",
                "\"unix:/run/p.sock\"\nunixPeerUids = [33]",
            ),
            "3:11: listen.address: whoever breaks into this process can remove every file in `/run`",
        ),
        (
            with("address", "unixPeerUids = [33]\naddress"),
            "3:16: listen.unixPeerUids: has no effect",
        ),
        (
            with("address", "proxyProtocolFrom = [\"0.0.0.0/0\"]\naddress"),
            "3:21: listen.proxyProtocolFrom: EVERY ADDRESS MAY NAME ANY SOURCE",
        ),
        (
            with("127.0.0.1:18789", "10.0.0.9"),
            "5:7: upstream.url: requests go to another host in plain HTTP",
        ),
        (
            with("18789\"", "18789\"\nidleTimeout = \"5s\""),
            "6:15: upstream.idleTimeout: the gateway closes",
        ),
        (
            with("[gateway]", "[gateway]\nbind = \"lan\""),
            "7:1: gateway.bind: this key of the gateway means nothing",
        ),
        (
            with("[gateway]", "[gateway]\ncontrolUi.allowedOrigins = []"),
            "7:1: gateway.controlUi: this key",
        ),
        (
            with("mode =", "identityScopes = {}\nmode ="),
            "9:1: gateway.auth.identityScopes: this key",
        ),
        (
            with("userHeader", "deviceAutoApprove = true\nuserHeader"),
            "11:1: gateway.auth.trustedProxy.deviceAutoApprove: this key",
        ),
        (
            with("\"*\"", "\"ann\" = []\n\"*\""),
            "13:1: gateway.auth.trustedProxy.scopeCeilings: 1 of the entries",
        ),
        (
            and("[admin]\ntoken = \"$ecret\""),
            "16:9: admin.token: begins with `$` but",
        ),
    ] {
        let warnings = warnings(&text);
        assert_eq!(warnings.len(), 1, "{warnings:#?}");
        assert!(
            warnings[0].starts_with(warning),
            "{} is not {warning}",
            warnings[0]
        );
    }
}

#[test]
fn keys_are_learnt_from_their_readers() {
    for key in [
        "listen.address",
        "upstream.credential.format",
        "gateway.trustedProxies",
        "gateway.auth.trustedProxy.scopeCeilings.*",
        "gateway.publicRoutes[].path",
        "gateway.tls.clientCaPath",
        "gateway.http.securityHeaders.strictTransportSecurity",
        "limits.maxConnections",
        "secrets.providers.*.allowlist",
        "secrets.providers.*.env",
        "models.providers.*.apiKey",
        "auth.order.*",
    ] {
        assert!(
            known_keys().iter().any(|known| known == key),
            "{key}: {:#?}",
            known_keys()
        );
    }
    for section in [
        "listen",
        "gateway.auth",
        "upstream.credential",
        "gateway.publicRoutes",
    ] {
        assert!(
            !known_keys().iter().any(|known| known == section),
            "{section}"
        );
    }
}

#[test]
fn a_hundred_thousand_networks_and_users_are_read_at_once() {
    let nets: Vec<String> = (0..100_000u32)
        .map(|number| {
            format!(
                "\"10.{}.{}.{}\"",
                number >> 16,
                (number >> 8) & 255,
                number & 255
            )
        })
        .collect();
    let users: Vec<String> = (0..100_000)
        .map(|number| format!("\"user{number}@x\""))
        .collect();
    let text =
        with("\"10.0.0.1\"", &nets.join(",\n")).replace("\"nick@example.com\"", &users.join(",\n"));
    let config = config(&text);
    assert!(
        config
            .gateway
            .trusted_proxies
            .contains("10.1.134.159".parse().unwrap())
    );
    assert!(
        !config
            .gateway
            .trusted_proxies
            .contains("10.1.134.160".parse().unwrap())
    );
    let AllowUsersSource::Inline(users) = config.gateway.trusted_proxy.allow_users else {
        panic!("not inline");
    };
    assert!(users.allows("user99999@x") && !users.allows("user100000@x"));
}
