//! What came back for one request.

use super::distrust::Distrust;
use crate::denials::Entry;
use crate::probe::{ProbeAnswer, Shot};
use serde::Deserialize;

/// An answer, before anybody has asked Portcullis about it.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Portcullis', to the probe.
    Probe(Box<ProbeAnswer>),
    /// The same, to another request than the one that was sent.
    Replayed,
    /// An error with a request id in the shape of Portcullis' own.
    Error {
        /// The id to ask about.
        request_id: String,
        /// The status.
        status: u16,
    },
    /// Somebody else's.
    Other {
        /// The status.
        status: u16,
        /// Where it sends the client.
        location: Option<String>,
    },
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// It was permitted.
    Probe(Box<ProbeAnswer>),
    /// Portcullis refused it, and says why.
    Denied(Box<Entry>),
    /// The answer was to another request.
    Replayed,
    /// Whoever stands in front refused it.
    Refused(u16),
    /// Whoever stands in front sent it elsewhere, to a login most of the time: in words.
    Redirected(String),
    /// There was no connection: in words.
    Unreachable(String),
    /// The certificate of this address was not believed.
    Untrusted(String, Distrust),
    /// Nobody knows: in words.
    Unknown(String),
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorId {
    request_id: String,
}

impl Seen {
    /// Why nothing is known of the request; none where something is.
    pub(super) fn trouble(&self) -> Option<String> {
        match self {
            Self::Probe(_) | Self::Denied(_) | Self::Refused(_) => None,
            Self::Redirected(what) | Self::Unreachable(what) | Self::Unknown(what) => {
                Some(what.clone())
            }
            Self::Replayed => Some(
                "an answer to another request, something in front caches or replays".to_owned(),
            ),
            Self::Untrusted(target, distrust) => Some(format!(
                "TLS handshake with {target} failed, its certificate is not believed: {}",
                distrust.words()
            )),
        }
    }
}

impl Reply {
    /// Reads an answer to `shot`.
    pub(super) fn read(shot: &Shot, status: u16, location: Option<String>, body: &[u8]) -> Self {
        if let (200, Ok(answer)) = (status, serde_json::from_slice::<Box<ProbeAnswer>>(body)) {
            return match answer.shot == *shot {
                true => Self::Probe(answer),
                false => Self::Replayed,
            };
        }
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(ErrorBody { error }) if status >= 400 => Self::Error {
                request_id: error.request_id,
                status,
            },
            _ => Self::Other { status, location },
        }
    }

    /// What it says by itself, if no refusal of Portcullis' is known.
    #[must_use]
    pub fn by_itself(self) -> Seen {
        match self {
            Self::Probe(answer) => Seen::Probe(answer),
            Self::Replayed => Seen::Replayed,
            Self::Error { status, .. } | Self::Other { status, .. }
                if (400..500).contains(&status) =>
            {
                Seen::Refused(status)
            }
            Self::Error { status, .. } => Seen::Unknown(format!("the answer was {status}")),
            Self::Other {
                status,
                location: Some(location),
            } => {
                // Its query may hold the state of a login.
                let place = location.split(['?', '#']).next().unwrap_or_default();
                Seen::Redirected(format!("the answer was {status} to `{place}`"))
            }
            Self::Other { status, .. } => Seen::Unknown(format!(
                "the answer was {status}, and not from Portcullis' probe"
            )),
        }
    }
}
