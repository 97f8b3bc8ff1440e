//! A stream that begins with an error is tried again; one that has begun never is.

use super::provider::{Provider, Reply};
use super::{anthropic, ask, back_door, call, section, start};

const LIMIT: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\
\"message\":\"slow\"}}\n\n";
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n";
const KEYS: [&str; 2] = ["key-1", "key-2"];

#[tokio::test]
async fn a_limit_as_the_first_event_makes_way_for_the_next_key() {
    for (name, path, event) in [
        ("anthropic", "/v1/messages", LIMIT),
        (
            "openai",
            "/chat/completions",
            "data: {\"error\":{\"message\":\"no\",\"type\":\"requests\",\"code\":\"rate_limit_exceeded\"}}\n\n",
        ),
        (
            "openai",
            "/responses",
            "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"error\":\
             {\"code\":\"rate_limit_exceeded\"}}}\n\n",
        ),
        (
            "google",
            "/models/m:streamGenerateContent?alt=sse",
            "data: {\"error\":{\"code\":429,\"status\":\"RESOURCE_EXHAUSTED\"}}\n\n",
        ),
    ] {
        let provider = Provider::spawn().await;
        let sidecar = start(back_door(&section(name, &provider, &KEYS)));
        provider.answers("key-1", Reply::events(event));
        provider.answers("key-2", Reply::events(START));
        let got = call(&sidecar, &format!("POST /{name}{path}"), "", "{}").await;
        assert_eq!(String::from_utf8(got.body).unwrap(), START, "{event}");
        assert_eq!(provider.shown(), KEYS, "{event}");
    }
}

#[tokio::test]
async fn a_limit_after_the_first_event_is_passed_on_and_remembered() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &KEYS);
    let stream = format!("{START}{LIMIT}");
    provider.answers("key-1", Reply::events(&stream));
    let got = ask(&sidecar).await;
    assert_eq!(String::from_utf8(got.body).unwrap(), stream);
    assert_eq!(provider.shown(), ["key-1"]);
    ask(&sidecar).await;
    assert_eq!(provider.shown(), KEYS);
}

#[tokio::test]
async fn another_error_as_the_first_event_is_passed_on() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &KEYS);
    let overloaded = LIMIT.replace("rate_limit_error", "overloaded_error");
    provider.answers("key-1", Reply::events(&overloaded));
    let got = ask(&sidecar).await;
    assert_eq!(String::from_utf8(got.body).unwrap(), overloaded);
    assert_eq!(provider.shown(), ["key-1"]);
}

#[tokio::test]
async fn the_last_keys_limit_is_passed_on_as_it_is() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &KEYS);
    provider.answers_others(Reply::events(LIMIT));
    let got = ask(&sidecar).await;
    assert_eq!(got.status, 200);
    assert_eq!(String::from_utf8(got.body).unwrap(), LIMIT);
    assert_eq!(provider.shown(), KEYS);
    // Both cool down, and there never was an answer that says no by its status.
    let got = ask(&sidecar).await;
    assert_eq!(got.status, 429);
    assert_eq!(got.code(), "rate_limited");
    assert_eq!(got.values("retry-after").len(), 1);
    assert_eq!(provider.shown(), KEYS);
}

#[tokio::test]
async fn a_limit_that_comes_in_pieces_is_seen_too() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &KEYS);
    let (reply, script) = Reply::stream();
    provider.answers("key-1", reply);
    provider.answers("key-2", Reply::events(START));
    for at in 0..LIMIT.len() {
        script.piece(&LIMIT[at..=at]);
    }
    let got = ask(&sidecar).await;
    assert_eq!(String::from_utf8(got.body).unwrap(), START);
    provider.is_left(1).await;
}
