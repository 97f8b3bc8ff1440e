//! Starting and stopping.

use crate::client::complete;
use crate::recorder::Recorder;
use crate::sidecar::{IDENTITY, Setup, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

#[tokio::test]
async fn a_request_under_way_ends_after_sigterm_and_the_exit_is_clean() {
    let go_on = Arc::new(Notify::new());
    let upstream = Recorder::with_handler({
        let go_on = go_on.clone();
        move |mut stream, _| {
            let go_on = go_on.clone();
            async move {
                go_on.notified().await;
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")
                    .await
                    .unwrap();
            }
        }
    })
    .await;
    let mut sidecar = Setup::new().spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    connection
        .write(complete(&format!("GET / HTTP/1.1\r\n{IDENTITY}")))
        .await;
    upstream.nth(1).await;
    sidecar.signal("TERM");
    sidecar.logged(|line| line["message"] == "draining").await;
    let address = sidecar.address;
    until(|| std::net::TcpStream::connect(address).is_err().then_some(())).await;
    go_on.notify_one();
    let answer = connection.response(false).await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"done"[..]));
    assert_eq!(answer.values("connection"), ["close"]);
    assert_eq!(sidecar.wait().code(), Some(0));
}

#[tokio::test]
async fn no_request_fails_when_sigterm_comes_under_load() {
    let upstream = Recorder::spawn().await;
    let mut sidecar = Setup::new()
        .section("[log]\naccess = false")
        .spawn(&upstream.url());
    let (address, served) = (sidecar.address, Arc::new(AtomicUsize::new(0)));
    let stopped = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let (served, stopped) = (served.clone(), stopped.clone());
            tokio::spawn(async move {
                let request = complete(&format!("GET / HTTP/1.1\r\n{IDENTITY}"));
                let mut connection = crate::client::Connection::tcp(address).await;
                loop {
                    if connection.try_write(&request).await.is_err() {
                        // Only a connection that had been idle may be closed.
                        assert!(stopped.load(Ordering::Relaxed));
                        return;
                    }
                    let answer = connection
                        .try_response()
                        .await
                        .expect("an accepted request failed");
                    assert_eq!(answer.status, 200);
                    served.fetch_add(1, Ordering::Relaxed);
                    if answer.values("connection") == ["close"] {
                        return;
                    }
                }
            })
        })
        .collect();
    until(|| (served.load(Ordering::Relaxed) > 500).then_some(())).await;
    stopped.store(true, Ordering::Relaxed);
    sidecar.signal("TERM");
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(sidecar.wait().code(), Some(0));
}

#[tokio::test]
async fn the_grace_time_ends_early_when_nothing_is_left() {
    let upstream = Recorder::spawn().await;
    let mut sidecar = Setup::new()
        .section("[limits]\nshutdownGrace = \"60s\"")
        .spawn(&upstream.url());
    let mut idle = sidecar.connect().await;
    assert_eq!(
        idle.exchange(&format!("GET / HTTP/1.1\r\n{IDENTITY}"))
            .await
            .status,
        200
    );
    sidecar.signal("TERM");
    assert!(idle.read_to_end().await.is_empty());
    assert_eq!(sidecar.wait().code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let upstream = Recorder::silent().await;
    let mut sidecar = Setup::new()
        .section("[limits]\nshutdownGrace = \"60s\"")
        .spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    connection
        .write(complete(&format!("GET / HTTP/1.1\r\n{IDENTITY}")))
        .await;
    upstream.nth(1).await;
    sidecar.signal("TERM");
    sidecar.logged(|line| line["message"] == "draining").await;
    sidecar.signal("TERM");
    assert_eq!(sidecar.wait().code(), Some(0));
}

#[tokio::test]
async fn sighup_does_not_kill() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    sidecar.signal("HUP");
    sidecar.logged(|line| line["level"] == "WARN").await;
    assert_eq!(
        sidecar
            .send(&format!("GET / HTTP/1.1\r\n{IDENTITY}"))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_taken_port_is_named_and_the_exit_code_is_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portcullis.toml");
    let address = taken.local_addr().unwrap();
    std::fs::write(
        &path,
        format!(
            "[listen]\naddress = \"{address}\"\n[upstream]\nurl = \"http://127.0.0.1:1\"\n[gateway]{}\n",
            crate::sidecar::GATEWAY
        ),
    )
    .unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["run", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains(&address.to_string()) && said.contains("listen.address"),
        "{said}"
    );
}
