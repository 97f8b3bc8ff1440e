//! What the upstream gets of a permitted request.

use crate::client::{Http2Client, http2_request};
use crate::recorder::Recorder;
use crate::sidecar::{GATEWAY, IDENTITY, Setup};

#[tokio::test]
async fn the_upstream_gets_what_was_verified_and_once() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let answer = sidecar
        .send(&format!(
            "GET /a?b=c HTTP/1.1\r\n{IDENTITY}x-forwarded-for: 198.51.100.7, 203.0.113.7\r\n\
             x-forwarded-host: claw.example.com:8443\r\nx-real-ip: 1.2.3.4\r\nforwarded: for=evil\r\n\
             x-forwarded-port: 99\r\nx-forwarded-uri: /admin\r\nx-auth-request-user: admin\r\n\
             x-pomerium-jwt-assertion: x\r\nremote-user: admin\r\nx-original-url: /admin\r\n\
             x-forwarded-client-cert: x\r\nx-http-method-override: DELETE\r\nuser-agent: probe\r\n\
             cookie: a=1; _oauth2_proxy=secret; b=2\r\nconnection: close, x-forwarded-user, x-forwarded-for\r\n\
             x-request-id: id-1\r\n"
        ))
        .await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]));
    assert_eq!(answer.values("x-request-id"), ["id-1"]);
    let request = upstream.only();
    assert_eq!(request.line(), "GET /a?b=c HTTP/1.1");
    for (name, value) in [
        ("host", "claw.example.com"),
        ("x-forwarded-user", "nick@example.com"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-real-ip", "203.0.113.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "claw.example.com:8443"),
        ("x-forwarded-port", "8443"),
        ("x-request-id", "id-1"),
        ("user-agent", "probe"),
        ("cookie", "a=1; b=2"),
    ] {
        assert_eq!(request.values(name), [value], "{name}\n{}", request.head);
    }
    for name in [
        "forwarded",
        "x-forwarded-uri",
        "x-auth-request-user",
        "x-pomerium-jwt-assertion",
        "remote-user",
        "x-original-url",
        "x-forwarded-client-cert",
        "x-http-method-override",
        "connection",
        "x-openclaw-scopes",
    ] {
        assert!(request.values(name).is_empty(), "{name}\n{}", request.head);
    }
}

#[tokio::test]
async fn http_2_requests_look_the_same_to_the_upstream() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let client = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    let fields = format!(
        "{IDENTITY}x-forwarded-for: 203.0.113.7\r\ncookie: a=1\r\ncookie: b=2\r\nte: trailers\r\n"
    );
    let answer = client
        .send(http2_request("GET", "/x", &fields))
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(&answer.body()[..], b"ok");
    let request = upstream.only();
    assert_eq!(request.line(), "GET /x HTTP/1.1");
    assert_eq!(request.values("host"), ["claw.example.com"]);
    assert_eq!(request.values("cookie"), ["a=1; b=2"]);
    assert_eq!(request.values("x-forwarded-user"), ["nick@example.com"]);
    assert!(request.values("te").is_empty());
}

#[tokio::test]
async fn scope_ceilings_cut_and_never_widen() {
    let upstream = Recorder::spawn().await;
    let gateway = format!(
        "{GATEWAY}[gateway.auth.trustedProxy.scopeCeilings]\n\
         \"nick@example.com\" = [\"operator.read\", \"operator.write\"]\n\"*\" = [\"operator.read\"]\n"
    );
    let sidecar = Setup::new().gateway(&gateway).spawn(&upstream.url());
    let ada = IDENTITY.replace("nick", "ada");
    let cases = [
        (IDENTITY, "", "operator.read,operator.write"),
        (
            IDENTITY,
            "x-openclaw-scopes: operator.admin, operator.write\r\n",
            "operator.write",
        ),
        (IDENTITY, "x-openclaw-scopes: operator.admin\r\n", ""),
        (IDENTITY, "x-openclaw-scopes: \r\n", ""),
        (&ada, "", "operator.read"),
        (&ada, "x-openclaw-scopes: operator.write\r\n", ""),
    ];
    for (index, (identity, scopes, expected)) in cases.iter().enumerate() {
        sidecar
            .send(&format!("GET / HTTP/1.1\r\n{identity}{scopes}"))
            .await;
        let request = upstream.nth(index + 1).await;
        let got: Vec<String> = request
            .head
            .lines()
            .filter_map(|line| line.strip_prefix("x-openclaw-scopes:"))
            .map(|value| value.trim().to_owned())
            .collect();
        assert_eq!(got, [*expected], "{scopes}");
    }
}

