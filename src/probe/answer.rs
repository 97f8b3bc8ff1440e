//! What the front door says of a request that showed the armed probe's nonce.

use super::Shot;
use crate::policy::{Class, Field};
use crate::redaction::SeenField;
use serde::{Deserialize, Serialize};

/// One request as it came through the proxies in front, and as the upstream would have
/// got it. No value in it can be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeAnswer {
    /// What it answers.
    pub shot: Shot,
    /// The request's id.
    pub request_id: String,
    /// Who connected.
    pub source: String,
    /// The load balancer that said so.
    pub announced_by: Option<String>,
    /// What the listener speaks.
    pub scheme: String,
    /// The protocol's version.
    pub protocol: String,
    /// The verified user; none on a public route.
    pub user: Option<String>,
    /// What the upstream would have been told that the client's address is.
    pub client: String,
    /// Every field as it arrived, in order.
    pub received: Vec<ProbedField>,
    /// Every field that the upstream would have got.
    pub upstream: Vec<ProbedField>,
    /// The header in which the user comes.
    pub user_header: String,
    /// The headers that must come.
    pub required_headers: Vec<String>,
    /// The headers that pass because the config names them, required ones included.
    pub named_headers: Vec<String>,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbedField {
    /// Name, length, and the value where it can be no secret.
    #[serde(flatten)]
    pub field: SeenField,
    /// Whether the value bears the doctor's mark.
    pub is_marked: bool,
    /// What the field is to the policy.
    pub role: Role,
}

/// What a field is to the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// None of our business.
    Pass,
    /// Not passed on.
    Drop,
    /// Named in `requiredHeaders` or `passHeaders`.
    Named,
    /// `host`.
    Host,
    /// `connection`.
    Connection,
    /// `cookie`.
    Cookie,
    /// What the client's address, protocol and host are told by.
    Forwarded,
    /// The user header.
    User,
    /// `x-openclaw-scopes`.
    Scopes,
    /// The header of the upstream's credential.
    Credential,
}

impl From<Class> for Role {
    fn from(class: Class) -> Self {
        match class {
            Class::Pass => Self::Pass,
            Class::Drop => Self::Drop,
            Class::Named => Self::Named,
            Class::Host => Self::Host,
            Class::Connection => Self::Connection,
            Class::Cookie => Self::Cookie,
            Class::ForwardedFor | Class::ForwardedProto | Class::ForwardedHost => Self::Forwarded,
            Class::User => Self::User,
            Class::Scopes => Self::Scopes,
            Class::Credential => Self::Credential,
        }
    }
}

impl ProbeAnswer {
    /// The fields of this name that arrived.
    pub fn arrived<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a ProbedField> {
        let is_it = move |field: &&ProbedField| field.field.name.eq_ignore_ascii_case(name);
        self.received.iter().filter(is_it)
    }

    /// The value that the upstream would have got in this field, where it may be shown.
    #[must_use]
    pub fn sent(&self, name: &str) -> Option<&str> {
        let is_it = |field: &&ProbedField| field.field.name.eq_ignore_ascii_case(name);
        self.upstream.iter().find(is_it)?.field.value.as_deref()
    }
}

impl ProbedField {
    /// `field` as it may be shown.
    pub fn new(field: &Field<'_>, is_open: bool, mark: &super::Mark, class: Class) -> Self {
        Self {
            field: SeenField::new(field, is_open),
            is_marked: mark.is_in(field.value),
            role: class.into(),
        }
    }
}
