//! Whether a provider's answer says that a credential has hit a limit, and for how
//! long. Pure; a rotation follows from this and nothing else.

use crate::credentials::UnixMillis;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What kind of limit, for the metric's label; the later says more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Limit {
    /// Too many requests or tokens in a time.
    Rate,
    /// Google's word for this and the next.
    ResourceExhausted,
    /// What was paid for is used up.
    Quota,
}

/// A provider's limit on a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limited {
    /// What kind.
    pub(super) limit: Limit,
    /// How long the provider asks to be left alone, where it says so.
    pub(crate) wait: Option<Duration>,
}

/// The longest code of an error, in bytes.
const MAX_CODE: usize = 64;
/// No provider's word leaves a credential alone for longer.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl Limit {
    /// Every kind.
    pub(super) const ALL: [Self; 3] = [Self::Rate, Self::ResourceExhausted, Self::Quota];

    /// As the metric's label has it.
    #[must_use]
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate_limit",
            Self::Quota => "quota",
            Self::ResourceExhausted => "resource_exhausted",
        }
    }

    /// By a machine-readable word of an error: `rate_limit_error`,
    /// `insufficient_quota`, `RESOURCE_EXHAUSTED`, `rateLimitExceeded`.
    fn of_word(word: &str) -> Option<Self> {
        // What has spaces is a sentence, and may quote a prompt.
        let is_code = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if word.len() > MAX_CODE || !word.bytes().all(is_code) {
            return None;
        }
        let folded: String = word
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        let has = |words: &[&str]| words.iter().any(|word| folded.contains(word));
        if has(&[
            "insufficientquota",
            "quotaexceeded",
            "exceededquota",
            "usagelimit",
        ]) {
            Some(Self::Quota)
        } else if has(&["resourceexhausted"]) {
            Some(Self::ResourceExhausted)
        } else if folded == "429" || has(&["ratelimit", "toomanyrequests", "throttl"]) {
            Some(Self::Rate)
        } else {
            None
        }
    }

    /// By what an error says to people; the gateway's own list.
    fn of_text(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&[
            "quota exceeded",
            "exceeded your current quota",
            "usage limit",
        ]) {
            Some(Self::Quota)
        } else if has(&["resource exhausted", "resource has been exhausted"]) {
            Some(Self::ResourceExhausted)
        } else if text.trim_start().starts_with("429")
            || has(&[
                "rate limit",
                "rate_limit",
                "http 429",
                "too many requests",
                "throttled",
                "tokens per minute",
            ])
        {
            Some(Self::Rate)
        } else {
            None
        }
    }
}

/// Whether an answer of this status may say it in its body. 401 and 402 never do: a
/// wrong key or an unpaid bill is no limit that time heals.
#[must_use]
pub(super) fn may_be_limited(status: StatusCode) -> bool {
    status.is_client_error()
        && status != StatusCode::UNAUTHORIZED
        && status != StatusCode::PAYMENT_REQUIRED
}

/// Judges an answer by its status, headers and as much of its body as there is.
#[must_use]
pub(crate) fn judge(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: UnixMillis,
) -> Option<Limited> {
    if !may_be_limited(status) {
        return None;
    }
    let error = serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
    let words = Words::of(&error);
    let by_word = words.limit();
    let limit = match status {
        StatusCode::TOO_MANY_REQUESTS => by_word.unwrap_or(Limit::Rate),
        StatusCode::FORBIDDEN => by_word.or_else(|| words.limit_by_text())?,
        _ => by_word?,
    };
    let wait = wait_of(headers, now).or_else(|| retry_delay(&error));
    Some(Limited { limit, wait })
}

/// Judges an event of a stream that began well: Anthropic's `event: error`, OpenAI's
/// `{"error":…}`. Only its machine-readable words count.
#[must_use]
pub(crate) fn judge_event(data: &[u8]) -> Option<Limited> {
    let event: Value = serde_json::from_slice(data).ok()?;
    let names = [&event["type"], &event["response"]["status"]];
    let says_error = names.iter().any(|name| {
        let name = name.as_str().unwrap_or_default();
        matches!(name, "error" | "response.failed" | "failed")
    });
    let error = match (&event["error"], &event["response"]["error"]) {
        (error @ Value::Object(_), _) => error,
        (_, error @ Value::Object(_)) => error,
        _ if says_error => &event,
        _ => return None,
    };
    let limit = Words::of(error).limit()?;
    Some(Limited {
        limit,
        wait: retry_delay(&event),
    })
}

/// The words of an error that are for machines, and the one for people.
struct Words<'a> {
    machine: Vec<String>,
    text: &'a str,
}

