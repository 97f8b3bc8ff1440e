//! Signed identity: the assertions (JWT, RFC 7519) with which identity proxies prove who
//! the user is.
//!
//! Signatures are verified by ring, which does TLS here as well: a JWT library would
//! bring a second implementation of the same algorithms, and none of them takes AWS's
//! padded tokens. What surrounds the signature is small, and it is what is guarded here:
//! the algorithms are those of the configuration and never the token's choice, the keys
//! are those of the configured URL and never the token's, and every claim that is asked
//! for must be there, of its type, and right.

mod algorithm;
mod cache;
mod claims;
mod claims_alone;
mod compact;
mod key_set;
mod key_store;

pub use algorithm::Algorithm;
pub use claims::{Audience, Expectations, SERVICE_CLAIM};
pub use claims_alone::ClaimsAlone;
pub use key_set::KeySetError;
pub use key_store::{Fetch, FetchError, KeyStore, Layout, State, keep_fresh};

use crate::policy::AssertionFault::{self, Invalid};
use crate::policy::{Claimed, Mismatch, Verify, printable};
use crate::unix_time::unix_seconds;
use cache::{Cache, Verified};
use compact::Compact;
use key_set::KeySet;
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// How far the clocks may be apart, in seconds.
const LEEWAY: u64 = 30;

/// How many characters a message shows of a token's own words.
const MAX_SHOWN: usize = 80;

/// Verifies assertions, and remembers for a while which ones were genuine.
pub struct Verifier {
    expectations: Expectations,
    keys: Arc<KeyStore>,
    cache: Cache,
}

/// The verifier's look at one request.
pub struct Examination<'v> {
    verifier: &'v Verifier,
    now: u64,
    verified: OnceCell<Arc<Verified>>,
    unknown_key: Cell<Option<Box<str>>>,
}

impl Verifier {
    /// A verifier that has seen nothing yet.
    #[must_use]
    pub fn new(expectations: Expectations, keys: Arc<KeyStore>) -> Self {
        Self {
            expectations,
            keys,
            cache: Cache::default(),
        }
    }

    /// Where its keys are kept.
    #[must_use]
    pub fn keys(&self) -> &Arc<KeyStore> {
        &self.keys
    }

    /// For a request that came at `now`.
    #[must_use]
    pub fn examine(&self, now: SystemTime) -> Examination<'_> {
        Examination {
            verifier: self,
            now: unix_seconds(now),
            verified: OnceCell::new(),
            unknown_key: Cell::new(None),
        }
    }
}

impl Examination<'_> {
    /// The id of the key that the assertion is signed with, where that key isn't known:
    /// it may be new.
    #[must_use]
    pub fn take_unknown_key(&self) -> Option<Box<str>> {
        self.unknown_key.take()
    }

    fn find(&self, token: &[u8]) -> Result<Arc<Verified>, AssertionFault> {
        let Verifier {
            expectations,
            keys,
            cache,
        } = self.verifier;
        let known = keys.current();
        if let Some(verified) = cache.get(token)
            && verified.generation == known.generation
            && self.now < known.good_until
            && self.now < verified.ends.saturating_add(LEEWAY)
        {
            return Ok(verified);
        }
        let compact = Compact::parse(token, expectations.is_padded()).map_err(Invalid)?;
        let header = compact.header();
        let algorithm = expectations.algorithm(header).map_err(Invalid)?;
        let id = header.key_id().map_err(Invalid)?;
        let mut fitting = known.fitting(id, algorithm, self.now).peekable();
        if fitting.peek().is_none() {
            // Nobody need look for the key of what is wrong whoever signed it.
            expectations.judge(&compact, self.now)?;
            self.unknown_key.set(Some(id.into()));
            return Err(Invalid(unknown(id, &known, self.now)));
        }
        if !fitting.any(|key| algorithm.verifies(key, compact.signed(), compact.signature())) {
            return Err(Invalid(Mismatch::new(
                "a signature that doesn't fit its key",
                "one by the key that it names",
            )));
        }
        let (subject, ends) = expectations.judge(&compact, self.now)?;
        let verified = Arc::new(Verified {
            subject,
            ends,
            generation: known.generation,
        });
        cache.put(token, verified.clone());
        Ok(verified)
    }
}

impl Verify for Examination<'_> {
    fn verify(&self, token: &[u8]) -> Result<Claimed<'_>, AssertionFault> {
        let found = self.find(token)?;
        Ok(self.verified.get_or_init(|| found).subject.claimed())
    }
}

fn unknown(id: &str, known: &KeySet, now: u64) -> Mismatch {
    let got = format!("key `{}`", printable(id, MAX_SHOWN));
    match known.good(now) {
        0 => Mismatch::new(
            format!("{got}, while none of the issuer's keys is to be had"),
            "them at hand (see the log and `/status`)",
        ),
        good => Mismatch::new(
            got,
            format!("one of the {good} that are published, and fit for the algorithm"),
        ),
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("expectations", &self.expectations)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
