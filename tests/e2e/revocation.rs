//! What a reload takes away from those whom it no longer permits, and from them alone:
//! their WebSockets.

use crate::client::Connection;
use crate::recorder::Recorder;
use crate::reload::generation;
use crate::sidecar::{GATEWAY, IDENTITY, Setup, Sidecar, until};
use crate::websocket::{SWITCHED, close_frame, echo, expect_echo, frame, open_on};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

const WITHIN: Duration = Duration::from_secs(1);
const REVOKED: &str = "portcullis_revoked_total";
const ALLOWED: &str = "allowUsers = [\"nick@example.com\", \"ada@example.com\"]";
const ADA: &str = "x-forwarded-user: ada@example.com\r\nx-forwarded-proto: https\r\n";

fn user(number: usize) -> String {
    format!("user-{number}@example.com")
}

fn identity(user: &str) -> String {
    IDENTITY.replace("nick@example.com", user)
}

/// What an upstream that echoes has of each user's sessions.
#[derive(Clone, Default)]
struct Sessions(Arc<Mutex<HashMap<String, Account>>>);

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Account {
    bytes: usize,
    ended: usize,
}

impl Sessions {
    async fn spawn(&self) -> Recorder {
        let sessions = self.clone();
        Recorder::with_handler(move |mut stream: TcpStream, head| {
            let sessions = sessions.clone();
            async move {
                let user = head.split("x-forwarded-user: ").nth(1).unwrap();
                let user = user.lines().next().unwrap();
                stream.write_all(SWITCHED).await.unwrap();
                let mut buffer = [0; 1024];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    sessions.note(user, |account| account.bytes += count);
                    let _ = stream.write_all(&buffer[..count]).await;
                }
                sessions.note(user, |account| account.ended += 1);
            }
        })
        .await
    }

    fn note(&self, user: &str, change: impl FnOnce(&mut Account)) {
        change(self.0.lock().unwrap().entry(user.to_owned()).or_default());
    }

    fn of(&self, user: &str) -> Account {
        self.0
            .lock()
            .unwrap()
            .get(user)
            .copied()
            .unwrap_or_default()
    }
}

/// Opens `each` sessions for each of 10 users.
async fn open_all(sidecar: &Sidecar, each: usize) -> Vec<(usize, Connection)> {
    let mut opening = JoinSet::new();
    for number in 0..10 {
        let address = sidecar.address;
        opening.spawn(async move {
            let mut sessions = Vec::new();
            for _ in 0..each {
                let connection = Connection::tcp(address).await;
                let mut session = open_on(connection, &identity(&user(number))).await;
                expect_echo(&mut session, "before").await;
                sessions.push((number, session));
            }
            sessions
        });
    }
    opening.join_all().await.into_iter().flatten().collect()
}

