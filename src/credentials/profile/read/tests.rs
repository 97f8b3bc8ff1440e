use super::*;
use serde_json::json;

fn usable(id: &str, value: Value) -> Profile {
    match read(id, &value) {
        Entry::Usable(profile) => profile,
        Entry::Unusable { why, .. } => panic!("{id}: {why}"),
    }
}

fn secret(text: &str) -> SecretValue {
    SecretValue::new(text.to_owned())
}

#[test]
fn reads_what_openclaw_writes() {
    let key = usable(
        "anthropic:work",
        json!({"type": "api_key", "provider": "anthropic", "key": "sk-1", "email": "a@b"}),
    );
    assert_eq!(key.login, Login::ApiKey(Held::Value(secret("sk-1"))));
    assert_eq!(key.email.as_deref(), Some("a@b"));
    assert_eq!(key.serves(), "anthropic");

    let reference = json!({"source": "env", "provider": "default", "id": "OPENAI_KEY"});
    for profile in [
        json!({"type": "api_key", "provider": "openai", "keyRef": reference}),
        json!({"type": "api_key", "provider": "openai", "key": reference}),
        json!({"type": "api_key", "provider": "openai", "key": "${OPENAI_KEY}"}),
        json!({"type": "api_key", "provider": "openai", "keyRef": "$OPENAI_KEY"}),
    ] {
        let profile = usable("openai:ref", profile);
        let Login::ApiKey(Held::Ref(reference)) = profile.login else {
            panic!("{profile:?}");
        };
        assert_eq!(reference.to_string(), "env:default:OPENAI_KEY");
    }

    let token = usable(
        "anthropic:token",
        json!({"type": "token", "provider": "anthropic", "token": " t\n", "expires": 5.5}),
    );
    let expires = Some(UnixMillis(5));
    let held = Held::Value(secret("t"));
    assert_eq!(
        token.login,
        Login::Token {
            token: held,
            expires
        }
    );

    for provider in ["openai", "openai-codex"] {
        let login = usable(
            "openai:default",
            json!({"type": "oauth", "provider": provider, "access": "a", "refresh": "r",
                "expires": 1_790_000_000_000_u64, "accountId": "acc", "other": [1]}),
        );
        assert_eq!(login.serves(), "openai-codex");
        let Login::OAuth(tokens) = login.login else {
            panic!("no login");
        };
        assert_eq!(tokens.refresh, Some(secret("r")));
        assert_eq!(tokens.account_id.as_deref(), Some("acc"));
        assert!(tokens.can_refresh());
    }
}

#[test]
fn a_login_of_another_program_is_for_its_own_provider_alone() {
    let external = |provider: &str, program: &str, file: &str| {
        let value =
            json!({"type": "token", "provider": provider, "managedBy": program, "file": file});
        read("anthropic:claude-cli", &value)
    };
    let Entry::Usable(profile) = external("anthropic", "claude-cli", "/home/x/c.json") else {
        panic!("unusable");
    };
    assert_eq!(profile.login.kind().as_str(), "external");
    for (provider, program, file) in [
        ("openai", "claude-cli", "/x"),
        ("anthropic", "codex-cli", "/x"),
        ("anthropic", "claude-cli", "relative"),
    ] {
        let entry = external(provider, program, file);
        assert!(entry.profile().is_none(), "{provider} {program} {file}");
    }
}

#[test]
fn a_refusal_and_an_attempt_count_for_the_token_that_they_are_of() {
    let own = fingerprint(&secret("r"));
    let read = |name: &str, mark: Value| {
        let mut value = json!({"type": "oauth", "provider": "openai", "access": "a",
            "refresh": "r", "expires": 5});
        value[name] = mark;
        match usable("openai:default", value).login {
            Login::OAuth(tokens) => tokens,
            other => panic!("{other:?}"),
        }
    };
    for (name, mark, can_refresh) in [
        (
            "needsLogin",
            json!({"code": "invalid_grant", "at": 1, "of": own}),
            false,
        ),
        ("needsLogin", json!({"code": "invalid_grant"}), false),
        ("needsLogin", json!({}), false),
        (
            "needsLogin",
            json!({"code": "invalid_grant", "of": "00000000"}),
            true,
        ),
        ("refreshAttempt", json!({"of": own, "at": 1}), false),
        ("refreshAttempt", json!({"of": "00000000", "at": 1}), true),
    ] {
        let tokens = read(name, mark.clone());
        assert_eq!(tokens.can_refresh(), can_refresh, "{name} {mark}");
    }
}

#[test]
fn what_is_no_profile_is_kept_with_what_is_wrong_with_it() {
    use ProfileProblem as P;
    let key = |key: Value| json!({"type": "api_key", "provider": "openai", "key": key});
    let oauth = |member: &str, value: Value| {
        let mut profile = json!({"type": "oauth", "provider": "openai", "access": "a",
            "refresh": "r", "expires": 5});
        profile[member] = value;
        profile
    };
    for (id, value, problem) in [
        ("openai", key(json!("k")), P::Id(ProfileIdError)),
        ("openai:a", json!([]), P::NotAnObject),
        (
            "openai:a",
            json!({"type": "api_key", "key": "k"}),
            P::Provider,
        ),
        (
            "openai:a",
            json!({"type": "api_key", "key": "k", "provider": "../x"}),
            P::Provider,
        ),
        (
            "openai:a",
            json!({"type": "magic", "provider": "openai"}),
            P::Kind,
        ),
        ("openai:a", json!({"provider": "openai"}), P::Kind),
        (
            "openai:a",
            json!({"type": "api_key", "provider": "openai"}),
            P::Member("key"),
        ),
        ("openai:a", key(json!(5)), P::Member("key")),
        ("openai:a", key(json!(" ")), P::Secret("key")),
        ("openai:a", key(json!("a b")), P::Secret("key")),
        ("openai:a", key(json!("é")), P::Secret("key")),
        (
            "openai:a",
            key(json!("${lower}")),
            P::Ref("key", RefError::Template),
        ),
        ("openai:a", key(json!({"source": "env"})), P::Member("key")),
        (
            "openai:a",
            key(json!({"source": "env", "provider": "default", "id": "lower"})),
            P::Ref("key", RefError::EnvName),
        ),
        (
            "openai:a",
            json!({"type": "api_key", "provider": "openai", "key": "k", "keyRef": "$K"}),
            P::Both("key", "keyRef"),
        ),
        (
            "openai:a",
            json!({"type": "api_key", "provider": "openai-codex", "key": "k"}),
            P::KeyForLogins,
        ),
        ("openai:a", oauth("access", json!("")), P::Secret("access")),
        (
            "openai:a",
            oauth("expires", json!("soon")),
            P::Member("expires"),
        ),
        (
            "openai:a",
            oauth("expires", json!(-1)),
            P::Member("expires"),
        ),
        ("openai:a", oauth("refresh", json!(7)), P::Secret("refresh")),
    ] {
        let entry = read(id, &value);
        let id = id.to_owned();
        assert_eq!(entry, Entry::Unusable { id, why: problem }, "{value}");
    }
}
