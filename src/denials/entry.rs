//! One refused request, as it is kept and told.

use super::fields;
use crate::forwarded::Scheme;
use crate::policy::{
    Denial, Field, LocalInterface, Mismatch, Peer, Policy, Request, Source, Upgrade,
};
use crate::redaction::{SeenField, cut};
use crate::unix_time::unix_seconds;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::SystemTime;

const MAX_METHOD_BYTES: usize = 32;
const MAX_HOST_BYTES: usize = 255;
/// Names of a certificate.
const MAX_NAMES: usize = 4;
const MAX_PATH_BYTES: usize = 1024;
const MAX_FACT_BYTES: usize = 512;

/// A text that is ours or, read back, somebody's.
pub type Fact = Cow<'static, str>;

/// A refused request. Holds no value that might be a secret, and a few kB at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The id in the answer and in the log.
    pub request_id: String,
    /// When, in seconds since the Unix epoch.
    pub at: u64,
    /// Who connected: an address, or `unix:UID`.
    pub source: String,
    /// Whether it is one of the trusted proxies.
    pub is_source_trusted: bool,
    /// Whether it is an address of this host; none where that couldn't be told.
    pub is_own_address: Option<bool>,
    /// The load balancer that said so; none where the system did.
    pub announced_by: Option<String>,
    /// The names of the certificate that it showed; none where it showed none.
    pub certificate: Option<Vec<String>>,
    /// What the listener speaks, `http` or `https`.
    pub scheme: Fact,
    /// The number of the configuration that decided.
    pub generation: u64,
    /// The answer's status.
    pub status: u16,
    /// The stable code.
    pub code: Fact,
    /// The code, made more precise where it can be.
    pub reason: Fact,
    /// What the client was told.
    pub message: Fact,
    /// The config's key that decided; none where none did.
    pub rule: Option<Fact>,
    /// The header that the policy refused it for; none where there was another ground.
    pub header: Option<String>,
    /// What came.
    pub got: String,
    /// What was expected.
    pub expected: Fact,
    /// What to change.
    pub remedy: Fact,
    /// The request; none where its head couldn't be read.
    pub request: Option<SeenRequest>,
}

/// What is kept of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenRequest {
    /// The method.
    pub method: String,
    /// The path as sent.
    pub path: String,
    /// Whether a query followed, which is not kept.
    pub has_query: bool,
    /// The protocol's version.
    pub protocol: Fact,
    /// The host that was asked for.
    pub host: String,
    /// Whether it asked to become a WebSocket.
    pub is_websocket: bool,
    /// The fields in the order received.
    pub fields: Vec<SeenField>,
    /// The user header, the assertion's and required ones that didn't come.
    pub absent: Vec<String>,
    /// Something was too long to be kept whole.
    pub is_cut: bool,
}

/// Where and how a request arrived.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// Who connected, and what they showed.
    pub peer: Peer<'a>,
    /// The load balancer that said so.
    pub announced_by: Option<Source>,
    /// The listener's.
    pub scheme: Scheme,
    /// The number of the configuration.
    pub generation: u64,
    /// The rules in force.
    pub policy: &'a Policy,
    /// The request, with host and protocol; none where its head couldn't be read.
    pub request: Option<(&'a Request<'a>, &'a str, &'static str)>,
}

/// Why a request was refused, in words that all are ours.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The answer's status.
    pub status: u16,
    /// The stable code.
    pub code: &'static str,
    /// The code, made more precise where it can be.
    pub reason: Fact,
    /// What the client was told.
    pub message: &'static str,
    /// The config's key that decided.
    pub rule: Option<Fact>,
    /// The header that it is about.
    pub header: Option<String>,
    /// What came, and what was expected.
    pub mismatch: Mismatch,
    /// What to change.
    pub remedy: &'static str,
}

impl Refused {
    /// The policy's denial; `remedy` is what the operator is advised.
    pub fn denial(policy: &Policy, denial: &Denial, remedy: &'static str) -> Self {
        let code = denial.code();
        Self {
            status: code.status(),
            code: code.as_str(),
            reason: denial.reason(),
            message: denial.message(),
            rule: policy.rule(denial).map(Fact::Borrowed),
            header: denial.header().map(str::to_owned),
            mismatch: denial.mismatch(),
            remedy,
        }
    }
}

impl Entry {
    /// What is kept of a request that was refused `now`.
    pub fn new(arrival: &Arrival<'_>, refused: Refused, now: SystemTime) -> Self {
        let Arrival {
            request_id,
            peer,
            announced_by,
            scheme,
            generation,
            policy,
            request,
        } = *arrival;
        let source = peer.source;
        let Refused {
            status,
            code,
            reason,
            message,
            rule,
            header,
            mismatch,
            remedy,
        } = refused;
        Self {
            request_id: request_id.to_owned(),
            at: unix_seconds(now),
            source: source.to_string(),
            is_source_trusted: policy.trusts(peer),
            is_own_address: match source.local_interface() {
                LocalInterface::No => Some(false),
                LocalInterface::Yes => Some(true),
                LocalInterface::Unknown => None,
            },
            announced_by: announced_by.map(|balancer| balancer.to_string()),
            certificate: peer.certificate.map(|names| {
                let names = names.iter().take(MAX_NAMES).map(ToString::to_string);
                names
                    .map(|name| cut(&name, MAX_HOST_BYTES).to_owned())
                    .collect()
            }),
            scheme: scheme.as_str().into(),
            generation,
            status,
            code: code.into(),
            reason,
            message: message.into(),
            rule,
            header,
            got: cut(&mismatch.got, MAX_FACT_BYTES).to_owned(),
            expected: mismatch.expected,
            remedy: remedy.into(),
            request: request.map(|(request, host, protocol)| seen(policy, request, host, protocol)),
        }
    }
}

fn seen(policy: &Policy, request: &Request<'_>, host: &str, protocol: &'static str) -> SeenRequest {
    // What a log line has of a target, too: from `?` or `#` on it is nobody's business.
    let path = request
        .target
        .split(['?', '#'])
        .next()
        .unwrap_or(request.target);
    let kept = cut(path, MAX_PATH_BYTES);
    let method = cut(request.method, MAX_METHOD_BYTES);
    let (fields, are_fields_cut) = fields::keep(policy, request.fields);
    SeenRequest {
        is_cut: are_fields_cut || kept.len() < path.len() || method.len() < request.method.len(),
        method: method.to_owned(),
        path: kept.to_owned(),
        has_query: path.len() < request.target.len(),
        protocol: protocol.into(),
        host: cut(host, MAX_HOST_BYTES).to_owned(),
        is_websocket: request.upgrade == Upgrade::Websocket,
        fields,
        absent: absent(policy, request.fields),
    }
}

fn absent(policy: &Policy, fields: &[Field<'_>]) -> Vec<String> {
    let came = |name: &str| {
        fields
            .iter()
            .any(|field| field.name.eq_ignore_ascii_case(name))
    };
    let named = std::iter::once(policy.user_header())
        .chain(policy.assertion_header().map(|(name, _)| name))
        .chain(policy.required_headers())
        .map(|name| name.as_str());
    // The user's or the assertion's may be a required one as well.
    let mut absent: Vec<String> = Vec::new();
    for name in named.filter(|name| !came(name)) {
        if absent.iter().all(|known| !known.eq_ignore_ascii_case(name)) {
            absent.push(name.to_owned());
        }
    }
    absent
}
