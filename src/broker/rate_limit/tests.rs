use super::*;
use http::HeaderValue;
use proptest::prelude::*;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

fn limit(status: u16, body: &str) -> Option<Limit> {
    let status = StatusCode::from_u16(status).unwrap();
    judge(status, &HeaderMap::new(), body.as_bytes(), NOW).map(|limited| limited.limit)
}

fn wait(headers: &[(&'static str, &str)]) -> Option<Duration> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, HeaderValue::from_str(value).unwrap());
    }
    let limited = judge(StatusCode::TOO_MANY_REQUESTS, &map, b"", NOW);
    limited.unwrap().wait
}

#[test]
fn tells_limits_from_everything_else() {
    use Limit::{Quota, Rate, ResourceExhausted};
    let anthropic = r#"{"type":"error","error":{"type":"rate_limit_error","message":"x"}}"#;
    let quota =
        r#"{"error":{"message":"x","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    let google = r#"{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED"}}"#;
    let google_old =
        r#"{"error":{"code":403,"message":"x","errors":[{"reason":"rateLimitExceeded"}]}}"#;
    let codex = r#"{"error":{"type":"usage_limit_reached","message":"x"}}"#;
    let says = |text: &str| {
        format!(r#"{{"error":{{"message":"{text}","type":"invalid_request_error"}}}}"#)
    };
    let denied =
        r#"{"error":{"type":"permission_error","message":"the rate limit API is not yours"}}"#;
    for (status, body, expected) in [
        (429, "", Some(Rate)),
        (429, "<html>", Some(Rate)),
        (429, anthropic, Some(Rate)),
        (429, quota, Some(Quota)),
        (429, google, Some(ResourceExhausted)),
        (429, codex, Some(Quota)),
        (400, quota, Some(Quota)),
        (400, google, Some(ResourceExhausted)),
        (403, google_old, Some(Rate)),
        (
            403,
            r#"[{"error":{"code":403,"status":"RESOURCE_EXHAUSTED"}}]"#,
            Some(ResourceExhausted),
        ),
        (400, r#"{"code":"429","message":"x"}"#, Some(Rate)),
        (400, r#"{"error":"rate_limited"}"#, Some(Rate)),
        // Free text counts on 403 alone: a 400 may quote a prompt.
        (403, &says("Rate limit reached for requests"), Some(Rate)),
        (403, &says("You exceeded your current quota"), Some(Quota)),
        (400, &says("Rate limit reached for requests"), None),
        (422, &says("429 Too Many Requests"), None),
        (404, &says("quota exceeded"), None),
        // xAI and Ollama put a sentence where others have a code.
        (
            400,
            r#"{"code":"Client specified an invalid argument","error":"prompt was: explain rate limit handling"}"#,
            None,
        ),
        (400, r#"{"error":"usage limit throttled rate limit"}"#, None),
        (400, r#"{"error":{"code":"the rate_limit of it"}}"#, None),
        (403, denied, None),
        (403, &says("not allowed"), None),
        (403, "", None),
        (401, anthropic, None),
        (401, quota, None),
        (402, quota, None),
        (402, google, None),
        (500, anthropic, None),
        (503, google, None),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error"}}"#,
            None,
        ),
        (529, anthropic, None),
        (200, anthropic, None),
        (302, anthropic, None),
        (400, r#"{"error":{"type":"overloaded_error"}}"#, None),
    ] {
        assert_eq!(limit(status, body), expected, "{status} {body}");
    }
}

#[test]
fn an_event_counts_by_its_machine_readable_words() {
    use Limit::{Quota, Rate};
    for (data, expected) in [
        (
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"x"}}"#,
            Some(Rate),
        ),
        (r#"{"error":{"code":"insufficient_quota"}}"#, Some(Quota)),
        (r#"{"error":{"code":429,"message":"x"}}"#, Some(Rate)),
        (
            r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded"}}}"#,
            Some(Rate),
        ),
        (
            r#"{"type":"error","code":"rate_limit_exceeded","message":"x"}"#,
            Some(Rate),
        ),
        (
            r#"{"type":"error","error":{"type":"overloaded_error"}}"#,
            None,
        ),
        (
            r#"{"type":"error","error":{"type":"api_error","message":"rate limit"}}"#,
            None,
        ),
        (
            r#"{"type":"message_start","message":{"content":"rate_limit_error"}}"#,
            None,
        ),
        (r#"{"choices":[{"delta":{"content":"rate_limit"}}]}"#, None),
        (r#"{"type":"content_block_delta","code":"429"}"#, None),
        ("[DONE]", None),
        ("", None),
    ] {
        let limit = judge_event(data.as_bytes()).map(|limited| limited.limit);
        assert_eq!(limit, expected, "{data}");
    }
}

#[test]
fn reads_how_long_to_wait_in_every_form() {
    let secs = Duration::from_secs_f64;
    // NOW is 2026-09-21T14:13:20Z.
    for (headers, expected) in [
        (&[][..], None),
        (&[("retry-after", "12")], Some(secs(12.0))),
        (&[("retry-after", "0.5")], Some(secs(0.5))),
        (
            &[("retry-after-ms", "250"), ("retry-after", "12")],
            Some(secs(0.25)),
        ),
        (
            &[("retry-after", "Mon, 21 Sep 2026 14:13:50 GMT")],
            Some(secs(30.0)),
        ),
        (
            &[("retry-after", "Mon, 21 Sep 2020 14:13:50 GMT")],
            Some(secs(0.0)),
        ),
        (&[("retry-after", "999999999")], Some(LONGEST)),
        (&[("retry-after", "-5")], None),
        (&[("retry-after", "soon")], None),
        (&[("x-ratelimit-reset-requests", "6m0s")], Some(secs(360.0))),
        (&[("x-ratelimit-reset-tokens", "20ms")], Some(secs(0.02))),
        (
            &[("x-ratelimit-reset-tokens", "1h2m3.5s")],
            Some(secs(3723.5)),
        ),
        (&[("x-ratelimit-reset", "1790000007")], Some(secs(7.0))),
        (&[("x-ratelimit-reset", "1790000007500")], Some(secs(7.5))),
        (&[("x-ratelimit-reset", "9")], Some(secs(9.0))),
        (
            &[("anthropic-ratelimit-tokens-reset", "2026-09-21T14:14:20Z")],
            Some(secs(60.0)),
        ),
        // The one that is used up counts, and of several the latest.
        (
            &[
                ("x-ratelimit-reset-requests", "23h"),
                ("x-ratelimit-remaining-requests", "99"),
                ("x-ratelimit-reset-tokens", "3s"),
                ("x-ratelimit-remaining-tokens", "0"),
            ],
            Some(secs(3.0)),
        ),
        (
            &[
                ("anthropic-ratelimit-requests-reset", "2026-09-21T14:13:21Z"),
                ("anthropic-ratelimit-requests-remaining", "0"),
                (
                    "anthropic-ratelimit-input-tokens-reset",
                    "2026-09-21T14:13:25Z",
                ),
                ("anthropic-ratelimit-input-tokens-remaining", "0"),
            ],
            Some(secs(5.0)),
        ),
        (&[("x-ratelimit-reset-tokens", "5x")], None),
        (&[("x-ratelimit-limit-tokens", "5")], None),
    ] {
        assert_eq!(wait(headers), expected, "{headers:?}");
    }
    let google = r#"{"error":{"status":"RESOURCE_EXHAUSTED","details":[
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.5s"}]}}"#;
    let limited = judge(
        StatusCode::TOO_MANY_REQUESTS,
        &HeaderMap::new(),
        google.as_bytes(),
        NOW,
    );
    assert_eq!(limited.unwrap().wait, Some(secs(34.5)));
}

proptest! {
    #[test]
    fn nothing_that_a_provider_writes_panics_or_waits_for_ever(
        status in 100u16..1000,
        name in "(x-ratelimit-reset(-[a-z]{0,8})?|retry-after(-ms)?|anthropic-ratelimit-[a-z]{1,5}-reset)",
        value in "[ -~]{0,24}",
        body in "[ -~]{0,64}",
    ) {
        let mut headers = HeaderMap::new();
        headers.insert(http::HeaderName::try_from(name).unwrap(), HeaderValue::from_str(&value).unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        let limited = judge(status, &headers, body.as_bytes(), NOW);
        let _ = judge_event(body.as_bytes());
        prop_assert!(limited.and_then(|limited| limited.wait).is_none_or(|wait| wait <= LONGEST));
        if [401, 402].contains(&status.as_u16()) || !status.is_client_error() {
            prop_assert!(limited.is_none());
        }
    }
}
