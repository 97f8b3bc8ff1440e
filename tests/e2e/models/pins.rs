//! A profile that is pinned is the one that is used, or the call is refused.

use super::provider::{Provider, Reply};
use super::{call, refusal, section, start, with_profiles, write_sink};
use crate::client::Response;
use crate::sidecar::Sidecar;
use serde_json::json;
use tempfile::TempDir;

/// Profiles `a`, `work` and `me@example.com` of anthropic.
struct Pinned {
    _folder: TempDir,
    provider: Provider,
    sidecar: Sidecar,
}

impl Pinned {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = |key: &str| json!({"type": "api_key", "provider": "anthropic", "key": key});
        let profiles = json!({
            "anthropic:a": key("key-a"),
            "anthropic:work": key("key-of-work"),
            "anthropic:me@example.com": key("key-of-mine"),
            "openai:o": {"type": "api_key", "provider": "openai", "key": "key-o"},
        });
        let order = json!({"anthropic": ["anthropic:a"]});
        write_sink(
            folder.path(),
            json!({"version": 1, "profiles": profiles, "order": order}),
        );
        let provider = Provider::spawn().await;
        let section = section("anthropic", &provider, &["pool-key"]);
        let sidecar = start(with_profiles(folder.path(), &section));
        Self {
            _folder: folder,
            provider,
            sidecar,
        }
    }

    /// A call with pins in path, header and body.
    async fn call(&self, path: &str, header: &str, model: &str) -> Response {
        let fields = match header {
            "" => String::new(),
            header => format!("x-portcullis-profile: {header}\r\n"),
        };
        let body = format!("{{\"model\": \"{model}\", \"n\":1.0}}");
        let line = format!("POST /anthropic{path}/v1/messages?x=@y");
        call(&self.sidecar, &line, &fields, &body).await
    }
}

const WORK: &str = "key-of-work";
const MINE: &str = "key-of-mine";

#[tokio::test]
async fn path_header_and_model_pin_and_nothing_of_it_is_sent() {
    let town = Pinned::new().await;
    for (path, header, model, shown) in [
        ("", "", "opus", "key-a"),
        ("", "", "opus@20240229", "key-a"),
        ("@anthropic:work", "", "opus", WORK),
        ("@work", "", "opus", WORK),
        ("", "anthropic:work", "opus", WORK),
        ("", "work", "opus", WORK),
        ("", "", "opus@anthropic:work", WORK),
        ("@work", "anthropic:work", "opus@anthropic:work", WORK),
        ("@me@example.com", "", "opus", MINE),
        ("@anthropic:me@example.com", "", "opus", MINE),
        ("", "anthropic:me@example.com", "opus", MINE),
        ("", "", "opus@anthropic:me@example.com", MINE),
    ] {
        town.provider.forget();
        let answer = town.call(path, header, model).await;
        assert_eq!(answer.status, 200, "{path} {header} {model}");
        assert_eq!(town.provider.shown(), [shown], "{path} {header} {model}");
        let got = town.provider.only();
        assert_eq!(got.line(), "POST /v1/messages?x=@y HTTP/1.1");
        assert!(!got.head.contains("x-portcullis"), "{}", got.head);
        let sent = model.strip_suffix("@anthropic:work").unwrap_or(model);
        let sent = sent
            .strip_suffix("@anthropic:me@example.com")
            .unwrap_or(sent);
        let body = format!("{{\"model\": \"{sent}\", \"n\":1.0}}");
        assert_eq!(String::from_utf8(got.body).unwrap(), body);
    }
}

#[tokio::test]
async fn a_pin_of_no_profile_is_refused_and_nothing_is_sent() {
    let town = Pinned::new().await;
    let (unknown, bad) = ("unknown_profile", "bad_request");
    for (path, header, model, code) in [
        ("@anthropic:nobody", "", "opus", unknown),
        ("@nobody", "", "opus", unknown),
        ("", "anthropic:nobody", "opus", unknown),
        ("", "", "opus@anthropic:nobody", unknown),
        ("@openai:o", "", "opus", unknown),
        ("", "openai:o", "opus", unknown),
        ("", "", "opus@openai:o", unknown),
        ("@Work", "", "opus", unknown),
        ("@work", "a", "opus", bad),
        ("@work", "", "opus@anthropic:a", bad),
        ("", "work", "opus@anthropic:a", bad),
        ("", "work\r\nx-portcullis-profile: a", "opus", bad),
        ("", "", "opus\", \"model\": \"x@anthropic:a", bad),
        ("@", "", "opus", bad),
        ("@anthropic:", "", "opus", bad),
    ] {
        let answer = town.call(path, header, model).await;
        let expected = (400, code.to_owned());
        assert_eq!(refusal(&answer), expected, "{path} {header} {model}");
    }
    assert!(town.provider.requests().is_empty());
}

#[tokio::test]
async fn no_pin_is_overlooked_in_what_may_be_json() {
    let town = Pinned::new().await;
    for (media_type, shown) in [
        ("content-type: application/json; charset=utf-8\r\n", WORK),
        ("content-type: Application/Json\r\n", WORK),
        ("content-type: application/vnd.acme+json\r\n", WORK),
        ("content-type: text/plain;charset=UTF-8\r\n", WORK),
        ("", WORK),
        ("content-type: application/octet-stream\r\n", WORK),
    ] {
        town.provider.forget();
        let body = "{\"model\":\"opus@anthropic:work\"}";
        let request = super::request("POST /anthropic/v1/messages", "", body);
        let request = request.replace("content-type: application/json\r\n", media_type);
        assert_eq!(super::send(&town.sidecar, request).await.status, 200);
        assert_eq!(town.provider.shown(), [shown], "{media_type}");
    }
}

#[tokio::test]
async fn behind_the_pinned_one_come_the_others() {
    let town = Pinned::new().await;
    town.provider.answers_others(Reply::status(429, "{}"));
    town.call("@work", "", "opus").await;
    assert_eq!(town.provider.shown(), [WORK, "key-a", "pool-key"]);
}
