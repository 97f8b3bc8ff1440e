//! Cool-downs outlive reloads and restarts, and what is written of them is no key.

use super::provider::{Provider, Reply};
use super::{ask, back_door, refusal, section, start};
use crate::sidecar::{Setup, Sidecar, until};
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
