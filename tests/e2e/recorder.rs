//! An upstream that records what reaches it, byte for byte, and answers as it
//! was told to.

use crate::sidecar::until;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    /// Request line and fields, without the empty line.
    pub(crate) head: String,
    /// The body, its framing taken off.
    pub(crate) body: Vec<u8>,
}

impl Recorded {
    /// All values of a field, names compared without case.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .collect()
    }

    /// The request line.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }
}

type Handler =
    Arc<dyn Fn(TcpStream, String) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What becomes of a request without a body.
pub(crate) enum Reply {
    /// This answer; the connection goes on.
    Answer(&'static [u8]),
    /// This answer; from there on everything is sent back.
    Echo(&'static [u8]),
}

/// The upstream.
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Recorded>>>,
    connections: Arc<AtomicUsize>,
}

impl Recorder {
    /// Answers each request with 200, a small body, and keeps the connection.
    pub(crate) async fn spawn() -> Self {
        Self::with_answer(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok",
        )
        .await
    }

    /// Answers each request with these bytes, and keeps the connection.
    pub(crate) async fn with_answer(answer: &'static str) -> Self {
        let (listener, recorder) = Self::bind().await;
        let (requests, connections) = (recorder.requests.clone(), recorder.connections.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                let requests = requests.clone();
                tokio::spawn(async move {
                    let mut buffer = Vec::new();
                    while let Some(head) = read_head(&mut stream, &mut buffer).await {
                        let Some(body) = read_body(&mut stream, &mut buffer, &head).await else {
                            break;
                        };
                        requests.lock().unwrap().push(Recorded { head, body });
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        recorder
    }

    /// Answers `ok` to each request, but not before it is told to.
    pub(crate) async fn held() -> (Self, Arc<Notify>) {
        let go_on = Arc::new(Notify::new());
        let told = go_on.clone();
        let upstream = Self::with_handler(move |mut stream, _| {
            let told = told.clone();
            async move {
                told.notified().await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(answer).await.unwrap();
            }
        });
        (upstream.await, go_on)
    }

    /// Hands each connection over once its first head is in: for upstreams that
    /// do what no library would.
    pub(crate) async fn with_handler<F, Fut>(handler: F) -> Self
    where
        F: Fn(TcpStream, String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (listener, recorder) = Self::bind().await;
        let (requests, connections) = (recorder.requests.clone(), recorder.connections.clone());
        let handler: Handler = Arc::new(move |stream, head| Box::pin(handler(stream, head)));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                let (requests, handler) = (requests.clone(), handler.clone());
                tokio::spawn(async move {
                    let Some(head) = read_head(&mut stream, &mut Vec::new()).await else {
                        return;
                    };
                    requests.lock().unwrap().push(Recorded {
                        head: head.clone(),
                        body: Vec::new(),
                    });
                    handler(stream, head).await;
                });
            }
        });
        recorder
    }

    /// Answers each request as `reply` says, and keeps no account of it: for more
    /// requests than a test wants to remember.
    pub(crate) async fn counting(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let (listener, recorder) = Self::bind().await;
        let reply = Arc::new(reply);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let reply = reply.clone();
                tokio::spawn(async move {
                    let mut buffer = Vec::new();
                    while let Some(head) = read_head(&mut stream, &mut buffer).await {
                        match reply(&head) {
                            Reply::Answer(answer) => {
                                if stream.write_all(answer).await.is_err() {
                                    return;
                                }
                            }
                            Reply::Echo(answer) => {
                                let _ = stream.write_all(answer).await;
                                let (mut reader, mut writer) = stream.split();
                                let _ = tokio::io::copy(&mut reader, &mut writer).await;
                                return;
                            }
                        }
                    }
                });
            }
        });
        recorder
    }

    /// Never answers.
    pub(crate) async fn silent() -> Self {
        Self::with_handler(|stream, _| async move {
            std::future::pending::<()>().await;
            drop(stream);
        })
        .await
    }

    async fn bind() -> (TcpListener, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let recorder = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            connections: Arc::default(),
        };
        (listener, recorder)
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has arrived so far.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.requests.lock().unwrap().clone()
    }

    /// The only request that has arrived.
    pub(crate) fn only(&self) -> Recorded {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.into_iter().next().unwrap()
    }

    /// Waits for the `count`th request.
    pub(crate) async fn nth(&self, count: usize) -> Recorded {
        until(|| self.requests.lock().unwrap().get(count - 1).cloned()).await
    }

    /// Connections accepted so far. The sidecar's own look at reachability
    /// opens one without a request.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Reads up to the empty line; `None` at the end of the connection.
pub(crate) async fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..at]).into_owned();
            buffer.drain(..at + 4);
            return Some(head);
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Reads the body that belongs to `head`; `None` where it breaks off.
pub(crate) async fn read_body(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    head: &str,
) -> Option<Vec<u8>> {
    let head = head.to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(at) = buffer.windows(2).position(|window| window == b"\r\n") {
                    break buffer.drain(..at + 2).collect::<Vec<u8>>();
                }
                if stream.read_buf(buffer).await.ok()? == 0 {
                    return None;
                }
            };
            let size = usize::from_str_radix(std::str::from_utf8(&line).ok()?.trim(), 16).ok()?;
            while buffer.len() < size + 2 {
                if stream.read_buf(buffer).await.ok()? == 0 {
                    return None;
                }
            }
            body.extend(buffer.drain(..size));
            buffer.drain(..2);
            if size == 0 {
                return Some(body);
            }
        }
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.trim().parse().unwrap());
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    Some(buffer.drain(..length).collect())
}
