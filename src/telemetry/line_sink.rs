//! Log lines from many threads to one slow stream, without making a request
//! wait for it.
//!
//! Writing to stderr at once would be simpler, and nothing could be lost, but a
//! stalled reader (a full pipe to a container's log driver) would then stop
//! every worker thread, and each line would cost its request a system call. So a
//! line is appended to a bounded buffer under a short lock, and one thread
//! writes whatever has gathered. A full buffer drops lines and says how many;
//! [`Flusher`] writes out what is left before the process ends.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// Bytes that may wait for the stream: some twenty thousand access lines.
const CAPACITY: usize = 8 * 1024 * 1024;
/// A buffer that a burst has blown up is given back beyond this.
const KEPT: usize = 256 * 1024;
/// How long [`Flusher`] waits for the stream when it is dropped.
const FLUSH_AT_DROP: Duration = Duration::from_secs(2);

/// The end that log lines are written to. Each `write` is one whole line.
pub struct LineSink(Arc<Shared>);

/// Writes out what is left when it is dropped; keep it until the process ends.
#[must_use = "the last log lines are lost unless this lives until the process ends"]
pub struct Flusher(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    filled: Condvar,
    drained: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct State {
    pending: Vec<u8>,
    dropped: u64,
    writing: bool,
    closed: bool,
}

/// Starts the thread that writes to `out`.
///
/// # Errors
/// When the system refuses another thread.
pub fn spawn(out: impl Write + Send + 'static) -> io::Result<(LineSink, Flusher)> {
    spawn_with_capacity(out, CAPACITY)
}

fn spawn_with_capacity(
    out: impl Write + Send + 'static,
    capacity: usize,
) -> io::Result<(LineSink, Flusher)> {
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        filled: Condvar::new(),
        drained: Condvar::new(),
        capacity,
    });
    let writer = Arc::clone(&shared);
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || writer.write_until_closed(out))?;
    Ok((LineSink(Arc::clone(&shared)), Flusher(shared)))
}

impl Flusher {
    /// Waits until every line logged so far is written, but no longer than
    /// `at_most`; whether that came about.
    pub fn flush(&self, at_most: Duration) -> bool {
        self.0.flush(at_most)
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.0.flush(FLUSH_AT_DROP);
        self.0.lock().closed = true;
        self.0.filled.notify_one();
    }
}

impl Write for &LineSink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineSink {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Shared {
    /// A panic while the lock is held leaves bytes that are still whole lines.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.pending.len() + line.len() > self.capacity {
            state.dropped += 1;
            return;
        }
        let was_empty = state.pending.is_empty();
        state.pending.extend_from_slice(line);
        drop(state);
        if was_empty {
            self.filled.notify_one();
        }
    }

    fn flush(&self, at_most: Duration) -> bool {
        let until = Instant::now() + at_most;
        let mut state = self.lock();
        while !state.pending.is_empty() || state.writing {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .drained
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    fn write_until_closed(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        while let Some(dropped) = self.take(&mut batch) {
            // There is nowhere to report that the log itself is gone.
            let _ = out.write_all(&batch).and_then(|()| out.flush());
            batch.clear();
            batch.shrink_to(KEPT);
            if dropped > 0 {
                tracing::error!(
                    lines.dropped = dropped,
                    "log lines were dropped because the log's reader is too slow"
                );
            }
            self.lock().writing = false;
            self.drained.notify_all();
        }
    }

    /// Swaps the waiting lines into `batch` and says how many were dropped
    /// meanwhile; `None` when closed and empty.
    fn take(&self, batch: &mut Vec<u8>) -> Option<u64> {
        let mut state = self.lock();
        while state.pending.is_empty() {
            if state.closed {
                return None;
            }
            state = self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut state.pending, batch);
        state.writing = true;
        Some(std::mem::take(&mut state.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A stream that hands every write to the test, and waits for its leave
    /// where it has a gate.
    struct Stream {
        written: mpsc::Sender<Vec<u8>>,
        gate: Option<mpsc::Receiver<()>>,
    }

    impl Write for Stream {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.written.send(bytes.to_vec()).unwrap();
            if let Some(gate) = &self.gate {
                let _ = gate.recv();
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_of_many_threads_arrive_whole_and_none_is_lost_at_the_end() {
        let (written, read) = mpsc::channel();
        let (sink, flusher) = spawn(Stream {
            written,
            gate: None,
        })
        .unwrap();
        thread::scope(|scope| {
            for name in 0..4 {
                let mut sink = &sink;
                scope.spawn(move || {
                    for number in 0..500 {
                        let line = format!("t{name} {number}\n");
                        sink.write_all(line.as_bytes()).unwrap();
                    }
                });
            }
        });
        drop(flusher);
        let text = String::from_utf8(read.try_iter().flatten().collect()).unwrap();
        for name in 0..4 {
            let own: String = text
                .split_inclusive('\n')
                .filter(|line| line.starts_with(&format!("t{name} ")))
                .collect();
            let expected: String = (0..500).map(|n| format!("t{name} {n}\n")).collect();
            assert_eq!(own, expected);
        }
    }

    #[test]
    fn a_stalled_stream_drops_lines_instead_of_holding_up_the_writer() {
        let (written, read) = mpsc::channel();
        let (leave, gate) = mpsc::channel();
        let stream = Stream {
            written,
            gate: Some(gate),
        };
        let (sink, flusher) = spawn_with_capacity(stream, 20).unwrap();
        let mut sink = &sink;
        sink.write_all(b"first\n").unwrap();
        assert_eq!(read.recv().unwrap(), b"first\n");
        for _ in 0..1000 {
            sink.write_all(b"123456789\n").unwrap();
        }
        assert!(!flusher.flush(Duration::from_millis(20)));
        assert_eq!(sink.0.lock().dropped, 998);
        drop(leave);
        assert!(flusher.flush(Duration::from_secs(10)));
        assert_eq!(read.recv().unwrap(), b"123456789\n123456789\n");
        assert_eq!(sink.0.lock().dropped, 0);
    }
}
