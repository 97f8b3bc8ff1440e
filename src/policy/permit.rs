//! What a policy gives out for a request that may pass.

use super::class::Class;
use super::request::{Field, MAX_FIELDS, Request};
use super::scopes::Scopes;
use super::source::Source;
use super::user::VerifiedUser;
use std::fmt;

/// Proof that the policy permitted one request: made by [`Policy::decide`](super::Policy::decide)
/// alone, and the only thing that headers for the upstream are written from.
///
/// ```compile_fail
/// use portcullis::policy::{Identity, Permit};
/// fn forge<'a>(permit: &Permit<'a>) -> Permit<'a> {
///     Permit { identity: Identity::Public, ..*permit }
/// }
/// ```
#[must_use]
pub struct Permit<'a> {
    pub(super) source: Source,
    pub(super) standing: Standing,
    pub(super) identity: Identity<'a>,
    pub(super) request: Request<'a>,
    pub(super) classes: [Class; MAX_FIELDS],
}

/// For whom a request was permitted.
#[derive(Debug, Clone, Copy)]
pub enum Identity<'a> {
    /// A user that the trusted proxy named and the policy allows.
    User {
        /// Who.
        user: VerifiedUser<'a>,
        /// What the upstream is told they may do.
        scopes: Scopes<'a>,
    },
    /// Nobody: a public route.
    Public,
}

/// Whether what a source says about the client is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A trusted proxy: its `x-forwarded-*` are read.
    TrustedProxy,
    /// A source of a public route and no more: it is the client itself.
    RouteSource,
}

impl<'a> Permit<'a> {
    /// Who connected.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Whether what the source says about the client is believed.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// For whom the request was permitted.
    pub fn identity(&self) -> &Identity<'a> {
        &self.identity
    }

    /// The user, unless it is a public route.
    pub fn user(&self) -> Option<VerifiedUser<'a>> {
        match self.identity {
            Identity::User { user, .. } => Some(user),
            Identity::Public => None,
        }
    }

    /// The request that was permitted.
    pub fn request(&self) -> &Request<'a> {
        &self.request
    }

    /// Every field of the request with its class, in the order received.
    pub fn fields(
        &self,
    ) -> impl DoubleEndedIterator<Item = (Class, &'a Field<'a>)> + ExactSizeIterator + '_ {
        self.classes.iter().copied().zip(self.request.fields)
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("source", &self.source)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
