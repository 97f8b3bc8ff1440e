//! The request's way to the upstream, and the watch over the client after it.

use super::{ExchangeError, ExchangePlan, Shared};
use crate::http1::body::{Framing, LAST_CHUNK};
use crate::proxy::request_body::{Departure, OutFraming, Progress, ReadError, RequestBody};
use crate::proxy::response::{WriteError, write_flushed};
use crate::transport::Transport;
use pingora_timeout::timeout;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::WriteHalf;

/// Sends head and body, then watches the client. Never ends while all is well.
pub(super) async fn upload(
    plan: &ExchangePlan<'_>,
    body: &mut RequestBody<'_>,
    writer: &mut WriteHalf<Transport>,
    shared: &Shared,
) -> ExchangeError {
    use ExchangeError::{BodyStalled, ClientGone, Pipelined, UpstreamStalled};
    let is_sent = match send(plan, body, writer, shared).await {
        Ok(()) => true,
        // The upstream reads no more; its answer may be under way.
        Err(UploadError::UpstreamClosed) => false,
        // It is: whoever has it already may leave the rest of the request be.
        Err(UploadError::Failed(BodyStalled | UpstreamStalled))
            if shared.has_head.load(Ordering::Relaxed) =>
        {
            false
        }
        Err(UploadError::Failed(error)) => return error,
    };
    shared.is_sent.store(is_sent, Ordering::Relaxed);
    shared.sent.notify_one();
    if !is_sent {
        body.gone().await;
        return ClientGone;
    }
    match body.departure().await {
        Departure::Left => ClientGone,
        Departure::NoRoom => {
            // An answer with an end will have it. One without could go on for ever
            // to a client that has left unseen.
            shared.endless.notified().await;
            pingora_timeout::sleep(plan.limits.stall).await;
            Pipelined
        }
    }
}

/// Why an upload ended.
enum UploadError {
    UpstreamClosed,
    Failed(ExchangeError),
}

impl From<ExchangeError> for UploadError {
    fn from(error: ExchangeError) -> Self {
        Self::Failed(error)
    }
}

impl From<ReadError> for UploadError {
    fn from(error: ReadError) -> Self {
        Self::Failed(match error {
            ReadError::Gone => ExchangeError::ClientGone,
            ReadError::Malformed(error) => ExchangeError::BodyMalformed(error),
        })
    }
}

async fn send(
    plan: &ExchangePlan<'_>,
    body: &mut RequestBody<'_>,
    writer: &mut WriteHalf<Transport>,
    shared: &Shared,
) -> Result<(), UploadError> {
    let stall = plan.limits.stall;
    write_watched(writer, plan.head, body, stall).await?;
    if plan.framing == Framing::Empty {
        return Ok(());
    }
    let framing = OutFraming::from(plan.framing);
    let mut out = Vec::new();
    let mut total = 0;
    loop {
        out.clear();
        let (progress, content) = timeout(stall, body.next(framing, &mut out))
            .await
            .map_err(|_| ExchangeError::BodyStalled)??;
        total += content;
        shared.body_in.store(total, Ordering::Relaxed);
        if total > plan.limits.max_body {
            return Err(ExchangeError::BodyTooLarge.into());
        }
        if progress == Progress::Done && framing == OutFraming::Chunked {
            out.extend_from_slice(LAST_CHUNK);
        }
        write_watched(writer, &out, body, stall).await?;
        if progress == Progress::Done {
            return Ok(());
        }
    }
}

/// Writes to the upstream as long as it keeps taking some, and as long as the
/// client is there to want it.
async fn write_watched(
    writer: &mut WriteHalf<Transport>,
    bytes: &[u8],
    body: &mut RequestBody<'_>,
    stall: Duration,
) -> Result<(), UploadError> {
    tokio::select! {
        biased;
        written = write_flushed(writer, bytes, stall) => written.map_err(|error| match error {
            WriteError::Stalled => ExchangeError::UpstreamStalled.into(),
            WriteError::Gone | WriteError::Unusable => UploadError::UpstreamClosed,
        }),
        () = body.gone() => Err(ExchangeError::ClientGone.into()),
    }
}
