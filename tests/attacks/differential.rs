//! Whatever bytes a client sends: the upstream sees a request for each permit that
//! the log tells of and no other, each for the user whom the permit names.

mod generate;

use crate::client::tls_stream;
use crate::corpus::Protocol;
use crate::front_end::{FrontEnd, Portcullis};
use crate::sidecar::{PATIENCE, until};
use crate::upstream::{Arrived, Upstream};
use crate::verdict::fold;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const USERS: [&str; 2] = ["nick@example.com", "ada@example.com"];

/// After so long a silence a client that has said all hangs up.
const SILENCE: Duration = Duration::from_millis(50);

/// An access line: what was decided, and for whom.
struct Decision {
    /// It ended as a permitted request does.
    is_served: bool,
    /// Whom it was permitted for, if it was.
    user: Option<String>,
}

/// What became of a connection.
struct Played {
    decisions: BTreeMap<String, Decision>,
    requests: Vec<Arrived>,
    /// The client hung up first, maybe on a request that was under way.
    hung_up: bool,
}

struct World {
    protocol: Protocol,
    upstream: Upstream,
    portcullis: Portcullis,
    /// Lines of the log that were looked at before.
    seen: usize,
    count: usize,
}

impl World {
    /// Sends `bytes`: what the log and the upstream know of it.
    async fn play(&mut self, bytes: &[u8]) -> Played {
        let mark = self.portcullis.mark("plain").unwrap();
        let hung_up = match mark.tls.clone().filter(|_| self.protocol == Protocol::Tls) {
            Some((address, config)) => send(tls_stream(address, config).await, bytes).await,
            None => send(TcpStream::connect(mark.plain.unwrap()).await, bytes).await,
        };
        // Lines are written in their order: with this one all of them are there.
        self.count += 1;
        let last = format!("/last-{}", self.count);
        mark.ask(&last, self.protocol).await.unwrap();
        let sidecar = match self.protocol {
            Protocol::H1 => self.portcullis.plain("plain"),
            Protocol::Tls | Protocol::H2 => self.portcullis.tls("plain"),
        };
        let seen = &mut self.seen;
        let mut lines: Vec<serde_json::Value> = Vec::new();
        until(|| {
            let new = sidecar.log_after(*seen);
            *seen += new.len();
            lines.extend(
                new.iter()
                    .filter_map(|line| serde_json::from_str(line).ok()),
            );
            lines
                .iter()
                .any(|line| line["path"] == last.as_str())
                .then_some(())
        })
        .await;
        let decisions = lines
            .iter()
            .filter(|line| line["decision"].is_string() && line["path"] != last.as_str())
            .map(|line| {
                let text = |key: &str| line[key].as_str().map(str::to_owned);
                let decision = Decision {
                    is_served: line["decision"] == "permitted",
                    user: text("user"),
                };
                (text("request.id").unwrap(), decision)
            })
            .collect();
        let mut arrivals = self.upstream.take();
        assert!(arrivals.without(&last));
        Played {
            decisions,
            requests: arrivals.requests,
            hung_up,
        }
    }
}

/// Sends `bytes` and waits for the end; `true`: it had to hang up.
async fn send<S>(connected: std::io::Result<S>, bytes: &[u8]) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = connected.unwrap();
    // Refused, it may be closed while it is written to.
    let _ = stream.write_all(bytes).await;
    let _ = stream.flush().await;
    let mut hung_up = false;
    let mut buffer = [0; 4096];
    loop {
        let patience = if hung_up { PATIENCE } else { SILENCE };
        match timeout(patience, stream.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => return hung_up,
            Ok(Ok(_)) => {}
            Err(_) => {
                assert!(!hung_up, "it is not closed after {bytes:?}");
                hung_up = true;
                let _ = stream.shutdown().await;
            }
        }
    }
}

#[test]
fn the_upstream_sees_what_was_permitted_and_nothing_else() {
    holds(Protocol::H1, 300);
}

#[test]
fn over_tls_it_sees_no_more() {
    holds(Protocol::Tls, 200);
}

