//! A Unix socket of the front door, where the kernel says who connects.

use crate::client::Connection;
use crate::recorder::Recorder;
use crate::reload::status;
use crate::sidecar::{GATEWAY, IDENTITY, Setup, Sidecar};
use crate::websocket::{close_frame, echo, expect_echo, open_on};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn own_uid() -> u32 {
    nix::unistd::getuid().as_raw()
}

/// A socket in a folder of its own.
fn socket() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("front.sock");
    (folder, path)
}

/// Listens there for processes of `uid`, and on TCP.
fn setup(path: &Path, uid: u32) -> Setup {
    Setup::new().listen(&format!(
        "address = [\"unix:{}\", \"127.0.0.1:0\"]\nunixPeerUids = [{uid}]",
        path.display()
    ))
}

async fn connect(sidecar: &Sidecar) -> Connection {
    Connection::unix(sidecar.unix.as_ref().unwrap()).await
}

#[tokio::test]
async fn a_process_of_a_listed_user_is_a_trusted_proxy() {
    let upstream = Recorder::spawn().await;
    // That it is on this host takes none of what loopback needs.
    let gateway = GATEWAY
        .replace("\"127.0.0.1\", \"::1\"", "\"10.0.0.1\"")
        .replace("allowLoopback = true", "");
    let (_folder, path) = socket();
    for tls in [false, true] {
        let setup = setup(&path, own_uid()).gateway(&gateway);
        let setup = if tls { setup.tls() } else { setup };
        let sidecar = setup.spawn(&upstream.url());
        let mut connection = connect(&sidecar).await;
        let before = upstream.requests().len();
        for (fields, client) in [
            ("", "127.0.0.1"),
            ("x-forwarded-for: 203.0.113.9, 10.0.0.1\r\n", "203.0.113.9"),
        ] {
            let ask = format!("GET /as-{client} HTTP/1.1\r\n{IDENTITY}{fields}");
            let answer = connection.exchange(&ask).await;
            assert_eq!(answer.status, 200, "plain HTTP, TLS or not");
            let request = upstream.requests().pop().unwrap();
            assert_eq!(request.values("x-forwarded-for"), [client]);
            assert_eq!(request.values("x-forwarded-user"), ["nick@example.com"]);
            assert_eq!(request.values("x-forwarded-proto"), ["https"]);
            let line = sidecar
                .logged(|line| line["path"] == format!("/as-{client}"))
                .await;
            assert_eq!(line["source.ip"], format!("unix:{}", own_uid()));
            assert_eq!(line["client.ip"], client);
        }
        // The other listener has its own rules.
        let ask = format!("GET / HTTP/1.1\r\n{IDENTITY}");
        assert_eq!(sidecar.send(&ask).await.status, 403);
        assert_eq!(upstream.requests().len(), before + 2);
    }
}

#[tokio::test]
async fn a_process_of_any_other_user_is_refused_and_closed() {
    let upstream = Recorder::spawn().await;
    let (_folder, path) = socket();
    let sidecar = setup(&path, own_uid() + 1).spawn(&upstream.url());
    let mut connection = connect(&sidecar).await;
    let answer = connection
        .exchange(&format!("GET / HTTP/1.1\r\n{IDENTITY}"))
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "trusted_proxy_untrusted_source")
    );
    assert_eq!(answer.values("connection"), ["close"]);
    assert_eq!(connection.read_to_end().await, b"");
    assert!(upstream.requests().is_empty());
    let denied = sidecar.logged(|line| line["denial.code"].is_string()).await;
    assert_eq!(denied["source.ip"], format!("unix:{}", own_uid()));
}

#[tokio::test]
async fn its_file_goes_with_it_and_is_taken_over_from_the_dead() {
    let upstream = Recorder::spawn().await;
    let (_folder, path) = socket();
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "the standard library leaves it");
    let ask = format!("GET / HTTP/1.1\r\n{IDENTITY}");
    for (signal, is_left) in [("KILL", true), ("TERM", false)] {
        let mut sidecar = setup(&path, own_uid()).spawn(&upstream.url());
        let listeners = status(&sidecar).await["listeners"]["front"].clone();
        assert_eq!(listeners[0], format!("unix:{}", path.display()));
        assert_eq!(listeners[1], sidecar.address.to_string());
        assert_eq!(connect(&sidecar).await.exchange(&ask).await.status, 200);
        sidecar.signal(signal);
        sidecar.wait();
        assert_eq!(path.exists(), is_left, "{signal}");
    }
}

#[test]
fn what_another_process_holds_is_left_to_it_and_the_exit_code_is_1() {
    let (_folder, path) = socket();
    let _other = UnixListener::bind(&path).unwrap();
    let (code, said) = setup(&path, own_uid()).refused();
    assert_eq!(code, Some(1), "{said}");
    let named = ["listen.address".to_owned(), path.display().to_string()];
    assert!(named.iter().all(|name| said.contains(name)), "{said}");
    assert!(path.exists());
    // A file that is no socket is nobody's to remove.
    let file = path.with_extension("txt");
    std::fs::write(&file, "mine").unwrap();
    let (code, said) = setup(&file, own_uid()).refused();
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[tokio::test]
async fn a_users_processes_that_a_reload_takes_off_the_list_lose_their_sessions() {
    let upstream = echo().await;
    let (_folder, path) = socket();
    let sidecar = setup(&path, own_uid()).spawn(&upstream.url());
    let mut session = open_on(connect(&sidecar).await, IDENTITY).await;
    let mut other = open_on(sidecar.connect().await, IDENTITY).await;
    expect_echo(&mut session, "before").await;
    let uids = |uid: u32| format!("unixPeerUids = [{uid}]");
    sidecar.edit(|config| config.replace(&uids(own_uid()), &uids(own_uid() + 1)));
    let (code, answer) = sidecar.reload().await;
    assert_eq!(code, 200, "{answer}");
    assert_eq!(answer["restartRequired"], serde_json::json!([]));
    assert_eq!(session.read_to_end().await, close_frame(4001));
    expect_echo(&mut other, "after").await;
    let ended = sidecar
        .logged(|line| line["revocation.code"].is_string())
        .await;
    assert_eq!(ended["revocation.code"], "trusted_proxy_untrusted_source");
    assert_eq!(ended["source.ip"], format!("unix:{}", own_uid()));
    let answer = connect(&sidecar)
        .await
        .exchange(&format!("GET / HTTP/1.1\r\n{IDENTITY}"))
        .await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn a_user_who_is_not_listed_has_so_many_connections() {
    let upstream = Recorder::spawn().await;
    let (_folder, path) = socket();
    let sidecar = setup(&path, own_uid() + 1)
        .section("[limits]\nmaxConnectionsPerSource = 1")
        .spawn(&upstream.url());
    let _first = connect(&sidecar).await;
    sidecar.counts("portcullis_connections", 1.0).await;
    let mut second = connect(&sidecar).await;
    assert_eq!(second.response(false).await.status, 503);
    sidecar.reached("maxConnectionsPerSource", 1).await;
}
