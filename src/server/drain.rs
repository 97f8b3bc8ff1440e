//! The orderly end: no new connections, requests end, and what still lives when
//! the grace time is over is closed with a code.

use crate::drain::{DrainControl, Phase};
use crate::telemetry::metrics::Metrics;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What WebSockets get, after the grace time, to say goodbye in.
const GOODBYE: Duration = Duration::from_secs(2);

/// Waits for a drain that has begun, and closes what it has not ended in time. Ends early
/// when nothing is left.
pub(super) async fn run(
    control: &DrainControl,
    accepting: Vec<JoinHandle<()>>,
    slots: &Semaphore,
    max_connections: usize,
    metrics: &Metrics,
    grace: Duration,
) {
    let all_gone = async {
        for task in accepting {
            // It takes the last connections from the backlog before it ends.
            let _ = task.await;
        }
        let all = u32::try_from(max_connections).unwrap_or(u32::MAX);
        // Every connection holds a slot until its last byte is out.
        let _ = slots.acquire_many(all).await;
    };
    tokio::pin!(all_gone);
    if timeout(grace, &mut all_gone).await.is_ok() {
        return;
    }
    let (connections, websockets) = (metrics.connections(), metrics.websockets());
    tracing::info!(connections, websockets, "the grace time is over");
    control.advance(Phase::Closing);
    let no_websockets = async {
        while metrics.websockets() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // Whatever else lives now, a stream of events for one, ends with the process.
    let _ = timeout(GOODBYE, no_websockets).await;
}
