//! A key that hits a limit makes way for the next, and nothing else does.

use super::provider::{Provider, Reply, answer};
use super::{anthropic, ask, back_door, call, eventually, refusal, section, start};
use futures_util::future::join_all;
use std::time::Duration;

const KEYS: [&str; 3] = ["key-1", "key-2", "key-3"];

fn rotations(provider: &str, reason: &str) -> String {
    format!("portcullis_model_rotations_total{{provider=\"{provider}\",reason=\"{reason}\"}}")
}

const RATE: &str = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}"#;
const QUOTA: &str =
    r#"{"error":{"message":"no","type":"insufficient_quota","code":"insufficient_quota"}}"#;
const EXHAUSTED: &str = r#"{"error":{"code":429,"message":"no","status":"RESOURCE_EXHAUSTED"}}"#;

#[tokio::test]
async fn a_limit_makes_way_for_the_next_key_and_one_good_answer() {
    for (name, path, status, body, reason) in [
        ("anthropic", "/v1/messages", 429, RATE, "rate_limit"),
        (
            "openai",
            "/chat/completions",
            429,
            "slow down",
            "rate_limit",
        ),
        ("openai", "/chat/completions", 429, QUOTA, "quota"),
        ("openai", "/chat/completions", 400, QUOTA, "quota"),
        (
            "google",
            "/models/m:x",
            429,
            EXHAUSTED,
            "resource_exhausted",
        ),
        (
            "google",
            "/models/m:x",
            403,
            r#"{"error":{"message":"Quota exceeded for m"}}"#,
            "quota",
        ),
    ] {
        let provider = Provider::spawn().await;
        let sidecar = start(back_door(&section(name, &provider, &KEYS)));
        provider.answers("key-1", Reply::status(status, body));
        provider.answers("key-2", Reply::status(status, body));
        let whole = format!("{{\"model\":\"m\",\"text\":\"{}\"}}", "x".repeat(1 << 20));
        let got = call(&sidecar, &format!("POST /{name}{path}"), "", &whole).await;
        assert_eq!(
            (got.status, got.body.as_slice()),
            (200, &br#"{"good":true}"#[..])
        );
        assert_eq!(provider.shown(), KEYS, "{body}");
        for request in provider.requests() {
            assert!(request.body == whole.as_bytes(), "the body differs");
        }
        let counted = sidecar.metric(&rotations(name, reason)).await;
        assert_eq!(counted, Some(2.0), "{body}");
        let counted =
            format!("portcullis_model_requests_total{{outcome=\"ok\",provider=\"{name}\"}}");
        assert_eq!(sidecar.metric(&counted).await, Some(1.0));

        // While they cool down nobody asks with them.
        provider.forget();
        call(&sidecar, &format!("POST /{name}{path}"), "", "{}").await;
        assert_eq!(provider.shown(), ["key-3"]);
    }
}

#[tokio::test]
async fn nothing_else_rotates() {
    let quoting =
        r#"{"error":{"type":"invalid_request_error","message":"429: rate limit, quota exceeded"}}"#;
    let permission = r#"{"error":{"type":"permission_error","message":"rate limit"}}"#;
    for (status, body) in [
        (401, RATE),
        (402, QUOTA),
        (403, permission),
        (400, quoting),
        (404, quoting),
        (500, RATE),
        (503, RATE),
        (529, RATE),
    ] {
        let provider = Provider::spawn().await;
        provider.answers_others(Reply::status(status, body));
        let sidecar = anthropic(&provider, &KEYS);
        let got = ask(&sidecar).await;
        assert_eq!((got.status, got.body.as_slice()), (status, body.as_bytes()));
        assert_eq!(provider.shown(), ["key-1"], "{status} {body}");
        for reason in ["rate_limit", "quota", "resource_exhausted"] {
            let counted = sidecar.metric(&rotations("anthropic", reason)).await;
            assert_eq!(counted.unwrap_or_default(), 0.0, "{status} {body}");
        }
        ask(&sidecar).await;
        assert_eq!(provider.shown(), ["key-1", "key-1"], "{status} {body}");
    }
}

#[tokio::test]
async fn neither_does_a_provider_that_does_not_answer() {
    let provider = Provider::spawn().await;
    let setup = back_door(&section("anthropic", &provider, &KEYS))
        .section("[limits]\nupstreamFirstByteTimeout = \"1s\"");
    let sidecar = start(setup);
    for (reply, status, code) in [
        (Reply::Silence, 504, "upstream_timeout"),
        (Reply::HangUp, 502, "upstream_unreachable"),
    ] {
        provider.forget();
        provider.answers_others(reply);
        assert_eq!(refusal(&ask(&sidecar).await), (status, code.to_owned()));
        assert_eq!(provider.shown(), ["key-1"], "{code}");
    }
    provider.answers_others(Reply::Late(
        Duration::from_millis(20),
        answer(200, "", "{}"),
    ));
    assert_eq!(ask(&sidecar).await.status, 200);
}

#[tokio::test]
async fn when_all_cool_down_the_providers_own_answer_tells_when_the_first_is_back() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &KEYS);
    for (key, wait) in [("key-1", 900), ("key-2", 300), ("key-3", 600)] {
        let fields =
            format!("retry-after: {wait}\r\nretry-after-ms: {wait}000\r\nrequest-id: of-{key}\r\n");
        let body = format!("{{\"error\":{{\"type\":\"rate_limit_error\",\"message\":\"{key}\"}}}}");
        provider.answers(key, Reply::with_fields(429, &fields, &body));
    }
    // Asked again, the provider isn't.
    for _ in 0..3 {
        let got = ask(&sidecar).await;
        assert_eq!(got.status, 429);
        assert_eq!(got.json()["error"]["message"], "key-3");
        assert_eq!(got.values("request-id"), ["of-key-3"]);
        let wait: u64 = got.values("retry-after").concat().parse().unwrap();
        assert!((290..=300).contains(&wait), "{wait}");
        assert!(got.values("retry-after-ms").is_empty());
        assert_eq!(provider.shown(), KEYS);
    }
}

