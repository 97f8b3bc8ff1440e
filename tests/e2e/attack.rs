//! `doctor --attack` where the chain is not what it seems: `tests/deploy` has those through
//! a real nginx.

use crate::client::Connection;
use crate::recorder::{Recorder, read_head};
use crate::sidecar::{GATEWAY, IDENTITY, Setup, Sidecar};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::Value;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A proxy in front of `door` that sets the identity and passes everything on. With its
/// request number `disarms_at` it arms a probe of its own, which ends the doctor's.
async fn chain(
    door: SocketAddr,
    admin: SocketAddr,
    disarms_at: usize,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let head = read_head(&mut client, &mut Vec::new()).await.unwrap();
            if counted.fetch_add(1, Ordering::Relaxed) + 1 == disarms_at {
                let mut connection = Connection::tcp(admin).await;
                let request = format!("POST /probe HTTP/1.1\r\nHost: {admin}\r\n\r\n");
                connection.write(request).await;
                assert_eq!(connection.response(false).await.status, 200);
            }
            let (line, fields) = head.split_once("\r\n").unwrap();
            let request = format!("{line}\r\n{IDENTITY}{}\r\n\r\n", fields.trim_end());
            let mut upstream = TcpStream::connect(door).await.unwrap();
            upstream.write_all(request.as_bytes()).await.unwrap();
            let _ = tokio::io::copy(&mut upstream, &mut client).await;
        }
    });
    (address, count)
}

async fn attack(sidecar: &Sidecar, url: String, arguments: &[&str]) -> (Output, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command
        .args(["doctor", "--json", "--attack", &url])
        .args(["--admin", &sidecar.admin.to_string()])
        .args(arguments)
        .env_remove("PORTCULLIS_CONFIG")
        .env_remove("PORTCULLIS_ADMIN_TOKEN");
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output, json)
}

#[tokio::test]
async fn a_proxy_that_passes_everything_on_is_told_so() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let (address, count) = chain(sidecar.address, sidecar.admin, usize::MAX).await;
    let (output, json) = attack(&sidecar, format!("http://{address}"), &[]).await;
    let findings = json["findings"].as_array().unwrap();
    let about = |key: &str| findings.iter().find(|found| found["place"]["key"] == key);
    // It adds its own user beside the client's: refused here, every time.
    let user = about("x-forwarded-user").unwrap();
    assert_eq!(
        (&user["id"], &user["severity"]),
        (&"ATTACK_HEADER_PASSED".into(), &"warning".into())
    );
    assert!(
        user["evidence"]
            .as_str()
            .unwrap()
            .contains("trusted_proxy_ambiguous_header")
    );
    for key in ["x-openclaw-scopes", "connection: x-forwarded-user"] {
        assert!(about(key).is_some(), "{key}: {json:#}");
    }
    // What Portcullis treats alike is told once.
    for (severity, name) in [("warning", "`x_forwarded_user`"), ("info", "`remote-user`")] {
        let lists = |found: &&Value| {
            let evidence = found["evidence"].as_str().unwrap();
            found["severity"] == severity && evidence.contains(name)
        };
        assert_eq!(findings.iter().filter(lists).count(), 1, "{name}: {json:#}");
    }
    let first = |id: &str| findings.iter().position(|found| found["id"] == id);
    assert_eq!(first("ATTACK_HEADER_BELIEVED"), Some(0), "{json:#}");
    let last = findings
        .iter()
        .rposition(|found| found["id"] == "ATTACK_HEADER_BELIEVED");
    assert!(last < first("ATTACK_HEADER_PASSED"), "{json:#}");
    let client = about("x-forwarded-for").unwrap();
    assert_eq!(
        client["severity"], "critical",
        "nobody adds the client's own: {client}"
    );
    assert_eq!(output.status.code(), Some(1));
    let sent = count.load(Ordering::Relaxed);
    assert!(sent > 60, "{sent}");
    assert!(
        upstream.requests().is_empty(),
        "the gateway gets none of it"
    );
}

