//! The ways in for the fuzz targets (`tests/fuzz`) to what is private here. Nothing of
//! it exists in any other build.

use crate::broker;
use crate::credentials::UnixMillis;
use crate::http1::request::RequestHead;
use crate::proxy;
use crate::secrets::{self, AnswerProblem, ExecId, ProviderName, SecretError, SecretValue};
use http::{HeaderMap, StatusCode};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The data of each event in a stream that comes in these pieces.
pub fn events<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let (mut events, mut found) = (broker::Events::default(), Vec::new());
    for piece in pieces {
        events.feed(piece, |data| found.push(data.to_vec()));
    }
    found
}

/// Whether a stream that begins like this is held back, since it may be an error.
pub fn may_be_error(start: &[u8]) -> bool {
    broker::may_be_error(start)
}

/// How long an event asks to wait, if it says that a limit was reached.
pub fn limit_of_event(data: &[u8]) -> Option<Option<Duration>> {
    broker::judge_event(data).map(|limited| limited.wait)
}

/// The same of a whole answer that came at this time.
pub fn limit_of_answer(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now_ms: u64,
) -> Option<Option<Duration>> {
    broker::judge(status, headers, body, UnixMillis(now_ms)).map(|limited| limited.wait)
}

/// Ends the upstream's head of an HTTP/1 request with what is this hop's.
pub fn finish_head(head: &RequestHead<'_>, out: &mut Vec<u8>) {
    let view = proxy::RequestView {
        method: head.method,
        target: head.target,
        host: head.host.as_str(),
        framing: head.framing,
        upgrade: head.upgrade,
        websocket_key: head.websocket_key,
        expects_continue: head.expects_continue,
        protocol: "HTTP/1.1",
    };
    proxy::finish_head(&view, out);
}

/// Follows the frames of one direction of a WebSocket.
pub struct Frames(proxy::Frames);

impl Default for Frames {
    fn default() -> Self {
        Self(proxy::Frames::new())
    }
}

impl Frames {
    /// Whether a frame of ours could be put in here.
    pub fn is_at_boundary(&self) -> bool {
        self.0.is_at_boundary()
    }

    /// Whether a Close frame has passed.
    pub fn saw_close(&self) -> bool {
        self.0.saw_close()
    }

    /// Follows all of `bytes`.
    pub fn follow(&mut self, bytes: &[u8]) {
        self.0.follow(bytes);
    }

    /// Follows `bytes` to the end of the frame under way; how many that were.
    pub fn follow_frame(&mut self, bytes: &[u8]) -> usize {
        self.0.follow_frame(bytes)
    }
}

/// Reads what a command of an `exec` provider answered for these ids.
///
/// # Errors
/// What is wrong with the answer as a whole.
pub fn exec_answers(
    provider: &ProviderName,
    ids: &BTreeSet<ExecId>,
    output: &[u8],
    json_only: bool,
) -> Result<BTreeMap<ExecId, Result<SecretValue, SecretError>>, AnswerProblem> {
    secrets::answers(provider, ids, output, json_only)
}
