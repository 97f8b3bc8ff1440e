//! What goes wrong beside the policy, with its code and status.

use crate::http1::request::HeadError;
use std::time::Duration;

use super::{Answer, Refusal, answer};

/// A refusal or failure of Portcullis' own that no policy decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The request breaks HTTP's rules, or a rule that keeps it unambiguous.
    BadRequest,
    /// The head is larger, or has more fields, than the limits allow.
    HeadersTooLarge,
    /// The body is larger than the limits allow.
    RequestTooLarge,
    /// The request did not arrive in time.
    RequestTimeout,
    /// A method that is never proxied: CONNECT, TRACE, TRACK.
    MethodNotAllowed,
    /// An `Expect` other than `100-continue`.
    ExpectationFailed,
    /// The host is not one of the certificate that this connection was opened
    /// with.
    MisdirectedRequest,
    /// The user sends more requests than the limits allow.
    RateLimited {
        /// When to come back; rounded up to a whole second.
        retry_after: Duration,
    },
    /// No connection to the gateway, or it broke before an answer.
    UpstreamUnreachable,
    /// The gateway took too long to begin its answer.
    UpstreamTimeout,
    /// More connections than the limits allow.
    Overloaded,
    /// Portcullis is about to stop.
    Draining,
    /// The connection or request is from before a change of the configuration, which
    /// asks for more.
    Outdated,
}

/// What a proxied request may use: everything but CONNECT, TRACE and TRACK.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
/// Seconds after which a request that met a full or a stopping process may
/// find a place.
const RETRY_SOON: u64 = 1;

impl From<HeadError> for Problem {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Malformed(_) => Self::BadRequest,
            HeadError::TooLarge | HeadError::TooManyFields => Self::HeadersTooLarge,
            HeadError::MethodNotAllowed => Self::MethodNotAllowed,
            HeadError::ExpectationFailed => Self::ExpectationFailed,
        }
    }
}

impl Problem {
    /// The stable code, as body, log and metrics show it.
    pub fn code(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::HeadersTooLarge => "headers_too_large",
            Self::RequestTooLarge => "request_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::ExpectationFailed => "expectation_failed",
            Self::MisdirectedRequest => "misdirected_request",
            Self::RateLimited { .. } => "rate_limited",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::Overloaded => "overloaded",
            Self::Draining | Self::Outdated => "draining",
        }
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::RequestTooLarge => 413,
            Self::ExpectationFailed => 417,
            Self::MisdirectedRequest => 421,
            Self::RateLimited { .. } => 429,
            Self::HeadersTooLarge => 431,
            Self::UpstreamUnreachable => 502,
            Self::Overloaded | Self::Draining | Self::Outdated => 503,
            Self::UpstreamTimeout => 504,
        }
    }

    /// The body's `type`: `invalid_request` where the client must change
    /// something, `rate_limited`, `upstream_error` where the gateway failed,
    /// `unavailable` where trying again helps.
    pub fn kind(self) -> &'static str {
        match self {
            Self::BadRequest
            | Self::MethodNotAllowed
            | Self::RequestTimeout
            | Self::RequestTooLarge
            | Self::ExpectationFailed
            | Self::MisdirectedRequest
            | Self::HeadersTooLarge => "invalid_request",
            Self::RateLimited { .. } => "rate_limited",
            Self::UpstreamUnreachable | Self::UpstreamTimeout => "upstream_error",
            Self::Overloaded | Self::Draining | Self::Outdated => "unavailable",
        }
    }

    /// The sentence for the client.
    pub fn message(self) -> &'static str {
        match self {
            Self::BadRequest => "the request is malformed or ambiguous",
            Self::HeadersTooLarge => "the request's headers are too large or too many",
            Self::RequestTooLarge => "the request's body is too large",
            Self::RequestTimeout => "the request did not arrive in time",
            Self::MethodNotAllowed => "this method is not allowed",
            Self::ExpectationFailed => "the only supported expectation is 100-continue",
            Self::MisdirectedRequest => {
                "this connection was opened for another host; open a new one"
            }
            Self::RateLimited { .. } => "too many requests; try again later",
            Self::UpstreamUnreachable => "the gateway cannot be reached",
            Self::UpstreamTimeout => "the gateway did not answer in time",
            Self::Overloaded => "too many connections; try again shortly",
            Self::Draining => "the service is about to restart; try again shortly",
            Self::Outdated => {
                "this connection is from before a change of the configuration; try again on a new one"
            }
        }
    }

    /// The config's key behind it, where one decides it by itself.
    pub fn rule(self) -> Option<&'static str> {
        match self {
            Self::BadRequest
            | Self::MethodNotAllowed
            | Self::ExpectationFailed
            | Self::MisdirectedRequest
            | Self::Draining => None,
            Self::HeadersTooLarge => Some("limits.maxHeaderBytes"),
            Self::RequestTooLarge => Some("limits.maxBodyBytes"),
            Self::RequestTimeout => Some("limits.headerTimeout"),
            Self::RateLimited { .. } => Some("limits.requestsPerSecondPerUser"),
            Self::UpstreamUnreachable => Some("upstream.url"),
            Self::UpstreamTimeout => Some("limits.upstreamFirstByteTimeout"),
            Self::Overloaded => Some("limits.maxConnections"),
            Self::Outdated => Some("gateway.tls"),
        }
    }

    /// What whoever runs Portcullis is advised to do.
    pub fn remedy(self) -> &'static str {
        match self {
            // It shares its code with a process that stops.
            Self::Outdated => {
                "Nothing: the client's next connection is taken under the configuration of now."
            }
            _ => super::remedy(self.code()),
        }
    }

    /// What was expected, for the operator.
    pub fn expected(self) -> &'static str {
        match self {
            Self::BadRequest => "a request that can be read in one way only",
            Self::HeadersTooLarge => "headers within the limits",
            Self::RequestTooLarge => "a body within the limit",
            Self::RequestTimeout => "the request in time",
            Self::MethodNotAllowed => "a method that is proxied: all but CONNECT, TRACE and TRACK",
            Self::ExpectationFailed => "`Expect: 100-continue` or none",
            Self::MisdirectedRequest => {
                "a host of the certificate that the connection was opened with"
            }
            Self::RateLimited { .. } => "fewer requests in so short a time",
            Self::UpstreamUnreachable => "a gateway that takes the connection and answers",
            Self::UpstreamTimeout => "the gateway's answer in time",
            Self::Overloaded => "room for another connection or request",
            Self::Draining => "a process that goes on",
            Self::Outdated => "a connection that was opened under the configuration of now",
        }
    }

    /// The answer, see [`answer`]; with `Allow` or `Retry-After` where the
    /// status has one.
    pub fn answer(self, request_id: &str, accept: Option<&[u8]>) -> Answer {
        let refusal = Refusal {
            status: self.status(),
            kind: self.kind(),
            code: self.code(),
            reason: self.code(),
            message: self.message(),
        };
        let mut answer = answer(&refusal, request_id, accept);
        match self {
            Self::MethodNotAllowed => answer.extra.push(("allow", METHODS.to_owned())),
            Self::RateLimited { retry_after } => {
                let part = u64::from(retry_after.subsec_nanos() > 0);
                let rounded_up = retry_after.as_secs().saturating_add(part);
                let seconds = rounded_up.max(RETRY_SOON);
                answer.extra.push(("retry-after", seconds.to_string()));
            }
            Self::Overloaded | Self::Draining | Self::Outdated => {
                answer.extra.push(("retry-after", RETRY_SOON.to_string()));
            }
            _ => {}
        }
        answer
    }
}