#[tokio::test]
async fn a_way_in_where_nobody_sets_a_header_is_told_as_wide_open() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    // Nobody in front is as good as one who passes everything on.
    let url = format!("http://{}", sidecar.address);
    let (output, json) = attack(&sidecar, url, &[]).await;
    assert_eq!(output.status.code(), Some(1), "{json:#}");
    let findings = json["findings"].as_array().unwrap();
    let told: Vec<_> = findings
        .iter()
        .map(|found| {
            (
                found["id"].as_str().unwrap(),
                found["place"]["key"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("ATTACK_UNANSWERED", None),
            ("ATTACK_HEADER_BELIEVED", Some("x-forwarded-proto")),
            ("ATTACK_HEADER_BELIEVED", Some("x-forwarded-user")),
        ],
        "{json:#}"
    );
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_header_that_only_the_running_configuration_names_is_refused_as_usage() {
    let upstream = Recorder::spawn().await;
    let gateway = GATEWAY.replace(
        "[\"x-forwarded-proto\"]",
        "[\"x-forwarded-proto\", \"x-proof\"]",
    );
    let sidecar = Setup::new().gateway(&gateway).spawn(&upstream.url());
    let (address, count) = chain(sidecar.address, sidecar.admin, usize::MAX).await;
    let own = ["-H", "X-Proof: s3cret"];
    let (output, _) = attack(&sidecar, format!("http://{address}"), &own).await;
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{complained}");
    assert!(complained.contains("got `x-proof`"), "{complained}");
    assert!(!complained.contains("s3cret"), "{complained}");
    assert_eq!(count.load(Ordering::Relaxed), 1, "no attack was fired");
}

#[tokio::test]
async fn a_certificate_that_is_not_believed_is_told_in_words_with_what_to_do() {
    let upstream = Recorder::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let mut parameters = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    // As `openssl req -x509` makes them.
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
    let tls = format!(
        "[gateway.tls]\ncertPath = {:?}\nkeyPath = {:?}",
        path("cert.pem"),
        path("key.pem")
    );
    let own = Setup::new().section(&tls).spawn(&upstream.url());
    let leaf = Setup::new().tls().spawn(&upstream.url());
    let ca = path("cert.pem");
    for (sidecar, arguments, remedy) in [
        (&own, &["--ca", &ca][..], "CA:TRUE"),
        (&leaf, &[][..], "--ca FILE"),
        (&leaf, &["--ca", &ca][..], "--ca FILE"),
    ] {
        let url = format!("https://{}", sidecar.address);
        let (output, json) = attack(sidecar, url, arguments).await;
        let found = &json["findings"][0];
        assert_eq!(output.status.code(), Some(1), "{json:#}");
        assert_eq!(found["id"], "ATTACK_UNANSWERED");
        let evidence = found["evidence"].as_str().unwrap();
        assert!(
            evidence.contains("its certificate is not believed"),
            "{evidence}"
        );
        assert!(!evidence.contains("OtherError"), "{evidence}");
        let told = found["remedy"].as_str().unwrap();
        assert!(told.contains(remedy) && !told.contains("session"), "{told}");
    }
}

#[tokio::test]
async fn a_probe_that_ends_meanwhile_is_no_pass() {
    // Which could be taken for refusals on the way.
    let upstream =
        Recorder::with_answer("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let (address, _) = chain(sidecar.address, sidecar.admin, 10).await;
    let (output, json) = attack(&sidecar, format!("http://{address}"), &[]).await;
    assert_eq!(output.status.code(), Some(1), "{json:#}");
    assert_eq!(json["findings"][0]["id"], "ATTACK_UNANSWERED", "{json:#}");
    assert!(!upstream.requests().is_empty());
}

/// A proxy in front of `door` that sets the identity, keeps the first answer that `keeps`
/// says, and from then on gives it to the requests whose number `replays` says.
async fn replaying(
    door: SocketAddr,
    keeps: fn(&str) -> bool,
    replays: fn(usize) -> bool,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept: Option<String> = None;
        for number in 1.. {
            let (mut client, _) = listener.accept().await.unwrap();
            let head = read_head(&mut client, &mut Vec::new()).await.unwrap();
            let answer = match &kept {
                Some(kept) if replays(number) => kept.clone(),
                _ => {
                    let (line, fields) = head.split_once("\r\n").unwrap();
                    let request = format!("{line}\r\n{IDENTITY}{}\r\n\r\n", fields.trim_end());
                    let mut upstream = TcpStream::connect(door).await.unwrap();
                    upstream.write_all(request.as_bytes()).await.unwrap();
                    let mut answer = String::new();
                    upstream.read_to_string(&mut answer).await.unwrap();
                    answer
                }
            };
            client.write_all(answer.as_bytes()).await.unwrap();
            if kept.is_none() && keeps(&answer) {
                kept = Some(answer);
            }
        }
    });
    address
}

#[tokio::test]
async fn an_answer_that_is_given_to_another_request_is_no_pass() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let (permit, denial) = ("HTTP/1.1 200", "HTTP/1.1 4");
    let is_permit: fn(&str) -> bool = |answer| answer.starts_with("HTTP/1.1 200");
    let is_denial: fn(&str) -> bool = |answer| answer.starts_with("HTTP/1.1 4");
    let every: fn(usize) -> bool = |_| true;
    // One among the attacks, with everything else as it should be.
    let once: fn(usize) -> bool = |number| number == 40;
    for (kept, keeps, replays, said) in [
        (permit, is_permit, every, "nothing is known"),
        (denial, is_denial, every, "nothing is known"),
        (permit, is_permit, once, "1 of "),
        (denial, is_denial, once, "1 of "),
    ] {
        let address = replaying(sidecar.address, keeps, replays).await;
        let (output, json) = attack(&sidecar, format!("http://{address}"), &[]).await;
        let findings = json["findings"].as_array().unwrap().iter();
        let replayed: Vec<_> = findings
            .filter(|found| found["id"] == "ATTACK_REPLAYED")
            .collect();
        assert_eq!(
            (output.status.code(), replayed.len()),
            (Some(1), 1),
            "{kept}: {json:#}"
        );
        assert_eq!(replayed[0]["severity"], "critical");
        let evidence = replayed[0]["evidence"].as_str().unwrap();
        assert!(evidence.contains(said), "{kept}: {evidence}");
    }
}

