//! Sets up the log, and writes the one line that each request leaves in it.

use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::time::Duration;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_log::LogTracer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

use crate::policy::Source;

use super::line_sink::{self, Flusher};
pub use super::log_format::LogFormat;

/// The target of access lines, which [`Logging::access`] turns on and off.
const ACCESS: &str = "portcullis::access";
/// Longest path an access line shows: a path may be as long as the whole head,
/// and a log should not grow at a client's will.
const MAX_PATH_BYTES: usize = 2048;

/// Whether each request leaves a line, whatever the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// One line a request.
    On,
    /// None.
    Off,
}

/// Whether a text log is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Colour, for a terminal.
    Always,
    /// Plain text, for a file or a pipe.
    Never,
}

impl Colour {
    /// Colour where stderr is a terminal and nobody asked for none; `no_color`
    /// is the environment's `NO_COLOR`, which counts when not empty
    /// (<https://no-color.org>).
    pub fn for_stderr(no_color: Option<&std::ffi::OsStr>) -> Self {
        let refused = no_color.is_some_and(|value| !value.is_empty());
        if !refused && io::stderr().is_terminal() {
            Self::Always
        } else {
            Self::Never
        }
    }
}

/// What the log shows and how.
#[derive(Clone, Copy, Debug)]
pub struct Logging {
    /// The least severe level shown of Portcullis' own events. Libraries are
    /// never shown below `warn`.
    pub level: LevelFilter,
    /// JSON or text.
    pub format: LogFormat,
    /// Whether each request leaves a line.
    pub access: AccessLog,
    /// Whether a text log is coloured; JSON never is.
    pub colour: Colour,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The system refused the thread that writes the log.
    #[error("cannot start the thread that writes the log")]
    Thread(#[source] io::Error),
    /// Another subscriber is in place already.
    #[error("the log is set up already")]
    AlreadySetUp,
}

/// Sends the log of the whole process to stderr, that of libraries which use
/// the `log` crate included.
///
/// # Errors
/// When the log is set up already, or its thread cannot be started.
pub fn init(logging: Logging) -> Result<Flusher, LoggingError> {
    let (sink, flusher) = line_sink::spawn(io::stderr()).map_err(LoggingError::Thread)?;
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(logging.format == LogFormat::Text && logging.colour == Colour::Always)
        .event_format(logging.format)
        .with_writer(sink);
    let subscriber = tracing_subscriber::registry()
        .with(targets(&logging))
        .with(lines);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LoggingError::AlreadySetUp)?;
    LogTracer::builder()
        .with_max_level(tracing_log::AsLog::as_log(&library_level(logging.level)))
        .init()
        .map_err(|_| LoggingError::AlreadySetUp)?;
    Ok(flusher)
}

/// What an access line says of one request.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The request's id, as the upstream and the source saw it.
    pub request_id: &'a str,
    /// Who connected.
    pub source: Source,
    /// The first address in the chain that is no trusted proxy; known for a
    /// permitted request.
    pub client: Option<IpAddr>,
    /// The verified user; absent where none was.
    pub user: Option<&'a str>,
    /// The method as received.
    pub method: &'a str,
    /// Path or whole target as received; from `?` or `#` on it is cut, since
    /// queries carry tokens.
    pub path: &'a str,
    /// The status that the source got.
    pub status: u16,
    /// `permitted`, `public`, or the code of the denial or error.
    pub decision: &'a str,
    /// From the request's head to the end of the answer.
    pub duration: Duration,
    /// From sending the request upstream to the first byte of its answer.
    pub upstream_first_byte: Option<Duration>,
    /// Body bytes from the source; for a WebSocket all bytes.
    pub bytes_in: u64,
    /// Body bytes to the source; for a WebSocket all bytes.
    pub bytes_out: u64,
    /// `HTTP/1.1` or `HTTP/2`, with ` websocket` for an upgrade.
    pub protocol: &'a str,
}