/// Plays so many connections, or as many as `PROPTEST_CASES` asks for if that is more.
fn holds(protocol: Protocol, cases: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let upstream = runtime.block_on(Upstream::spawn()).unwrap();
    let mut world = World {
        protocol,
        portcullis: Portcullis::new(&upstream),
        upstream,
        seen: 0,
        count: 0,
    };
    let _entered = runtime.enter();
    let world = std::cell::RefCell::new(&mut world);
    let (permitted, refused) = (Cell::new(0), Cell::new(0));
    let asked = std::env::var("PROPTEST_CASES").ok();
    let asked = asked.and_then(|text| text.parse().ok());
    let mut runner = TestRunner::new(Config {
        cases: cases.max(asked.unwrap_or_default()),
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&generate::connection(), |bytes| {
            let played = runtime.block_on(world.borrow_mut().play(&bytes));
            let decisions = played.decisions.values();
            let served = decisions.filter(|decision| decision.is_served).count();
            permitted.set(permitted.get() + served);
            refused.set(refused.get() + played.decisions.len() - served);
            check(&bytes, &played).map_err(|problem| {
                let sent = String::from_utf8_lossy(&bytes);
                TestCaseError::fail(format!("{problem}, after {sent:?}"))
            })
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let (permitted, refused) = (permitted.get(), refused.get());
    let enough = cases as usize / 3;
    assert!(
        permitted > enough && refused > enough,
        "too tame or too wild: {permitted} permitted, {refused} refused"
    );
}

fn check(bytes: &[u8], played: &Played) -> Result<(), String> {
    let Played {
        decisions,
        requests,
        hung_up,
    } = played;
    let mut whole = Vec::new();
    for request in requests {
        let only = |name| only(request, name);
        let id = only("x-request-id")?;
        let decision = decisions
            .get(id)
            .ok_or_else(|| format!("nothing was decided on {id}"))?;
        let user = only("x-forwarded-user")?;
        if !USERS.contains(&user) || decision.user.as_deref() != Some(user) {
            return Err(format!("{user:?}, and the log says {:?}", decision.user));
        }
        let is_sent = |text: &str| {
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        if !is_sent(user) {
            return Err(format!("nobody has said {user:?}"));
        }
        for name in ["x-forwarded-for", "x-real-ip"] {
            let client = only(name)?;
            if client.parse::<IpAddr>().is_err() || !(client == "127.0.0.1" || is_sent(client)) {
                return Err(format!("{name} is {client:?}"));
            }
        }
        if !["http", "https"].contains(&only("x-forwarded-proto")?) {
            return Err("x-forwarded-proto is neither".to_owned());
        }
        for name in ["host", "x-forwarded-host", "x-forwarded-port"] {
            only(name)?;
        }
        if let Some((name, _)) = request.fields().find(|(name, _)| is_foreign(name)) {
            return Err(format!("{name} got through"));
        }
        if request.is_whole {
            whole.push(id.to_owned());
        }
    }
    whole.sort();
    let served = decisions.iter().filter(|(_, decision)| decision.is_served);
    let mut served: Vec<_> = served.map(|(id, _)| id.clone()).collect();
    // Who hangs up may have had a request at the upstream, and is logged as gone.
    if *hung_up {
        served.extend(whole.iter().filter(|id| !decisions[*id].is_served).cloned());
        served.sort();
    }
    if whole != served {
        return Err(format!(
            "the upstream got {whole:?}, permitted were {served:?}"
        ));
    }
    Ok(())
}

/// The one value of a field, under whatever spelling a server might take for it.
fn only<'a>(request: &'a Arrived, name: &str) -> Result<&'a str, String> {
    let values: Vec<_> = request
        .fields()
        .filter(|(field, _)| fold(field) == name)
        .collect();
    match values[..] {
        [(field, value)] if field.eq_ignore_ascii_case(name) => Ok(value),
        _ => Err(format!("{name} came as {values:?}")),
    }
}

/// What only a client can have sent.
fn is_foreign(name: &str) -> bool {
    let name = fold(name);
    let ours = [
        "x-forwarded-user",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
    ];
    (name.starts_with("x-forwarded-") && !ours.contains(&name.as_str()))
        || ["remote-user", "forwarded", "x-openclaw-scopes"].contains(&name.as_str())
}
