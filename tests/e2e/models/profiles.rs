//! Which profile's credential a call carries, and how profiles look on the wire.

use super::provider::{Provider, Reply};
use super::{
    ask, call, eventually, in_seconds, portcullis, refusal, section, start, state_of,
    with_profiles, write_private, write_sink,
};
use crate::sidecar::until;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const PAUSED: &str = r#"{"error":{"type":"rate_limit_error"}}"#;

fn key(secret: &str) -> Value {
    json!({"type": "api_key", "provider": "anthropic", "key": secret})
}

fn token(secret: &str, expires: i64) -> Value {
    json!({"type": "token", "provider": "anthropic", "token": secret, "expires": expires})
}

/// What is tried for a call, in this order.
async fn tried(sink: Value, rest: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    write_sink(folder.path(), sink);
    let provider = Provider::spawn().await;
    provider.answers_others(Reply::status(429, PAUSED));
    let section = section("anthropic", &provider, &["pool-key"]);
    let sidecar = start(with_profiles(folder.path(), &format!("{section}{rest}")));
    ask(&sidecar).await;
    provider.shown()
}

#[tokio::test]
async fn profiles_come_in_the_stored_order_else_the_configs_else_by_kind_and_then_the_pool() {
    let profiles = json!({
        "anthropic:a": key("key-a"),
        "anthropic:b": key("key-b"),
        "anthropic:c": token("token-c", in_seconds(1000)),
        "anthropic:d": token("token-d", in_seconds(1000)),
    });
    let sink = json!({"version": 1, "profiles": profiles});
    let by_kind = ["token-c", "token-d", "key-a", "key-b", "pool-key"];
    assert_eq!(tried(sink.clone(), "").await, by_kind);

    let config =
        "[auth.order]\nanthropic = [\"anthropic:b\", \"anthropic:c\", \"anthropic:gone\"]\n";
    assert_eq!(
        tried(sink.clone(), config).await,
        ["key-b", "token-c", "pool-key"]
    );

    let mut stored = sink;
    stored["order"] = json!({"anthropic": ["anthropic:d", "anthropic:a"]});
    assert_eq!(
        tried(stored, config).await,
        ["token-d", "key-a", "pool-key"]
    );
}

#[tokio::test]
async fn a_token_that_has_expired_is_passed_over() {
    let profiles = json!({
        "anthropic:a": token("token-a", in_seconds(-1)),
        "anthropic:b": key("key-b"),
    });
    let shown = tried(json!({"version": 1, "profiles": profiles}), "").await;
    assert_eq!(shown, ["key-b", "pool-key"]);
}

#[tokio::test]
async fn an_entry_that_is_no_profile_is_passed_over() {
    let profiles = json!({
        "anthropic:a": {"type": "api_key", "provider": "anthropic"},
        "anthropic:b": key("$PORTCULLIS_TEST_NEVER_SET"),
        "anthropic:c": key("two words"),
        "anthropic:d": key("key-d"),
    });
    let shown = tried(json!({"version": 1, "profiles": profiles}), "").await;
    assert_eq!(shown, ["key-d", "pool-key"]);
}

#[tokio::test]
async fn a_reference_in_a_profile_is_resolved() {
    let folder = tempfile::tempdir().unwrap();
    let reference = json!({"source": "env", "provider": "default", "id": "WORK_KEY"});
    let profile = json!({"type": "api_key", "provider": "anthropic", "keyRef": reference});
    write_sink(
        folder.path(),
        json!({"version": 1, "profiles": {"anthropic:work": profile}}),
    );
    let provider = Provider::spawn().await;
    let setup = with_profiles(folder.path(), &section("anthropic", &provider, &[]));
    let sidecar = start(setup.env("WORK_KEY", "key-of-work"));
    assert_eq!(ask(&sidecar).await.status, 200);
    assert_eq!(provider.shown(), ["key-of-work"]);
}