#[tokio::test]
async fn a_public_route_carries_no_identity_no_scopes_and_no_credential() {
    let upstream = Recorder::spawn().await;
    let gateway =
        format!("{GATEWAY}[[gateway.publicRoutes]]\npath = \"/hooks/\"\nmethods = [\"POST\"]\n");
    let sidecar = Setup::new()
        .gateway(&gateway)
        .section("[upstream.credential]\nheader = \"authorization\"\nformat = \"Bearer {secret}\"\nvalue = \"s3cret-of-the-gateway\"")
        .spawn(&upstream.url());
    let spoofed = "x-forwarded-user: nick@example.com\r\nx-forwarded-proto: https\r\nauthorization: Bearer hook-token\r\n\
                   x-auth-request-user: admin\r\ncontent-length: 2\r\n";
    let mut connection = sidecar.connect().await;
    connection
        .write(crate::client::complete(&format!(
            "POST /hooks/wake HTTP/1.1\r\n{spoofed}"
        )))
        .await;
    connection.write("{}").await;
    assert_eq!(connection.response(false).await.status, 200);
    let request = upstream.only();
    for name in [
        "x-forwarded-user",
        "x-openclaw-scopes",
        "x-auth-request-user",
    ] {
        assert!(request.values(name).is_empty(), "{}", request.head);
    }
    assert_eq!(request.values("authorization"), ["Bearer hook-token"]);
    assert_eq!(request.body, b"{}");
    for path in [
        "/hooks/%2e%2e/x",
        "/hooks/../x",
        "/hooks//x",
        "/hooks;x",
        "/HOOKS/x",
        "/hooks",
        "/hooks/a;b",
        "/hooks/./x",
        "/hooks/x\\y",
    ] {
        let answer = sidecar
            .send(&format!("POST {path} HTTP/1.1\r\ncontent-length: 0\r\n"))
            .await;
        assert_eq!(answer.status, 401, "{path}");
    }
    for request in [
        "GET /hooks/x HTTP/1.1\r\n",
        "PUT /hooks/x HTTP/1.1\r\ncontent-length: 0\r\n",
    ] {
        assert_eq!(sidecar.send(request).await.status, 401, "{request}");
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn the_proxys_credential_replaces_the_clients() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .section("[upstream.credential]\nheader = \"authorization\"\nformat = \"Bearer {secret}\"\nvalue = \"s3cret-of-the-gateway\"")
        .spawn(&upstream.url());
    let answer = sidecar
        .send(&format!(
            "GET / HTTP/1.1\r\n{IDENTITY}authorization: Bearer mine\r\n"
        ))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        upstream.only().values("authorization"),
        ["Bearer s3cret-of-the-gateway"]
    );
    assert!(!answer.head.contains("s3cret") && !sidecar.log().join("\n").contains("s3cret"));
}

#[tokio::test]
async fn targets_pass_byte_for_byte() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let targets = ["/..%2f", "//", "/%2e%2e/", "/a\\b", "/a?b=c?d&%20", "/~a|b"];
    for (index, target) in targets.iter().enumerate() {
        sidecar
            .send(&format!("GET {target} HTTP/1.1\r\n{IDENTITY}"))
            .await;
        assert_eq!(
            upstream.nth(index + 1).await.line(),
            format!("GET {target} HTTP/1.1")
        );
    }
}

#[tokio::test]
async fn connections_to_the_upstream_are_used_again() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    for _ in 0..20 {
        assert_eq!(
            connection
                .exchange(&format!("GET / HTTP/1.1\r\n{IDENTITY}"))
                .await
                .status,
            200
        );
    }
    assert_eq!(upstream.requests().len(), 20);
    // One of them is the sidecar's own look at reachability.
    assert!(upstream.connections() <= 2, "{}", upstream.connections());
}

#[tokio::test]
async fn answers_lose_the_upstreams_hop_by_hop_fields_and_version() {
    let upstream = Recorder::with_answer(
        "HTTP/1.1 200 OK\r\nserver: Gateway/1.2\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\n\
         x-request-id: theirs\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let answer = sidecar
        .send(&format!(
            "GET / HTTP/1.1\r\n{IDENTITY}x-request-id: ours\r\n"
        ))
        .await;
    for name in ["server", "x-hop", "keep-alive", "connection"] {
        assert!(answer.values(name).is_empty(), "{}", answer.head);
    }
    assert_eq!(answer.values("x-request-id"), ["ours"]);
    assert_eq!(answer.values("set-cookie"), ["a=1", "b=2"]);
}
