//! `[log]`: what is logged, and how.

use super::section::Section;
use super::walk::Walk;
use crate::telemetry::logging::{AccessLog, LogFormat};

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The least severe level that is logged. Default `info`.
    pub level: LogLevel,
    /// Default JSON.
    pub format: LogFormat,
    /// Whether each request has its line. Default on.
    pub access: AccessLog,
}

/// The least severe level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// What fails.
    Error,
    /// And what is suspicious.
    Warn,
    /// And what happens.
    Info,
    /// And why.
    Debug,
    /// And how.
    Trace,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            format: LogFormat::Json,
            access: AccessLog::On,
        }
    }
}

pub(super) fn read(section: &Section<'_>, walk: &mut Walk<'_>) -> Log {
    use LogLevel::{Debug, Error, Info, Trace, Warn};
    let [level, format, access] = section.fields(walk, ["level", "format", "access"], &[]);
    let default = Log::default();
    let levels = &["error", "warn", "info", "debug", "trace"];
    Log {
        level: level
            .choice(walk, levels, &[Error, Warn, Info, Debug, Trace])
            .unwrap_or(default.level),
        format: format
            .choice(walk, &["json", "text"], &[LogFormat::Json, LogFormat::Text])
            .unwrap_or(default.format),
        access: match access.boolean(walk) {
            Some(false) => AccessLog::Off,
            Some(true) | None => default.access,
        },
    }
}
