//! The listeners over real sockets, asked with raw bytes.

use super::*;
use crate::secrets::SecretValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Long enough for every request here on a busy machine.
const SHORT_DEADLINE: Duration = Duration::from_secs(3);
const ADMIN_TOKEN: &str = "t0ken";

struct Listener {
    address: SocketAddr,
    health: Arc<Health>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Listener {
    async fn new(kind: Kind, token: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let health = Arc::new(Health::default());
        let token = token.map(|token| Token::new(SecretValue::concat(&[token])).unwrap());
        let state = AdminState {
            metrics: Arc::new(Metrics::new("1", "c", &[])),
            health: Arc::clone(&health),
            status: Box::new(|| json!({"version": "1"})),
            token: Box::new(move || token.clone()),
            denials: Arc::default(),
            probe: Arc::default(),
            reload: None,
            allowed_hosts: AllowedHosts::for_listener(address),
        };
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(serve_within(
            SHORT_DEADLINE,
            listener,
            Arc::new(state),
            kind,
            stopped,
        ));
        Self {
            address,
            health,
            stop,
            task,
        }
    }

    /// What comes back for these bytes, until the connection closes.
    async fn ask_raw(&self, request: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes))
            .await
            .expect("the connection is closed after the answer")
            .unwrap();
        Reply(String::from_utf8(bytes).unwrap())
    }

    async fn ask(&self, line: &str, headers: &[&str]) -> Reply {
        let mut request = format!("{line} HTTP/1.1\r\n");
        if !headers.iter().any(|header| header.starts_with("Host:")) {
            request.push_str("Host: localhost\r\n");
        }
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        self.ask_raw(&(request + "\r\n")).await
    }
}

#[derive(Debug)]
struct Reply(String);

