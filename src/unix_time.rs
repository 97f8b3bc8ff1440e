//! Points in time as JSON, JWTs and Prometheus write them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Whole seconds since 1970, UTC (`NumericDate` of RFC 7519 section 2, without its
/// fraction). A time before 1970 is 1970.
#[must_use]
pub fn unix_seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn counts_whole_seconds_from_1970_on() {
        let half = Duration::from_millis(1500);
        assert_eq!(unix_seconds(UNIX_EPOCH + half), 1);
        assert_eq!(unix_seconds(UNIX_EPOCH - half), 0);
    }
}