/// Expects that of all those sessions the removed user's are closed in time, nothing of
/// theirs reaches the upstream any more, and all others live.
async fn expect_removed(
    sessions: Vec<(usize, Connection)>,
    removed: usize,
    upstream: &Sessions,
    since: Instant,
) {
    let (gone, others): (Vec<_>, Vec<_>) = sessions
        .into_iter()
        .partition(|(number, _)| *number == removed);
    let (count, name) = (gone.len(), user(removed));
    let before = upstream.of(&name).bytes;
    let mut closing = JoinSet::new();
    for (_, mut session) in gone {
        closing.spawn(async move {
            let told = session.read_exactly(4);
            let told = timeout_at((since + WITHIN).into(), told).await;
            assert_eq!(told.expect("not in time").unwrap(), close_frame(4001));
            // It may go on as it likes.
            for _ in 0..3 {
                let _ = session.try_write(frame(1, b"after")).await;
            }
            assert_eq!(session.read_to_end().await, b"");
        });
    }
    closing.join_all().await;
    let account = until(|| Some(upstream.of(&name)).filter(|account| account.ended == count));
    assert_eq!(account.await.bytes, before, "something came after");
    let mut living = JoinSet::new();
    for (_, mut session) in others {
        living.spawn(async move { expect_echo(&mut session, "after").await });
    }
    assert_eq!(living.join_all().await.len(), 9 * count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_users_hundred_sessions_end_and_nine_hundred_others_live() {
    let counted = Sessions::default();
    let upstream = counted.spawn().await;
    let users = (0..10).map(user).collect::<Vec<_>>();
    let allowed = format!("allowUsers = {users:?}");
    let sidecar = Setup::new()
        .gateway(&GATEWAY.replace(ALLOWED, &allowed))
        .spawn(&upstream.url());
    let sessions = open_all(&sidecar, 100).await;
    sidecar.counts("portcullis_websockets", 1000.0).await;
    sidecar.edit(|config| config.replace(&format!("{:?}, ", users[4]), ""));
    let (code, answer) = sidecar.reload().await;
    let since = Instant::now();
    assert_eq!(code, 200, "{answer}");
    expect_removed(sessions, 4, &counted, since).await;
    assert_eq!(sidecar.metric(REVOKED).await, Some(100.0));
    sidecar.counts("portcullis_websockets", 0.0).await;
    let ended = sidecar
        .logged(|line| line["revocation.code"].is_string())
        .await;
    assert_eq!(ended["user"], users[4]);
    assert_eq!(ended["revocation.code"], "trusted_proxy_user_not_allowed");
    assert_eq!(ended["source.ip"], "127.0.0.1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_is_taken_out_of_the_file_is_removed_without_being_asked() {
    let counted = Sessions::default();
    let upstream = counted.spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users");
    let list = |users: std::ops::Range<usize>| users.map(|number| user(number) + "\n");
    std::fs::write(&file, list(0..10).collect::<String>()).unwrap();
    let from_file = format!("allowUsersFile = \"{}\"", file.display());
    let sidecar = Setup::new()
        .gateway(&GATEWAY.replace(ALLOWED, &from_file))
        .spawn(&upstream.url());
    let sessions = open_all(&sidecar, 20).await;
    std::fs::write(&file, list(0..9).collect::<String>()).unwrap();
    generation(&sidecar, 2).await;
    expect_removed(sessions, 9, &counted, Instant::now()).await;
}

/// Two sessions, of which a reload is to end the first alone.
async fn expect_first_ends(
    sidecar: &Sidecar,
    [mut first, mut second]: [Connection; 2],
    change: impl FnOnce(&str) -> String,
    code: &str,
) {
    for session in [&mut first, &mut second] {
        expect_echo(session, "before").await;
    }
    sidecar.edit(change);
    let (status, answer) = sidecar.reload().await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(first.read_to_end().await, close_frame(4001));
    expect_echo(&mut second, "after").await;
    let is_ended = |line: &serde_json::Value| line["revocation.code"].is_string();
    assert_eq!(sidecar.logged(is_ended).await["revocation.code"], code);
    assert_eq!(sidecar.metric(REVOKED).await, Some(1.0));
}

#[tokio::test]
async fn a_removed_proxys_sessions_end_and_the_other_proxys_live() {
    let upstream = echo().await;
    let sidecar = Setup::new()
        .gateway(&GATEWAY.replace("\"::1\"", "\"127.0.0.2\""))
        .spawn(&upstream.url());
    let removed = Connection::tcp_from("127.0.0.2", sidecar.address).await;
    let kept = Connection::tcp(sidecar.address).await;
    let sessions = [
        open_on(removed, IDENTITY).await,
        open_on(kept, IDENTITY).await,
    ];
    let change = |config: &str| config.replace(", \"127.0.0.2\"", "");
    expect_first_ends(&sidecar, sessions, change, "trusted_proxy_untrusted_source").await;
}

#[tokio::test]
async fn sessions_end_that_a_credential_opened_which_is_gone() {
    let upstream = echo().await;
    let credential = |value: &str| {
        format!("[upstream.credential]\nheader = \"authorization\"\nvalue = \"{value}\"\n")
    };
    let sidecar = Setup::new()
        .section(&credential("first-secret"))
        .section(
            "[[gateway.publicRoutes]]\npath = \"/ws\"\nmethods = [\"GET\"]\nwebsocket = true\n\
             sources = [\"127.0.0.2\"]\n",
        )
        .spawn(&upstream.url());
    // A public route's has none of it.
    let public = Connection::tcp_from("127.0.0.2", sidecar.address).await;
    let mut sessions = [
        open_on(sidecar.connect().await, IDENTITY).await,
        open_on(public, "").await,
    ];
    let shown = upstream.requests();
    assert_eq!(shown[0].values("authorization"), ["Bearer first-secret"]);
    assert!(shown[1].values("authorization").is_empty());
    // Another value is no other permission: the gateway may have checked the old one.
    sidecar.edit(|config| config.replace("first-secret", "second-secret"));
    assert_eq!(sidecar.reload().await.0, 200);
    for session in &mut sessions {
        expect_echo(session, "rotated").await;
    }
    assert_eq!(sidecar.metric(REVOKED).await, Some(0.0));
    let change = |config: &str| config.replace(&credential("second-secret"), "");
    expect_first_ends(&sidecar, sessions, change, "credential_gone").await;
}

#[tokio::test]
async fn sessions_end_that_hold_more_than_their_users_ceiling_now() {
    let upstream = echo().await;
    let ceilings = |scopes: &str| {
        format!(
            "[gateway.auth.trustedProxy.scopeCeilings]\n\"nick@example.com\" = [{scopes}]\n\
             \"*\" = [\"operator.read\"]\n"
        )
    };
    let both = "\"operator.read\", \"operator.write\"";
    let gateway = format!("{GATEWAY}{}", ceilings(both));
    let sidecar = Setup::new().gateway(&gateway).spawn(&upstream.url());
    let cut = format!("{IDENTITY}x-openclaw-scopes: operator.read\r\n");
    let mut sessions = Vec::new();
    for fields in [IDENTITY, &cut, ADA] {
        sessions.push(open_on(sidecar.connect().await, fields).await);
    }
    let [full, mut cut, ada] = sessions.try_into().ok().unwrap();
    // Wider: nobody holds more than they may.
    let wide = format!("{both}, \"operator.admin\"");
    sidecar.edit(|config| config.replace(&ceilings(both), &ceilings(&wide)));
    assert_eq!(sidecar.reload().await.0, 200);
    expect_echo(&mut cut, "wider").await;
    let change = |config: &str| config.replace(&wide, "\"operator.read\"");
    expect_first_ends(&sidecar, [full, ada], change, "scopes_cut").await;
    expect_echo(&mut cut, "narrower").await;
}

/// An upstream that stops in the middle of a large frame, and may be told to end it.
async fn half_a_frame() -> (Recorder, Arc<Notify>) {
    let go_on = Arc::new(Notify::new());
    let upstream = Recorder::with_handler({
        let go_on = go_on.clone();
        move |mut stream: TcpStream, _| {
            let go_on = go_on.clone();
            async move {
                let frame = large_frame();
                stream.write_all(SWITCHED).await.unwrap();
                stream.write_all(&frame[..HALF]).await.unwrap();
                go_on.notified().await;
                let _ = stream.write_all(&frame[HALF..]).await;
                let _ = stream.write_all(b"\x81\x04more").await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }
    })
    .await;
    (upstream, go_on)
}

const HALF: usize = 500_000;

/// As a server sends it: without a mask.
fn large_frame() -> Vec<u8> {
    let length = 1_000_000_u64;
    let head = [&[0x82, 127][..], &length.to_be_bytes()].concat();
    [head, vec![7; 1_000_000]].concat()
}

#[tokio::test]
async fn a_frame_under_way_is_ended_before_the_session_is_closed() {
    let (upstream, go_on) = half_a_frame().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut session = open_on(sidecar.connect().await, ADA).await;
    let frame = large_frame();
    assert!(session.read_exactly(HALF).await.unwrap() == frame[..HALF]);
    sidecar.edit(|config| config.replace(", \"ada@example.com\"", ""));
    assert_eq!(sidecar.reload().await.0, 200);
    sidecar.counts(REVOKED, 1.0).await;
    go_on.notify_one();
    let rest = session.read_to_end().await;
    assert!(rest == [&frame[HALF..], &close_frame(4001)].concat());
}

#[tokio::test]
async fn a_frame_that_never_ends_holds_no_session_open() {
    let (upstream, _go_on) = half_a_frame().await;
    let sidecar = Setup::new().spawn(&upstream.url());
    let mut session = open_on(sidecar.connect().await, ADA).await;
    sidecar.edit(|config| config.replace(", \"ada@example.com\"", ""));
    assert_eq!(sidecar.reload().await.0, 200);
    let since = Instant::now();
    // No code can be put into a frame: the connection's end has to do.
    assert!(session.read_to_end().await == large_frame()[..HALF]);
    assert!(since.elapsed() < WITHIN, "{:?}", since.elapsed());
    sidecar.counts("portcullis_websockets", 0.0).await;
}
