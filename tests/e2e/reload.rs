//! A configuration, its secrets and its certificates, replaced while serving.

use crate::client::{Connection, Http2Client, http2_request};
use crate::recorder::Recorder;
use crate::sidecar::{GATEWAY, IDENTITY, PATIENCE, Setup, Sidecar, until, write_certificate};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

async fn status(sidecar: &Sidecar) -> Value {
    sidecar.admin("GET /status").await.json()
}

/// Waits until the status shows this generation.
async fn generation(sidecar: &Sidecar, wanted: u64) -> Value {
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
async fn credential(sidecar: &Sidecar, upstream: &Recorder) -> String {
    let before = upstream.requests().len();
    let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{IDENTITY}")).await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    let request = upstream.nth(before + 1).await;
    request.values("authorization").join(",")
}

/// Writes a file as a secret must be: whole, and for its owner alone.
fn write_secret(path: &Path, value: &str) {
    let next = path.with_extension("next");
    fs::write(&next, value).unwrap();
    fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(next, path).unwrap();
}

/// A sidecar whose credential lies in `token`, a file of one value.
fn with_token(token: &Path, mounted: bool) -> Setup {
    Setup::new().section(&format!(
        "[upstream.credential]\nheader = \"authorization\"\n\
         value = {{ source = \"file\", provider = \"token\", id = \"value\" }}\n\
         [secrets.providers.token]\nsource = \"file\"\npath = \"{}\"\nmode = \"singleValue\"\n\
         mountedVolume = {mounted}\n",
        token.display()
    ))
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
async fn a_changed_secret_file_is_taken_up_by_itself() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    write_secret(&token, "first");
    let sidecar = with_token(&token, false).spawn(&upstream.url());
    assert_eq!(credential(&sidecar, &upstream).await, "Bearer first");
    write_secret(&token, "second");
    let status = generation(&sidecar, 2).await;
    assert_eq!(status["lastReload"]["trigger"], "files");
    assert_eq!(credential(&sidecar, &upstream).await, "Bearer second");
    // A rotation that went wrong: the old one is served on, and the next is taken.
    fs::remove_file(&token).unwrap();
    sidecar
        .logged(|line| line["code"] == "SECRETS_RELOADER_DEGRADED")
        .await;
    assert_eq!(credential(&sidecar, &upstream).await, "Bearer second");
    write_secret(&token, "third");
    generation(&sidecar, 3).await;
    assert_eq!(credential(&sidecar, &upstream).await, "Bearer third");
}

/// A new generation of a volume, put in place as a kubelet does it.
fn volume(folder: &Path, generation: &str, value: &str) {
    let data = folder.join(generation);
    fs::create_dir(&data).unwrap();
    fs::write(data.join("token"), value).unwrap();
    let next = folder.join("..data_tmp");
    symlink(generation, &next).unwrap();
    fs::rename(next, folder.join("..data")).unwrap();
}

#[tokio::test]
async fn a_swapped_kubernetes_volume_is_picked_up_within_five_seconds() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    volume(folder.path(), "..2026_01", "first");
    symlink("..data/token", folder.path().join("token")).unwrap();
    let sidecar = with_token(&folder.path().join("token"), true).spawn(&upstream.url());
    assert_eq!(credential(&sidecar, &upstream).await, "Bearer first");
    volume(folder.path(), "..2026_02", "second");
    fs::remove_dir_all(folder.path().join("..2026_01")).unwrap();
    let within = std::time::Duration::from_secs(5);
    tokio::time::timeout(within, generation(&sidecar, 2))
        .await
        .expect("it takes longer");
    assert_eq!(credential(&sidecar, &upstream).await, "Bearer second");
}

#[tokio::test]
async fn certificates_are_swapped_without_dropping_a_connection() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let mut open = sidecar.connect().await;
    let ask = format!("GET / HTTP/1.1\r\n{IDENTITY}");
    assert_eq!(open.exchange(&ask).await.status, 200);
    let old = fs::read(sidecar.certificate()).unwrap();
    let next = tempfile::tempdir().unwrap();
    write_certificate(next.path());
    let folder = sidecar.certificate().parent().unwrap().to_owned();
    for name in ["key.pem", "cert.pem"] {
        fs::copy(next.path().join(name), folder.join(name)).unwrap();
    }
    generation(&sidecar, 2).await;
    // The client trusts the new certificate alone by now.
    assert_ne!(fs::read(sidecar.certificate()).unwrap(), old);
    assert_eq!(sidecar.send(&ask).await.status, 200);
    assert_eq!(
        open.exchange(&ask).await.status,
        200,
        "the old connection lives"
    );
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
    sidecar.edit(|config| config.replace("\"nick@", "\"eve@"));
    assert_eq!(sidecar.reload().await.0, 200);
    release.send(true).unwrap();
    assert_eq!(waiting.response(false).await.status, 200);
    let answer = waiting
        .exchange(&format!("GET / HTTP/1.1\r\n{IDENTITY}"))
        .await;
    assert_eq!(
        answer.status, 403,
        "the next one on the connection is decided anew"
    );
}

