//! A token bucket for each of many parties.

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// So many requests a second for each party, and so many at once.
///
/// Parties are told apart by a hash under a key of this process: nothing of them is
/// kept, nothing is allocated to look one up, and nobody can aim at another's bucket.
pub struct Rate {
    per_second: NonZeroU32,
    burst: NonZeroU32,
    hasher: RandomState,
    limiter: RateLimiter<u64, DashMapStateStore<u64>, MonotonicClock, NoOpMiddleware<Instant>>,
}

impl Rate {
    /// A bucket of `burst` for everybody, filled with `per_second`.
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Self {
            per_second,
            burst,
            hasher: RandomState::new(),
            limiter: RateLimiter::new(quota, DashMapStateStore::default(), MonotonicClock),
        }
    }

    /// Whether it is the rate that these numbers make.
    pub fn is(&self, per_second: NonZeroU32, burst: NonZeroU32) -> bool {
        (self.per_second, self.burst) == (per_second, burst)
    }

    /// Takes one from a party's bucket.
    ///
    /// # Errors
    /// How long it is until there is one again.
    pub fn take(&self, party: impl Hash) -> Result<(), Duration> {
        let key = self.hasher.hash_one(party);
        self.limiter
            .check_key(&key)
            .map_err(|refused| refused.wait_time_from(MonotonicClock.now()))
    }

    /// Forgets whose bucket is full again.
    pub fn forget_idle(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rate")
            .field("per_second", &self.per_second)
            .field("burst", &self.burst)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_party_has_a_bucket_of_its_own() {
        let number = |number| NonZeroU32::new(number).unwrap();
        let rate = Rate::new(number(1), number(3));
        for _ in 0..3 {
            rate.take("nick").unwrap();
        }
        let wait = rate.take("nick").unwrap_err();
        assert!(
            wait > Duration::ZERO && wait <= Duration::from_secs(1),
            "{wait:?}"
        );
        rate.take("ann").unwrap();
        assert!(rate.is(number(1), number(3)) && !rate.is(number(2), number(3)));
        // An hour's worth of tokens: nobody's bucket is full again, so nobody is forgotten.
        rate.forget_idle();
        rate.take("nick").unwrap_err();
    }

    #[test]
    fn whose_bucket_is_full_is_forgotten() {
        let most = NonZeroU32::MAX;
        let rate = Rate::new(most, most);
        for party in 0..1000 {
            rate.take(party).unwrap();
        }
        while !rate.limiter.is_empty() {
            rate.forget_idle();
        }
    }
}
