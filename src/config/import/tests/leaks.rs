//! Whatever the file holds: no panic, TOML that reads, and no secret in it.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// What every secret below begins with, so that none is in the text by chance.
const CANARY: &str = "hunter2-";

/// Names of the gateway's own keys, and others.
fn key() -> impl Strategy<Value = String> {
    let known = [
        "gateway",
        "auth",
        "trustedProxy",
        "tls",
        "http",
        "securityHeaders",
        "secrets",
        "providers",
        "defaults",
        "models",
        "order",
        "trustedProxies",
        "mode",
        "token",
        "password",
        "userHeader",
        "requiredHeaders",
        "allowUsers",
        "allowLoopback",
        "enabled",
        "certPath",
        "keyPath",
        "caPath",
        "port",
        "bind",
        "source",
        "provider",
        "id",
        "allowlist",
        "path",
        "command",
        "args",
        "env",
        "passEnv",
        "trustedDirs",
        "timeoutMs",
        "apiKey",
        "apiKeys",
        "baseUrl",
        "api",
        "$include",
        "strictTransportSecurity",
        "anthropic",
        "vault",
    ];
    prop_oneof![
        9 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn leaf() -> impl Strategy<Value = Value> {
    let words = [
        "env",
        "file",
        "exec",
        "store",
        "trusted-proxy",
        "default",
        "$NAME",
        "${NAME}",
        "x-user",
        "10.0.0.0/8",
        "127.0.0.1",
        "json",
        "a\u{1b}[2Jb",
        "\"\"\"'''",
        "max-age=1",
    ];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(words.to_vec()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            1 => vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => btree_map(key(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    btree_map(key(), value(), 0..8).prop_map(|members| Value::Object(members.into_iter().collect()))
}

proptest! {
    #[test]
    fn any_text_is_imported_or_refused(text in any::<String>()) {
        let _ = import_openclaw(&text);
    }

    #[test]
    fn any_object_becomes_toml(object in object()) {
        let imported = import(&object.to_string());
        let read = toml::from_str::<toml::Table>(&imported.toml);
        prop_assert!(read.is_ok(), "{}\n{}", imported.toml, object);
        let tame = |c: char| c == '\n' || !c.is_control();
        prop_assert!(imported.toml.chars().all(tame), "{:?}", imported.toml);
        prop_assert!(!imported.toml.contains("allowLoopback = true"));
    }

    #[test]
    fn no_plaintext_secret_is_ever_printed(
        secret in "[ -~é\n]{0,40}",
        mode in proptest::sample::select(vec!["token", "password", "trusted-proxy", "none"]),
    ) {
        let secret = format!("{CANARY}{secret}");
        let broken = json!({ "source": "env", "provider": "default", "id": secret });
        let slipped = json!({ "source": secret, "provider": secret, "id": "NAME" });
        let text = json!({
            "env": { "KEY": secret, "vars": { "KEY": secret } },
            "token": secret,
            secret.clone() + " as a key": secret,
            "gateway": {
                "port": secret, "bind": secret, "remote": { "token": secret },
                "auth": {
                    "mode": mode, "token": secret, "password": broken,
                    "trustedProxy": { "userHeader": "x-user", "allowLoopback": secret },
                },
                "trustedProxies": [secret],
                "http": { "securityHeaders": { "strictTransportSecurity": secret } },
            },
            "secrets": { "providers": { "v": {
                "source": "exec", "command": "/c", "env": { "TOKEN": secret }, "passEnv": [secret],
            }, "a": { "source": "exec", "command": "/c", "args": ["--password", secret] },
            "b": { "source": "exec", "command": "/c", "args": [format!("--token={secret}")] },
            "c": { "source": "exec", "command": "/c", "args": [format!("--x=https://u:{secret}@h/")] },
            "e": { "source": secret, "allowlist": [secret] }, "f": { "source": "file", "mode": secret } } },
            "models": { "providers": {
                "a": { "apiKey": secret, "apiKeys": [secret, broken, slipped], "api": secret },
                "b": { "apiKey": slipped, "baseUrl": format!("https://u:{secret}@h"), "headers": { "k": secret } },
                "c": { "apiKeys": secret, "apiKey": { "source": "env", "provider": "default", "id": "A", "x": secret } },
            } },
        });
        let imported = import(&text.to_string());
        let said = format!("{imported:?}");
        prop_assert!(!said.contains(CANARY), "{said}");
    }
}
