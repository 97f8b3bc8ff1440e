//! Rotation under load: tokens and certificates alternate while requests, new
//! connections and WebSockets go on.
//!
//! Ten seconds here; `make soak-reload` runs it for thirty.

use crate::client::{Connection, client_config, complete, tls_stream};
use crate::recorder::Recorder;
use crate::sidecar::{IDENTITY, PATIENCE, Setup, Sidecar, write_certificate};
use crate::websocket::{SWITCHED, UPGRADE, frame};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const RELOADS: usize = 100;
const WEBSOCKETS: usize = 50;
const TOKENS: [&str; 2] = [
    "token-aaaaaaaaaaaaaaaaaaaaaaaa",
    "token-bbbbbbbbbbbbbbbbbbbbbbbb",
];

/// How often the upstream saw each token, and anything else.
#[derive(Default)]
struct Seen {
    tokens: [AtomicUsize; 2],
    others: AtomicUsize,
}

/// Counts tokens, answers requests and echoes WebSockets.
async fn gateway(seen: Arc<Seen>) -> Recorder {
    Recorder::counting(move |head| {
        let token = head
            .lines()
            .find_map(|line| line.strip_prefix("authorization: Bearer "));
        match TOKENS.iter().position(|known| Some(*known) == token) {
            Some(index) => &seen.tokens[index],
            None => &seen.others,
        }
        .fetch_add(1, Ordering::Relaxed);
        if head.contains("upgrade: websocket") {
            crate::recorder::Reply::Echo(SWITCHED)
        } else {
            crate::recorder::Reply::Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        }
    })
    .await
}

fn replace(path: &Path, content: &[u8]) {
    let next = path.with_extension("next");
    fs::write(&next, content).unwrap();
    fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(next, path).unwrap();
}

/// Two identities, and the place from which one of them is served.
struct Certificates {
    served: PathBuf,
    pairs: [(Vec<u8>, Vec<u8>); 2],
    /// Both certificates, for clients to trust.
    both: PathBuf,
}

impl Certificates {
    fn new(folder: &Path, served: PathBuf) -> Self {
        let pairs = [1, 2].map(|_| {
            write_certificate(folder);
            let read = |name| fs::read(folder.join(name)).unwrap();
            (read("cert.pem"), read("key.pem"))
        });
        let both = folder.join("both.pem");
        fs::write(&both, [&pairs[0].0[..], &pairs[1].0].concat()).unwrap();
        Self {
            served,
            pairs,
            both,
        }
    }

    fn serve(&self, index: usize) {
        let (certificate, key) = &self.pairs[index];
        replace(&self.served.join("cert.pem"), certificate);
        replace(&self.served.join("key.pem"), key);
    }
}

/// New connections, one request each, until told to stop. Says how many.
async fn visit(sidecar: &Sidecar, trusted: &Path, stop: &AtomicBool) -> usize {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut connection = Connection::tls(sidecar.address, trusted, b"http/1.1").await;
        let answer = connection
            .exchange(&format!("GET / HTTP/1.1\r\n{IDENTITY}"))
            .await;
        assert_eq!(answer.status, 200);
        count += 1;
    }
    count
}

