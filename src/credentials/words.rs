//! Spans of time in words.

use super::UnixMillis;
use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A span in its largest fitting unit, rounded down: `3 days`, `2 h`, `5 min`, `30 s`.
#[must_use]
pub fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds if seconds >= 2 * DAY => format!("{} days", seconds / DAY),
        // One day would hide whether it is nearly two.
        seconds if seconds >= HOUR => format!("{} h", seconds / HOUR),
        seconds if seconds >= MINUTE => format!("{} min", seconds / MINUTE),
        seconds => format!("{seconds} s"),
    }
}

/// Where `time` is, seen from `now`: `in 3 days`, `2 h ago`, `now`.
#[must_use]
pub fn relative(now: UnixMillis, time: UnixMillis) -> String {
    let (ahead, behind) = (now.until(time), time.until(now));
    if ahead.as_secs() > 0 {
        format!("in {}", span(ahead))
    } else if behind.as_secs() > 0 {
        format!("{} ago", span(behind))
    } else {
        "now".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_when_in_the_largest_unit_that_is_whole() {
        let now = UnixMillis(1_790_000_000_000);
        for (seconds, words) in [
            (0, "now"),
            (1, "in 1 s"),
            (59, "in 59 s"),
            (60, "in 1 min"),
            (3_599, "in 59 min"),
            (3_600, "in 1 h"),
            (47 * 3_600, "in 47 h"),
            (48 * 3_600, "in 2 days"),
            (365 * 86_400, "in 365 days"),
            (-1, "1 s ago"),
            (-7_200, "2 h ago"),
            (-10 * 86_400, "10 days ago"),
        ] {
            let time = UnixMillis(now.0.checked_add_signed(seconds * 1000).unwrap());
            assert_eq!(relative(now, time), words);
        }
        let almost = UnixMillis(now.0 + 999);
        assert_eq!(relative(now, almost), "now");
    }
}
