//! A model provider on loopback: it answers by the credential that it is shown, records
//! every request whole, and streams, stalls and breaks off as the test says.

use crate::recorder::{Recorded, read_body, read_head};
use crate::sidecar::until;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What becomes of a request.
#[derive(Clone)]
pub(super) enum Reply {
    /// These bytes; the connection goes on.
    Bytes(String),
    /// These; then the connection is closed without a word of it.
    Last(String),
    /// These, after a while.
    Late(Duration, String),
    /// Nothing, for as long as the caller stays.
    Silence,
    /// Nothing: the connection is closed.
    HangUp,
    /// What the test says, as it says it.
    Stream(Arc<tokio::sync::Mutex<UnboundedReceiver<Next>>>),
}

/// What a stream does next.
#[derive(Debug)]
pub(super) enum Next {
    /// Sends a piece.
    Piece(String),
    /// Ends well.
    End,
    /// Closes the connection in the middle.
    BreakOff,
}

/// A stream's other end.
pub(super) struct Script(UnboundedSender<Next>);

/// The provider.
#[derive(Clone)]
pub(super) struct Provider {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    replies: Vec<(String, Reply)>,
    otherwise: Reply,
    requests: Vec<Recorded>,
    left: usize,
}

/// An answer of `status` with fields (`name: value\r\n`) and a JSON body.
pub(super) fn answer(status: u16, fields: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\n{fields}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A whole stream of events.
pub(super) fn events(text: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    )
}

impl Reply {
    /// An answer of `status` with a JSON body.
    pub(super) fn status(status: u16, body: &str) -> Self {
        Self::with_fields(status, "", body)
    }

    /// As [`Reply::status`], with further fields (`name: value\r\n`).
    pub(super) fn with_fields(status: u16, fields: &str, body: &str) -> Self {
        Self::Bytes(answer(status, fields, body))
    }

    /// A whole stream of events.
    pub(super) fn events(text: &str) -> Self {
        Self::Bytes(events(text))
    }

    /// A stream of events that the test writes.
    pub(super) fn stream() -> (Self, Script) {
        let (sender, receiver) = unbounded_channel();
        let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
        (Self::Stream(receiver), Script(sender))
    }
}

impl Script {
    pub(super) fn piece(&self, text: &str) {
        self.0.send(Next::Piece(text.to_owned())).unwrap();
    }

    pub(super) fn end(&self) {
        self.0.send(Next::End).unwrap();
    }

    pub(super) fn break_off(&self) {
        self.0.send(Next::BreakOff).unwrap();
    }
}

impl Provider {
    /// One that answers everything with 200.
    pub(super) async fn spawn() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::new(Mutex::new(State {
                replies: Vec::new(),
                otherwise: Reply::status(200, r#"{"good":true}"#),
                requests: Vec::new(),
                left: 0,
            })),
        };
        let serving = provider.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        provider
    }

    /// Its URL.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, answers so where the credential or another part of the head is
    /// `shown`.
    pub(super) fn answers(&self, shown: &str, reply: Reply) {
        let mut state = self.state.lock().unwrap();
        state.replies.retain(|(known, _)| known != shown);
        state.replies.push((shown.to_owned(), reply));
    }

    /// From now on, answers so whatever else is shown.
    pub(super) fn answers_others(&self, reply: Reply) {
        self.state.lock().unwrap().otherwise = reply;
    }

    /// What has arrived.
    pub(super) fn requests(&self) -> Vec<Recorded> {
        self.state.lock().unwrap().requests.clone()
    }

    /// The only request that has arrived.
    pub(super) fn only(&self) -> Recorded {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.remove(0)
    }

    /// Waits for the `count`th request.
    pub(super) async fn nth(&self, count: usize) -> Recorded {
        until(|| self.requests().get(count - 1).cloned()).await
    }

    /// The credentials that have been shown, in this order; `-` for none.
    pub(super) fn shown(&self) -> Vec<String> {
        self.requests().iter().map(credential).collect()
    }

    /// Forgets what has arrived.
    pub(super) fn forget(&self) {
        self.state.lock().unwrap().requests.clear();
    }

    /// Waits until `count` callers have left while they were owed something.
    pub(super) async fn is_left(&self, count: usize) {
        until(|| (self.state.lock().unwrap().left >= count).then_some(())).await;
    }

    fn reply_to(&self, head: &str) -> Reply {
        let state = self.state.lock().unwrap();
        let found = state.replies.iter().find(|(shown, _)| head.contains(shown));
        found.map_or(&state.otherwise, |(_, reply)| reply).clone()
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut buffer = Vec::new();
        while let Some(head) = read_head(&mut stream, &mut buffer).await {
            let Some(body) = read_body(&mut stream, &mut buffer, &head).await else {
                return;
            };
            let reply = self.reply_to(&head);
            let request = Recorded { head, body };
            self.state.lock().unwrap().requests.push(request);
            let goes_on = match reply {
                Reply::Bytes(bytes) => stream.write_all(bytes.as_bytes()).await.is_ok(),
                Reply::Late(delay, bytes) => {
                    tokio::time::sleep(delay).await;
                    stream.write_all(bytes.as_bytes()).await.is_ok()
                }
                Reply::Last(bytes) => {
                    let _ = stream.write_all(bytes.as_bytes()).await;
                    false
                }
                Reply::HangUp => false,
                Reply::Silence => {
                    let _ = stream.read_buf(&mut buffer).await;
                    self.state.lock().unwrap().left += 1;
                    false
                }
                Reply::Stream(script) => {
                    let mut script = script.lock().await;
                    self.stream(&mut stream, &mut script).await.is_some()
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    async fn stream(
        &self,
        stream: &mut TcpStream,
        script: &mut UnboundedReceiver<Next>,
    ) -> Option<()> {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.ok()?;
        let mut byte = [0];
        loop {
            let next = tokio::select! {
                next = script.recv() => next,
                _ = stream.read(&mut byte) => {
                    self.state.lock().unwrap().left += 1;
                    return None;
                }
            };
            let chunk = match next? {
                Next::Piece(text) => format!("{:x}\r\n{text}\r\n", text.len()),
                Next::End => "0\r\n\r\n".to_owned(),
                Next::BreakOff => return None,
            };
            stream.write_all(chunk.as_bytes()).await.ok()?;
            if chunk == "0\r\n\r\n" {
                return Some(());
            }
        }
    }
}

/// The credential that a request shows.
fn credential(request: &Recorded) -> String {
    let names = ["authorization", "x-api-key", "x-goog-api-key"];
    let shown: Vec<_> = names.map(|name| request.values(name)).concat();
    match shown.as_slice() {
        [] => "-".to_owned(),
        [one] => one.strip_prefix("Bearer ").unwrap_or(one).to_owned(),
        more => panic!("{more:?}"),
    }
}