/// It could be taken for none, and nothing would say why the listener refuses.
#[tokio::test]
async fn a_token_that_nobody_could_send_is_told_of() {
    let sidecar = Setup::new().spawn("http://127.0.0.1:9");
    for token in [&b"caf\xe9"[..], b"", b"two words"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command
            .args(["doctor", "--attack", "http://127.0.0.1:9"])
            .args(["--admin", &sidecar.admin.to_string()])
            .env_remove("PORTCULLIS_CONFIG")
            .env("PORTCULLIS_ADMIN_TOKEN", OsStr::from_bytes(token));
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.unwrap().unwrap();
        let complained = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{complained}");
        assert!(
            complained.starts_with("portcullis: $PORTCULLIS_ADMIN_TOKEN: the token "),
            "{complained}"
        );
    }
}

#[tokio::test]
async fn an_admin_listener_that_arms_nothing_or_is_not_there_ends_it() {
    let sidecar = Setup::new().spawn("http://127.0.0.1:9");
    let url = format!("http://{}", sidecar.address);
    let session = tempfile::NamedTempFile::new().unwrap();
    session.as_file().set_len((1 << 20) + 1).unwrap();
    let large = format!("@{}", session.path().display());
    for (arguments, code, said) in [
        (
            &["--admin", "127.0.0.1:9"][..],
            1,
            "started with this address (else --admin)?",
        ),
        (&["--admin", "127.0.0.1:0"][..], 1, "expected --admin"),
        (
            &["-H", "X_Forwarded-User: nick@example.com"][..],
            2,
            "got `x_forwarded-user`, which the proxy in front must set",
        ),
        (&["--insecure", "--ca", "x"][..], 2, "cannot be used with"),
        (&["--ca", "/nowhere.pem"][..], 2, "/nowhere.pem"),
        (&["-H", "@/dev/zero"][..], 2, "it is not a regular file"),
        (&["-H", &large][..], 2, "it is larger than"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(["doctor", "--attack", &url]);
        if !arguments.contains(&"--admin") {
            command.args(["--admin", &sidecar.admin.to_string()]);
        }
        command.args(arguments).env_remove("PORTCULLIS_CONFIG");
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.unwrap().unwrap();
        let complained = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{complained}");
        assert!(complained.contains(said), "{complained}");
    }
    assert!(
        sidecar
            .log()
            .iter()
            .all(|line| !line.contains("a probe is answered"))
    );
}
