//! With which credentials it starts, and with which it doesn't.

use super::provider::Provider;
use super::{ask, back_door, refusal, section, start, with_profiles, write_private};
use serde_json::json;

#[tokio::test]
async fn a_provider_without_a_credential_is_warned_of_and_answers_503() {
    let provider = Provider::spawn().await;
    let sidecar = start(back_door(&section("anthropic", &provider, &[])));
    let line = sidecar
        .logged(|line| line["message"] == "a credential can't be used")
        .await;
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["model.provider"], "anthropic");
    assert_eq!(line["state"], "missing");
    let answer = ask(&sidecar).await;
    assert_eq!(refusal(&answer), (503, "no_credential".to_owned()));
    assert!(provider.requests().is_empty());
    let outcome =
        "portcullis_model_requests_total{outcome=\"no_credential\",provider=\"anthropic\"}";
    assert_eq!(sidecar.metric(outcome).await, Some(1.0));
    let warned = sidecar
        .log()
        .iter()
        .filter(|line| line.contains("a credential can't"))
        .count();
    assert_eq!(
        warned, 1,
        "the known providers that nobody configured stay out of it"
    );
}

#[tokio::test]
async fn keys_come_from_the_config_and_the_environment_in_their_order() {
    let provider = Provider::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.env");
    write_private(
        &file,
        "ANTHROPIC_API_KEY_FILE=key-f\nANTHROPIC_API_KEY=not-this\n",
    );
    let models = format!(
        "envFile = \"{}\"\n{}",
        file.display(),
        section("anthropic", &provider, &["key-c", "$FURTHER"])
    );
    let setup = back_door(&models)
        .env("FURTHER", "key-r")
        .env("ANTHROPIC_API_KEYS", "key-l1, key-c;key-l2\nkey-l3")
        .env("ANTHROPIC_API_KEY", "key-s")
        .env("ANTHROPIC_API_KEY_B", "key-b")
        .env("ANTHROPIC_API_KEY_A", "key-a")
        .env("OPENAI_API_KEY", "key-o");
    provider.answers_others(super::provider::Reply::status(429, "{}"));
    let sidecar = start(setup.clone());
    ask(&sidecar).await;
    assert_eq!(
        provider.shown(),
        [
            "key-c", "key-r", "key-l1", "key-l2", "key-l3", "key-s", "key-a", "key-b", "key-f"
        ]
    );
    provider.forget();
    ask(&start(setup.env("OPENCLAW_LIVE_ANTHROPIC_KEY", "key-live"))).await;
    assert_eq!(provider.shown(), ["key-live"]);
}

#[test]
fn it_does_not_start_without_what_the_configuration_promises() {
    let folder = tempfile::tempdir().unwrap();
    let damaged = folder.path().join("damaged");
    super::write_sink(&damaged, json!({}));
    std::fs::write(
        damaged.join("auth-profiles.json"),
        "{\"profiles\":{\"canary",
    )
    .unwrap();
    let agent = format!(
        "clientToken = \"canary-1\"\n[agents.work]\nclientToken = \"canary-2\"\nstateDir = \"{}\"\n",
        damaged.display()
    );
    for (setup, words) in [
        (
            back_door("[models.providers.anthropic]\napiKey = \"$PORTCULLIS_TEST_UNSET\"\n"),
            &["models.providers.anthropic.apiKey", "PORTCULLIS_TEST_UNSET"][..],
        ),
        (
            back_door("clientToken = \"$PORTCULLIS_TEST_UNSET\"\n"),
            &["models.clientToken"],
        ),
        (
            back_door("clientToken = \"canary\"\n[agents.work]\nclientToken = \"canary\"\n"),
            &["agents.work.clientToken", "models.clientToken"],
        ),
        (
            back_door(
                "clientToken = \"canary-1\"\n[agents.a]\nclientToken = \"canary\"\n\
                 [agents.b]\nclientToken = \"canary\"\n",
            ),
            &["agents.a.clientToken", "agents.b.clientToken"],
        ),
        (
            back_door("[agents.a]\nclientToken = \"canary\"\n"),
            &["models.clientToken"],
        ),
        (
            back_door("envFile = \"/nowhere/keys.env\"\n"),
            &["/nowhere/keys.env"],
        ),
        (
            back_door("[models.providers.acme]\napiKey = \"canary\"\n"),
            &["models.providers.acme.baseUrl"],
        ),
        (with_profiles(&damaged, ""), &["damaged/auth-profiles.json"]),
        (back_door(&agent), &["damaged/auth-profiles.json"]),
    ] {
        let (code, said) = setup.refused();
        assert_eq!(code, Some(2), "{words:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert!(!said.contains("canary"), "{said}");
    }
    let left = std::fs::read_to_string(damaged.join("auth-profiles.json")).unwrap();
    assert_eq!(left, "{\"profiles\":{\"canary");
}