#[tokio::test]
async fn the_command_finds_the_running_process_by_its_admin_address() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .admin("token = \"s3cret\"\n")
        .spawn(&upstream.url());
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command
            .args(["secrets", "reload", "--config"])
            .arg(sidecar.config_path())
            .args(arguments);
        async move {
            let output = tokio::task::spawn_blocking(move || command.output());
            let output = output.await.unwrap().unwrap();
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            (
                output.status.code(),
                text(output.stdout),
                text(output.stderr),
            )
        }
    };
    let address = sidecar.admin.to_string();
    let (code, said, complained) = run(&["--address", &address]).await;
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "reloaded: generation 2\n"),
        "{complained}"
    );
    let (code, said, _) = run(&["--address", &address, "--json"]).await;
    let answer: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &answer["generation"]), (Some(0), &3.into()));
    let (code, _, complained) = run(&[]).await;
    assert_eq!(code, Some(1), "the test's configuration asks for port 0");
    assert!(complained.contains("--address"), "{complained}");
    let (code, _, complained) = run(&["--address", "127.0.0.1:9"]).await;
    assert_eq!(code, Some(1));
    assert!(complained.contains("is Portcullis running"), "{complained}");
    // The command reads the file that the process would: so it is valid, and refused.
    sidecar.edit(|config| config.replace("allowUsers =", "#"));
    let (code, _, complained) = run(&["--address", &address]).await;
    assert_eq!(code, Some(1));
    assert!(
        complained.contains("gateway.auth.trustedProxy.allowUsers: got nothing"),
        "{complained}"
    );
    assert!(!complained.contains("s3cret"), "{complained}");
}

