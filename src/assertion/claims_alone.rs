//! What an assertion says, for whoever has no keys: a command that explains.

use super::Expectations;
use super::claims::Subject;
use super::compact::Compact;
use crate::policy::AssertionFault::{self, Invalid};
use crate::policy::{Claimed, Verify};
use crate::unix_time::unix_seconds;
use std::cell::OnceCell;
use std::time::SystemTime;

/// Checks all of an assertion but its signature. Nothing is proven by it: it must never
/// decide on a request that is to be served.
pub struct ClaimsAlone<'e> {
    expectations: &'e Expectations,
    now: u64,
    subject: OnceCell<Subject>,
}

impl<'e> ClaimsAlone<'e> {
    /// For an assertion that is looked at at `now`.
    #[must_use]
    pub fn new(expectations: &'e Expectations, now: SystemTime) -> Self {
        Self {
            expectations,
            now: unix_seconds(now),
            subject: OnceCell::new(),
        }
    }
}

impl Verify for ClaimsAlone<'_> {
    fn verify(&self, token: &[u8]) -> Result<Claimed<'_>, AssertionFault> {
        let expectations = self.expectations;
        let compact = Compact::parse(token, expectations.is_padded()).map_err(Invalid)?;
        let header = compact.header();
        expectations.algorithm(header).map_err(Invalid)?;
        header.key_id().map_err(Invalid)?;
        let (subject, _) = expectations.judge(&compact, self.now)?;
        Ok(self.subject.get_or_init(|| subject).claimed())
    }
}
