use super::*;
use crate::drain::{self, DrainControl};
use std::future::pending;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const HOUR: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(50);
const UNBOUNDED: Bounds = Bounds {
    idle: HOUR,
    lifetime: HOUR,
};

/// A tunnel with both of its far ends.
struct Fixture {
    tunnel: Tunnel,
    client: UnixStream,
    upstream: UnixStream,
    drain: DrainWatch,
    // Without it the process would be ending.
    _control: DrainControl,
}

impl Fixture {
    fn new() -> Self {
        let (client, near_client) = UnixStream::pair().unwrap();
        let (upstream, near_upstream) = UnixStream::pair().unwrap();
        let side = |stream| Side {
            transport: Transport::Unix(stream),
            early: Vec::new(),
        };
        let (control, drain) = drain::channel();
        Self {
            tunnel: Tunnel::new(side(near_client), side(near_upstream)),
            client,
            upstream,
            drain: drain.watch(),
            _control: control,
        }
    }
}

async fn read_to_end(stream: &mut UnixStream) -> Vec<u8> {
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    read
}

#[tokio::test]
async fn a_tunnel_that_is_used_all_the_time_ends_when_its_life_is_over() {
    let Fixture {
        tunnel,
        mut client,
        mut upstream,
        drain,
        _control,
    } = Fixture::new();
    let bounds = Bounds {
        lifetime: SOON,
        ..UNBOUNDED
    };
    let began = Instant::now();
    let running = tokio::spawn(tunnel.run(drain, pending::<()>(), bounds));
    let mut told = Vec::new();
    // One frame at a time, until it is the other one that comes.
    while !told.ends_with(&frames::close_frame(1001)) {
        let _ = upstream.write_all(b"\x81\x02hi").await;
        assert!(client.read_buf(&mut told).await.unwrap() > 0, "{told:?}");
    }
    assert!(began.elapsed() >= SOON);
    assert_eq!((told.len() - 4) % 4, 0, "between two frames");
    drop((client, upstream));
    let relayed = running.await.unwrap();
    assert_eq!(relayed.closed_for, Some(Closed::Lifetime));
}

#[tokio::test]
async fn a_tunnel_in_which_nothing_passes_ends() {
    let Fixture {
        tunnel,
        mut client,
        mut upstream,
        drain,
        _control,
    } = Fixture::new();
    let bounds = Bounds {
        idle: SOON,
        ..UNBOUNDED
    };
    let running = tokio::spawn(tunnel.run(drain, pending::<()>(), bounds));
    assert_eq!(read_to_end(&mut client).await, frames::close_frame(1001));
    drop(client);
    assert!(read_to_end(&mut upstream).await.is_empty());
    drop(upstream);
    let relayed = running.await.unwrap();
    assert_eq!(relayed.closed_for, Some(Closed::Idle));
}

#[tokio::test]
async fn a_client_that_does_not_say_goodbye_is_not_waited_for() {
    let Fixture {
        tunnel,
        client: _client,
        upstream: _upstream,
        drain,
        _control,
    } = Fixture::new();
    let began = Instant::now();
    let relayed = tunnel.run(drain, std::future::ready(()), UNBOUNDED).await;
    assert_eq!(relayed.closed_for, Some(Closed::Revoked));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn what_a_client_sends_after_its_revocation_reaches_nobody() {
    let Fixture {
        tunnel,
        mut client,
        mut upstream,
        drain,
        _control,
    } = Fixture::new();
    let (revoke, revoked) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(tunnel.run(drain, revoked, UNBOUNDED));
    client.write_all(b"before").await.unwrap();
    upstream.read_exact(&mut [0; 6]).await.unwrap();
    // In the sockets before the tunnel hears of it: both are ready at once then.
    client.write_all(b"after").await.unwrap();
    revoke.send(()).unwrap();
    let mut told = [0; 4];
    client.read_exact(&mut told).await.unwrap();
    assert_eq!(told, frames::close_frame(4001));
    let _ = client.write_all(b"and more").await;
    drop(client);
    assert!(read_to_end(&mut upstream).await.is_empty());
    drop(upstream);
    let relayed = running.await.unwrap();
    assert_eq!(relayed.closed_for, Some(Closed::Revoked));
}

#[test]
fn the_bounds_are_limits_of_their_own() {
    assert_eq!(Closed::Idle.limit(), Some(Limit::WebsocketIdleTimeout));
    assert_eq!(Closed::Lifetime.limit(), Some(Limit::WebsocketMaxLifetime));
    assert_eq!(Closed::Drain.limit().or(Closed::Revoked.limit()), None);
}