#[allow(
    clippy::print_stdout,
    reason = "what was measured, for `make soak-reload`"
)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_reloads_under_load_lose_nothing() {
    let seconds: u64 = std::env::var("PORTCULLIS_LOAD_SECONDS")
        .map_or(10, |seconds| seconds.parse().expect("a number of seconds"));
    let seen = Arc::new(Seen::default());
    let upstream = gateway(seen.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    replace(&token, TOKENS[0].as_bytes());
    let sidecar = Setup::new()
        .tls()
        .section(&format!(
            "[upstream.credential]\nheader = \"authorization\"\n\
             value = {{ source = \"file\", provider = \"token\", id = \"value\" }}\n\
             [secrets.providers.token]\nsource = \"file\"\nmode = \"singleValue\"\npath = \"{}\"\n\
             [log]\naccess = false\n",
            token.display()
        ))
        .spawn(&upstream.url());
    let sidecar = Arc::new(sidecar);
    let certificates = Certificates::new(
        folder.path(),
        sidecar.certificate().parent().unwrap().to_owned(),
    );
    certificates.serve(0);
    assert_eq!(sidecar.reload().await.0, 200);

    let config = client_config(&certificates.both, b"http/1.1");
    let mut websockets = Vec::new();
    for _ in 0..WEBSOCKETS {
        let mut stream = tls_stream(sidecar.address, config.clone()).await.unwrap();
        let handshake = complete(&format!("GET /ws HTTP/1.1\r\n{IDENTITY}{UPGRADE}"));
        stream.write_all(handshake.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101"));
        websockets.push(stream);
    }

    let url = format!("https://{}/", sidecar.address);
    let wrk = tokio::task::spawn_blocking(move || {
        Command::new("wrk")
            .args(["-t2", "-c32", &format!("-d{seconds}s"), "--latency"])
            .args(["-H", "x-forwarded-user: nick@example.com"])
            .args(["-H", "x-forwarded-proto: https"])
            .arg(url)
            .output()
            .expect("wrk is needed: `make test` installs it")
    });
    let stop = Arc::new(AtomicBool::new(false));
    let visitor = tokio::spawn({
        let (sidecar, trusted, stop) = (sidecar.clone(), certificates.both.clone(), stop.clone());
        async move { visit(&sidecar, &trusted, &stop).await }
    });

    let began = Instant::now();
    for round in 1..=RELOADS {
        replace(&token, TOKENS[round % 2].as_bytes());
        certificates.serve(round % 2);
        let (status, answer) = sidecar.reload().await;
        assert_eq!(status, 200, "{answer}");
        // Spread over the load's time.
        let due = Duration::from_secs(seconds) * round as u32 / RELOADS as u32;
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
    }
    let output = wrk.await.unwrap();
    stop.store(true, Ordering::Relaxed);
    let visits = visitor.await.unwrap();

    let said = String::from_utf8(output.stdout).unwrap();
    println!("{said}{visits} new connections, {RELOADS} reloads in {seconds} s");
    assert!(output.status.success(), "{said}");
    assert!(
        !said.contains("Non-2xx") && !said.contains("Socket errors"),
        "{said}"
    );
    assert_eq!(
        seen.others.load(Ordering::Relaxed),
        0,
        "a token was torn or missing"
    );
    for (token, count) in TOKENS.iter().zip(&seen.tokens) {
        assert!(
            count.load(Ordering::Relaxed) > RELOADS,
            "{token} was hardly seen"
        );
    }
    for stream in &mut websockets {
        let sent = frame(1, b"still here");
        stream.write_all(&sent).await.unwrap();
        let mut got = vec![0; sent.len()];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut got))
            .await
            .expect("a WebSocket is dead")
            .unwrap();
        assert_eq!(got, sent);
    }

    // The last round left this one in force, and a broken rotation leaves it there.
    let before = [0, 1].map(|index| seen.tokens[index].load(Ordering::Relaxed));
    fs::remove_file(&token).unwrap();
    let (status, answer) = sidecar.reload().await;
    assert_eq!(status, 422, "{answer}");
    let mut connection = Connection::tls(sidecar.address, &certificates.both, b"http/1.1").await;
    let served = connection
        .exchange(&format!("GET / HTTP/1.1\r\n{IDENTITY}"))
        .await;
    assert_eq!(served.status, 200);
    let after = [0, 1].map(|index| seen.tokens[index].load(Ordering::Relaxed));
    assert_eq!(after, [before[0] + 1, before[1]]);
    assert_eq!(sidecar.admin("GET /readyz").await.status, 200);
    let status = sidecar.admin("GET /status").await.json();
    let problem = &status["lastReload"]["problems"][0];
    assert_eq!(problem["key"], "upstream.credential.value", "{status}");
    assert_eq!(problem["code"], "SECRET_PROVIDER_UNAVAILABLE", "{status}");
}
