//! How often users and clients may come, as the limits have it.

use crate::config::Limits;
use crate::telemetry::metrics::Limit;
use crate::throttle::{Party, Rate};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// The rates in force; none: no limit. A reload that leaves a rate as it is takes its
/// buckets over.
#[derive(Debug, Clone, Default)]
pub struct Rates {
    user: Option<Arc<Rate>>,
    client: Option<Arc<Rate>>,
}

/// A rate was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// Which.
    pub limit: Limit,
    /// When there is room again.
    pub retry_after: Duration,
}

impl Rates {
    pub(super) fn of(limits: &Limits, previous: Option<&Self>) -> Self {
        let burst = limits.request_burst;
        let rate = |per_second: Option<NonZeroU32>, known: Option<&Arc<Rate>>| {
            let per_second = per_second?;
            let same = known.filter(|known| known.is(per_second, burst)).cloned();
            Some(same.unwrap_or_else(|| Arc::new(Rate::new(per_second, burst))))
        };
        let known =
            |of: fn(&Self) -> &Option<Arc<Rate>>| previous.and_then(|rates| of(rates).as_ref());
        Self {
            user: rate(
                limits.requests_per_second_per_user,
                known(|rates| &rates.user),
            ),
            client: rate(
                limits.requests_per_second_per_client,
                known(|rates| &rates.client),
            ),
        }
    }

    /// Whether clients' addresses have a rate.
    pub fn limits_clients(&self) -> bool {
        self.client.is_some()
    }

    /// Takes a user's request into account.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn user(&self, user: &str) -> Result<(), Exceeded> {
        let taken = self.user.as_ref().map_or(Ok(()), |rate| rate.take(user));
        taken.map_err(|retry_after| Exceeded {
            limit: Limit::RequestsPerSecondPerUser,
            retry_after,
        })
    }

    /// Takes a request from an address into account; the addresses of an IPv6 /64 count
    /// as one.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn client(&self, client: IpAddr) -> Result<(), Exceeded> {
        let take = |rate: &Arc<Rate>| rate.take(Party::at(client));
        let taken = self.client.as_ref().map_or(Ok(()), take);
        taken.map_err(|retry_after| Exceeded {
            limit: Limit::RequestsPerSecondPerClient,
            retry_after,
        })
    }

    /// Forgets who has not come for long.
    pub fn forget_idle(&self) {
        for rate in self.user.iter().chain(&self.client) {
            rate.forget_idle();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_empties_no_bucket_unless_its_rate_changes() {
        let limits = |rate| Limits {
            requests_per_second_per_user: NonZeroU32::new(rate),
            request_burst: NonZeroU32::MIN,
            ..Limits::default()
        };
        let first = Rates::of(&limits(1), None);
        first.user("nick").unwrap();
        let same = Rates::of(&limits(1), Some(&first));
        let exceeded = same.user("nick").unwrap_err();
        assert_eq!(exceeded.limit, Limit::RequestsPerSecondPerUser);
        assert!(Rates::of(&limits(2), Some(&first)).user("nick").is_ok());
        let off = Rates::of(&limits(0), Some(&first));
        assert!((0..10).all(|_| off.user("nick").is_ok()));
        assert!(off.client("198.51.100.7".parse().unwrap()).is_ok());
    }
}