#[tokio::test]
async fn requests_for_a_reload_are_each_answered_by_a_build_after_them() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("resolver");
    let text = "#!/bin/sh\ncat > /dev/null\necho run >> runs\nwhile [ -e hold ]; do sleep 0.01; done\nprintf s3cret\n";
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let runs = || {
        let runs = fs::read_to_string(folder.path().join("runs")).unwrap_or_default();
        runs.lines().count()
    };
    let sidecar = Setup::new()
        .section(&format!(
            "[upstream.credential]\nheader = \"authorization\"\n\
             value = {{ source = \"exec\", provider = \"slow\", id = \"a\" }}\n\
             [secrets.providers.slow]\nsource = \"exec\"\ncommand = \"{}\"\njsonOnly = false\n\
             passEnv = [\"PATH\"]\ntimeoutMs = 60000\n",
            script.display()
        ))
        .spawn(&upstream.url());
    assert_eq!(runs(), 1);
    fs::write(folder.path().join("hold"), "").unwrap();
    let ask = || async {
        let mut connection = Connection::tcp(sidecar.admin).await;
        let host = sidecar.admin;
        connection
            .write(format!("POST /reload HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        connection
    };
    let mut first = ask().await;
    until(|| (runs() == 2).then_some(())).await;
    // The first build runs: what asks now must not be answered by it.
    let mut later = [ask().await, ask().await];
    fs::remove_file(folder.path().join("hold")).unwrap();
    assert_eq!(first.response(false).await.json()["generation"], 2);
    for connection in &mut later {
        let answer = connection.response(false).await.json();
        assert!(answer["generation"].as_u64() >= Some(3), "{answer}");
    }
}

/// A resolver that hangs while `hold` is there, and notes its own pid first.
fn hanging(folder: &Path) -> String {
    let script = folder.join("resolver");
    let text = "#!/bin/sh\necho $$ > pid.next; mv pid.next pid\n\
                [ -e hold ] && exec sleep 1000\nprintf s3cret\n";
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    format!(
        "[upstream.credential]\nheader = \"authorization\"\n\
         value = {{ source = \"exec\", provider = \"slow\", id = \"a\" }}\n\
         [secrets.providers.slow]\nsource = \"exec\"\ncommand = \"{}\"\njsonOnly = false\n\
         passEnv = [\"PATH\"]\ntimeoutMs = 100000\n",
        script.display()
    )
}

/// Waits until the resolver has begun, or is gone.
async fn resolver(folder: &Path, runs: bool) {
    until(|| {
        let pid = fs::read_to_string(folder.join("pid")).ok()?;
        let is_there = Path::new("/proc").join(pid.trim()).exists();
        (is_there == runs).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_end_does_not_wait_for_a_command_that_hangs_and_leaves_none_behind() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let mut sidecar = Setup::new()
        .section(&hanging(folder.path()))
        .spawn(&upstream.url());
    fs::write(folder.path().join("hold"), "").unwrap();
    fs::remove_file(folder.path().join("pid")).unwrap();
    sidecar.signal("HUP");
    resolver(folder.path(), true).await;
    sidecar.signal("TERM");
    assert!(sidecar.wait().success());
    resolver(folder.path(), false).await;
    // The start can be stopped as well.
    fs::remove_file(folder.path().join("pid")).unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["run", "--config"])
        .arg(sidecar.config_path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    resolver(folder.path(), true).await;
    let killed = std::process::Command::new("kill")
        .arg(child.id().to_string())
        .status();
    assert!(killed.unwrap().success());
    let ended = until(|| child.try_wait().unwrap()).await;
    assert!(ended.success(), "{ended}");
    resolver(folder.path(), false).await;
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
async fn a_pipe_in_the_place_of_a_file_is_an_error_and_no_wait() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    fs::write(&users, "nick@example.com\n").unwrap();
    let gateway = GATEWAY.replace(
        "allowUsers = [\"nick@example.com\", \"ada@example.com\"]",
        &format!("allowUsersFile = \"{}\"", users.display()),
    );
    let sidecar = Setup::new().gateway(&gateway).spawn(&upstream.url());
    fs::remove_file(&users).unwrap();
    nix::unistd::mkfifo(&users, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (code, answer) = sidecar.reload().await;
    assert_eq!(code, 422, "{answer}");
    let message = answer["problems"][0]["message"].as_str().unwrap();
    assert!(message.contains("not a regular file"), "{answer}");
    assert_eq!(status(&sidecar).await["reloadingSince"], Value::Null);
}

#[tokio::test]
async fn a_change_that_met_a_failing_command_is_tried_again_whoever_asked() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    write_secret(&token, "first");
    let script = folder.path().join("resolver");
    fs::write(
        &script,
        "#!/bin/sh\n[ -e broken ] && exit 1\nprintf admin-token\n",
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let sidecar = with_token(&token, false)
        .section(&format!(
            "[gateway.tls]\nenabled = false\n[secrets.providers.other]\nsource = \"exec\"\n\
             command = \"{}\"\njsonOnly = false\n",
            script.display()
        ))
        .admin("token = { source = \"exec\", provider = \"other\", id = \"value\" }\n")
        .spawn(&upstream.url());
    // As a renewal hook does it: the file, then the signal, and the vault is away.
    fs::write(folder.path().join("broken"), "").unwrap();
    write_secret(&token, "second");
    sidecar.signal("HUP");
    sidecar
        .logged(|line| line["code"] == "SECRETS_RELOADER_DEGRADED")
        .await;
    fs::remove_file(folder.path().join("broken")).unwrap();
    sidecar
        .logged(|line| line["code"] == "SECRETS_RELOADER_RECOVERED")
        .await;
    assert_eq!(credential(&sidecar, &upstream).await, "Bearer second");
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

#[tokio::test]
async fn only_some_may_wait_for_a_reload_and_the_others_are_still_served() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let sidecar = Setup::new()
        .section(&hanging(folder.path()))
        .spawn(&upstream.url());
    fs::write(folder.path().join("hold"), "").unwrap();
    fs::remove_file(folder.path().join("pid")).unwrap();
    sidecar.signal("HUP");
    resolver(folder.path(), true).await;
    // The build hangs, and so does whoever waits for the next one.
    let sidecar = std::sync::Arc::new(sidecar);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let sidecar = sidecar.clone();
        asking.spawn(async move { sidecar.admin("POST /reload").await });
    }
    let answer = asking.join_next().await.unwrap().unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    assert_eq!(sidecar.admin("GET /livez").await.status, 200);
}

#[tokio::test]
async fn a_command_of_the_cli_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("portcullis.toml");
    fs::write(
        &config,
        format!(
            "[listen]\naddress = \"127.0.0.1:0\"\n[upstream]\nurl = \"http://127.0.0.1:9\"\n\
             [gateway]{GATEWAY}{}",
            hanging(folder.path())
        ),
    )
    .unwrap();
    fs::write(folder.path().join("hold"), "").unwrap();
    for (arguments, signal) in [
        (&["secrets", "resolve"][..], "-INT"),
        (&["secrets", "list"], "-HUP"),
        (&["check", "--resolve"], "-TERM"),
    ] {
        let _ = fs::remove_file(folder.path().join("pid"));
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(arguments)
            .arg("--config")
            .arg(&config)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        resolver(folder.path(), true).await;
        let killed = std::process::Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
        let ended = until(|| child.try_wait().unwrap()).await;
        assert_eq!(ended.code(), Some(1));
        resolver(folder.path(), false).await;
    }
}

#[tokio::test]
async fn the_command_believes_an_admin_listener_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("portcullis.toml");
    fs::write(
        &config,
        format!(
            "[listen]\naddress = \"127.0.0.1:0\"\n[upstream]\nurl = \"http://127.0.0.1:9\"\n[gateway]{GATEWAY}"
        ),
    )
    .unwrap();
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n{\"generation\":\"\\u001b\"}",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 422 No\r\ncontent-length: 36\r\n\r\n{\"problems\":[{\"message\":\"\\u001b[2J\"}]}",
        "HTTP/1.1 404 No\r\ncontent-length: 2\r\n\r\n{}",
    ] {
        let stranger = Recorder::with_answer(answer).await;
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command
            .args([
                "secrets",
                "reload",
                "--address",
                &stranger.address.to_string(),
                "--config",
            ])
            .arg(&config);
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.unwrap().unwrap();
        assert_eq!(output.status.code(), Some(1), "{answer}");
        let said = [output.stdout, output.stderr].concat();
        assert!(!said.is_empty() && !said.contains(&0x1b), "{answer}");
    }
}

#[tokio::test]
async fn the_first_process_of_a_container_keeps_no_zombies() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("resolver");
    // What leaves the group is not killed with it, and ends by itself.
    fs::write(
        &script,
        "#!/bin/sh\nsetsid sh -c 'exec >/dev/null 2>&1; while [ -e hold ]; do sleep 0.01; done' &\n\
         printf s3cret\n",
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let config = folder.path().join("portcullis.toml");
    fs::write(
        &config,
        format!(
            "[listen]\naddress = \"127.0.0.1:0\"\n[upstream]\nurl = \"http://127.0.0.1:9\"\n\
             [upstream.credential]\nheader = \"authorization\"\n\
             value = {{ source = \"exec\", provider = \"op\", id = \"a\" }}\n\
             [secrets.providers.op]\nsource = \"exec\"\ncommand = \"{}\"\njsonOnly = false\n\
             passEnv = [\"PATH\"]\n[gateway]{GATEWAY}[admin]\naddress = \"127.0.0.1:0\"\n",
            script.display()
        ),
    )
    .unwrap();
    fs::write(folder.path().join("hold"), "").unwrap();
    let mut command = std::process::Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let log = fs::File::create(folder.path().join("log")).unwrap();
    let child = command
        .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(env!("CARGO_BIN_EXE_portcullis"))
        .args(["run", "--config"])
        .arg(&config)
        .stderr(log)
        .spawn()
        .expect("unshare is needed: Debian's util-linux has it");
    let init = Killed(child);
    let heard = |words: &str| {
        let log = fs::read_to_string(folder.path().join("log")).unwrap();
        log.matches(words).count()
    };
    until(|| (heard("\"serving\"") == 1).then_some(())).await;
    let children = |pid: u32| {
        let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        list.split_whitespace()
            .map(|pid| pid.parse::<u32>().unwrap())
            .collect::<Vec<_>>()
    };
    let portcullis = children(init.0.id())[0];
    // The orphan is Portcullis' by now, and alive; then it ends.
    until(|| (children(portcullis).len() == 1).then_some(())).await;
    fs::remove_file(folder.path().join("hold")).unwrap();
    // The next runs reap it, long before the look that is taken every ten seconds.
    let reaped = async {
        let mut reloads = 0;
        while !children(portcullis).is_empty() {
            let sent = std::process::Command::new("kill")
                .args(["-HUP", &portcullis.to_string()])
                .status();
            assert!(sent.unwrap().success());
            reloads += 1;
            until(|| (heard("\"reloaded\"") >= reloads).then_some(())).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), reaped)
        .await
        .expect("a zombie stays");
}

/// A child that doesn't outlive its test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