#[tokio::test]
async fn a_setup_token_is_a_bearer_with_the_beta_that_it_needs() {
    let setup_token = format!("sk-ant-oat01-{}", "c".repeat(70));
    let folder = tempfile::tempdir().unwrap();
    let profiles = json!({"anthropic:default": token(&setup_token, in_seconds(1000))});
    write_sink(folder.path(), json!({"version": 1, "profiles": profiles}));
    let provider = Provider::spawn().await;
    let sidecar = start(with_profiles(
        folder.path(),
        &section("anthropic", &provider, &["pool-key"]),
    ));
    for (fields, beta) in [
        ("x-api-key: mine\r\n", "oauth-2025-04-20"),
        ("anthropic-beta: files-1\r\n", "files-1,oauth-2025-04-20"),
        (
            "anthropic-beta: a, oauth-2025-04-20\r\n",
            "a, oauth-2025-04-20",
        ),
    ] {
        provider.forget();
        call(&sidecar, "POST /anthropic/v1/messages", fields, "{}").await;
        let got = provider.only();
        assert_eq!(
            got.values("authorization"),
            [format!("Bearer {setup_token}")]
        );
        assert!(got.values("x-api-key").is_empty(), "{}", got.head);
        assert_eq!(got.values("anthropic-beta"), [beta]);
    }
}

#[tokio::test]
async fn a_login_of_another_program_is_read_from_its_file_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials.json");
    let managed = json!({"type": "token", "provider": "anthropic", "managedBy": "claude-cli",
        "file": file});
    let sink = json!({"version": 1, "profiles": {"anthropic:claude-cli": managed}});
    write_sink(folder.path(), sink);
    let provider = Provider::spawn().await;
    let section = section("anthropic", &provider, &["pool-key"]);
    let sidecar = start(with_profiles(folder.path(), &section));
    for (token, expires_in) in [
        ("sk-ant-oat01-one", 60),
        ("sk-ant-oat01-two", 60),
        ("gone", -60),
    ] {
        let login = json!({"accessToken": token, "refreshToken": "theirs",
            "expiresAt": in_seconds(expires_in)});
        write_private(&file, &json!({"claudeAiOauth": login}).to_string());
        assert_eq!(ask(&sidecar).await.status, 200);
    }
    let shown = ["sk-ant-oat01-one", "sk-ant-oat01-two", "pool-key"];
    assert_eq!(provider.shown(), shown);
    assert_eq!(
        provider.requests()[0].values("anthropic-beta"),
        ["oauth-2025-04-20"]
    );
}

fn paste(folder: &Path, name: &str, secret: &str) {
    let mut child = portcullis(&["models", "auth", "paste-token", "--provider", "anthropic"])
        .args(["--profile-name", name, "--set-default", "--state-dir"])
        .arg(folder)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, secret.as_bytes()).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn what_the_commands_store_is_taken_up_by_the_running_process() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::spawn().await;
    let sidecar = start(with_profiles(
        folder.path(),
        &section("anthropic", &provider, &[]),
    ));
    assert_eq!(
        refusal(&ask(&sidecar).await),
        (503, "no_credential".to_owned())
    );
    for (name, secret) in [("one", "first-key"), ("two", "second-key")] {
        paste(folder.path(), name, secret);
        eventually(|| async {
            provider.forget();
            ask(&sidecar).await;
            provider.shown() == [secret]
        })
        .await;
    }
    let logout = ["models", "auth", "logout", "anthropic:two", "--state-dir"];
    let status = portcullis(&logout).arg(folder.path()).status();
    assert!(status.unwrap().success());
    eventually(|| async {
        provider.forget();
        ask(&sidecar).await;
        provider.shown() == ["first-key"]
    })
    .await;
}

