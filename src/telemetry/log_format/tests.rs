use super::*;
use proptest::prelude::*;
use std::io;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What `log` writes in `format`.
fn written(format: LogFormat, colour: bool, log: impl FnOnce()) -> String {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(colour)
        .with_max_level(Level::TRACE)
        .event_format(format)
        .with_writer(captured.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, log);
    String::from_utf8(captured.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn json_is_flat_and_typed() {
    let line = written(LogFormat::Json, false, || {
        tracing::event!(
            target: "portcullis::test",
            Level::WARN,
            source.ip = "10.0.0.1",
            count = 3_u64,
            below = -1_i64,
            duration_ms = 0.25,
            infinite = f64::INFINITY,
            good = true,
            shown = %"a\"b",
            absent = None::<&str>,
            "request \"denied\""
        );
    });
    let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
    let mut object = parsed.as_object().unwrap().clone();
    let timestamp = object.remove("timestamp").unwrap();
    let timestamp = timestamp.as_str().unwrap();
    assert!(
        timestamp.len() > 20 && timestamp.ends_with('Z'),
        "{timestamp}"
    );
    assert_eq!(
        serde_json::Value::Object(object),
        serde_json::json!({
            "level": "WARN", "target": "portcullis::test", "message": "request \"denied\"",
            "source.ip": "10.0.0.1", "count": 3, "below": -1, "duration_ms": 0.25,
            "infinite": null, "good": true, "shown": "a\"b",
        })
    );
}

#[test]
fn text_reads_as_a_line_of_fields() {
    let line = written(LogFormat::Text, false, || {
        tracing::info!(
            user = "nick",
            path = "/a b",
            empty = "",
            n = 7_u64,
            "it's \"served\""
        );
    });
    let (timestamp, rest) = line.split_once(' ').unwrap();
    assert!(timestamp.ends_with('Z'));
    assert_eq!(
        rest,
        " INFO it's \"served\" user=nick path=\"/a b\" empty=\"\" n=7\n"
    );
}

#[test]
fn text_is_coloured_only_where_asked() {
    let log = || tracing::error!(user = "nick", "failed");
    assert!(written(LogFormat::Text, true, log).contains("\x1b[31mERROR"));
    assert!(!written(LogFormat::Text, false, log).contains('\x1b'));
}

#[test]
fn a_bridged_record_shows_its_own_target_and_no_bridge_fields() {
    let record = log_record("pingora_core::server");
    let line = written(LogFormat::Json, false, || {
        tracing_log::format_trace(&record).unwrap();
    });
    let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(parsed["target"], "pingora_core::server");
    assert_eq!(parsed["message"], "two\nlines");
    assert!(!line.contains("log."), "{line}");
}

fn log_record(target: &'static str) -> tracing_log::log::Record<'static> {
    tracing_log::log::Record::builder()
        .args(format_args!("two\nlines"))
        .level(tracing_log::log::Level::Warn)
        .target(target)
        .build()
}

proptest! {
    #[test]
    fn whatever_a_client_sends_json_gives_it_back_from_one_line(value in any::<String>()) {
        let line = written(LogFormat::Json, false, || {
            tracing::info!(value = value.as_str(), shown = ?value, "said {value}");
        });
        prop_assert_eq!(line.matches('\n').count(), 1);
        prop_assert!(!line.trim_end_matches('\n').contains(must_not_show));
        let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(&parsed["value"], &value);
        prop_assert_eq!(&parsed["shown"], &format!("{value:?}"));
        prop_assert_eq!(&parsed["message"], &format!("said {value}"));
    }

    #[test]
    fn whatever_a_client_sends_text_stays_one_line_without_controls(
        value in "(?s)[\\n\\r\\x1b\u{85}\u{202e} a=\"\\\\]{0,12}|.*",
    ) {
        let line = written(LogFormat::Text, false, || {
            tracing::info!(value = value.as_str(), shown = ?value, "said {value}");
        });
        prop_assert_eq!(line.matches('\n').count(), 1);
        prop_assert!(!line.trim_end_matches('\n').contains(must_not_show), "{}", line);
    }

    #[test]
    fn a_value_cannot_pass_for_another_field(value in "[ a-z=\"\\\\]{0,20}") {
        let line = written(LogFormat::Text, false, || {
            tracing::info!(value = value.as_str(), last = 1_u64, "m");
        });
        let (_, rest) = line.split_once(" m value=").unwrap();
        let shown = rest.strip_suffix(" last=1\n").unwrap();
        if let Some(inner) = shown.strip_prefix('"') {
            let inner = inner.strip_suffix('"').unwrap().replace("\\\\", "").replace("\\\"", "");
            prop_assert!(!inner.contains('"'), "{}", line);
        } else {
            prop_assert!(!shown.contains([' ', '=', '"']), "{}", line);
        }
    }
}

fn must_not_show(character: char) -> bool {
    !matches!(character, '"' | '\\') && must_escape(character)
}
