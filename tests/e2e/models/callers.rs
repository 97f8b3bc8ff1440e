//! Who may call the back door, and with whose credentials.

use super::provider::{Provider, Reply};
use super::{ask, back_door, call, credentials, refusal, section, send, start};
use crate::client::{Connection, Response};
use crate::sidecar::Sidecar;
use serde_json::json;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

const REQUEST: &str = "POST /anthropic/v1/messages";

/// An address of this host that is not on loopback. Nothing is sent to find it.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

/// A call from that address. The answer's head.
async fn call_from(source: IpAddr, to: SocketAddr, fields: &str) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(source, 0)).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    let request = super::request(REQUEST, &format!("{fields}connection: close\r\n"), "{}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = String::new();
    stream.read_to_string(&mut read).await.unwrap();
    read
}

async fn with_fields(sidecar: &Sidecar, fields: &str) -> Response {
    call(sidecar, REQUEST, fields, "{}").await
}

#[tokio::test]
async fn without_a_token_only_loopback_may_call() {
    let Some(own) = own_address() else {
        // Not eprintln!: the test harness keeps that to itself when a test passes.
        let loud = b"\n*** SKIPPED: this host has no address but loopback ***\n";
        let _ = std::io::Write::write_all(&mut std::io::stderr(), loud);
        return;
    };
    let provider = Provider::spawn().await;
    let sidecar = super::anthropic(&provider, &["key"]);
    assert_eq!(ask(&sidecar).await.status, 200);
    provider.forget();
    let answer = call_from(own, sidecar.models(), "").await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(answer.contains("client_unauthorized"), "{answer}");
    assert!(provider.requests().is_empty());
}