impl<'a> Words<'a> {
    fn of(answer: &'a Value) -> Self {
        // Google streams an array of answers.
        let answer = match answer {
            Value::Array(items) => items.first().unwrap_or(&Value::Null),
            other => other,
        };
        let error = match &answer["error"] {
            error @ Value::Object(_) => error,
            _ => answer,
        };
        let mut machine = Vec::new();
        let mut take = |word: &Value| match word {
            Value::String(word) => machine.push(word.clone()),
            Value::Number(number) => machine.push(number.to_string()),
            _ => {}
        };
        for name in ["type", "code", "status"] {
            take(&error[name]);
        }
        if let Value::String(_) = answer["error"] {
            take(&answer["error"]);
        }
        for list in ["errors", "details"] {
            for detail in error[list].as_array().into_iter().flatten() {
                take(&detail["reason"]);
            }
        }
        Self {
            machine,
            text: error["message"].as_str().unwrap_or_default(),
        }
    }

    /// The most that any of them says.
    fn limit(&self) -> Option<Limit> {
        let limits = self.machine.iter().filter_map(|word| Limit::of_word(word));
        limits.max()
    }

    /// Unless the machine-readable words say that it is about permission.
    fn limit_by_text(&self) -> Option<Limit> {
        let is_permission = |word: &String| {
            let word = word.to_ascii_lowercase();
            word.contains("permission") || word.contains("forbidden")
        };
        if self.machine.iter().any(is_permission) {
            return None;
        }
        Limit::of_text(self.text)
    }
}

/// How long the headers ask to wait: `retry-after-ms`, `retry-after` (RFC 9110 section
/// 10.2.3), else the latest reset of a limit that is used up.
fn wait_of(headers: &HeaderMap, now: UnixMillis) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let stated = text("retry-after-ms")
        .and_then(|text| text.trim().parse().ok())
        .map(Duration::from_millis)
        .or_else(|| text("retry-after").and_then(|text| retry_after(text.trim(), now)));
    if let Some(wait) = stated {
        return Some(wait.min(LONGEST));
    }
    let resets = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str();
        let left = remaining_name(name)?;
        let is_used_up = text(&left).is_none_or(|left| left.trim().parse() == Ok(0_u64));
        let wait = reset(value.to_str().ok()?.trim(), now)?;
        is_used_up.then_some(wait)
    });
    resets.max().map(|wait| wait.min(LONGEST))
}

/// The header of what is left of the limit whose reset `name` tells.
fn remaining_name(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix("anthropic-ratelimit-") {
        let kind = rest.strip_suffix("-reset")?;
        return Some(format!("anthropic-ratelimit-{kind}-remaining"));
    }
    let rest = name.strip_prefix("x-ratelimit-reset")?;
    Some(format!("x-ratelimit-remaining{rest}"))
}

fn retry_after(text: &str, now: UnixMillis) -> Option<Duration> {
    if let Some(wait) = seconds(text) {
        return Some(wait);
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(now.until(UnixMillis::of(date)))
}

/// A reset in any of the forms that providers have: RFC 3339, `6m0s`, seconds from now,
/// seconds or milliseconds since 1970.
fn reset(text: &str, now: UnixMillis) -> Option<Duration> {
    if let Ok(date) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(now.until(UnixMillis::of(date.into())));
    }
    match seconds(text) {
        // No limit lasts for thirty years: these are points in time.
        Some(wait) if wait.as_secs() > 1_000_000_000_000 => {
            Some(now.until(UnixMillis(wait.as_secs())))
        }
        Some(wait) if wait.as_secs() > 1_000_000_000 => {
            Some(now.until(UnixMillis(wait.as_secs() * 1000)))
        }
        Some(wait) => Some(wait),
        None => go_duration(text),
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let is_number = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = text.parse().ok().filter(|_| is_number)?;
    Duration::try_from_secs_f64(number).ok()
}

/// `1h2m3.5s`, `20ms`: as Go, and with it OpenAI, writes durations.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let amount: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let scale = match &rest[..unit] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        rest = &rest[unit..];
        total = total.checked_add(Duration::try_from_secs_f64(amount * scale).ok()?)?;
    }
    (!text.is_empty()).then_some(total)
}

/// Google's `google.rpc.RetryInfo` among an error's details.
fn retry_delay(error: &Value) -> Option<Duration> {
    let error = match error {
        Value::Array(items) => items.first()?,
        other => other,
    };
    let details = error["error"]["details"].as_array()?;
    let delay = details
        .iter()
        .find_map(|detail| detail["retryDelay"].as_str())?;
    go_duration(delay).map(|wait| wait.min(LONGEST))
}

#[cfg(test)]
mod tests;
