//! Why a token server gave no tokens: what a refusal, a bad moment and silence mean for
//! the token that was sent.

use super::super::wiped::Wiped;
use super::answer::cleaned;
use http::StatusCode;
use serde_json::Value;
use std::error::Error;

type BoxError = Box<dyn Error + Send + Sync>;

/// What the server said of a refresh token or a code that it will never take.
const FINAL: [&str; 8] = [
    "invalid_grant",
    "invalid_token",
    "refresh_token_reused",
    "refresh_token_expired",
    "refresh_token_invalidated",
    "unauthorized_client",
    "invalid_client",
    "access_denied",
];
/// What says that it may take it later.
const PASSING: [&str; 4] = [
    "temporarily_unavailable",
    "server_error",
    "slow_down",
    "rate_limit_exceeded",
];

/// Why a request to a token server has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// Nothing of it was sent.
    #[error("can't reach the token server")]
    Unsent(#[source] BoxError),
    /// It was sent, and may have had its effect.
    #[error("no answer of the token server came")]
    Unknown(#[source] BoxError),
}

/// Why there are no tokens. The messages hold nothing that was sent or answered, but for
/// codes.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No answer.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// The server won't give any, now or later.
    #[error("the token server refused: `{code}` (status {})", status.as_u16())]
    Refused {
        /// The answer's status.
        status: StatusCode,
        /// The error's code.
        code: String,
    },
    /// The server gave none this time.
    #[error("the token server is not well: status {}{}", status.as_u16(), in_brackets(code.as_deref()))]
    Unwell {
        /// The answer's status.
        status: StatusCode,
        /// The error's code, where there is one.
        code: Option<String>,
    },
    /// An answer that says success and has no tokens, or that a gateway gave in the
    /// server's place: what was sent may have had its effect.
    #[error("the token server's answer (status {}) holds no tokens", status.as_u16())]
    Unreadable {
        /// The answer's status.
        status: StatusCode,
    },
}

/// What an answer without tokens means.
pub(super) fn failure(status: StatusCode, body: &[u8]) -> TokenError {
    let code = error_code(body);
    let is = |codes: &[&str]| code.as_deref().is_some_and(|code| codes.contains(&code));
    let is_refusal = match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => false,
        _ if is(&PASSING) => false,
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            code.is_some()
        }
        status if status.is_success() => code.is_some(),
        status => status.is_client_error() && is(&FINAL),
    };
    match code {
        Some(code) if is_refusal => TokenError::Refused { status, code },
        None if status.is_success() || is_a_gateways(status) => TokenError::Unreadable { status },
        code => TokenError::Unwell { status, code },
    }
}

/// Whether a status is that of a gateway which lost its server's answer: what was sent
/// may have had its effect.
fn is_a_gateways(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT
    )
}

/// `{"error":"code"}` of RFC 6749 section 5.2, or `{"error":{"code":…,"type":…}}`, as
/// OpenAI has it.
fn error_code(body: &[u8]) -> Option<String> {
    let document = Wiped::parse(body)?;
    let error = document.get().get("error")?;
    let nested = |name| error.get(name).and_then(Value::as_str);
    let code = error.as_str().or_else(|| nested("code").or(nested("type")));
    code.map(cleaned)
}

fn in_brackets(code: Option<&str>) -> String {
    code.map_or_else(String::new, |code| format!(" (`{code}`)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_means_is_told_by_status_and_code() {
        let nested = r#"{"error":{"code":"refresh_token_reused","type":"invalid_request_error"}}"#;
        let passing = r#"{"error":"temporarily_unavailable"}"#;
        let grant = r#"{"error":"invalid_grant","error_description":"canary"}"#;
        let odd = r#"{"error":"a code with spaces"}"#;
        for (status, body, meaning) in [
            (400, grant, "refused invalid_grant"),
            (401, nested, "refused refresh_token_reused"),
            (403, r#"{"error":"new_code"}"#, "refused new_code"),
            (400, odd, "refused unreadable"),
            (200, grant, "refused invalid_grant"),
            (422, grant, "refused invalid_grant"),
            (422, r#"{"error":"new_code"}"#, "unwell"),
            (400, passing, "unwell"),
            (400, "<html>", "unwell"),
            (403, "", "unwell"),
            (401, "{}", "unwell"),
            (404, "", "unwell"),
            (302, "", "unwell"),
            (408, grant, "unwell"),
            (429, grant, "unwell"),
            (500, grant, "unwell"),
            (503, passing, "unwell"),
            (408, "", "unreadable"),
            (502, "<html>", "unreadable"),
            (504, "", "unreadable"),
            (500, "", "unwell"),
            (503, "", "unwell"),
            (200, "", "unreadable"),
            (200, "{}", "unreadable"),
            (204, "", "unreadable"),
        ] {
            let error = failure(StatusCode::from_u16(status).unwrap(), body.as_bytes());
            let got = match &error {
                TokenError::Refused { code, .. } => format!("refused {code}"),
                TokenError::Unwell { .. } => "unwell".to_owned(),
                TokenError::Unreadable { .. } => "unreadable".to_owned(),
                TokenError::Unanswered(_) => "unanswered".to_owned(),
            };
            assert_eq!(got, meaning, "{status} {body}");
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
    }
}
