//! Spans of time on the command line: `5m`, `365d`.

use std::time::Duration;

/// Reads a number and a unit.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => 0,
    };
    let number = number.parse::<u64>().ok();
    match number.and_then(|number| number.checked_mul(seconds)) {
        Some(seconds @ 1..=MAX_SECONDS) => Ok(Duration::from_secs(seconds)),
        _ => Err("expected a number and s, m, h or d, such as `5m`, up to ten years".to_owned()),
    }
}

const MAX_SECONDS: u64 = 3650 * 86_400;

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
            ("5ms", None),
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
