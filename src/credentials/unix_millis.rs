//! Points in time as the token sink writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, UTC, as JavaScript's `Date.now()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The time.
    #[must_use]
    pub fn now() -> Self {
        Self::of(SystemTime::now())
    }

    /// A time before 1970 is 1970.
    #[must_use]
    pub fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// The time `after` later.
    #[must_use]
    pub fn plus(self, after: Duration) -> Self {
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// How long it is from here to `later`; nothing where that is past.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_1970_and_never_overflows() {
        let second = Duration::from_secs(1);
        assert_eq!(UnixMillis::of(UNIX_EPOCH + second), UnixMillis(1000));
        assert_eq!(UnixMillis::of(UNIX_EPOCH - second), UnixMillis(0));
        assert_eq!(UnixMillis(5).plus(second), UnixMillis(1005));
        assert_eq!(UnixMillis(5).plus(Duration::MAX), UnixMillis(u64::MAX));
        assert_eq!(UnixMillis(5).until(UnixMillis(1005)), second);
        assert_eq!(UnixMillis(1005).until(UnixMillis(5)), Duration::ZERO);
    }
}
