//! Which of our two forms an `Accept` field prefers (RFC 9110 §12.5.1).

/// Whether `text/html` is wanted more than `application/json`. Equal weights,
/// `*/*` alone and a field that can't be read mean JSON: whoever didn't ask for
/// a page is a program.
pub(super) fn prefers_html(accept: &[u8]) -> bool {
    let Ok(accept) = std::str::from_utf8(accept) else {
        return false;
    };
    let (mut html, mut json) = (Weight::NONE, Weight::NONE);
    for range in split_unquoted(accept, ',').filter_map(Range::parse) {
        html.take(&range, "text", "html");
        json.take(&range, "application", "json");
    }
    html.thousandths > json.thousandths
}

/// The weight that the most specific matching range gives.
struct Weight {
    specificity: u8,
    thousandths: u16,
}

impl Weight {
    const NONE: Self = Self {
        specificity: 0,
        thousandths: 0,
    };

    fn take(&mut self, range: &Range<'_>, r#type: &str, subtype: &str) {
        let specificity = match (range.r#type, range.subtype) {
            ("*", "*") => 1,
            (t, "*") if t.eq_ignore_ascii_case(r#type) => 2,
            (t, s) if t.eq_ignore_ascii_case(r#type) && s.eq_ignore_ascii_case(subtype) => 3,
            _ => return,
        };
        // Ranges that differ in parameters alone are equally specific to us,
        // whose forms have none: the best of them counts.
        if specificity > self.specificity {
            self.specificity = specificity;
            self.thousandths = range.thousandths;
        } else if specificity == self.specificity {
            self.thousandths = self.thousandths.max(range.thousandths);
        }
    }
}

struct Range<'a> {
    r#type: &'a str,
    subtype: &'a str,
    thousandths: u16,
}

impl<'a> Range<'a> {
    /// `None` for what is no media range; it then says nothing.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = split_unquoted(text, ';');
        let (r#type, subtype) = parts.next()?.trim_matches([' ', '\t']).split_once('/')?;
        if r#type.is_empty() || subtype.is_empty() {
            return None;
        }
        let mut thousandths = 1000;
        for parameter in parts {
            let Some((name, value)) = parameter.split_once('=') else {
                continue;
            };
            if name.trim_matches([' ', '\t']).eq_ignore_ascii_case("q") {
                thousandths = parse_weight(value.trim_matches([' ', '\t']))?;
                break;
            }
        }
        Some(Self {
            r#type,
            subtype,
            thousandths,
        })
    }
}

/// A `qvalue`: 0 to 1 with at most three decimals.
fn parse_weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// Splits at `separator` where it stands outside a quoted string.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character| {
        if escaped {
            escaped = false;
        } else if quoted && character == '\\' {
            escaped = true;
        } else if character == '"' {
            quoted = !quoted;
        } else if character == separator {
            return !quoted;
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn html_wins_only_where_it_is_preferred() {
        for (accept, html) in [
            ("text/html", true),
            ("TEXT/HTML", true),
            ("text/*", true),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
                true,
            ),
            ("text/html;q=0.9, application/json;q=0.8", true),
            ("application/json;q=0.8 , text/html ; q=0.9", true),
            ("text/html;charset=utf-8", true),
            (
                "text/html;level=1;q=0.2, text/html;q=0.7, application/json;q=0.5",
                true,
            ),
            ("text/html;q=0.001", true),
            ("application/json;q=0, */*", true),
            ("text/plain;x=\"a,application/json\", text/html;q=0.5", true),
            ("", false),
            ("*/*", false),
            ("text/html, application/json", false),
            ("text/html, */*", false),
            ("application/json", false),
            ("application/json, text/html;q=0.9", false),
            ("text/html;q=0", false),
            ("text/html;q=0.000, */*;q=0.1", false),
            ("*/*, text/html;q=0.5", false),
            ("text/*;q=1, text/html;q=0.1, application/json;q=0.5", false),
            ("text/plain;x=\"text/html,text/html\"", false),
            ("text/plain;x=\"\\\",text/html\"", false),
            ("text/html;q=2", false),
            ("text/html;q=1.001", false),
            ("text/html;q=0.9999", false),
            ("text/html;q=-1", false),
            ("text/html;q=", false),
            ("text", false),
            ("/html", false),
            ("text/event-stream", false),
        ] {
            assert_eq!(prefers_html(accept.as_bytes()), html, "{accept}");
        }
        assert!(!prefers_html(b"text/html\xff"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(accept in prop::collection::vec(any::<u8>(), 0..200)) {
            prefers_html(&accept);
        }

        #[test]
        fn the_order_of_ranges_decides_nothing(
            html in 0_u16..=1000, json in 0_u16..=1000, any in 0_u16..=1000,
        ) {
            let weight = |q: u16| if q == 1000 { "1".to_owned() } else { format!("0.{q:03}") };
            let ranges = [
                format!("text/html;q={}", weight(html)),
                format!("application/json;q={}", weight(json)),
                format!("*/*;q={}", weight(any)),
            ];
            for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
                let accept = order.map(|at: usize| ranges[at].as_str()).join(", ");
                prop_assert_eq!(prefers_html(accept.as_bytes()), html > json, "{}", accept);
            }
        }
    }
}