#[tokio::test]
async fn a_sink_that_is_damaged_while_it_runs_is_left_alone_and_what_was_read_serves_on() {
    let folder = tempfile::tempdir().unwrap();
    write_sink(
        folder.path(),
        json!({"version": 1, "profiles": {"anthropic:a": key("key-a")}}),
    );
    let provider = Provider::spawn().await;
    let sidecar = start(with_profiles(
        folder.path(),
        &section("anthropic", &provider, &[]),
    ));
    ask(&sidecar).await;
    // Let it write what it has to: how the key fares.
    let path = folder.path().join("auth-profiles.json");
    until(|| {
        std::fs::read_to_string(&path)
            .unwrap()
            .contains("lastUsed")
            .then_some(())
    })
    .await;
    let damaged = "{\"version\":1,\"profiles\":{\"anthropic:a\":{\"key\":\"canary";
    std::fs::write(&path, damaged).unwrap();
    let problems =
        || async { sidecar.admin("GET /status").await.json()["tokenSinkProblems"].clone() };
    eventually(|| async { problems().await != json!([]) }).await;
    let told = problems().await.to_string();
    assert!(
        told.contains("auth-profiles.json") && !told.contains("canary"),
        "{told}"
    );
    assert_eq!(ask(&sidecar).await.status, 200);
    assert_eq!(provider.shown(), ["key-a", "key-a"]);
    provider.answers_others(Reply::status(429, PAUSED));
    assert_eq!(ask(&sidecar).await.status, 429);
    assert_eq!(sidecar.reload().await.0, 200);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged);
    // Mended, it is read again.
    write_sink(
        folder.path(),
        json!({"version": 1, "profiles": {"anthropic:b": key("key-b")}}),
    );
    provider.answers_others(Reply::status(200, "{}"));
    eventually(|| async {
        provider.forget();
        ask(&sidecar).await;
        provider.shown() == ["key-b"] && problems().await == json!([])
    })
    .await;
}

#[tokio::test]
async fn what_was_learnt_of_a_secret_says_nothing_of_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    // By the command, which takes the sink's lock: the process writes there, too.
    paste(folder.path(), "a", "key-one");
    let provider = Provider::spawn().await;
    provider.answers("key-one", Reply::status(401, "{}"));
    let limited = Reply::with_fields(429, "retry-after: 3600\r\n", PAUSED);
    provider.answers("key-two", limited);
    let sidecar = start(with_profiles(
        folder.path(),
        &section("anthropic", &provider, &[]),
    ));
    assert_eq!(ask(&sidecar).await.status, 401);
    assert_eq!(state_of(&sidecar, "anthropic:a").await, "rejected");
    paste(folder.path(), "a", "key-two");
    eventually(|| async { ask(&sidecar).await.status == 429 }).await;
    assert_eq!(state_of(&sidecar, "anthropic:a").await, "cooling_down");
    paste(folder.path(), "a", "key-three");
    eventually(|| async { ask(&sidecar).await.status == 200 }).await;
    assert_eq!(state_of(&sidecar, "anthropic:a").await, "ready");
}

#[tokio::test]
async fn a_reload_takes_no_reference_away_while_it_is_resolved() {
    let folder = tempfile::tempdir().unwrap();
    let command = folder.path().join("resolver");
    std::fs::write(
        &command,
        "#!/bin/sh\ncat >/dev/null\n[ -e \"$0.slow\" ] && sleep 2\necho key-of-it\n",
    )
    .unwrap();
    std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o700)).unwrap();
    let state = folder.path().join("state");
    write_sink(
        &state,
        json!({"version": 1, "profiles": {"anthropic:a": {
            "type": "api_key", "provider": "anthropic",
            "keyRef": {"source": "exec", "provider": "slow", "id": "a"}}}}),
    );
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700)).unwrap();
    let provider = Provider::spawn().await;
    let rest = format!(
        "{}[secrets.providers.slow]\nsource = \"exec\"\ncommand = \"{}\"\njsonOnly = false\n\
         passEnv = [\"PATH\"]\nprofileIds = [\"a\"]\n",
        section("anthropic", &provider, &[]),
        command.display()
    );
    let sidecar = start(with_profiles(&state, &rest));
    eventually(|| async { ask(&sidecar).await.status == 200 }).await;
    std::fs::write(folder.path().join("resolver.slow"), "").unwrap();
    assert_eq!(sidecar.admin("POST /reload").await.status, 200);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(3);
    while std::time::Instant::now() < until {
        assert_eq!(ask(&sidecar).await.status, 200);
    }
}
