//! `models status` tells of every credential, from the running process and without it.

use super::provider::{Provider, Reply};
use super::{
    ask, back_door, credentials, eventually, in_seconds, portcullis, section, start, with_profiles,
    write_sink,
};
use crate::sidecar::{Sidecar, until};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `models status` of the running process, or of the files.
fn status(sidecar: &Sidecar, arguments: &[&str]) -> Output {
    let mut command = portcullis(&["models", "status", "--config"]);
    command.arg(sidecar.config_path()).args(arguments);
    if !arguments.contains(&"--offline") {
        command.args(["--address", &sidecar.admin.to_string()]);
    }
    command.output().unwrap()
}

fn token(expires_in: i64) -> Value {
    let expires = in_seconds(expires_in);
    json!({"type": "token", "provider": "anthropic", "token": "token-a", "expires": expires})
}

#[tokio::test]
async fn a_row_for_each_credential_from_the_process_and_from_the_files() {
    let folder = tempfile::tempdir().unwrap();
    write_sink(
        folder.path(),
        json!({"version": 1, "profiles": {"anthropic:a": token(7200)}}),
    );
    let provider = Provider::spawn().await;
    let rest = format!(
        "{}[models.providers.mistral]\n",
        section("openai", &provider, &["key-o"])
    );
    let sidecar = start(with_profiles(folder.path(), &rest));
    provider.answers_others(Reply::with_fields(429, "retry-after: 900\r\n", "{}"));
    super::call(&sidecar, "POST /openai/x", "", "{}").await;

    // The files know of it a moment later.
    let sink = folder.path().join("auth-profiles.json");
    until(|| {
        let text = std::fs::read_to_string(&sink).ok()?;
        text.contains("cooldownUntil").then_some(())
    })
    .await;
    for arguments in [&[][..], &["--offline"]] {
        let output = status(&sidecar, arguments);
        let (table, said) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{said}");
        let rows: Vec<_> = table.lines().collect();
        assert!(rows[0].starts_with("PROVIDER"), "{table}");
        assert_eq!(rows.len(), 4, "{table}");
        assert!(
            rows[1].contains("anthropic:a") && rows[1].contains("in 1 h"),
            "{table}"
        );
        assert!(
            rows[2].starts_with("mistral") && rows[2].contains("missing"),
            "{table}"
        );
        assert!(
            rows[3].starts_with("openai") && rows[3].contains("cooling down"),
            "{table}"
        );
        assert!(
            !table.contains("token-a") && !table.contains("key-o"),
            "{table}"
        );
    }

    let output = status(&sidecar, &["--json"]);
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["origin"], "process");
    let told = credentials(&sidecar).await;
    assert_eq!(printed["credentials"], json!(told));
    let row = |name: &str| {
        told.iter()
            .find(|row| row["provider"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(row("openai")["state"], "cooling_down");
    assert!(row("openai")["cooldownUntil"].as_i64().unwrap() > in_seconds(800));
    assert!(row("openai")["lastUsed"].as_i64().unwrap() <= in_seconds(0));
    assert_eq!(row("anthropic")["name"], "anthropic:a");

    let output = status(&sidecar, &["--offline", "--json", "--provider", "mistral"]);
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["origin"], "files");
    assert_eq!(printed["credentials"].as_array().unwrap().len(), 1);
    assert_eq!(
        status(&sidecar, &["--provider", "acme"]).status.code(),
        Some(2)
    );
}

#[tokio::test]
async fn the_gauges_count_credentials_by_state() {
    let provider = Provider::spawn().await;
    let sidecar = super::anthropic(&provider, &["key-1", "key-2"]);
    provider.answers("key-1", Reply::status(429, "{}"));
    ask(&sidecar).await;
    for (state, count) in [
        ("ready", 1.0),
        ("cooling_down", 1.0),
        ("expired", 0.0),
        ("missing", 0.0),
    ] {
        let gauge =
            format!("portcullis_model_credentials{{provider=\"anthropic\",state=\"{state}\"}}");
        eventually(|| async { sidecar.metric(&gauge).await == Some(count) }).await;
    }
}

/// As cron would: through a shell, without a terminal and with hardly a variable.
fn as_cron(config: &Path, arguments: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_portcullis");
    let line = format!(
        "{program} models status --config {} {arguments}",
        config.display()
    );
    Command::new("/bin/sh")
        .args(["-c", &line])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[tokio::test]
async fn the_check_has_an_exit_code_for_each_situation() {
    let missing = "[models.providers.mistral]\n";
    for (profile, rest, within, expected, words) in [
        (token(100_000), "", "24h", 0, ""),
        (token(7200), "", "24h", 2, "in 1 h"),
        (token(7200), "", "1h", 0, ""),
        (token(7200), "", "3d", 2, "in 1 h"),
        (token(-60), "", "24h", 1, "expired"),
        (token(100_000), missing, "24h", 1, "mistral"),
        (
            json!({"type": "api_key", "provider": "anthropic"}),
            "",
            "24h",
            1,
            "anthropic:a",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write_sink(
            folder.path(),
            json!({"version": 1, "profiles": {"anthropic:a": profile}}),
        );
        let sidecar = start(with_profiles(folder.path(), rest));
        let config = sidecar.config_path();
        let admin = sidecar.admin;
        for place in [
            format!("--address {admin}"),
            "--offline".to_owned(),
            String::new(),
        ] {
            let output = as_cron(&config, &format!("--check --within {within} {place}"));
            let said = text(&output.stderr);
            assert_eq!(
                output.status.code(),
                Some(expected),
                "{place} {profile}: {said}"
            );
            assert!(said.contains(words), "{words}: {said}");
            assert!(!output.stdout.contains(&0x1b) && !output.stderr.contains(&0x1b));
            let output = as_cron(
                &config,
                &format!("--check --json --within {within} {place}"),
            );
            assert_eq!(output.status.code(), Some(expected));
            let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(printed["findings"] == json!([]), expected == 0, "{printed}");
        }
        assert_eq!(as_cron(&config, "").status.code(), Some(0));
    }
}

#[tokio::test]
async fn a_process_that_can_not_be_asked_is_told_of() {
    let provider = Provider::spawn().await;
    let section = section("anthropic", &provider, &["key"]);
    let sidecar = start(back_door(&section).admin("token = \"admin-token\"\n"));
    let output = status(&sidecar, &["--address", "127.0.0.1:9"]);
    assert!(!output.status.success());
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
}
