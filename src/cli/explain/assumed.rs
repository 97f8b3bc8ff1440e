//! What stands in for the issuer's keys, which the running process alone has: an assertion
//! is judged by its claims, or, where it was not kept, taken for genuine.

use crate::assertion::ClaimsAlone;
use crate::config::Config;
use crate::policy::{AssertionFault, Claimed, Mismatch, Policy, Verify, trim};
use std::cell::Cell;
use std::time::SystemTime;

/// Believes more than the running process would, and remembers that it did.
pub(super) struct Assumed<'c> {
    by: By<'c>,
    was_asked: Cell<bool>,
}

enum By<'c> {
    Claims(ClaimsAlone<'c>),
    /// The user whom the trusted proxy names.
    User(Option<String>),
}

impl<'c> Assumed<'c> {
    /// For an assertion that is there to be read.
    pub(super) fn claims(config: &'c Config) -> Self {
        let asked_for = config.gateway.trusted_proxy.assertion.as_ref();
        let by = match asked_for {
            Some(asked_for) => {
                By::Claims(ClaimsAlone::new(&asked_for.expectations, SystemTime::now()))
            }
            // Then nobody asks.
            None => By::User(None),
        };
        Self::by(by)
    }

    /// For one that was not kept, of a request with these fields.
    pub(super) fn named(policy: &Policy, fields: &[(String, String)]) -> Self {
        let header = policy.user_header().as_str();
        let named = fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(header));
        let user = named.and_then(|(_, value)| {
            let value = policy.user_named_in(trim(value.as_bytes()));
            std::str::from_utf8(value).ok().map(str::to_owned)
        });
        Self::by(By::User(user.filter(|user| !user.is_empty())))
    }

    fn by(by: By<'c>) -> Self {
        Self {
            by,
            was_asked: Cell::new(false),
        }
    }

    /// What to tell, where the decision rests on it.
    pub(super) fn note(&self) -> Option<&'static str> {
        let note = match self.by {
            By::Claims(_) => {
                "the assertion's signature is right: the running process alone has the keys"
            }
            By::User(_) => {
                "the assertion, which was not kept, was genuine and for the user in the user header"
            }
        };
        self.was_asked.get().then_some(note)
    }
}

impl Verify for Assumed<'_> {
    fn verify(&self, token: &[u8]) -> Result<Claimed<'_>, AssertionFault> {
        self.was_asked.set(true);
        match &self.by {
            By::Claims(claims) => claims.verify(token),
            By::User(Some(user)) => Ok(Claimed::User(user)),
            By::User(None) => Err(AssertionFault::Invalid(Mismatch::new(
                "a value that was not kept",
                "a user header beside it",
            ))),
        }
    }
}