#[tokio::test]
async fn the_cool_down_is_what_the_provider_asks_for() {
    let in_a_while = std::time::SystemTime::now() + Duration::from_secs(500);
    let date = format!("retry-after: {}\r\n", httpdate::fmt_http_date(in_a_while));
    for (fields, body, expected) in [
        ("retry-after: 70\r\n", "{}", 70),
        ("retry-after-ms: 80000\r\nretry-after: 1\r\n", "{}", 80),
        (date.as_str(), "{}", 500),
        (
            "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 6m0s\r\n\
             x-ratelimit-remaining-tokens: 100\r\nx-ratelimit-reset-tokens: 20m\r\n",
            "{}",
            360,
        ),
        (
            "anthropic-ratelimit-requests-remaining: 0\r\n\
             anthropic-ratelimit-requests-reset: 2099-01-01T00:00:00Z\r\n",
            "{}",
            24 * 3600,
        ),
        (
            "",
            r#"{"error":{"status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"41s"}]}}"#,
            41,
        ),
        ("", "{}", 30),
    ] {
        let provider = Provider::spawn().await;
        provider.answers_others(Reply::with_fields(429, fields, body));
        let sidecar = anthropic(&provider, &["key"]);
        let got = ask(&sidecar).await;
        assert_eq!(got.status, 429);
        let wait: u64 = got.values("retry-after").concat().parse().unwrap();
        assert!(
            (expected - 3..=expected).contains(&wait),
            "{fields}: {wait}"
        );
    }
}

#[tokio::test]
async fn a_key_is_back_when_its_time_is_over() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &["key-1", "key-2"]);
    provider.answers("key-1", Reply::with_fields(429, "retry-after: 1\r\n", "{}"));
    ask(&sidecar).await;
    assert_eq!(provider.shown(), ["key-1", "key-2"]);
    provider.answers("key-1", Reply::status(200, "{}"));
    eventually(|| async {
        provider.forget();
        ask(&sidecar).await;
        provider.shown() == ["key-1"]
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_too_long_to_keep_is_sent_once() {
    let provider = Provider::spawn().await;
    let models = format!(
        "maxReplayBytes = \"64KiB\"\n{}",
        section("anthropic", &provider, &KEYS)
    );
    let sidecar = start(back_door(&models));
    provider.answers_others(Reply::status(429, RATE));
    let body = "x".repeat(100 << 10);
    for (media_type, body) in [
        ("application/octet-stream", body.clone()),
        ("application/json", format!("{{\"x\":\"{body}\"}}")),
    ] {
        provider.forget();
        let text = format!(
            "POST /anthropic/v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\ncontent-type: {media_type}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let got = super::send(&sidecar, text).await;
        assert_eq!((got.status, got.body.as_slice()), (429, RATE.as_bytes()));
        let requests = provider.requests();
        assert_eq!(requests.len(), 1, "{media_type}");
        assert!(requests[0].body == body.as_bytes());
    }
    // It is noted all the same: each took one key off.
    provider.forget();
    ask(&sidecar).await;
    assert_eq!(provider.shown(), ["key-3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_at_once_all_have_a_good_answer() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &KEYS);
    for key in ["key-1", "key-2"] {
        let limit = answer(429, "retry-after: 900\r\n", RATE);
        provider.answers(key, Reply::Late(Duration::from_millis(20), limit));
    }
    let answers = join_all((0..64).map(|_| ask(&sidecar))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let shown = provider.shown();
    let times = |key: &str| shown.iter().filter(|shown| *shown == key).count();
    assert_eq!(times("key-3"), 64);
    let limits = (times("key-1") + times("key-2")) as f64;
    let counted = sidecar.metric(&rotations("anthropic", "rate_limit")).await;
    assert_eq!(counted, Some(limits));
}
