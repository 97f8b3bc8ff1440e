//! What leaves by the back door, and what comes back.

use super::provider::{Provider, Reply, answer};
use super::{anthropic, ask, back_door, call, credentials, refusal, request, section, send, start};
use crate::client::Connection;
use crate::recorder::Recorder;

/// Every place where a client could show a credential of its own, each with `mine`.
const OWN: &str = "authorization: Bearer mine\r\nx-api-key: mine\r\nx_api_key: mine\r\n\
x-goog-api-key: mine\r\nx.goog.api.key: mine\r\napi-key: mine\r\nproxy-authorization: mine\r\n\
cookie: session=mine\r\nx-acme-auth: mine\r\nx_acme_auth: mine\r\n\
x-forwarded-for: mine\r\nforwarded: for=mine\r\nx-real-ip: mine\r\n";

#[tokio::test]
async fn each_provider_gets_its_own_credential_and_none_of_the_callers() {
    let provider = Provider::spawn().await;
    let url = provider.url();
    let sidecar = start(back_door(&format!(
        "[models.providers.anthropic]\nbaseUrl = \"{url}\"\napiKey = \"key-a\"\n\
         [models.providers.openai]\nbaseUrl = \"{url}/v1\"\napiKey = \"key-o\"\n\
         [models.providers.google]\nbaseUrl = \"{url}/v1beta\"\napiKey = \"key-g\"\n\
         [models.providers.acme]\nbaseUrl = \"{url}/tenant/7/\"\napiKey = \"key-c\"\n\
         authHeader = \"x-acme-auth\"\nauthFormat = \"Token {{secret}}\"\n"
    )));
    for (path, sent, header, value) in [
        (
            "/anthropic/v1/messages?beta=true",
            "/v1/messages?beta=true",
            "x-api-key",
            "key-a",
        ),
        (
            "/openai/files/a%20b%2Fc;d=1/~x//y?q=%2F+%C3%A9&q=[1]",
            "/v1/files/a%20b%2Fc;d=1/~x//y?q=%2F+%C3%A9&q=[1]",
            "authorization",
            "Bearer key-o",
        ),
        (
            "/google/models/m:streamGenerateContent?alt=sse&key=mine&k%65y=mine&a=%26",
            "/v1beta/models/m:streamGenerateContent?alt=sse&a=%26",
            "x-goog-api-key",
            "key-g",
        ),
        ("/acme/x", "/tenant/7/x", "x-acme-auth", "Token key-c"),
    ] {
        provider.forget();
        let fields = format!(
            "{OWN}connection: x-hop\r\nx-hop: 1\r\nte: trailers\r\naccept-encoding: gzip, br\r\n\
             anthropic-version: 2023-06-01\r\nuser-agent: sdk\r\n"
        );
        let body = "{\"model\" : \"m\",  \"n\": 1.0e5}";
        let answer = call(&sidecar, &format!("POST {path}"), &fields, body).await;
        assert_eq!(answer.status, 200, "{path}");
        let got = provider.only();
        assert_eq!(got.line(), format!("POST {sent} HTTP/1.1"));
        assert_eq!(got.values(header), [value], "{path}");
        assert!(!got.head.contains("mine"), "{}", got.head);
        assert_eq!(got.values("accept-encoding"), ["identity"]);
        assert_eq!(got.values("host"), [provider.address.to_string()]);
        assert_eq!(got.values("anthropic-version"), ["2023-06-01"]);
        assert_eq!(got.values("user-agent"), ["sdk"]);
        for gone in ["connection", "x-hop", "te"] {
            assert!(got.values(gone).is_empty(), "{}", got.head);
        }
        assert_eq!(got.body, body.as_bytes());
    }
}

#[tokio::test]
async fn an_answer_comes_as_it_is_but_for_what_leads_past_portcullis() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &["key"]);
    let fields = "set-cookie: a=b\r\nalt-svc: h3=\":443\"\r\nconnection: x-hop\r\nx-hop: 1\r\n\
                  request-id: req_1\r\nx-thing: 1\r\nx-thing: 2\r\n";
    for status in [200, 201, 400, 404, 418, 500, 503, 529] {
        let body = format!("{{\"status\" : {status}}}");
        provider.answers_others(Reply::with_fields(status, fields, &body));
        let answer = ask(&sidecar).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.body, body.as_bytes());
        assert_eq!(answer.values("request-id"), ["req_1"]);
        assert_eq!(answer.values("x-thing"), ["1", "2"]);
        assert_eq!(answer.values("x-request-id").len(), 1);
        for gone in ["set-cookie", "alt-svc", "x-hop"] {
            assert!(answer.values(gone).is_empty(), "{}", answer.head);
        }
    }
}

#[tokio::test]
async fn every_answer_counts_by_its_status() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &["key"]);
    for status in [200, 302, 400, 401, 402, 403, 404, 422, 500, 529] {
        provider.answers_others(Reply::status(status, "{\"a\":1}"));
        assert_eq!(ask(&sidecar).await.status, status);
    }
    for (outcome, count) in [
        ("ok", 2.0),
        ("client_error", 6.0),
        ("upstream_error", 2.0),
        ("client_gone", 0.0),
    ] {
        let name = format!(
            "portcullis_model_requests_total{{outcome=\"{outcome}\",provider=\"anthropic\"}}"
        );
        let counted = sidecar.metric(&name).await.unwrap_or_default();
        assert_eq!(counted, count, "{outcome}");
    }
}

