//! A permission that is taken away while something lives on it.

use crate::client::Connection;
use crate::corpus::Script;
use crate::front_end::Portcullis;
use crate::upstream::Upstream;
use std::time::{Duration, Instant};

/// `Sec-WebSocket-Accept` for the key below (RFC 6455 section 1.3).
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
    connection: upgrade\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// A close frame of the server's side with its code: the policy has changed.
const CLOSED: [u8; 4] = [0x88, 0x02, 0x0f, 0xa1];

#[tokio::test]
async fn a_removed_users_websocket_is_closed_and_nobody_elses() {
    let upstream = Upstream::spawn().await.unwrap();
    let mut portcullis = Portcullis::new(&upstream);
    let sidecar = portcullis.plain("plain");
    let mut open = Vec::new();
    for user in ["nick@example.com", "ada@example.com"] {
        upstream.script(&Script {
            answer: SWITCHED.to_owned(),
            early: false,
        });
        let mut connection = Connection::tcp(sidecar.address).await;
        let handshake = format!(
            "GET /ws HTTP/1.1\r\nx-forwarded-user: {user}\r\nx-forwarded-proto: https\r\n\
             connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        );
        assert_eq!(connection.exchange(&handshake).await.status, 101);
        open.push(connection);
    }
    sidecar.edit(|config| config.replace("\"nick@example.com\", ", ""));
    let (status, answer) = sidecar.reload().await;
    assert_eq!(status, 200, "{answer}");
    let reloaded = Instant::now();
    let frame = open[0].read_exactly(CLOSED.len()).await.expect("a frame");
    assert!(
        reloaded.elapsed() < Duration::from_secs(1),
        "{:?}",
        reloaded.elapsed()
    );
    // What follows the code is a reason for people.
    assert_eq!((frame[0], &frame[2..]), (CLOSED[0], &CLOSED[2..]));
    // Another user's tunnel still carries what is sent.
    upstream.take();
    let ping = [0x89, 0x80, 1, 2, 3, 4];
    open[1].write(ping).await;
    crate::sidecar::until(|| {
        let raw = upstream.take().raw;
        raw.windows(ping.len())
            .any(|bytes| bytes == ping)
            .then_some(())
    })
    .await;
}
