//! Each row of the policy, over HTTP/1.1, HTTP/2 and on a WebSocket upgrade.

use crate::client::{Http2Client, http2_request};
use crate::recorder::Recorder;
use crate::sidecar::{IDENTITY, Setup};

const UPGRADE: &str = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Fields, the code that they end in, and its status, under the default setup.
const ROWS: &[(&str, &str, u16)] = &[
    (
        "x-forwarded-user: nick@example.com\r\nx_forwarded_user: admin\r\nx-forwarded-proto: https\r\n",
        "trusted_proxy_ambiguous_header",
        400,
    ),
    (
        "x-forwarded-user: nick@example.com\r\nx.forwarded.user: admin\r\nx-forwarded-proto: https\r\n",
        "trusted_proxy_ambiguous_header",
        400,
    ),
    (
        "x-forwarded-user: nick@example.com\r\nx-forwarded_user: admin\r\nx-forwarded-proto: https\r\n",
        "trusted_proxy_ambiguous_header",
        400,
    ),
    (
        "x-forwarded-user: nick@example.com\r\nx-forwarded-user: ada@example.com\r\nx-forwarded-proto: https\r\n",
        "trusted_proxy_ambiguous_header",
        400,
    ),
    (
        "x-forwarded-user: nick@example.com, admin\r\nx-forwarded-proto: https\r\n",
        "trusted_proxy_ambiguous_header",
        400,
    ),
    (
        "x-forwarded-user: nick@example.com\r\nx-forwarded-proto: https\r\nx-forwarded-proto: https\r\n",
        "trusted_proxy_ambiguous_header",
        400,
    ),
    (
        "x-forwarded-user: nick@example.com\r\nx-forwarded-proto: https\r\nx-openclaw-scopes: operator.admin\r\n",
        "trusted_proxy_unexpected_scopes",
        400,
    ),
    (
        "x-forwarded-user: nick@example.com\r\n",
        "trusted_proxy_missing_header",
        401,
    ),
    (
        "x-forwarded-user: nick@example.com\r\nx-forwarded-proto: \r\n",
        "trusted_proxy_missing_header",
        401,
    ),
    (
        "x-forwarded-proto: https\r\n",
        "trusted_proxy_user_missing",
        401,
    ),
    (
        "x-forwarded-user:  \t\r\nx-forwarded-proto: https\r\n",
        "trusted_proxy_user_missing",
        401,
    ),
    (
        "x-forwarded-user: n\u{ec}ck@example.com\r\nx-forwarded-proto: https\r\n",
        "trusted_proxy_user_invalid",
        401,
    ),
    (
        "x-forwarded-user: eve@example.com\r\nx-forwarded-proto: https\r\n",
        "trusted_proxy_user_not_allowed",
        403,
    ),
    (
        "x-forwarded-user: Nick@example.com\r\nx-forwarded-proto: https\r\n",
        "trusted_proxy_user_not_allowed",
        403,
    ),
    (
        "x-forwarded-user: %6eick@example.com\r\nx-forwarded-proto: https\r\n",
        "trusted_proxy_user_not_allowed",
        403,
    ),
];

#[tokio::test]
async fn each_row_is_denied_over_http_1() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    for (fields, code, status) in ROWS {
        let answer = sidecar
            .send(&format!("GET /api HTTP/1.1\r\n{fields}"))
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (*status, *code),
            "{fields}"
        );
        let error = &answer.json()["error"];
        assert_eq!(
            answer.values("x-request-id"),
            [error["requestId"].as_str().unwrap()]
        );
        assert!(error["reason"].as_str().unwrap().starts_with(code));
        assert!(answer.values("server").is_empty());
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn each_row_is_denied_on_a_websocket_upgrade() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    for (fields, code, status) in ROWS {
        let answer = sidecar
            .send(&format!("GET /ws HTTP/1.1\r\n{UPGRADE}{fields}"))
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (*status, *code),
            "{fields}"
        );
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn each_row_is_denied_over_http_2() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let client = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    for (fields, code, status) in ROWS {
        // RFC 9113 section 8.2.1 forbids white space around values: the client
        // library would not send it.
        let fields = fields.replace("  \t\r\n", "\r\n");
        let answer = client
            .send(http2_request("GET", "/api", &fields))
            .await
            .unwrap();
        let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(answer.status().as_u16(), *status, "{fields}");
        assert_eq!(body["error"]["code"], *code, "{fields}");
        assert!(answer.headers().contains_key("strict-transport-security"));
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn the_missing_header_is_named() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let answer = sidecar
        .send("GET / HTTP/1.1\r\nx-forwarded-user: nick@example.com\r\n")
        .await;
    let reason = answer.json()["error"]["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(reason, "trusted_proxy_missing_header_x-forwarded-proto");
    sidecar
        .logged(|line| line["decision"] == reason.as_str())
        .await;
}

#[tokio::test]
async fn a_source_outside_trusted_proxies_is_denied_whatever_it_says() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .gateway(
            "trustedProxies = [\"10.0.0.1\"]\n[gateway.auth]\nmode = \"trusted-proxy\"\n\
             [gateway.auth.trustedProxy]\nuserHeader = \"x-forwarded-user\"\nallowUsers = [\"nick@example.com\"]\n\
             allowLoopback = true",
        )
        .spawn(&upstream.url());
    let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{IDENTITY}")).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "trusted_proxy_untrusted_source")
    );
    // Its request id would be its way into the log.
    let request = format!("GET / HTTP/1.1\r\n{IDENTITY}x-request-id: chosen-by-source\r\n");
    let answer = sidecar.send(&request).await;
    assert_ne!(answer.values("x-request-id"), ["chosen-by-source"]);
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_loopback_source_needs_allow_loopback() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .gateway(
            "trustedProxies = [\"127.0.0.0/8\"]\n[gateway.auth]\nmode = \"trusted-proxy\"\n\
             [gateway.auth.trustedProxy]\nuserHeader = \"x-forwarded-user\"\nallowUsers = [\"nick@example.com\"]",
        )
        .spawn(&upstream.url());
    let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{IDENTITY}")).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "trusted_proxy_loopback_source")
    );
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn each_request_of_a_connection_is_decided_by_itself() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    let permitted = crate::client::complete(&format!("GET /one HTTP/1.1\r\n{IDENTITY}"));
    let denied = crate::client::complete("GET /two HTTP/1.1\r\nx-forwarded-proto: https\r\n");
    connection
        .write(format!("{permitted}{denied}{permitted}"))
        .await;
    let statuses = [
        connection.response(false).await.status,
        connection.response(false).await.status,
        connection.response(false).await.status,
    ];
    assert_eq!(statuses, [200, 401, 200]);
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn a_browser_gets_a_page_and_a_program_gets_json() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let denied = "x-forwarded-user: eve@example.com\r\nx-forwarded-proto: https\r\n";
    let page = sidecar
        .send(&format!(
            "GET / HTTP/1.1\r\n{denied}accept: text/html,*/*;q=0.8\r\n"
        ))
        .await;
    assert_eq!(page.values("content-type"), ["text/html; charset=utf-8"]);
    let text = String::from_utf8(page.body).unwrap();
    assert!(
        text.contains("trusted_proxy_user_not_allowed") && !text.contains("eve@"),
        "{text}"
    );
    let json = sidecar
        .send(&format!("GET / HTTP/1.1\r\n{denied}accept: */*\r\n"))
        .await;
    assert_eq!(json.code(), "trusted_proxy_user_not_allowed");
}