#[tokio::test]
async fn an_answer_with_trailers_is_a_whole_one() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &["key"]);
    provider.answers_others(Reply::Bytes(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntrailer: x-sum\r\n\
         transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-sum: 1\r\n\r\n"
            .to_owned(),
    ));
    assert_eq!(ask(&sidecar).await.body, b"{}");
    let name = "portcullis_model_requests_total{outcome=\"ok\",provider=\"anthropic\"}";
    assert_eq!(sidecar.metric(name).await, Some(1.0));
}

#[tokio::test]
async fn a_key_that_is_refused_is_told_of_until_it_is_taken() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &["key"]);
    let state = async || credentials(&sidecar).await[0]["state"].clone();
    provider.answers_others(Reply::status(401, "{}"));
    assert_eq!(ask(&sidecar).await.status, 401);
    assert_eq!(state().await, "rejected");
    provider.answers_others(Reply::status(200, "{}"));
    assert_eq!(ask(&sidecar).await.status, 200);
    assert_eq!(state().await, "ready");
}

#[tokio::test]
async fn a_providers_own_request_id_is_kept() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &["key"]);
    provider.answers_others(Reply::with_fields(200, "x-request-id: theirs\r\n", "{}"));
    assert_eq!(ask(&sidecar).await.values("x-request-id"), ["theirs"]);
}

#[tokio::test]
async fn a_redirect_is_passed_on_and_not_followed() {
    let elsewhere = Recorder::spawn().await;
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &["key"]);
    let location = format!("{}/v1/messages", elsewhere.url());
    for status in [301, 302, 303, 307, 308] {
        let fields = format!("location: {location}\r\n");
        provider.answers_others(Reply::with_fields(status, &fields, "{}"));
        let answer = ask(&sidecar).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.values("location"), [location.as_str()]);
    }
    assert_eq!(provider.requests().len(), 5);
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn methods_without_a_body_pass_too() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &["key"]);
    for method in ["GET", "DELETE", "PUT", "OPTIONS"] {
        provider.forget();
        let answer = call(&sidecar, &format!("{method} /anthropic/v1/files"), "", "").await;
        assert_eq!(answer.status, 200);
        let got = provider.only();
        assert_eq!(got.line(), format!("{method} /v1/files HTTP/1.1"));
    }
    let head = answer(200, "", "").replace("content-length: 0", "content-length: 7");
    provider.answers_others(Reply::Bytes(head));
    let mut connection = Connection::tcp(sidecar.models()).await;
    let head = "HEAD /anthropic/v1/files HTTP/1.1\r\nHost: localhost\r\n\r\n";
    connection.write(head).await;
    let answer = connection.response(true).await;
    assert_eq!(
        (answer.status, answer.values("content-length")),
        (200, vec!["7"])
    );
}

#[tokio::test]
async fn a_body_in_chunks_arrives_whole_and_again_with_the_next_key() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &["key-1", "key-2"]);
    provider.answers("key-1", Reply::status(429, "{}"));
    let mut connection = Connection::tcp(sidecar.models()).await;
    let head = "POST /anthropic/v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nexpect: 100-continue\r\n\
                content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    connection.write(head).await;
    let go_on = connection.read_until(b"\r\n\r\n").await.unwrap();
    assert_eq!(go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    for piece in [
        "5\r\n{\"x\":\r\n",
        "2\r\n1}\r\n",
        "0\r\nx-trailer: mine\r\n\r\n",
    ] {
        connection.write(piece).await;
    }
    assert_eq!(connection.response(false).await.status, 200);
    assert_eq!(provider.shown(), ["key-1", "key-2"]);
    for request in provider.requests() {
        assert_eq!(request.body, b"{\"x\":1}");
        assert!(!request.head.contains("expect"), "{}", request.head);
    }
}

#[tokio::test]
async fn a_connection_that_the_provider_has_closed_does_no_harm() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &["key"]);
    provider.answers_others(Reply::Last(answer(200, "", "{}")));
    for _ in 0..50 {
        assert_eq!(ask(&sidecar).await.status, 200);
    }
    assert_eq!(provider.requests().len(), 50);
}

#[tokio::test]
async fn json_that_is_too_long_to_look_through_is_refused_and_all_else_streams() {
    let provider = Provider::spawn().await;
    let models = format!(
        "maxReplayBytes = \"16KiB\"\n{}[limits]\nmaxBodyBytes = \"64KiB\"\n",
        section("anthropic", &provider, &["key"])
    );
    let sidecar = start(back_door(&models));
    let body = format!("{{\"x\":\"{}\"}}", "x".repeat(1 << 20));
    let answer = call(&sidecar, "POST /anthropic/v1/messages", "", &body).await;
    assert_eq!(refusal(&answer), (413, "request_too_large".to_owned()));
    assert!(provider.requests().is_empty());
    let request = request("POST /anthropic/v1/files", "", &body);
    let request = request.replace("application/json", "application/octet-stream");
    assert_eq!(send(&sidecar, request).await.status, 200);
    assert!(provider.only().body == body.as_bytes());
}
