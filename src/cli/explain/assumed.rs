//! What stands in for the keys that the running process alone has: an assertion is taken
//! for genuine, and for the user whom the trusted proxy names.

use crate::policy::{AssertionFault, Claimed, Policy, Verify, trim};
use std::cell::Cell;

/// Believes every assertion, and remembers that it did.
pub(super) struct Assumed {
    user: Option<String>,
    was_asked: Cell<bool>,
}

impl Assumed {
    /// For a request with these fields.
    pub(super) fn new(policy: &Policy, fields: &[(String, String)]) -> Self {
        let header = policy.user_header().as_str();
        let named = fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(header));
        let user = named.and_then(|(_, value)| {
            let value = policy.user_named_in(trim(value.as_bytes()));
            std::str::from_utf8(value).ok().map(str::to_owned)
        });
        Self {
            user: user.filter(|user| !user.is_empty()),
            was_asked: Cell::new(false),
        }
    }

    /// What to tell, where the decision rests on it.
    pub(super) fn note(&self) -> Option<&'static str> {
        self.was_asked.get().then_some(
            "the assertion is taken for genuine and for this user: the running process alone can verify it",
        )
    }
}

impl Verify for Assumed {
    fn verify(&self, _: &[u8]) -> Result<Claimed<'_>, AssertionFault> {
        self.was_asked.set(true);
        match &self.user {
            Some(user) => Ok(Claimed::User(user)),
            None => Err(AssertionFault::Invalid(
                "got an assertion alone, expected the user header beside it, for the running \
                 process alone can read whom it is about"
                    .into(),
            )),
        }
    }
}