/// Writes the one line of a request that has ended.
pub fn access(access: &Access<'_>) {
    tracing::event!(
        target: ACCESS,
        Level::INFO,
        request.id = access.request_id,
        source.ip = %access.source,
        client.ip = access.client.map(tracing::field::display),
        user = access.user,
        method = access.method,
        path = loggable_path(access.path),
        status = access.status,
        decision = access.decision,
        duration_ms = milliseconds(access.duration),
        upstream_first_byte_ms = access.upstream_first_byte.map(milliseconds),
        bytes_in = access.bytes_in,
        bytes_out = access.bytes_out,
        protocol = access.protocol,
        "request"
    );
}

/// Libraries stay at `warn`: below it they print headers, and with them
/// credentials (Pingora's "Sending header to upstream").
fn library_level(level: LevelFilter) -> LevelFilter {
    level.min(LevelFilter::WARN)
}

/// Portcullis at its level, everyone else capped, whoever they are: a list of
/// the talkative would miss the next one.
fn targets(logging: &Logging) -> Targets {
    Targets::new()
        .with_default(library_level(logging.level))
        .with_target("portcullis", logging.level)
        .with_target(
            ACCESS,
            match logging.access {
                AccessLog::On => LevelFilter::INFO,
                AccessLog::Off => LevelFilter::OFF,
            },
        )
}

/// The path without query, cut to a length that a log can bear.
fn loggable_path(target: &str) -> &str {
    let path = target.split(['?', '#']).next().unwrap_or(target);
    let end = (0..=MAX_PATH_BYTES.min(path.len()))
        .rev()
        .find(|&end| path.is_char_boundary(end));
    &path[..end.unwrap_or(0)]
}

