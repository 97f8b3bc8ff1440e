//! The rows of the corpus: what is sent, and what must become of it.
//!
//! Nothing here knows of a test harness or of a process: `doctor --attack` is to
//! fire the same rows at a deployed chain.

use crate::frames::Frame;
use serde::Deserialize;
use std::collections::HashSet;
use std::net::IpAddr;

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    /// HTTP/1.1 over TCP.
    H1,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2 over TLS.
    H2,
}

/// One attack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) id: String,
    /// The number of its class.
    pub(crate) row: u16,
    pub(crate) title: String,
    /// Who was bitten, or the rule that it breaks.
    pub(crate) source: String,
    #[serde(default)]
    pub(crate) over: Vec<Protocol>,
    #[serde(default = "plain")]
    pub(crate) config: String,
    /// The address that the client connects from.
    pub(crate) from: Option<IpAddr>,

    /// Sent as soon as there is a connection, before TLS.
    pub(crate) preamble: Option<String>,
    /// A permitted request, changed by these four and written in either version.
    #[serde(default = "get")]
    pub(crate) method: String,
    #[serde(default = "root")]
    pub(crate) target: String,
    #[serde(default)]
    pub(crate) fields: Vec<String>,
    #[serde(default)]
    pub(crate) anonymous: bool,
    /// Or HTTP/1.1 byte for byte; each piece but the first is sent after an answer.
    pub(crate) h1: Option<Pieces>,
    /// Or HTTP/2 frame for frame, after preface and settings.
    pub(crate) h2: Option<Vec<Frame>>,
    /// What the upstream answers the first request, where it isn't a plain 200.
    pub(crate) upstream: Option<Script>,

    /// What the client may be answered: one answer, or several in their order.
    #[serde(default)]
    pub(crate) status: Vec<Allowed>,
    #[serde(default)]
    pub(crate) answers: Vec<Vec<Allowed>>,
    /// The connection must be closed after the answers (HTTP/1.1).
    #[serde(default)]
    pub(crate) closed: bool,
    /// How many whole requests the upstream gets, where it isn't one for each 200 or
    /// 101 that the client is answered.
    pub(crate) reaches: Option<usize>,
    /// What each of them has, as `name: value`, once and in one spelling.
    #[serde(default)]
    pub(crate) has: Vec<String>,
    /// The same, asked of Portcullis alone: others are as safe with another value.
    #[serde(default)]
    pub(crate) exactly: Vec<String>,
    /// What none of them has, in any spelling.
    #[serde(default)]
    pub(crate) lacks: Vec<String>,
    /// What is nowhere in the bytes that the upstream gets.
    #[serde(default)]
    pub(crate) nowhere: Vec<String>,
    /// The requests' targets, in their order.
    #[serde(default)]
    pub(crate) targets: Vec<String>,
    /// They carry no user: a public route.
    #[serde(default)]
    pub(crate) public: bool,
    /// For other front ends: to take the attack out and serve the rest is as safe.
    #[serde(default)]
    pub(crate) or_clean: bool,

    /// Tests that show what one connection's bytes can't.
    #[serde(default)]
    pub(crate) shown_by: Vec<String>,
}

/// Bytes, in one piece or more.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Pieces {
    One(String),
    Many(Vec<String>),
}

impl Pieces {
    pub(crate) fn as_slice(&self) -> &[String] {
        match self {
            Self::One(piece) => std::slice::from_ref(piece),
            Self::Many(pieces) => pieces,
        }
    }
}

/// An upstream's answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    pub(crate) answer: String,
    /// Sent once the head is in, whatever body is to come.
    #[serde(default)]
    pub(crate) early: bool,
}

/// An answer that a row allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Allowed {
    Status(u16),
    Ending(Ending),
}

/// The end of a request without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ending {
    /// The stream was reset.
    Reset,
    /// The connection was closed.
    Closed,
}

/// What is wrong with the corpus.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CorpusError {
    #[error("{theme}: {error}")]
    Syntax {
        theme: String,
        error: Box<toml::de::Error>,
    },
    #[error("{0}: an id that another row has")]
    Twice(String),
    #[error("{0}: {1}")]
    Row(String, &'static str),
    #[error("`${{{0}`: no such placeholder")]
    Placeholder(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    row: Vec<Row>,
}

/// Reads themes (a name and its TOML).
pub(crate) fn read(themes: &[(String, String)]) -> Result<Vec<(String, Row)>, CorpusError> {
    let mut rows = Vec::new();
    let mut ids = HashSet::new();
    for (theme, text) in themes {
        let file: File = toml::from_str(text).map_err(|error| CorpusError::Syntax {
            theme: theme.clone(),
            error: Box::new(error),
        })?;
        for row in file.row {
            if !ids.insert(row.id.clone()) {
                return Err(CorpusError::Twice(row.id));
            }
            row.check()?;
            rows.push((theme.clone(), row));
        }
    }
    Ok(rows)
}

impl Row {
    /// The answers that are due, each with what it may be.
    pub(crate) fn due(&self) -> Vec<&[Allowed]> {
        if self.answers.is_empty() && !self.status.is_empty() {
            vec![&self.status]
        } else {
            self.answers.iter().map(Vec::as_slice).collect()
        }
    }

    /// Whether its request is written out byte for byte or frame for frame.
    fn is_raw(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::H1 | Protocol::Tls => self.h1.is_some(),
            Protocol::H2 => self.h2.is_some(),
        }
    }

    fn check(&self) -> Result<(), CorpusError> {
        let complain = |complaint| Err(CorpusError::Row(self.id.clone(), complaint));
        if !self.id.starts_with(&format!("a{:02}-", self.row)) {
            return complain("its id does not begin with its number");
        }
        if self.title.is_empty() || self.source.is_empty() {
            return complain("it has no title or no source");
        }
        if self.over.is_empty() == self.shown_by.is_empty() {
            return complain("either it is sent over something or other tests show it");
        }
        if !self.status.is_empty() && !self.answers.is_empty() {
            return complain("`status` and `answers` are the same thing");
        }
        if self.shown_by.is_empty() && self.due().is_empty() && !self.closed {
            return complain("nothing is expected");
        }
        let is_mixed = (self.h1.is_some() || self.h2.is_some())
            && self.over.iter().any(|protocol| !self.is_raw(*protocol));
        if is_mixed {
            return complain("it is raw in one version alone, and sent over both");
        }
        Ok(())
    }
}

impl Allowed {
    /// The upstream's own answer.
    pub(crate) fn is_passed(&self) -> bool {
        matches!(self, Self::Status(101 | 200..=299))
    }
}

fn plain() -> String {
    "plain".to_owned()
}

fn get() -> String {
    "GET".to_owned()
}

fn root() -> String {
    "/".to_owned()
}