#[tokio::test]
async fn with_a_token_it_is_the_token_that_counts() {
    let provider = Provider::spawn().await;
    let models = format!(
        "clientToken = \"the-token\"\n{}{}",
        section("anthropic", &provider, &["key"]),
        section("openai", &provider, &["key"])
    );
    let sidecar = start(back_door(&models));
    for fields in [
        "authorization: Bearer the-token\r\n",
        "authorization: bEARER the-token\r\n",
        "x-api-key: the-token\r\n",
    ] {
        provider.forget();
        assert_eq!(with_fields(&sidecar, fields).await.status, 200, "{fields}");
        assert!(!provider.only().head.contains("the-token"));
    }
    provider.forget();
    for fields in [
        "",
        "authorization: Bearer the-toke\r\n",
        "authorization: Bearer the-token2\r\n",
        "authorization: the-token\r\n",
        "authorization: Bearer \r\n",
        "x-goog-api-key: the-token\r\n",
        "x-api-key: key\r\n",
        "x-api-key: the-token\r\nx-api-key: the-token\r\n",
        "cookie: the-token\r\n",
    ] {
        let answer = with_fields(&sidecar, fields).await;
        assert_eq!(
            refusal(&answer),
            (401, "client_unauthorized".to_owned()),
            "{fields}"
        );
        assert_eq!(answer.values("www-authenticate").len(), 1);
    }
    let answer = call(&sidecar, "POST /openai/x", "x-api-key: the-token\r\n", "{}").await;
    assert_eq!(answer.status, 401, "another provider's header");
    if let Some(own) = own_address() {
        let answer = call_from(own, sidecar.models(), "x-api-key: the-token\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(provider.requests().len(), 1);
    } else {
        assert!(provider.requests().is_empty());
    }
}

#[tokio::test]
async fn who_is_refused_has_the_answer_though_the_body_is_long() {
    let provider = Provider::spawn().await;
    let section = section("anthropic", &provider, &["key"]);
    let sidecar = start(back_door(&format!(
        "clientToken = \"the-token\"\n{section}"
    )));
    let body = "x".repeat(8 << 20);
    let mut connection = Connection::tcp(sidecar.models()).await;
    for _ in 0..2 {
        connection.write(super::request(REQUEST, "", &body)).await;
        assert_eq!(connection.response(false).await.status, 401);
    }
    assert!(provider.requests().is_empty());
}

#[tokio::test]
async fn a_stranger_does_not_learn_which_providers_there_are() {
    let provider = Provider::spawn().await;
    let models = format!(
        "clientToken = \"the-token\"\n{}[models.providers.groq]\nenabled = false\n",
        section("anthropic", &provider, &["key"])
    );
    let sidecar = start(back_door(&models));
    for path in [
        "/acme/x",
        "/groq/x",
        "/",
        "/Anthropic/v1/messages",
        "/anthropic2/x",
    ] {
        let line = format!("POST {path}");
        let stranger = call(&sidecar, &line, "", "{}").await;
        assert_eq!(
            refusal(&stranger),
            (401, "client_unauthorized".to_owned()),
            "{path}"
        );
        let fields = "authorization: Bearer the-token\r\n";
        let known = call(&sidecar, &line, fields, "{}").await;
        assert_eq!(
            refusal(&known),
            (404, "unknown_provider".to_owned()),
            "{path}"
        );
    }
    assert!(provider.requests().is_empty());
}

#[tokio::test]
async fn no_web_page_may_call_and_nobody_under_another_name() {
    let provider = Provider::spawn().await;
    let sidecar = super::anthropic(&provider, &["key"]);
    for (fields, status, code) in [
        ("origin: http://127.0.0.1\r\n", 403, "cross_site_request"),
        ("origin: null\r\n", 403, "cross_site_request"),
        ("sec-fetch-site: cross-site\r\n", 403, "cross_site_request"),
        ("sec-fetch-site: same-site\r\n", 403, "cross_site_request"),
        ("host: 127.0.0.1\r\n", 400, "bad_request"),
    ] {
        let answer = with_fields(&sidecar, fields).await;
        assert_eq!(refusal(&answer), (status, code.to_owned()), "{fields}");
    }
    let rest = "content-length: 2\r\n\r\n{}";
    for (head, status, code) in [
        (
            "POST /anthropic/x HTTP/1.1\r\nHost: evil.example\r\n",
            403,
            "host_not_allowed",
        ),
        (
            "POST /anthropic/x HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n",
            403,
            "host_not_allowed",
        ),
        (
            "POST /anthropic/x HTTP/1.1\r\nHost: \r\n",
            403,
            "host_not_allowed",
        ),
        ("POST /anthropic/x HTTP/1.1\r\n", 400, "bad_request"),
        (
            "POST http://127.0.0.1/anthropic/x HTTP/1.1\r\nHost: 127.0.0.1\r\n",
            400,
            "bad_request",
        ),
        (
            "TRACE /anthropic/x HTTP/1.1\r\nHost: 127.0.0.1\r\n",
            405,
            "method_not_allowed",
        ),
    ] {
        let answer = send(&sidecar, format!("{head}{rest}")).await;
        assert_eq!(refusal(&answer), (status, code.to_owned()), "{head}");
    }
    assert!(provider.requests().is_empty());
    for host in ["localhost:1", "[::1]", "127.0.0.9:8790"] {
        let request = format!("POST /anthropic/x HTTP/1.1\r\nHost: {host}\r\n{rest}");
        assert_eq!(send(&sidecar, request).await.status, 200, "{host}");
    }
}

/// Keys of anthropic as profiles, in a folder of their own.
fn write_keys(folder: &Path, profiles: &[(&str, &str)]) {
    let profiles: serde_json::Map<_, _> = profiles
        .iter()
        .map(|(id, key)| {
            let profile = json!({"type": "api_key", "provider": "anthropic", "key": key});
            ((*id).to_owned(), profile)
        })
        .collect();
    super::write_sink(folder, json!({"version": 1, "profiles": profiles}));
}

#[tokio::test]
async fn an_agent_has_its_own_profiles_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write_keys(&at("state"), &[("anthropic:main", "main-key")]);
    write_keys(&at("state/agents/work"), &[("anthropic:work", "work-key")]);
    write_keys(&at("home"), &[("anthropic:home", "home-key")]);
    let provider = Provider::spawn().await;
    let models = format!(
        "stateDir = \"{}\"\nclientToken = \"main-token\"\n{}\
         [agents.work]\nclientToken = \"work-token\"\n\
         [agents.home]\nclientToken = \"home-token\"\nstateDir = \"{}\"\nsharedKeys = true\n\
         [agents.idle]\nclientToken = \"idle-token\"\n",
        at("state").display(),
        section("anthropic", &provider, &["pool-key"]),
        at("home").display()
    );
    let sidecar = start(back_door(&models));
    let limit = Reply::status(429, r#"{"error":{"type":"rate_limit_error"}}"#);
    provider.answers_others(limit);
    for (caller, shown) in [
        ("main", &["main-key", "pool-key"][..]),
        ("work", &["work-key"]),
        ("home", &["home-key"]),
    ] {
        provider.forget();
        let answer = with_fields(&sidecar, &format!("x-api-key: {caller}-token\r\n")).await;
        assert_eq!(answer.status, 429, "{caller}");
        assert_eq!(provider.shown(), shown, "{caller}");
    }
    provider.forget();
    let idle = with_fields(&sidecar, "x-api-key: idle-token\r\n").await;
    assert_eq!(refusal(&idle), (503, "no_credential".to_owned()));
    let rows = credentials(&sidecar).await;
    for (name, agent) in [
        ("anthropic:main", json!(null)),
        ("anthropic:work", json!("work")),
        ("anthropic:home", json!("home")),
    ] {
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        assert_eq!(
            (&row["agent"], &row["state"]),
            (&agent, &json!("cooling_down"))
        );
    }
    // Nobody pins what is another's.
    for (caller, profile) in [("main", "work"), ("work", "main"), ("idle", "main")] {
        let fields =
            format!("x-api-key: {caller}-token\r\nx-portcullis-profile: anthropic:{profile}\r\n");
        let answer = with_fields(&sidecar, &fields).await;
        assert_eq!(
            refusal(&answer),
            (400, "unknown_profile".to_owned()),
            "{fields}"
        );
    }
    let two = "authorization: Bearer main-token\r\nx-api-key: work-token\r\n";
    assert_eq!(
        refusal(&with_fields(&sidecar, two).await),
        (400, "bad_request".to_owned())
    );
    assert!(provider.requests().is_empty());
}

#[tokio::test]
async fn an_agent_with_shared_keys_falls_back_on_them() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::spawn().await;
    let models = format!(
        "stateDir = \"{}\"\nclientToken = \"main-token\"\n{}\
         [agents.home]\nclientToken = \"home-token\"\nsharedKeys = true\n",
        folder.path().display(),
        section("anthropic", &provider, &["pool-key"]),
    );
    let sidecar = start(back_door(&models));
    let mut connection = Connection::tcp(sidecar.models()).await;
    let request = super::request(REQUEST, "x-api-key: home-token\r\n", "{}");
    connection.write(request).await;
    assert_eq!(connection.response(false).await.status, 200);
    assert_eq!(provider.shown(), ["pool-key"]);
}