/// Milliseconds with three decimals at most.
pub fn milliseconds(duration: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
    let microseconds = duration.as_micros() as f64;
    microseconds / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::LocalInterface;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    fn logging(level: LevelFilter, access: AccessLog) -> Logging {
        Logging {
            level,
            format: LogFormat::Json,
            access,
            colour: Colour::Never,
        }
    }

    #[test]
    fn no_library_is_heard_below_warn_at_any_level() {
        for level in [LevelFilter::TRACE, LevelFilter::DEBUG, LevelFilter::INFO] {
            let targets = targets(&logging(level, AccessLog::On));
            for library in [
                "pingora_core::protocols::http",
                "h2::codec",
                "rustls::server",
                "hyper_util::client",
                "tokio_tungstenite",
                "one_that_nobody_thought_of",
            ] {
                assert!(targets.would_enable(library, &Level::WARN), "{library}");
                assert!(!targets.would_enable(library, &Level::INFO), "{library}");
            }
            assert_eq!(
                targets.would_enable("portcullis::proxy", &Level::DEBUG),
                level >= LevelFilter::DEBUG
            );
        }
    }

    #[test]
    fn a_quieter_level_quietens_libraries_too() {
        let targets = targets(&logging(LevelFilter::ERROR, AccessLog::Off));
        assert!(targets.would_enable("rustls", &Level::ERROR));
        assert!(!targets.would_enable("rustls", &Level::WARN));
        assert!(!targets.would_enable("portcullis::server", &Level::WARN));
    }

    #[test]
    fn access_lines_follow_their_own_switch_and_not_the_level() {
        let quiet = targets(&logging(LevelFilter::ERROR, AccessLog::On));
        assert!(quiet.would_enable(ACCESS, &Level::INFO));
        let loud = targets(&logging(LevelFilter::TRACE, AccessLog::Off));
        assert!(!loud.would_enable(ACCESS, &Level::ERROR));
    }

    #[test]
    fn a_path_loses_its_query_and_its_excess() {
        let long = "/é".repeat(2000);
        for (target, shown) in [
            ("/", "/"),
            ("/a?token=secret", "/a"),
            ("/a#b", "/a"),
            ("?", ""),
            ("", ""),
            ("/a;b%3F", "/a;b%3F"),
        ] {
            assert_eq!(loggable_path(target), shown, "{target}");
        }
        let shown = loggable_path(&long);
        assert!(long.starts_with(shown));
        assert!((MAX_PATH_BYTES - 3..=MAX_PATH_BYTES).contains(&shown.len()));
    }

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_access_line_has_every_field_and_leaves_out_what_is_unknown() {
        let line = |access: &Access<'_>| -> serde_json::Value {
            let captured = Captured::default();
            let writer = captured.clone();
            let subscriber = tracing_subscriber::registry()
                .with(targets(&logging(LevelFilter::INFO, AccessLog::On)))
                .with(
                    tracing_subscriber::fmt::layer()
                        .event_format(LogFormat::Json)
                        .with_writer(move || writer.clone()),
                );
            tracing::subscriber::with_default(subscriber, || super::access(access));
            let bytes = captured.0.lock().unwrap().clone();
            let mut line: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            line.as_object_mut().unwrap().remove("timestamp").unwrap();
            line
        };
        let permitted = Access {
            request_id: "r-1",
            source: Source::new("10.0.0.1".parse().unwrap(), LocalInterface::No),
            client: Some("2001:db8::1".parse().unwrap()),
            user: Some("nick@example.com"),
            method: "GET",
            path: "/chat?token=s3cret",
            status: 200,
            decision: "permitted",
            duration: Duration::from_micros(1500),
            upstream_first_byte: Some(Duration::from_micros(1250)),
            bytes_in: 0,
            bytes_out: 12,
            protocol: "HTTP/2",
        };
        assert_eq!(
            line(&permitted),
            serde_json::json!({
                "level": "INFO", "target": "portcullis::access", "message": "request",
                "request.id": "r-1", "source.ip": "10.0.0.1", "client.ip": "2001:db8::1",
                "user": "nick@example.com", "method": "GET", "path": "/chat", "status": 200,
                "decision": "permitted", "duration_ms": 1.5, "upstream_first_byte_ms": 1.25,
                "bytes_in": 0, "bytes_out": 12, "protocol": "HTTP/2",
            })
        );
        let denied = Access {
            client: None,
            user: None,
            upstream_first_byte: None,
            status: 403,
            decision: "trusted_proxy_untrusted_source",
            ..permitted
        };
        let line = line(&denied);
        let object = line.as_object().unwrap();
        for absent in ["client.ip", "user", "upstream_first_byte_ms"] {
            assert!(!object.contains_key(absent), "{absent}");
        }
        assert_eq!(line["decision"], "trusted_proxy_untrusted_source");
    }

    #[test]
    fn is_set_up_once_and_libraries_are_cut_off_before_they_format() {
        let flusher = init(logging(LevelFilter::TRACE, AccessLog::Off)).unwrap();
        assert_eq!(
            tracing_log::log::max_level(),
            tracing_log::log::LevelFilter::Warn
        );
        let again = init(logging(LevelFilter::TRACE, AccessLog::Off));
        assert!(matches!(again, Err(LoggingError::AlreadySetUp)));
        assert!(flusher.flush(Duration::from_secs(10)));
    }

    #[test]
    fn an_access_line_allocates_nothing() {
        let subscriber = tracing_subscriber::registry()
            .with(targets(&logging(LevelFilter::INFO, AccessLog::On)))
            .with(
                tracing_subscriber::fmt::layer()
                    .event_format(LogFormat::Json)
                    .with_writer(io::sink),
            );
        let line = Access {
            request_id: "0af7651916cd43dd8448eb211c80319c",
            source: Source::new("10.0.0.1".parse().unwrap(), LocalInterface::No),
            client: Some("2001:db8::1".parse().unwrap()),
            user: Some("nick@example.com"),
            method: "POST",
            path: "/v1/chat/completions",
            status: 200,
            decision: "permitted",
            duration: Duration::from_micros(1500),
            upstream_first_byte: Some(Duration::from_micros(1250)),
            bytes_in: 1,
            bytes_out: 2,
            protocol: "HTTP/1.1",
        };
        tracing::subscriber::with_default(subscriber, || {
            access(&line);
            let counted = allocation_counter::measure(|| access(&line));
            assert_eq!(counted.count_total, 0);
        });
    }
}
