//! What is believed of what a source says of its client: the request's id, and that it
//! came over HTTPS.

use super::admission::{Arrival, only};
use crate::forwarded::Scheme;
use crate::policy::{Code, Field, Standing, Upgrade};
use crate::request_id::RequestId;
use crate::snapshot::Snapshot;
use bytes::Bytes;

/// Whether what a source says of its client is believed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Belief {
    TrustedProxy,
    Nobody,
}

impl From<Standing> for Belief {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::TrustedProxy => Self::TrustedProxy,
            Standing::RouteSource => Self::Nobody,
        }
    }
}

impl From<Code> for Belief {
    fn from(code: Code) -> Self {
        match code {
            Code::UntrustedSource
            | Code::UntrustedCertificate
            | Code::LoopbackSource
            | Code::LocalInterfaceSource
            | Code::LocalInterfaceCheckFailed => Self::Nobody,
            Code::AmbiguousHeader
            | Code::UnexpectedScopes
            | Code::MissingHeader
            | Code::AssertionMissing
            | Code::AssertionInvalid
            | Code::AssertionExpired
            | Code::UserMissing
            | Code::UserInvalid
            | Code::AssertionUserMismatch
            | Code::UserNotAllowed => Self::TrustedProxy,
        }
    }
}

impl Arrival<'_> {
    /// The request's id and how its client connected, told by whom they may be
    /// told: anyone else would write into the log with the one, and decide on HSTS
    /// with the other.
    pub(super) fn believed(&self, belief: Belief) -> (RequestId, Scheme) {
        let listener = self.facts.scheme;
        match belief {
            Belief::Nobody => (RequestId::generate(), listener),
            Belief::TrustedProxy => (
                request_id(self.fields),
                either(listener, forwarded_scheme(self.view.upgrade, self.fields)),
            ),
        }
    }
}

/// HSTS belongs to answers that reach the client over TLS, here or at the trusted
/// proxy, and to no other (RFC 6797 section 7.2).
pub(super) fn hsts(snapshot: &Snapshot, scheme: Scheme) -> Option<Bytes> {
    match scheme {
        Scheme::Https => snapshot.hsts.clone(),
        Scheme::Http => None,
    }
}

/// Https if either is.
pub(super) fn either(listener: Scheme, forwarded: Scheme) -> Scheme {
    match (listener, forwarded) {
        (Scheme::Http, Scheme::Http) => Scheme::Http,
        _ => Scheme::Https,
    }
}

/// The trusted proxy's id when it sent exactly one that is sane.
fn request_id(fields: &[Field<'_>]) -> RequestId {
    only(fields, "x-request-id")
        .and_then(RequestId::accept)
        .unwrap_or_else(RequestId::generate)
}

/// What the trusted proxy says of a request that is not rewritten.
fn forwarded_scheme(upgrade: Upgrade, fields: &[Field<'_>]) -> Scheme {
    only(fields, "x-forwarded-proto")
        .and_then(|value| Scheme::forwarded(value, upgrade))
        .unwrap_or(Scheme::Http)
}
