//! One event, one line: flat JSON for machines, text for people.
//!
//! The subscriber's own formatters are not used: its JSON builds a map of owned
//! strings for every event, which is most of an access line's cost, and its text
//! lets a line feed in a message through, with which a client could write log
//! lines of its own.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, its fields beside `timestamp` (RFC 3339, UTC),
    /// `level`, `target` and `message`.
    Json,
    /// `timestamp LEVEL message field=value …`, coloured where the terminal
    /// shows colour.
    Text,
}

impl<S, N> FormatEvent<S, N> for LogFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // A record of the `log` crate carries its true target in fields.
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        match self {
            Self::Json => write_json(&mut writer, metadata.level(), metadata.target(), event),
            Self::Text => write_text(&mut writer, metadata.level(), event),
        }
    }
}

fn write_json(
    writer: &mut Writer<'_>,
    level: &Level,
    target: &str,
    event: &Event<'_>,
) -> fmt::Result {
    writer.write_str("{\"timestamp\":\"")?;
    SystemTime.format_time(writer)?;
    write!(writer, "\",\"level\":\"{level}\",\"target\":")?;
    write_quoted(writer, target)?;
    let mut fields = JsonFields {
        writer,
        result: Ok(()),
    };
    event.record(&mut fields);
    fields.result?;
    writer.write_str("}\n")
}

struct JsonFields<'a, 'w> {
    writer: &'a mut Writer<'w>,
    result: fmt::Result,
}

impl JsonFields<'_, '_> {
    fn put(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.result.is_ok() && !is_bridged(field) {
            self.result = (|| {
                self.writer.write_char(',')?;
                write_quoted(self.writer, field.name())?;
                self.writer.write_char(':')?;
                value(self.writer)
            })();
        }
    }
}

impl Visit for JsonFields<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, |writer| write_quoted(writer, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, |writer| write!(writer, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, |writer| write!(writer, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, |writer| {
            if value.is_finite() {
                write!(writer, "{value}")
            } else {
                writer.write_str("null")
            }
        });
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, |writer| write!(writer, "{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, |writer| {
            writer.write_char('"')?;
            write!(JsonEscaped(writer), "{value:?}")?;
            writer.write_char('"')
        });
    }
}

fn write_quoted(writer: &mut Writer<'_>, value: &str) -> fmt::Result {
    writer.write_char('"')?;
    JsonEscaped(writer).write_str(value)?;
    writer.write_char('"')
}

/// Escapes what RFC 8259 §7 demands, and the controls that a terminal obeys.
struct JsonEscaped<'a, 'w>(&'a mut Writer<'w>);

impl Write for JsonEscaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_escaping(self.0, text, |writer, escaped| match escaped {
            '"' => writer.write_str("\\\""),
            '\\' => writer.write_str("\\\\"),
            '\n' => writer.write_str("\\n"),
            '\r' => writer.write_str("\\r"),
            '\t' => writer.write_str("\\t"),
            // Every escaped character lies in the basic plane, so that one
            // UTF-16 unit holds it.
            other => write!(writer, "\\u{:04x}", u32::from(other)),
        })
    }
}

fn write_text(writer: &mut Writer<'_>, level: &Level, event: &Event<'_>) -> fmt::Result {
    let colour = writer.has_ansi_escapes();
    if colour {
        writer.write_str("\x1b[2m")?;
    }
    SystemTime.format_time(writer)?;
    if colour {
        write!(writer, "\x1b[0m {}{level:>5}\x1b[0m", colour_of(*level))?;
    } else {
        write!(writer, " {level:>5}")?;
    }
    let mut fields = TextFields {
        writer,
        result: Ok(()),
        colour,
    };
    event.record(&mut fields);
    fields.result?;
    writer.write_char('\n')
}

fn colour_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

struct TextFields<'a, 'w> {
    writer: &'a mut Writer<'w>,
    result: fmt::Result,
    colour: bool,
}

impl TextFields<'_, '_> {
    fn name(&mut self, name: &str) -> fmt::Result {
        if self.colour {
            write!(self.writer, " \x1b[2m{name}=\x1b[0m")
        } else {
            write!(self.writer, " {name}=")
        }
    }

    fn put(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.result.is_ok() && !is_bridged(field) {
            self.result = self.name(field.name()).and_then(|()| value(self.writer));
        }
    }
}

impl Visit for TextFields<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let plain = !value.is_empty() && !value.contains([' ', '=', '"', '\\']);
        self.put(field, |writer| {
            if plain {
                return TextEscaped(writer).write_str(value);
            }
            // Quoted, so that a value with a space cannot pass for two fields.
            writer.write_char('"')?;
            TextEscaped(writer).write_str(value)?;
            writer.write_char('"')
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.result.is_err() {
            return;
        }
        if field.name() == "message" {
            self.result = self
                .writer
                .write_char(' ')
                .and_then(|()| write!(Message(self.writer), "{value:?}"));
        } else {
            self.record_str(field, &format!("{value:?}"));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, |writer| write!(writer, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, |writer| write!(writer, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, |writer| write!(writer, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, |writer| write!(writer, "{value}"));
    }
}

/// A value: quotes are escaped beside the controls.
struct TextEscaped<'a, 'w>(&'a mut Writer<'w>);

impl Write for TextEscaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_escaping(self.0, text, |writer, escaped| {
            write!(writer, "{}", escaped.escape_default())
        })
    }
}

/// A message: our own words, so quotes stay; but bridged messages may quote
/// what a client sent, so controls don't.
struct Message<'a, 'w>(&'a mut Writer<'w>);

impl Write for Message<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_escaping(self.0, text, |writer, escaped| match escaped {
            '"' | '\\' => writer.write_char(escaped),
            control => write!(writer, "{}", control.escape_default()),
        })
    }
}

/// Writes `text` with `escape` called for each quote, backslash and character
/// that could forge or reorder what a reader sees.
fn write_escaping(
    writer: &mut Writer<'_>,
    text: &str,
    escape: impl Fn(&mut Writer<'_>, char) -> fmt::Result,
) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(must_escape) {
        let (plain, tail) = rest.split_at(at);
        writer.write_str(plain)?;
        let mut characters = tail.chars();
        if let Some(character) = characters.next() {
            escape(writer, character)?;
        }
        rest = characters.as_str();
    }
    writer.write_str(rest)
}

/// Quotes and controls; line and paragraph separators; and the bidirectional
/// controls with which a shown line differs from the written one (CVE-2021-42574).
fn must_escape(character: char) -> bool {
    match character {
        '"' | '\\' => true,
        ' '..='~' => false,
        '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}' => true,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        other => other.is_control(),
    }
}

/// Fields in which the bridge from the `log` crate carries metadata.
fn is_bridged(field: &Field) -> bool {
    field.name().starts_with("log.")
}

#[cfg(test)]
mod tests;