impl Reply {
    fn status(&self) -> u16 {
        self.0.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn field(&self, name: &str) -> Option<&str> {
        let (head, _) = self.0.split_once("\r\n\r\n").unwrap();
        head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").unwrap().1
    }

    fn json(&self) -> Value {
        serde_json::from_str(self.body()).unwrap()
    }

    fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn livez_metrics_and_status_answer() {
    let admin = Listener::new(Kind::Admin, None).await;
    let livez = admin.ask("GET /livez", &[]).await;
    assert_eq!((livez.status(), livez.json()), (200, json!({"live": true})));
    let metrics = admin.ask("GET /metrics", &[]).await;
    assert_eq!(metrics.status(), 200);
    assert_eq!(metrics.field("content-type"), Some(metrics::CONTENT_TYPE));
    assert!(metrics.body().contains("portcullis_build_info{"));
    let status = admin.ask("GET /status?pretty", &[]).await;
    assert_eq!(
        (status.status(), status.json()),
        (200, json!({"version": "1"}))
    );
    for reply in [&livez, &metrics, &status] {
        assert_eq!(reply.field("cache-control"), Some("no-store"));
        assert_eq!(reply.field("server"), None);
        assert_eq!(reply.field("x-request-id").map(str::len), Some(32));
    }
    assert_ne!(livez.field("x-request-id"), status.field("x-request-id"));
}

#[tokio::test]
async fn readyz_gives_reasons_until_ready_and_reports_the_upstream_as_a_fact() {
    let admin = Listener::new(Kind::Admin, None).await;
    let reply = admin.ask("GET /readyz", &[]).await;
    assert_eq!(reply.status(), 503);
    assert_eq!(
        reply.json(),
        json!({
            "ready": false,
            "reasons": ["listeners_not_bound", "secrets_unresolved", "assertion_keys_missing"],
            "upstream": {"reachable": null},
        })
    );
    admin.health.met(Condition::ListenersBound);
    admin.health.met(Condition::SecretsResolved);
    admin.health.met(Condition::AssertionKeysAtHand);
    admin.health.upstream_probed(UpstreamProbe {
        at: std::time::Instant::now(),
        result: Err("127.0.0.1:18789: connection refused".to_owned()),
    });
    let reply = admin.ask("GET /readyz", &[]).await;
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.json()["ready"], true);
    assert_eq!(reply.json()["upstream"]["reachable"], false);
    assert_eq!(
        reply.json()["upstream"]["error"],
        "127.0.0.1:18789: connection refused"
    );
    admin.health.drain();
    let reply = admin.ask("GET /readyz", &[]).await;
    assert_eq!(reply.status(), 503);
    assert_eq!(reply.json()["reasons"], json!(["draining"]));
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let admin = Listener::new(Kind::Admin, None).await;
    for path in ["/livez", "/readyz", "/status", "/nowhere"] {
        let get = admin.ask(&format!("GET {path}"), &[]).await;
        let head = admin.ask(&format!("HEAD {path}"), &[]).await;
        assert_eq!(head.status(), get.status(), "{path}");
        assert_eq!(head.field("content-length"), get.field("content-length"));
        assert_eq!(
            get.field("content-length"),
            Some(&*get.body().len().to_string())
        );
        assert_eq!(head.body(), "", "{path}");
    }
}

#[tokio::test]
async fn refuses_hosts_that_are_not_its_own() {
    let admin = Listener::new(Kind::Admin, None).await;
    for (host, status) in [
        ("Host: 127.0.0.1:9180", 200),
        ("Host: [::1]:9180", 200),
        ("Host: evil.example", 403),
        ("Host: localhost.evil.example", 403),
        ("Host: ", 403),
    ] {
        let reply = admin.ask("GET /livez", &[host]).await;
        assert_eq!(reply.status(), status, "{host}");
    }
    let twice = admin.ask("GET /livez", &["Host: localhost", "Host: evil.example"]);
    assert_eq!(twice.await.status(), 400);
    let none = admin.ask_raw("GET /livez HTTP/1.0\r\n\r\n").await;
    assert_eq!(none.status(), 400);
    let absolute = admin.ask("GET http://evil.example/livez", &[]).await;
    assert_eq!(absolute.status(), 400);
}

#[tokio::test]
async fn refuses_what_a_web_page_sends_on_both_listeners() {
    for kind in [Kind::Admin, Kind::Probe] {
        let listener = Listener::new(kind, None).await;
        for (header, status) in [
            ("Origin: https://evil.example", 403),
            ("Origin: null", 403),
            ("Origin: http://localhost", 403),
            ("Sec-Fetch-Site: cross-site", 403),
            ("Sec-Fetch-Site: same-site", 403),
            ("Sec-Fetch-Site: something-new", 403),
            ("Sec-Fetch-Site: none", 200),
            ("Sec-Fetch-Site: same-origin", 200),
        ] {
            let reply = listener.ask("GET /metrics", &[header]).await;
            assert_eq!(reply.status(), status, "{kind:?} {header}");
        }
    }
    let admin = Listener::new(Kind::Admin, None).await;
    let reply = admin
        .ask("POST /reload", &["Origin: null", "Content-Length: 0"])
        .await;
    assert_eq!(
        (reply.status(), reply.code()),
        (403, "cross_site_request".to_owned())
    );
}

#[tokio::test]
async fn the_token_opens_everything_and_only_livez_and_readyz_open_without() {
    let admin = Listener::new(Kind::Admin, Some(ADMIN_TOKEN)).await;
    for (line, without, with) in [
        ("GET /livez", 200, 200),
        ("GET /readyz", 503, 503),
        ("GET /metrics", 401, 200),
        ("GET /status", 401, 200),
        ("POST /reload", 401, 501),
        ("POST /probe", 401, 200),
        ("GET /status/denials", 401, 200),
        ("GET /status/denials/x", 401, 404),
        ("GET /nowhere", 401, 404),
        ("DELETE /status", 401, 405),
    ] {
        let reply = admin.ask(line, &[]).await;
        assert_eq!(reply.status(), without, "{line}");
        let challenge = reply.field("www-authenticate");
        assert_eq!(
            challenge,
            (without == 401).then_some("Bearer realm=\"portcullis admin\""),
            "{line}"
        );
        let wrong = admin.ask(line, &["Authorization: Bearer t0keN"]).await;
        assert_eq!(wrong.status(), without, "{line}");
        let right = admin.ask(line, &["Authorization: Bearer t0ken"]).await;
        assert_eq!(right.status(), with, "{line}");
    }
}

#[tokio::test]
async fn the_probe_listener_answers_any_host_and_three_paths_alone() {
    let probe = Listener::new(Kind::Probe, Some(ADMIN_TOKEN)).await;
    for (line, status) in [
        ("GET /livez", 200),
        ("GET /readyz", 503),
        ("GET /metrics", 200),
        ("GET /status", 404),
        ("POST /reload", 404),
        ("POST /probe", 404),
        ("GET /status/denials", 404),
        ("GET /status/denials/x", 404),
        ("POST /livez", 405),
    ] {
        let reply = probe.ask(line, &["Host: 10.1.2.3:9181"]).await;
        assert_eq!(reply.status(), status, "{line}");
    }
    probe.health.upstream_probed(UpstreamProbe {
        at: std::time::Instant::now(),
        result: Err("127.0.0.1:18789: connection refused".to_owned()),
    });
    let reply = probe.ask("GET /readyz", &["Host: pod"]).await;
    assert_eq!(reply.json()["upstream"], json!({"reachable": false}));
}

#[tokio::test]
async fn errors_have_the_shape_of_all_our_errors() {
    let admin = Listener::new(Kind::Admin, None).await;
    for (line, status, code, allow) in [
        ("GET /", 404, "not_found", None),
        ("GET /livez/", 404, "not_found", None),
        ("GET /%6civez", 404, "not_found", None),
        ("PUT /livez", 405, "method_not_allowed", Some("GET, HEAD")),
        (
            "OPTIONS /status",
            405,
            "method_not_allowed",
            Some("GET, HEAD"),
        ),
        ("GET /reload", 405, "method_not_allowed", Some("POST")),
        ("POST /reload", 501, "not_supported", None),
        ("GET /probe", 405, "method_not_allowed", Some("POST")),
        ("GET /status/denials/x", 404, "unknown_denial", None),
        ("GET /status/denials?limit=0", 400, "bad_request", None),
        ("GET /status/denials?limit=2001", 400, "bad_request", None),
        ("GET /status/denials?all", 400, "bad_request", None),
    ] {
        let reply = admin.ask(line, &[]).await;
        assert_eq!(reply.status(), status, "{line}");
        assert_eq!(reply.field("allow"), allow, "{line}");
        let body = reply.json();
        let error = body["error"].as_object().unwrap();
        assert_eq!(error["code"], code, "{line}");
        assert_eq!(error["reason"], code, "{line}");
        assert_eq!(error["requestId"], reply.field("x-request-id").unwrap());
        assert!(error["message"].is_string() && error["type"].is_string());
        assert_eq!(error.len(), 5, "{line}");
    }
}

#[tokio::test]
async fn oversized_heads_and_bodies_are_refused() {
    let admin = Listener::new(Kind::Admin, None).await;
    let padding = format!("X-Padding: {}", "a".repeat(MAX_HEAD_BYTES));
    assert_eq!(admin.ask("GET /livez", &[&padding]).await.status(), 431);
    let body = |length: usize| {
        format!(
            "POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{}",
            "a".repeat(length)
        )
    };
    assert_eq!(admin.ask_raw(&body(1000)).await.status(), 501);
    let reply = admin.ask_raw(&body(MAX_BODY_BYTES + 1)).await;
    assert_eq!(
        (reply.status(), reply.code()),
        (413, "request_too_large".to_owned())
    );
}

#[tokio::test]
async fn a_silent_client_is_closed_at_the_deadline_and_others_are_served_again() {
    let admin = Listener::new(Kind::Admin, None).await;
    let mut silent = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        let mut stream = TcpStream::connect(admin.address).await.unwrap();
        stream.write_all(b"GET /livez HT").await.unwrap();
        silent.push(stream);
    }
    let mut waiting = TcpStream::connect(admin.address).await.unwrap();
    waiting
        .write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut byte = [0];
    let early = timeout(Duration::from_millis(500), waiting.read(&mut byte)).await;
    assert!(early.is_err(), "the cap of connections does not hold");
    let served = timeout(
        SHORT_DEADLINE + Duration::from_secs(5),
        waiting.read(&mut byte),
    )
    .await;
    assert_eq!(served.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn stops_accepting_when_told_and_lets_a_request_end() {
    let admin = Listener::new(Kind::Admin, None).await;
    let mut begun = TcpStream::connect(admin.address).await.unwrap();
    begun.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
    assert_eq!(admin.ask("GET /livez", &[]).await.status(), 200);
    admin.stop.send(true).unwrap();
    while TcpStream::connect(admin.address).await.is_ok() {
        sleep(Duration::from_millis(5)).await;
    }
    begun.write_all(b"Host: localhost\r\n\r\n").await.unwrap();
    let mut reply = String::new();
    begun.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
    timeout(Duration::from_secs(5), admin.task)
        .await
        .unwrap()
        .unwrap();
}
