//! A configuration, its secrets and its certificates, replaced while serving.

use crate::client::{Connection, Http2Client, http2_request};
use crate::recorder::Recorder;
use crate::reload_files::{with_token, write_secret};
use crate::sidecar::{GATEWAY, IDENTITY, PATIENCE, Setup, Sidecar, write_certificate};
use serde_json::Value;
use std::fs;

pub(crate) async fn status(sidecar: &Sidecar) -> Value {
    sidecar.admin("GET /status").await.json()
}

/// Waits until the status shows this generation.
pub(crate) async fn generation(sidecar: &Sidecar, wanted: u64) -> Value {
    let reached = async {
        loop {
            let status = status(sidecar).await;
            if status["generation"] == wanted {
                return status;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached)
        .await
        .expect("the generation is not reached")
}

/// The credential that the upstream gets with one more request.
pub(crate) async fn credential(sidecar: &Sidecar, upstream: &Recorder) -> String {
    let before = upstream.requests().len();
    let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{IDENTITY}")).await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    let request = upstream.nth(before + 1).await;
    request.values("authorization").join(",")
}

#[tokio::test]
async fn a_changed_configuration_takes_force_by_post_and_by_sighup() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let eve = IDENTITY.replace("nick", "eve");
    let ask = format!("GET / HTTP/1.1\r\n{eve}");
    assert_eq!(sidecar.send(&ask).await.status, 403);
    sidecar.edit(|config| config.replace("\"ada@", "\"eve@"));
    let (code, answer) = sidecar.reload().await;
    assert_eq!((code, &answer["generation"]), (200, &2.into()), "{answer}");
    assert_eq!(sidecar.send(&ask).await.status, 200);
    sidecar.edit(|config| config.replace("\"eve@", "\"ada@"));
    sidecar.signal("HUP");
    let status = generation(&sidecar, 3).await;
    assert_eq!(status["lastReload"]["trigger"], "signal");
    assert_eq!(sidecar.send(&ask).await.status, 403);
    let text = String::from_utf8(sidecar.admin("GET /metrics").await.body).unwrap();
    for line in [
        "portcullis_config_generation 3",
        "portcullis_reload_success 1",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_changes_nothing() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    write_secret(&token, "first");
    let sidecar = with_token(&token, false).spawn(&upstream.url());
    let good = sidecar.config();
    for (config, key) in [
        ("not = [toml".to_owned(), None),
        (
            good.replace("idleTimeout", "idle")
                .replace("x-forwarded-user", "cookie"),
            Some("gateway.auth.trustedProxy.userHeader"),
        ),
        (
            good.replace(&token.display().to_string(), "/nonexistent"),
            Some("upstream.credential.value"),
        ),
        (
            good.replace("allowUsers =", "#"),
            Some("gateway.auth.trustedProxy.allowUsers"),
        ),
    ] {
        sidecar.edit(|_| config.clone());
        let (code, answer) = sidecar.reload().await;
        assert_eq!(code, 422, "{answer}");
        assert_eq!(answer["error"]["code"], "reload_failed");
        assert_eq!(answer["generation"], 1);
        let problems = answer["problems"].as_array().unwrap();
        assert!(!problems.is_empty());
        if let Some(key) = key {
            assert!(
                problems.iter().any(|problem| problem["key"] == key),
                "{answer}"
            );
        }
        assert_eq!(credential(&sidecar, &upstream).await, "Bearer first");
        assert_eq!(sidecar.admin("GET /readyz").await.status, 200);
        let status = status(&sidecar).await;
        assert_eq!(
            (&status["degraded"], &status["lastReload"]["ok"]),
            (&true.into(), &false.into())
        );
        assert_eq!(status["lastReload"]["problems"], answer["problems"]);
    }
    sidecar
        .logged(|line| line["code"] == "SECRETS_RELOADER_DEGRADED")
        .await;
    let text = String::from_utf8(sidecar.admin("GET /metrics").await.body).unwrap();
    assert!(text.contains("portcullis_reload_success 0"), "{text}");
    sidecar.edit(|_| good.clone());
    assert_eq!(sidecar.reload().await.0, 200);
    sidecar
        .logged(|line| line["code"] == "SECRETS_RELOADER_RECOVERED")
        .await;
    assert_eq!(status(&sidecar).await["degraded"], false);
}

#[tokio::test]
async fn what_is_bound_at_the_start_is_named_and_waits_for_a_restart() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    sidecar.edit(|config| format!("{config}[limits]\nmaxConnections = 77\nmaxHeaders = 9\n"));
    let (code, answer) = sidecar.reload().await;
    assert_eq!(code, 200, "{answer}");
    assert_eq!(
        answer["restartRequired"],
        serde_json::json!(["limits.maxConnections"])
    );
    assert_eq!(
        status(&sidecar).await["restartRequired"],
        answer["restartRequired"]
    );
    let many = "a: b\r\n".repeat(9);
    let answer = sidecar
        .send(&format!("GET / HTTP/1.1\r\n{IDENTITY}{many}"))
        .await;
    assert_eq!(answer.status, 431, "the other keys take force");
}

#[tokio::test]
async fn a_lost_authority_or_user_list_never_opens_the_door() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    let users = folder.path().join("users");
    fs::write(&users, "nick@example.com\n").unwrap();
    let path = folder.path().display();
    let gateway = GATEWAY.replace(
        "allowUsers = [\"nick@example.com\", \"ada@example.com\"]",
        &format!("allowUsersFile = \"{path}/users\""),
    );
    let gateway = format!(
        "{gateway}[gateway.tls]\ncertPath = \"{path}/cert.pem\"\nkeyPath = \"{path}/key.pem\"\n\
         clientCaPath = \"{path}/ca.pem\"\n"
    );
    let authority = fs::read(folder.path().join("cert.pem")).unwrap();
    fs::write(folder.path().join("ca.pem"), &authority).unwrap();
    let sidecar = Setup::new().gateway(&gateway).spawn(&upstream.url());
    for (name, broken) in [
        ("ca.pem", None),
        ("ca.pem", Some("")),
        ("users", Some("# nobody\n")),
        ("users", None),
    ] {
        let file = folder.path().join(name);
        let good = fs::read(&file).unwrap();
        match broken {
            Some(text) => fs::write(&file, text).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let (code, answer) = sidecar.reload().await;
        assert_eq!(
            (code, &answer["generation"]),
            (422, &1.into()),
            "{name} {broken:?}"
        );
        fs::write(&file, good).unwrap();
    }
    sidecar.edit(|config| config.replace("clientCaPath", "#clientCaPath"));
    let (code, answer) = sidecar.reload().await;
    assert_eq!(code, 422, "{answer}");
    assert_eq!(answer["problems"][0]["key"], "gateway.tls.clientCaPath");
}

#[tokio::test]
async fn an_admin_token_is_replaced_and_never_dropped() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .admin("token = \"first-token\"\n")
        .spawn(&upstream.url());
    let ask = |token: &'static str, line: &'static str| {
        let address = sidecar.admin;
        async move {
            let mut connection = Connection::tcp(address).await;
            connection
                .write(format!(
                    "{line} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"
                ))
                .await;
            connection.response(false).await.status
        }
    };
    assert_eq!(ask("wrong", "POST /reload").await, 401);
    sidecar.edit(|config| config.replace("first-token", "second-token"));
    assert_eq!(ask("first-token", "POST /reload").await, 200);
    assert_eq!(ask("first-token", "GET /status").await, 401);
    assert_eq!(ask("second-token", "GET /status").await, 200);
    sidecar.edit(|config| config.replace("token = \"second-token\"", ""));
    assert_eq!(ask("second-token", "POST /reload").await, 422);
    assert_eq!(ask("wrong", "GET /status").await, 401);
}

