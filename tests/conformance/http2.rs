//! HTTP/2 over TLS: each case on a connection of its own.

mod cases;
mod endings;
mod flow_control;
mod hpack;
mod messages;

use crate::client::{client_config, tls_stream};
use crate::frames::{
    ACK, END_STREAM, Frame, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, frame, settings,
};
use crate::recorder::Recorder;
use crate::sidecar::{IDENTITY, Setup, Sidecar};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const COMPRESSION_ERROR: u32 = 9;

/// How long what must come may take; only a failure takes so long.
const PATIENCE: Duration = Duration::from_secs(5);
const PROBE: &[u8; 8] = b"and now?";
/// Nothing that is sent to this path may reach the upstream.
const FORBIDDEN: &str = "/forbidden";

/// One row: what is sent behind preface and settings, and what must come of it.
struct Case {
    section: &'static str,
    title: &'static str,
    steps: Vec<Step>,
    due: Due,
    /// What comes instead, and why that is left so.
    departs: Option<(Due, &'static str)>,
}

impl Case {
    /// The same, where something else comes than what is due.
    fn departs(mut self, instead: Due, why: &'static str) -> Self {
        self.departs = Some((instead, why));
        self
    }
}

/// h2 has one code for all that it can't read. The connection ends either way, and
/// whoever sent that won't mend it by the code.
const ONE_CODE: &str = "h2 says PROTOCOL_ERROR of whatever frame it can't read";
const PROTOCOL: Due = Due::ConnectionError(&[PROTOCOL_ERROR]);

enum Step {
    Send(Vec<u8>),
    /// Waits until the stream has been answered to its end.
    Answered(u32),
}

#[derive(Debug, Clone, Copy)]
enum Due {
    /// The connection goes on.
    GoesOn,
    /// The stream is answered with 200 to its end, and the connection goes on.
    Answer(u32),
    /// A stream error: a reset with one of these codes; the connection goes on.
    Reset(u32, &'static [u32]),
    /// A malformed request: a reset with PROTOCOL_ERROR, or an answer that refuses
    /// it (RFC 9113 section 8.1.1); the connection goes on.
    Refused(u32),
    /// A connection error: GOAWAY with one of these codes, and the end.
    ConnectionError(&'static [u32]),
    /// The end, without a word that the client could read.
    Closed,
}

fn case(section: &'static str, title: &'static str, sent: Vec<u8>, due: Due) -> Case {
    Case {
        section,
        title,
        steps: vec![Step::Send(sent)],
        due,
        departs: None,
    }
}

/// What a client sees of a connection.
struct Client {
    stream: tokio_rustls::client::TlsStream<TcpStream>,
    buffer: Vec<u8>,
    frames: Vec<Frame>,
    is_closed: bool,
}

impl Client {
    async fn connect(sidecar: &Sidecar, first: &[u8]) -> Self {
        let config = client_config(&sidecar.certificate(), b"h2");
        let stream = tls_stream(sidecar.address, config).await.unwrap();
        let mut client = Self {
            stream,
            buffer: Vec::new(),
            frames: Vec::new(),
            is_closed: false,
        };
        client.send(first).await;
        client
    }

    /// A connection whose settings are agreed on.
    async fn greeted(sidecar: &Sidecar, ours: &[(u16, u32)]) -> Self {
        let first = [PREFACE, &settings(ours), &frame(SETTINGS, ACK, 0, &[])].concat();
        Self::connect(sidecar, &first).await
    }

    /// Sends; the other side may have closed already.
    async fn send(&mut self, bytes: &[u8]) {
        if self.stream.write_all(bytes).await.is_ok() {
            let _ = self.stream.flush().await;
        }
    }

    /// Reads until `is_it` holds; whether it does.
    async fn until(&mut self, is_it: impl Fn(&Self) -> bool) -> bool {
        let reading = async {
            while !is_it(self) && !self.is_closed {
                self.is_closed =
                    !matches!(self.stream.read_buf(&mut self.buffer).await, Ok(count) if count > 0);
                while let Some(frame) = Frame::take(&mut self.buffer) {
                    self.frames.push(frame);
                }
            }
        };
        let _ = timeout(PATIENCE, reading).await;
        is_it(self)
    }

    fn has(&self, is_it: impl Fn(&Frame) -> bool) -> bool {
        self.frames.iter().any(is_it)
    }

    fn is_answered(&self, stream: u32) -> bool {
        self.has(|frame| frame.stream == stream && is_end(frame))
    }

    fn goes_on(&self) -> bool {
        self.has(|frame| frame.kind == PING && frame.flags == ACK && frame.payload == PROBE)
            && !self.has(|frame| frame.kind == GOAWAY)
    }

    fn status(&self, stream: u32) -> Option<&[u8]> {
        let head = |frame: &&Frame| frame.kind == HEADERS && frame.stream == stream;
        self.frames.iter().find(head).map(|head| &head.payload[..1])
    }
}

fn is_end(frame: &Frame) -> bool {
    frame.kind <= HEADERS && frame.flags & END_STREAM != 0
}

impl Due {
    fn is_met(self, seen: &Client) -> bool {
        // `:status: 200` and `:status: 400` in HPACK's static table.
        const OK: Option<&[u8]> = Some(&[0x88]);
        const BAD_REQUEST: Option<&[u8]> = Some(&[0x8c]);
        let reset_with = |stream: u32, codes: &[u32]| {
            seen.has(|frame| {
                frame.kind == RST_STREAM && frame.stream == stream && codes.contains(&frame.code())
            })
        };
        match self {
            Self::GoesOn => seen.goes_on(),
            Self::Answer(stream) => {
                seen.is_answered(stream) && seen.status(stream) == OK && seen.goes_on()
            }
            Self::Reset(stream, codes) => reset_with(stream, codes) && seen.goes_on(),
            Self::Refused(stream) => {
                let is_reset = reset_with(stream, &[PROTOCOL_ERROR]);
                (is_reset || seen.status(stream) == BAD_REQUEST) && seen.goes_on()
            }
            Self::ConnectionError(codes) => {
                let goaway = |frame: &Frame| frame.kind == GOAWAY && codes.contains(&frame.code());
                seen.is_closed && seen.has(goaway)
            }
            Self::Closed => seen.is_closed,
        }
    }
}

/// The fields of a request that the policy permits, to a path.
fn request(method: &'static str, path: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut fields = vec![
        (":method", method),
        (":scheme", "https"),
        (":authority", "claw.example.com"),
        (":path", path),
    ];
    fields.extend(IDENTITY.lines().filter_map(|line| line.split_once(": ")));
    fields
}

/// Runs a table; every row that fails is told.
async fn hold(cases: Vec<Case>) {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let mut failed = Vec::new();
    for case in cases {
        let mut client = Client::greeted(&sidecar, &[]).await;
        for step in &case.steps {
            match step {
                Step::Send(bytes) => client.send(bytes).await,
                Step::Answered(stream) => {
                    client.until(|seen| seen.is_answered(*stream)).await;
                }
            }
        }
        client.send(&frame(PING, 0, 0, PROBE)).await;
        let due = case.departs.map_or(case.due, |(instead, _)| instead);
        let is_met = client.until(|seen| due.is_met(seen)).await;
        if let Some((_, why)) = case.departs {
            println!("RFC 9113 or 7541, {} {}: {why}", case.section, case.title);
        }
        // A departure that is none any more is to be taken out of the table.
        let is_stale = case.departs.is_some() && case.due.is_met(&client);
        if !is_met || is_stale {
            let (frames, closed) = (&client.frames, client.is_closed);
            failed.push(format!(
                "{} {}: expected {due:?} {:?}, closed: {closed}, got {frames:?}",
                case.section, case.title, case.departs
            ));
        }
    }
    let forbidden: Vec<_> = upstream
        .requests()
        .into_iter()
        .filter(|request| request.line().contains(FORBIDDEN))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(forbidden.is_empty(), "the upstream got {forbidden:?}");
}
