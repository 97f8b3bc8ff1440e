//! Keys and tokens at every place of the back door, looked for wherever anything is
//! written.

use super::login::{CALL, profile};
use super::provider::{Provider, Reply};
use super::{
    call, eventually, in_seconds, portcullis, section, send, start, write_private, write_sink,
};
use crate::client::Response;
use crate::oauth_server::OAuthServer;
use crate::sidecar::{Setup, Sidecar};
use serde_json::json;
use std::path::Path;

const TOKEN: &str = "x-api-key: canary-client\r\n";
const AGENT: &str = "x-api-key: canary-agent\r\n";

/// A canary of its own at every place.
fn everywhere(folder: &Path, provider: &Provider, server: &OAuthServer) -> Setup {
    let file = folder.join("keys.env");
    write_private(&file, "OPENAI_API_KEY=canary-file\n");
    let profiles = json!({
        "anthropic:key": {"type": "api_key", "provider": "anthropic", "key": "canary-profile"},
        "anthropic:ref": {"type": "api_key", "provider": "anthropic", "keyRef": "$REFERRED"},
        "anthropic:token": {"type": "token", "provider": "anthropic", "token": "canary-token",
            "expires": in_seconds(60)},
        "anthropic:bad": {"type": "api_key", "provider": "anthropic", "key": "canary with a space"},
        "openai-codex:default": profile("canary-access", "canary-refresh", -1),
        "openai-codex:lost": profile("canary-lost", "canary-unknown", -1),
    });
    write_sink(
        &folder.join("state"),
        json!({"version": 1, "profiles": profiles}),
    );
    let own = json!({"type": "api_key", "provider": "anthropic", "key": "canary-of-agent"});
    let own = json!({"version": 1, "profiles": {"anthropic:own": own}});
    write_sink(&folder.join("state/agents/work"), own);
    let models = format!(
        "stateDir = \"{}\"\nclientToken = \"$CLIENT_TOKEN\"\nenvFile = \"{}\"\n{}{}\
         [models.providers.openai-codex]\nbaseUrl = \"{}\"\noauth = {{ tokenUrl = \"{}\" }}\n\
         [agents.work]\nclientToken = \"canary-agent\"\n[log]\nlevel = \"trace\"\n",
        folder.join("state").display(),
        file.display(),
        section("anthropic", provider, &["canary-config"]),
        section("openai", provider, &[]),
        provider.url(),
        server.token_url()
    );
    super::back_door(&models)
        .env("CLIENT_TOKEN", "canary-client")
        .env("ANTHROPIC_API_KEY", "canary-variable")
        .env("REFERRED", "canary-referred")
}

fn whole(answer: &Response) -> String {
    format!("{}\n{}", answer.head, String::from_utf8_lossy(&answer.body))
}

/// Every kind of answer of Portcullis' own, and those that a provider's limits lead to.
async fn answers(sidecar: &Sidecar, provider: &Provider) -> Vec<String> {
    let mut seen = Vec::new();
    let limit = Reply::status(429, r#"{"error":{"type":"rate_limit_error"}}"#);
    for (reply, line, fields, status) in [
        (Reply::status(200, "{}"), "POST /anthropic/x", TOKEN, 200),
        (Reply::status(200, "{}"), "POST /anthropic/x", AGENT, 200),
        (
            Reply::status(200, "{}"),
            "POST /openai/x",
            "authorization: Bearer canary-client\r\n",
            200,
        ),
        (
            Reply::status(200, "{}"),
            CALL,
            "authorization: Bearer canary-client\r\n",
            200,
        ),
        (
            Reply::status(401, "{}"),
            CALL,
            "authorization: Bearer canary-client\r\n",
            401,
        ),
        (Reply::status(401, "{}"), "POST /anthropic/x", TOKEN, 401),
        (Reply::HangUp, "POST /anthropic/x", TOKEN, 502),
        (Reply::Silence, "POST /anthropic/x", TOKEN, 504),
        (limit, "POST /anthropic/x?key=canary", TOKEN, 429),
        (Reply::HangUp, "POST /anthropic/x", TOKEN, 429),
        (
            Reply::HangUp,
            "POST /anthropic/x",
            "x-api-key: canary-wrong\r\n",
            401,
        ),
        (
            Reply::HangUp,
            "POST /acme/x",
            "authorization: Bearer canary-client\r\n",
            404,
        ),
        (
            Reply::HangUp,
            "POST /google/x",
            "x-goog-api-key: canary-client\r\n",
            503,
        ),
    ] {
        provider.answers_others(reply);
        let answer = call(sidecar, line, fields, "{\"model\":\"opus\"}").await;
        assert_eq!(answer.status, status, "{line} {fields}");
        seen.push(whole(&answer));
    }
    let answer = send(
        sidecar,
        "GET /anthropic/x HTTP/1.1\r\nHost: a\r\nx-api-key: canary\r\n\r\n",
    );
    seen.push(whole(&answer.await));
    let answer = send(sidecar, "canary\r\n\r\n").await;
    seen.push(whole(&answer));
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_at_every_place_shows_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let (provider, server) = (Provider::spawn().await, OAuthServer::spawn().await);
    server.knows("canary-refresh");
    let setup = everywhere(folder.path(), &provider, &server)
        .section("[limits]\nupstreamFirstByteTimeout = \"1s\"");
    let mut sidecar = start(setup);
    // Both logins are renewed, one with success.
    eventually(|| async { server.uses().len() >= 2 }).await;
    let mut seen = answers(&sidecar, &provider).await;
    let shown = provider.shown().join(" ");
    for place in [
        "config", "variable", "file", "profile", "referred", "token", "of-agent",
    ] {
        assert!(
            shown.contains(&format!("canary-{place}")),
            "{place} isn't used: {shown}"
        );
    }
    assert!(shown.contains(".canary"), "the login isn't used: {shown}");

    assert_eq!(sidecar.reload().await.0, 200);
    let sink = folder.path().join("state/auth-profiles.json");
    let good = std::fs::read(&sink).unwrap();
    std::fs::write(&sink, "{\"profiles\":{\"canary").unwrap();
    let status = || async { whole(&sidecar.admin("GET /status").await) };
    eventually(|| async { status().await.contains("auth-profiles.json") }).await;
    for path in ["/status", "/metrics", "/readyz"] {
        seen.push(whole(&sidecar.admin(&format!("GET {path}")).await));
    }
    let config = sidecar.config_path().display().to_string();
    let address = sidecar.admin.to_string();
    let ask = |arguments: &[&str]| {
        let output = portcullis(&["models", "status", "--config", &config])
            .args(arguments)
            .env("CLIENT_TOKEN", "canary-client")
            .env("ANTHROPIC_API_KEY", "canary-variable")
            .output()
            .unwrap();
        assert!(output.stdout.len() > 100, "{output:?}");
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    };
    for further in [&["--check"][..], &["--json"]] {
        seen.push(ask(&[further, &["--address", &address]].concat()));
        seen.push(ask(&[further, &["--offline"]].concat()));
    }
    std::fs::write(&sink, good).unwrap();
    for further in [&["--check"][..], &["--json"]] {
        seen.push(ask(&[further, &["--offline"]].concat()));
    }
    sidecar.signal("TERM");
    assert!(sidecar.wait().success());
    let log = sidecar.log();
    let is_loud = |line: &String| line.contains("\"level\":\"DEBUG\"");
    assert!(log.iter().any(is_loud), "the log is not at its loudest");
    seen.extend(log);
    let shown: Vec<_> = seen.iter().filter(|text| text.contains("canary")).collect();
    assert!(shown.is_empty(), "{shown:#?}");
}
