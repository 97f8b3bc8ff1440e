//! How long a credential that hit a limit is left alone. Pure: the clock is passed in.

use super::UnixMillis;
use std::time::Duration;

/// The first pause where the provider names none; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(30);
/// The longest pause of our own making.
const LONGEST: Duration = Duration::from_secs(3600);
/// No pause is shorter: a provider that says "now" has just said no.
const SHORTEST: Duration = Duration::from_secs(1);
/// No pause is longer, whoever says so: a clock may have been wrong when it was written.
const MOST: Duration = Duration::from_secs(24 * 3600);
/// After so long without a limit, counting begins anew.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

/// What a credential has met with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cooldown {
    /// Until when it is left alone.
    pub until: Option<UnixMillis>,
    /// Limits in a row.
    pub limits: u32,
}

impl Cooldown {
    /// How long it is still left alone; none: it may be used.
    #[must_use]
    pub fn left(&self, now: UnixMillis) -> Option<Duration> {
        let left = now.until(self.until?);
        (!left.is_zero() && left <= MOST).then_some(left)
    }

    /// It hit a limit; `wait` is what the provider asks for. A pause that is running
    /// already is not made longer by requests that were under way when it began.
    pub fn limited(&mut self, wait: Option<Duration>, now: UnixMillis) {
        if self.left(now).is_some() {
            return;
        }
        let is_old = self.until.is_some_and(|until| until.until(now) > FORGOTTEN);
        self.limits = if is_old {
            1
        } else {
            self.limits.saturating_add(1)
        };
        let doublings = (self.limits - 1).min(16);
        let own = (FIRST * 2_u32.pow(doublings)).min(LONGEST);
        self.until = Some(now.plus(wait.unwrap_or(own).clamp(SHORTEST, MOST)));
    }

    /// It answered well.
    pub fn succeeded(&mut self, now: UnixMillis) {
        if self.left(now).is_none() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_providers_word_counts_else_pauses_double() {
        let mut cooldown = Cooldown::default();
        assert_eq!(cooldown.left(NOW), None);
        cooldown.limited(Some(5 * SECOND), NOW);
        assert_eq!(cooldown.left(NOW), Some(5 * SECOND));
        let mut now = NOW.plus(5 * SECOND);
        assert_eq!(cooldown.left(now), None);
        for seconds in [60, 120, 240, 480, 960, 1920, 3600, 3600] {
            cooldown.limited(None, now);
            assert_eq!(cooldown.left(now), Some(seconds * SECOND));
            now = now.plus(seconds * SECOND);
        }
        cooldown.succeeded(now);
        cooldown.limited(None, now);
        assert_eq!(cooldown.left(now), Some(30 * SECOND));
    }

    #[test]
    fn a_running_pause_is_neither_extended_nor_ended() {
        let mut cooldown = Cooldown::default();
        cooldown.limited(Some(10 * SECOND), NOW);
        cooldown.limited(Some(100 * SECOND), NOW.plus(SECOND));
        assert_eq!(cooldown.left(NOW), Some(10 * SECOND));
        assert_eq!(cooldown.limits, 1);
        // An answer to a request from before it says nothing of now.
        cooldown.succeeded(NOW.plus(SECOND));
        assert_eq!(cooldown.left(NOW), Some(10 * SECOND));
    }

    #[test]
    fn a_pause_that_no_clock_could_have_meant_is_none() {
        let cooldown = Cooldown {
            until: Some(NOW.plus(MOST + SECOND)),
            limits: 1,
        };
        assert_eq!(cooldown.left(NOW), None);
        let mut cooldown = Cooldown::default();
        cooldown.limited(Some(10 * MOST), NOW);
        assert_eq!(cooldown.left(NOW), Some(MOST));
    }

    #[test]
    fn after_a_day_counting_begins_anew() {
        let mut cooldown = Cooldown::default();
        cooldown.limited(None, NOW);
        let later = NOW.plus(FORGOTTEN + 31 * SECOND);
        cooldown.limited(None, later);
        assert_eq!(cooldown.left(later), Some(30 * SECOND));
    }

    proptest! {
        #[test]
        fn a_limit_always_pauses(waits in proptest::collection::vec(proptest::option::of(0u64..100_000_000), 1..40)) {
            let (mut cooldown, mut now) = (Cooldown::default(), NOW);
            for wait in waits {
                cooldown.limited(wait.map(Duration::from_millis), now);
                let left = cooldown.left(now).unwrap();
                prop_assert!(left >= SHORTEST);
                now = now.plus(left);
            }
        }
    }
}
