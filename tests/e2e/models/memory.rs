//! Cool-downs outlive reloads and restarts, and what is written of them is no key.

use super::login::{CALL, NAME, Town, profile};
use super::provider::{Provider, Reply};
use super::{
    ask, back_door, call, eventually, refusal, section, start, state_of, with_profiles, write_sink,
};
use crate::sidecar::{Setup, Sidecar, until};
use serde_json::{Value, json};
use std::path::Path;

fn setup(provider: &Provider, folder: &Path) -> Setup {
    let section = section("anthropic", provider, &["canary-1", "canary-2"]);
    back_door(&format!(
        "stateDir = \"{}\"\n{section}",
        folder.join("not/there/yet").display()
    ))
}

fn sink(folder: &Path) -> Option<String> {
    std::fs::read_to_string(folder.join("not/there/yet/auth-profiles.json")).ok()
}

/// A call that takes the first key off, and the one after it.
async fn tire_the_first(provider: &Provider, sidecar: &Sidecar) {
    let limit = Reply::with_fields(429, "retry-after: 900\r\n", "{}");
    provider.answers("canary-1", limit);
    ask(sidecar).await;
    assert_eq!(provider.shown(), ["canary-1", "canary-2"]);
    provider.forget();
}

#[tokio::test]
async fn a_cool_down_outlives_a_reload() {
    let provider = Provider::spawn().await;
    let sidecar = start(back_door(&section(
        "anthropic",
        &provider,
        &["canary-1", "canary-2"],
    )));
    tire_the_first(&provider, &sidecar).await;
    assert_eq!(sidecar.reload().await.0, 200);
    sidecar.edit(|config| config.replace("[\"canary-1\"", "[\"canary-0\", \"canary-1\""));
    assert_eq!(sidecar.reload().await.0, 200);
    provider.answers("canary-0", Reply::status(429, "{}"));
    ask(&sidecar).await;
    assert_eq!(provider.shown(), ["canary-0", "canary-2"]);
}

#[tokio::test]
async fn a_cool_down_outlives_a_restart_by_its_fingerprint() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::spawn().await;
    let mut sidecar = start(setup(&provider, folder.path()));
    tire_the_first(&provider, &sidecar).await;
    sidecar.signal("TERM");
    assert!(sidecar.wait().success());
    let text = sink(folder.path()).unwrap();
    assert!(
        text.contains("\"anthropic#") && text.contains("cooldownUntil"),
        "{text}"
    );
    assert!(!text.contains("canary"), "{text}");

    let sidecar = start(setup(&provider, folder.path()));
    ask(&sidecar).await;
    assert_eq!(provider.shown(), ["canary-2"]);
}

#[tokio::test]
async fn a_cool_down_outlives_a_process_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::spawn().await;
    let sidecar = start(setup(&provider, folder.path()));
    tire_the_first(&provider, &sidecar).await;
    until(|| sink(folder.path()).filter(|text| text.contains("cooldownUntil"))).await;
    drop(sidecar);

    let sidecar = start(setup(&provider, folder.path()));
    ask(&sidecar).await;
    assert_eq!(provider.shown(), ["canary-2"]);
}

#[tokio::test]
async fn after_a_restart_nobody_is_asked_while_all_cool_down() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::spawn().await;
    provider.answers_others(Reply::with_fields(429, "retry-after: 900\r\n", "{}"));
    let mut sidecar = start(setup(&provider, folder.path()));
    assert_eq!(ask(&sidecar).await.status, 429);
    sidecar.signal("TERM");
    assert!(sidecar.wait().success());
    provider.forget();

    let answer = ask(&start(setup(&provider, folder.path()))).await;
    assert_eq!(refusal(&answer), (429, "rate_limited".to_owned()));
    let wait: u64 = answer.values("retry-after").concat().parse().unwrap();
    assert!((880..=900).contains(&wait), "{wait}");
    assert!(provider.requests().is_empty());
}

/// Puts another key in the profile's place, and leaves all else in the sink.
fn replace_key(folder: &Path, key: &str) {
    let path = folder.join("auth-profiles.json");
    let mut sink: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(sink["usageStats"]["anthropic:a"]["cooldownUntil"].is_u64());
    sink["profiles"]["anthropic:a"]["key"] = json!(key);
    write_sink(folder, sink);
}

#[tokio::test]
async fn a_key_that_is_replaced_between_two_processes_inherits_no_cool_down() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::spawn().await;
    provider.answers(
        "canary-old",
        Reply::with_fields(429, "retry-after: 900\r\n", "{}"),
    );
    let of = |key: &str| json!({"type": "api_key", "provider": "anthropic", "key": key});
    write_sink(
        folder.path(),
        json!({"version": 1, "profiles": {"anthropic:a": of("canary-old")}}),
    );
    let setup = || with_profiles(folder.path(), &section("anthropic", &provider, &[]));
    let mut sidecar = start(setup());
    assert_eq!(ask(&sidecar).await.status, 429);
    sidecar.signal("TERM");
    assert!(sidecar.wait().success());

    // The same one does.
    let mut sidecar = start(setup());
    assert_eq!(
        refusal(&ask(&sidecar).await),
        (429, "rate_limited".to_owned())
    );
    sidecar.signal("TERM");
    assert!(sidecar.wait().success());

    replace_key(folder.path(), "canary-new");
    let sidecar = start(setup());
    assert_eq!(ask(&sidecar).await.status, 200);
    assert_eq!(provider.shown(), ["canary-old", "canary-new"]);
}

#[tokio::test]
async fn a_login_of_another_account_inherits_no_cool_down() {
    let town = Town::new(3600).await;
    town.provider.answers(
        "access-0",
        Reply::with_fields(429, "retry-after: 900\r\n", "{}"),
    );
    let sidecar = start(town.setup());
    assert_eq!(call(&sidecar, CALL, "", "{}").await.status, 429);

    // Another token of the same account is as tired.
    town.write(json!({NAME: profile("access-1", "refresh-1", 3600)}));
    assert_eq!(sidecar.reload().await.0, 200);
    assert_eq!(state_of(&sidecar, NAME).await, "cooling_down");

    let mut other = profile("access-2", "refresh-2", 3600);
    other["accountId"] = json!("acc-of-another");
    town.write(json!({NAME: other}));
    eventually(|| async { call(&sidecar, CALL, "", "{}").await.status == 200 }).await;
}
