//! Which `secrets` blocks are accepted at all: what they must and may not have.

use serde_json::json;

use super::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    let env = json!({"source": "env"});
    let named = |alias: &str| json!({"providers": {alias: env}});
    [
        ("empty block", json!({})),
        ("no providers", json!({"providers": {}})),
        ("no defaults", json!({"defaults": {}})),
        ("provider without a key", json!({"providers": {"p": {}}})),
        (
            "provider without a source",
            json!({"providers": {"p": {"path": "/a"}}}),
        ),
        (
            "file without a path",
            json!({"providers": {"p": {"source": "file"}}}),
        ),
        (
            "exec without a command",
            json!({"providers": {"p": {"source": "exec"}}}),
        ),
        ("provider that is text", json!({"providers": {"p": "env"}})),
        ("providers in an array", json!({"providers": [env]})),
        (
            "the gateway's store",
            json!({"providers": {"p": {"source": "store"}}}),
        ),
        (
            "a plugin's provider",
            json!({"providers": {"p": {"source": "exec",
                "pluginIntegration": {"pluginId": "a", "integrationId": "b"}}}}),
        ),
        ("alias in capitals", named("Vault")),
        ("alias with a blank", named("my vault")),
        ("blank alias", named("")),
        ("alias of 64 characters", named(&"a".repeat(64))),
        ("alias of 65 characters", named(&"a".repeat(65))),
        ("alias `__proto__`", named("__proto__")),
        ("default for env", json!({"defaults": {"env": "vars"}})),
        ("default for file", json!({"defaults": {"file": "files"}})),
        ("default for exec", json!({"defaults": {"exec": "vault"}})),
        ("default for store", json!({"defaults": {"store": "store"}})),
        ("default for vault", json!({"defaults": {"vault": "vault"}})),
        ("default in capitals", json!({"defaults": {"env": "VARS"}})),
        (
            "default with a blank",
            json!({"defaults": {"env": "vars "}}),
        ),
        ("blank default", json!({"defaults": {"env": ""}})),
        ("default that is a number", json!({"defaults": {"env": 5}})),
        (
            "resolution limits",
            json!({"resolution": {"maxProviderConcurrency": 4}}),
        ),
        ("egress proxy", json!({"egressProxy": {"enabled": false}})),
        ("unknown key", json!({"colour": "blue"})),
    ]
    .into_iter()
    .map(|(name, secrets)| Case::new(name).block(secrets))
    .collect()
}
