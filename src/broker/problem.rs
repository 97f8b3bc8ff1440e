//! What the back door answers by itself.

use crate::local_caller::CallerProblem;
use crate::request_id::RequestId;
use crate::telemetry::metrics::ModelOutcome;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;
use std::time::Duration;

/// Why a call has no answer of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// The caller is none that this listener answers.
    Caller(CallerProblem),
    /// The caller is not on loopback, or shows no token that is known.
    ClientUnauthorized { token_is_set: bool },
    /// The request is malformed in the way that is said.
    BadRequest(&'static str),
    /// The path names no provider that is enabled.
    UnknownProvider { got: String, known: Vec<String> },
    /// The pin names no profile.
    UnknownProfile { profile: String, provider: String },
    /// CONNECT or TRACE.
    MethodNotAllowed,
    /// An `Expect` other than `100-continue`.
    ExpectationFailed,
    /// The body is JSON, and too large to look for its model.
    RequestTooLarge,
    /// The body did not come in time.
    RequestTimeout,
    /// The provider has no credential that could be used now.
    NoCredential { provider: String, why: String },
    /// Every credential is at its limit, and no answer of the provider is at hand.
    RateLimited { provider: String },
    /// Too much is under way.
    Overloaded,
    /// There is no connection to the provider, or it broke.
    UpstreamUnreachable { provider: String },
    /// The provider did not answer in time.
    UpstreamTimeout { provider: String },
}

impl Problem {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Caller(CallerProblem::HostNotAllowed | CallerProblem::WebPage) => {
                StatusCode::FORBIDDEN
            }
            Self::Caller(_) | Self::BadRequest(_) | Self::UnknownProfile { .. } => {
                StatusCode::BAD_REQUEST
            }
            Self::ClientUnauthorized { .. } => StatusCode::UNAUTHORIZED,
            Self::UnknownProvider { .. } => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::ExpectationFailed => StatusCode::EXPECTATION_FAILED,
            Self::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NoCredential { .. } | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::UpstreamUnreachable { .. } => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Caller(problem) => problem.code(),
            Self::ClientUnauthorized { .. } => "client_unauthorized",
            Self::BadRequest(_) => "bad_request",
            Self::UnknownProvider { .. } => "unknown_provider",
            Self::UnknownProfile { .. } => "unknown_profile",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::ExpectationFailed => "expectation_failed",
            Self::RequestTooLarge => "request_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::NoCredential { .. } => "no_credential",
            Self::RateLimited { .. } => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::UpstreamUnreachable { .. } => "upstream_unreachable",
            Self::UpstreamTimeout { .. } => "upstream_timeout",
        }
    }

    pub(super) fn outcome(&self) -> ModelOutcome {
        match self {
            Self::NoCredential { .. } => ModelOutcome::NoCredential,
            Self::RateLimited { .. } => ModelOutcome::RateLimited,
            Self::UpstreamUnreachable { .. } => ModelOutcome::Unreachable,
            Self::UpstreamTimeout { .. } => ModelOutcome::Timeout,
            _ => ModelOutcome::Refused,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::ClientUnauthorized { .. } => "unauthorized",
            Self::Caller(CallerProblem::HostNotAllowed | CallerProblem::WebPage) => "forbidden",
            Self::RateLimited { .. } => "rate_limited",
            Self::NoCredential { .. }
            | Self::Overloaded
            | Self::UpstreamUnreachable { .. }
            | Self::UpstreamTimeout { .. } => "unavailable",
            _ => "invalid_request",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Caller(problem @ CallerProblem::HostNotAllowed) => {
                format!("{}, or a name of `models.allowedHosts`", problem.message())
            }
            Self::Caller(problem) => problem.message().to_owned(),
            Self::ClientUnauthorized { token_is_set: true } => {
                "expected a client token as `Authorization: Bearer TOKEN` or in the provider's \
                 own header"
                    .to_owned()
            }
            Self::ClientUnauthorized {
                token_is_set: false,
            } => "this listener answers only to callers on loopback".to_owned(),
            Self::BadRequest(message) => (*message).to_owned(),
            Self::UnknownProvider { got, known } => format!(
                "got `{got}` as the provider, expected /PROVIDER/... with one that is enabled: {}",
                known.join(", ")
            ),
            Self::UnknownProfile { profile, provider } => {
                format!("there is no profile `{profile}` of `{provider}`")
            }
            Self::MethodNotAllowed => "this method is not passed on".to_owned(),
            Self::ExpectationFailed => "expected no `Expect` but 100-continue".to_owned(),
            Self::RequestTooLarge => {
                "the body is longer than `limits.maxBodyBytes`, and JSON is read whole to find its \
                 `model`"
                    .to_owned()
            }
            Self::RequestTimeout => "the body did not come in time".to_owned(),
            Self::NoCredential { provider, why } => {
                format!("there is no credential of `{provider}` that could be used: {why}")
            }
            Self::RateLimited { provider } => {
                format!("every credential of `{provider}` has hit a limit: see Retry-After")
            }
            Self::Overloaded => "too much is under way: try again in a moment".to_owned(),
            Self::UpstreamUnreachable { provider } => format!("`{provider}` can't be reached"),
            Self::UpstreamTimeout { provider } => format!("`{provider}` did not answer in time"),
        }
    }

    /// The answer.
    pub(super) fn answer(
        &self,
        id: &RequestId,
        retry_after: Option<Duration>,
    ) -> Response<Full<Bytes>> {
        let body = json!({"error": {
            "message": self.message(),
            "type": self.kind(),
            "code": self.code(),
            "reason": self.code(),
            "requestId": id.as_str(),
        }});
        let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        let fixed = HeaderValue::from_static;
        headers.insert(header::CONTENT_TYPE, fixed("application/json"));
        headers.insert(header::CACHE_CONTROL, fixed("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
        headers.insert("x-request-id", id_value(id));
        match self {
            Self::ClientUnauthorized { .. } => {
                let realm = fixed("Bearer realm=\"portcullis models\"");
                headers.insert(header::WWW_AUTHENTICATE, realm);
            }
            Self::Overloaded => set_retry_after(headers, Duration::from_secs(1)),
            _ => {}
        }
        if let Some(wait) = retry_after {
            set_retry_after(headers, wait);
        }
        response
    }
}

/// A request's id as a header's value.
pub(super) fn id_value(id: &RequestId) -> HeaderValue {
    HeaderValue::from_bytes(id.as_bytes()).expect("an id is ASCII without controls")
}

/// Sets `Retry-After`, rounded up to whole seconds: who comes too early is told no again.
pub(super) fn set_retry_after(headers: &mut HeaderMap, wait: Duration) {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
}