#[tokio::test]
async fn a_request_under_way_ends_under_the_configuration_it_began_with() {
    let (release, released) = tokio::sync::watch::channel(false);
    let upstream = Recorder::with_handler(move |mut stream, _| {
        let mut released = released.clone();
        async move {
            use tokio::io::AsyncWriteExt;
            let _ = released.wait_for(|is_released| *is_released).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            let _ = stream.write_all(answer).await;
        }
    })
    .await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut waiting = sidecar.connect().await;
    waiting
        .write(crate::client::complete(&format!(
            "GET / HTTP/1.1\r\n{IDENTITY}"
        )))
        .await;
    upstream.nth(1).await;
    sidecar
        .edit(|config| config.replace("requiredHeaders = [", "requiredHeaders = [\"x-proof\", "));
    assert_eq!(sidecar.reload().await.0, 200);
    release.send(true).unwrap();
    assert_eq!(waiting.response(false).await.status, 200);
    let answer = waiting
        .exchange(&format!("GET / HTTP/1.1\r\n{IDENTITY}"))
        .await;
    assert_eq!(
        answer.status, 401,
        "the next one on the connection is decided anew"
    );
}

#[tokio::test]
async fn a_connection_from_before_certificates_were_asked_for_is_not_believed() {
    let upstream = Recorder::spawn().await;
    let strict = GATEWAY.replace("allowLoopback = true", "allowLoopback = false");
    let sidecar = Setup::new().gateway(&strict).tls().spawn(&upstream.url());
    let ask = format!("GET / HTTP/1.1\r\n{IDENTITY}");
    // Idle, and without a certificate.
    let mut idle = sidecar.connect().await;
    let multiplexed = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    sidecar.edit(|config| {
        let authority = sidecar.certificate();
        let open = config.replace("allowLoopback = false", "allowLoopback = true");
        let tls = format!("[gateway.tls]\nclientCaPath = \"{}\"", authority.display());
        open.replace("[gateway.tls]", &tls)
    });
    assert_eq!(sidecar.reload().await.0, 200);
    let answer = idle.exchange(&ask).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "draining"));
    assert_eq!(answer.values("connection"), ["close"]);
    assert_eq!(idle.read_to_end().await, b"");
    let answer = multiplexed.send(http2_request("GET", "/", IDENTITY)).await;
    assert_eq!(answer.unwrap().status(), 503);
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn an_outdated_http_2_connection_ends_what_it_has_begun_and_begins_nothing() {
    let (release, released) = tokio::sync::watch::channel(false);
    let upstream = Recorder::with_handler(move |mut stream, _| {
        let mut released = released.clone();
        async move {
            use tokio::io::AsyncWriteExt;
            let _ = released.wait_for(|is_released| *is_released).await;
            let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
            let _ = stream.write_all(answer).await;
        }
    })
    .await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let client =
        std::sync::Arc::new(Http2Client::connect(sidecar.address, &sidecar.certificate()).await);
    let begin = |path: &'static str| {
        let client = client.clone();
        tokio::spawn(async move { client.send(http2_request("GET", path, IDENTITY)).await })
    };
    let begun = begin("/begun");
    upstream.nth(1).await;
    // A reload that asks for nothing more leaves the connection alone.
    assert_eq!(sidecar.reload().await.0, 200);
    let also_begun = begin("/also-begun");
    upstream.nth(2).await;
    sidecar.edit(|config| {
        let authority = sidecar.certificate();
        let tls = format!("[gateway.tls]\nclientCaPath = \"{}\"", authority.display());
        config.replace("[gateway.tls]", &tls)
    });
    assert_eq!(sidecar.reload().await.0, 200);
    assert_eq!(begin("/refused").await.unwrap().unwrap().status(), 503);
    release.send(true).unwrap();
    for answer in [begun, also_begun] {
        let answer = answer.await.unwrap().unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.body()[..]),
            (200, &b"ok"[..])
        );
    }
    assert!(
        begin("/after").await.unwrap().is_err(),
        "it takes new streams"
    );
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn the_access_log_is_turned_on_and_off_by_a_reload() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .section("[log]\naccess = false\n")
        .spawn(&upstream.url());
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\n{IDENTITY}");
    let is_line = |path: &'static str| move |line: &Value| line["path"] == path;
    sidecar.send(&ask("/before")).await;
    sidecar.edit(|config| config.replace("access = false", "access = true"));
    let (_, answer) = sidecar.reload().await;
    assert_eq!(answer["restartRequired"], serde_json::json!([]));
    sidecar.send(&ask("/after")).await;
    sidecar.logged(is_line("/after")).await;
    let lines = sidecar.log();
    assert!(
        !lines.iter().any(|line| line.contains("/before")),
        "{lines:#?}"
    );
}
