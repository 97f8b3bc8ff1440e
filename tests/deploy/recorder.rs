//! Servers of one thread per connection that keep what they were sent: the gateway's stand-in, and
//! the one for oauth2-proxy.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The answer to the key of [`crate::client::WEBSOCKET_KEY`] (RFC 6455 §1.3).
const WEBSOCKET_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The session cookie that the stand-in for oauth2-proxy knows, and whose it is.
pub(crate) const SESSIONS: [(&str, &str); 2] = [
    ("nicks-session", "nick@example.com"),
    ("eves-session", "eve@example.com"),
];

/// The head of a request, as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Head(String);

impl Head {
    /// Every value of a header, in order; names are compared without case.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.headers()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v)
            .collect()
    }

    /// Name and value of every header.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(n, v)| (n, v.trim()))
    }

    /// All of it.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    fn first(&self, name: &str) -> Option<&str> {
        self.values(name).first().copied()
    }

    /// Without its query, which Caddy's forward_auth passes on.
    fn path(&self) -> &str {
        let target = self.0.split_ascii_whitespace().nth(1).unwrap_or("");
        target.split_once('?').map_or(target, |(path, _)| path)
    }
}

/// A server on loopback that answers by a function of the head and remembers each head.
pub(crate) struct Recorder {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<Head>>>,
}

impl Recorder {
    /// The gateway's stand-in: 200 `reached the upstream`, 403 at `/forbidden`, 101 and an echo for a
    /// WebSocket.
    pub(crate) fn gateway() -> Self {
        Self::serve(|head| {
            if head
                .first("upgrade")
                .is_some_and(|v| v.eq_ignore_ascii_case("websocket"))
            {
                return format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: {WEBSOCKET_ACCEPT}\r\n\r\n"
                );
            }
            let (status, body) = match head.path() {
                "/forbidden" => ("403 Forbidden", "the gateway itself says no"),
                _ => ("200 OK", "reached the upstream"),
            };
            format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        })
    }

    /// oauth2-proxy's stand-in, as it answers with `set_xauthrequest`: 202 and the user for a session
    /// that it knows, else 401; its own pages say so.
    pub(crate) fn oauth2_proxy() -> Self {
        Self::serve(|head| {
            if head.path() != "/oauth2/auth" {
                let body = "a page of oauth2-proxy";
                return format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
            }
            let cookie = head.first("cookie").unwrap_or("");
            match SESSIONS
                .iter()
                .find(|(session, _)| cookie.contains(&format!("_oauth2_proxy={session}")))
            {
                Some((_, user)) => format!(
                    "HTTP/1.1 202 Accepted\r\nX-Auth-Request-User: {user}\r\nX-Auth-Request-Email: {user}\r\n\
                     Content-Length: 0\r\n\r\n"
                ),
                None => "HTTP/1.1 401 Unauthorized\r\nContent-Length: 13\r\n\r\nUnauthorized\n"
                    .to_owned(),
            }
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The heads that came so far.
    pub(crate) fn heads(&self) -> Vec<Head> {
        self.heads.lock().unwrap().clone()
    }

    /// The one request that came.
    pub(crate) fn only_head(&self) -> Head {
        let heads = self.heads();
        assert_eq!(heads.len(), 1, "expected one request, got {heads:#?}");
        heads[0].clone()
    }

    fn serve(answer: fn(&Head) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let heads = Arc::clone(&kept);
                thread::spawn(move || converse(stream, answer, &heads));
            }
        });
        Self { address, heads }
    }
}

fn converse(mut stream: TcpStream, answer: fn(&Head) -> String, heads: &Mutex<Vec<Head>>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
    while let Some(head) = read_head(&mut stream) {
        heads.lock().unwrap().push(head.clone());
        let text = answer(&head);
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
        if text.starts_with("HTTP/1.1 101") {
            return echo(stream);
        }
    }
}

/// Reads byte by byte, so that nothing behind the head is lost.
fn read_head(stream: &mut TcpStream) -> Option<Head> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    Some(Head(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Sends each short text frame back, unmasked as a server must (RFC 6455 §5.1).
fn echo(mut stream: TcpStream) {
    let mut start = [0; 6];
    while stream.read_exact(&mut start).is_ok() {
        let [opcode, length, mask @ ..] = start;
        let mut payload = vec![0; usize::from(length & 0x7f)];
        if stream.read_exact(&mut payload).is_err() {
            return;
        }
        payload
            .iter_mut()
            .zip(mask.iter().cycle())
            .for_each(|(byte, key)| *byte ^= key);
        let mut frame = vec![opcode, length & 0x7f];
        frame.extend(payload);
        if stream.write_all(&frame).is_err() {
            return;
        }
    }
}
