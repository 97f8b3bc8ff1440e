//! Spans of time on the command line: `5m`, `365d`.

use crate::config::parse_duration;
use std::time::Duration;

/// The longest.
const MOST: Duration = Duration::from_secs(3650 * 86_400);

/// Reads a number and a unit, as the config writes durations.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|span| !span.is_zero() && *span <= MOST)
        .ok_or_else(|| {
            "expected a number and s, m, h or d, such as `5m`, up to ten years".to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_number_and_a_unit() {
        for (text, seconds) in [
            ("1s", Some(1)),
            ("5m", Some(300)),
            ("2h", Some(7200)),
            ("3650d", Some(315_360_000)),
            ("3651d", None),
            ("0s", None),
            ("", None),
            ("5", None),
            ("m", None),
            ("-5m", None),
            ("99ms", Some(0)),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(
                parse(text).ok().map(|span| span.as_secs()),
                seconds,
                "{text}"
            );
        }
    }
}
