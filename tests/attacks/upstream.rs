//! An upstream that keeps every byte that reaches it, and reads requests out of
//! them as an ordinary server would: `Transfer-Encoding` before `Content-Length`,
//! the first of two.

use crate::corpus::Script;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    /// Request line and fields, without the empty line.
    pub(crate) head: String,
    /// Its body came to its end: the upstream would act on it.
    pub(crate) is_whole: bool,
}

/// What has arrived since one looked last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrivals {
    pub(crate) requests: Vec<Arrived>,
    /// Every byte, one connection's after the other's.
    pub(crate) raw: Vec<u8>,
}

impl Arrivals {
    /// Takes the request for `target` and its bytes out; whether it was there.
    pub(crate) fn without(&mut self, target: &str) -> bool {
        let Some(at) = self
            .requests
            .iter()
            .rposition(|request| request.target() == target)
        else {
            return false;
        };
        let head = self.requests.remove(at).head;
        let found = self
            .raw
            .windows(head.len())
            .position(|window| window == head.as_bytes());
        if let Some(start) = found {
            self.raw.drain(start..start + head.len());
        }
        true
    }
}

impl Arrived {
    /// Name and value of each field.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.head.lines().skip(1).map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name, value.trim_matches([' ', '\t']))
        })
    }

    /// The request's target.
    pub(crate) fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

#[derive(Default)]
struct State {
    requests: Vec<Arrived>,
    /// By connection.
    raw: Vec<Vec<u8>>,
    /// How many requests were taken before these.
    taken: usize,
    scripts: VecDeque<Script>,
}

/// The upstream.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok";

impl Upstream {
    pub(crate) async fn spawn() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let upstream = Self {
            address: listener.local_addr()?,
            state: Arc::default(),
        };
        let serving = upstream.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        Ok(upstream)
    }

    /// Answers the next request so.
    pub(crate) fn script(&self, script: &Script) {
        self.state().scripts.push_back(script.clone());
    }

    /// From now on plain answers again.
    pub(crate) fn unscript(&self) {
        self.state().scripts.clear();
    }

    /// What has arrived, and is forgotten here.
    pub(crate) fn take(&self) -> Arrivals {
        let mut state = self.state();
        state.taken += state.requests.len();
        Arrivals {
            requests: std::mem::take(&mut state.requests),
            raw: state.raw.iter_mut().flat_map(std::mem::take).collect(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, number: usize) {
        let mut state = self.state();
        let at = number.checked_sub(state.taken);
        if let Some(request) = at.and_then(|at| state.requests.get_mut(at)) {
            request.is_whole = true;
        }
    }

    async fn serve(&self, stream: TcpStream) {
        let id = {
            let mut state = self.state();
            state.raw.push(Vec::new());
            state.raw.len() - 1
        };
        let mut connection = Connection {
            upstream: self,
            id,
            stream,
            buffer: Vec::new(),
        };
        while connection.request().await.is_some() {}
    }
}

struct Connection<'a> {
    upstream: &'a Upstream,
    id: usize,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection<'_> {
    /// Reads a request and answers it; `None` at the end.
    async fn request(&mut self) -> Option<()> {
        let head = self.take_through(b"\r\n\r\n").await?;
        let head = String::from_utf8_lossy(&head[..head.len() - 4]).into_owned();
        let framing = Framing::of(&head);
        let (number, script) = {
            let mut state = self.upstream.state();
            state.requests.push(Arrived {
                head,
                is_whole: false,
            });
            (
                state.taken + state.requests.len() - 1,
                state.scripts.pop_front(),
            )
        };
        let (answer, is_early) = match &script {
            Some(script) => (script.answer.as_str(), script.early),
            None => (OK, false),
        };
        if is_early {
            self.upstream.finish(number);
            self.stream.write_all(answer.as_bytes()).await.ok()?;
        }
        self.body(framing).await?;
        self.upstream.finish(number);
        if !is_early {
            self.stream.write_all(answer.as_bytes()).await.ok()?;
        }
        if answer.starts_with("HTTP/1.1 101") {
            while self.fill().await.is_some() {}
            return None;
        }
        Some(())
    }

    async fn body(&mut self, framing: Framing) -> Option<()> {
        match framing {
            Framing::Length(length) => self.take(length).await.map(drop),
            Framing::Chunked => loop {
                let line = self.take_through(b"\r\n").await?;
                let digits = String::from_utf8_lossy(&line).into_owned();
                let digits = digits.split(';').next().unwrap_or_default().trim();
                let size = usize::from_str_radix(digits, 16).ok()?;
                if size > 0 {
                    self.take(size + 2).await?;
                    continue;
                }
                while self.take_through(b"\r\n").await?.len() > 2 {}
                return Some(());
            },
        }
    }

    async fn take_through(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            let found = self
                .buffer
                .windows(end.len())
                .position(|window| window == end);
            if let Some(at) = found {
                return Some(self.buffer.drain(..at + end.len()).collect());
            }
            self.fill().await?;
        }
    }

    async fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            self.fill().await?;
        }
        Some(self.buffer.drain(..count).collect())
    }

    async fn fill(&mut self) -> Option<()> {
        let before = self.buffer.len();
        let count = self.stream.read_buf(&mut self.buffer).await.ok()?;
        let mut state = self.upstream.state();
        state.raw[self.id].extend_from_slice(&self.buffer[before..]);
        (count > 0).then_some(())
    }
}

enum Framing {
    Length(usize),
    Chunked,
}

impl Framing {
    fn of(head: &str) -> Self {
        let head = head.to_ascii_lowercase();
        let field = |name: &str| {
            head.lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(field, _)| *field == name)
                .map(|(_, value)| value.trim())
        };
        if field("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
            return Self::Chunked;
        }
        let length = field("content-length").and_then(|length| length.parse().ok());
        Self::Length(length.unwrap_or(0))
    }
}