#[cfg(test)]
pub(super) const ALL: [Problem; 13] = [
    Problem::BadRequest,
    Problem::HeadersTooLarge,
    Problem::RequestTooLarge,
    Problem::RequestTimeout,
    Problem::MethodNotAllowed,
    Problem::ExpectationFailed,
    Problem::MisdirectedRequest,
    Problem::RateLimited {
        retry_after: Duration::from_millis(1500),
    },
    Problem::UpstreamUnreachable,
    Problem::UpstreamTimeout,
    Problem::Overloaded,
    Problem::Draining,
    Problem::Outdated,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_are_the_contracts() {
        let table: Vec<_> = ALL
            .iter()
            .map(|problem| (problem.code(), problem.status(), problem.kind()))
            .collect();
        assert_eq!(
            table,
            [
                ("bad_request", 400, "invalid_request"),
                ("headers_too_large", 431, "invalid_request"),
                ("request_too_large", 413, "invalid_request"),
                ("request_timeout", 408, "invalid_request"),
                ("method_not_allowed", 405, "invalid_request"),
                ("expectation_failed", 417, "invalid_request"),
                ("misdirected_request", 421, "invalid_request"),
                ("rate_limited", 429, "rate_limited"),
                ("upstream_unreachable", 502, "upstream_error"),
                ("upstream_timeout", 504, "upstream_error"),
                ("overloaded", 503, "unavailable"),
                ("draining", 503, "unavailable"),
                ("draining", 503, "unavailable"),
            ]
        );
    }

    #[test]
    fn answers_say_when_to_come_back_and_what_is_allowed() {
        let limited = |millis| Problem::RateLimited {
            retry_after: Duration::from_millis(millis),
        };
        for (problem, name, value) in [
            (limited(0), "retry-after", Some("1")),
            (limited(1000), "retry-after", Some("1")),
            (limited(1001), "retry-after", Some("2")),
            (Problem::Overloaded, "retry-after", Some("1")),
            (Problem::Draining, "retry-after", Some("1")),
            (Problem::Outdated, "retry-after", Some("1")),
            (Problem::MethodNotAllowed, "allow", Some(METHODS)),
            (Problem::BadRequest, "retry-after", None),
            (Problem::BadRequest, "allow", None),
        ] {
            let answer = problem.answer("r", None);
            let found = answer.extra.iter().find(|(field, _)| *field == name);
            assert_eq!(found.map(|(_, value)| value.as_str()), value, "{problem:?}");
            assert_eq!(answer.status, problem.status());
        }
    }

    #[test]
    fn a_problems_reason_is_its_code() {
        let answer = Problem::UpstreamTimeout.answer("req-9", Some(b"*/*"));
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({"error": {
                "message": "the gateway did not answer in time", "type": "upstream_error",
                "code": "upstream_timeout", "reason": "upstream_timeout", "requestId": "req-9",
            }})
        );
    }
}
