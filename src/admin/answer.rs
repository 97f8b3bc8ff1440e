//! What the admin listener answers, refusals in the shape of all our errors.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::local_caller::CallerProblem;
use crate::request_id::RequestId;

/// An answer that is ready to go out.
pub(super) struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: String,
    extra: HeaderMap,
    request_id: String,
}

impl Answer {
    /// JSON with `status`, one of HTTP's own. An error's id is also the answer's.
    pub(super) fn json(status: u16, body: &Value) -> Self {
        let named = body["error"]["requestId"].as_str().map(str::to_owned);
        Self {
            status: StatusCode::from_u16(status).expect("only literal statuses come here"),
            content_type: "application/json",
            body: body.to_string(),
            extra: HeaderMap::new(),
            request_id: named.unwrap_or_else(request_id),
        }
    }

    /// 200 with `body` of `content_type`.
    pub(super) fn text(content_type: &'static str, body: String) -> Self {
        Self {
            status: StatusCode::OK,
            content_type,
            body,
            extra: HeaderMap::new(),
            request_id: request_id(),
        }
    }

    /// The response; to a HEAD request the body's length alone.
    pub(super) fn into_response(self, head_only: bool) -> Response<Full<Bytes>> {
        let length = self.body.len();
        let body = if head_only {
            Bytes::new()
        } else {
            Bytes::from(self.body)
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.extend(self.extra);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(
            HeaderName::from_static("x-request-id"),
            HeaderValue::from_str(&self.request_id).expect("hexadecimal digits are legal"),
        );
        response
    }
}

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The request is malformed in a way that `message` names.
    BadRequest { message: &'static str },
    /// The caller is none that a listener for programs answers.
    Caller(CallerProblem),
    /// No bearer token, or another one.
    Unauthorized,
    /// No such route.
    NotFound,
    /// No refused request with this id is kept.
    UnknownDenial,
    /// The system gave no random bytes.
    NoRandomness,
    /// The route takes only the methods in `allow`.
    MethodNotAllowed { allow: &'static str },
    /// The body is over the limit.
    RequestTooLarge,
    /// There is no configuration file to be read again.
    ReloadNotSupported,
    /// The new configuration can't be used.
    ReloadFailed,
    /// The process is stopping.
    Draining,
    /// As many wait already as may.
    Overloaded,
}

impl From<CallerProblem> for Refusal {
    fn from(problem: CallerProblem) -> Self {
        Self::Caller(problem)
    }
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::BadRequest { .. }
            | Self::Caller(CallerProblem::AbsoluteTarget | CallerProblem::NotOneHost) => {
                StatusCode::BAD_REQUEST
            }
            Self::Caller(CallerProblem::HostNotAllowed | CallerProblem::WebPage) => {
                StatusCode::FORBIDDEN
            }
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound | Self::UnknownDenial => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ReloadNotSupported => StatusCode::NOT_IMPLEMENTED,
            Self::ReloadFailed => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Draining | Self::Overloaded | Self::NoRandomness => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    pub(super) fn code(self) -> &'static str {
        match self {
            Self::BadRequest { .. } => "bad_request",
            Self::Caller(problem) => problem.code(),
            Self::Unauthorized => "admin_unauthorized",
            Self::NotFound => "not_found",
            Self::UnknownDenial => "unknown_denial",
            Self::NoRandomness => "no_randomness",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::RequestTooLarge => "request_too_large",
            Self::ReloadNotSupported => "not_supported",
            Self::ReloadFailed => "reload_failed",
            Self::Draining => "draining",
            Self::Overloaded => "overloaded",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Caller(CallerProblem::HostNotAllowed | CallerProblem::WebPage) => "forbidden",
            Self::Unauthorized => "unauthorized",
            Self::ReloadNotSupported => "not_supported",
            Self::Draining | Self::Overloaded | Self::NoRandomness => "unavailable",
            Self::ReloadFailed
            | Self::BadRequest { .. }
            | Self::Caller(_)
            | Self::NotFound
            | Self::UnknownDenial
            | Self::MethodNotAllowed { .. }
            | Self::RequestTooLarge => "invalid_request",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::BadRequest { message } => message,
            Self::Caller(problem) => problem.message(),
            Self::Unauthorized => {
                "expected the configured admin token as `Authorization: Bearer TOKEN`"
            }
            Self::NotFound => "there is nothing at this path",
            Self::UnknownDenial => {
                "no refused request with this id is kept: since the start the last 1,000 of \
                 trusted sources are, and the last 1,000 of all others; one that was permitted \
                 is in the log alone"
            }
            Self::NoRandomness => "the system gave no random bytes: try again",
            Self::MethodNotAllowed { .. } => "this path does not take this method; see Allow",
            Self::RequestTooLarge => "the request's body is too large",
            Self::ReloadNotSupported => "this process has no configuration file to read again",
            Self::ReloadFailed => {
                "the new configuration can't be used, the last good one is served on: see problems"
            }
            Self::Draining => "the process is stopping",
            Self::Overloaded => "as many wait for a reload as may: try again in a while",
        }
    }

    /// The body of the refusal, with an id of its own.
    pub(super) fn to_json(self) -> Value {
        json!({"error": {
            "message": self.message(),
            "type": self.kind(),
            "code": self.code(),
            "reason": self.code(),
            "requestId": request_id(),
        }})
    }

    pub(super) fn into_answer(self) -> Answer {
        let mut extra = HeaderMap::new();
        match self {
            Self::Unauthorized => {
                extra.insert(
                    WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer realm=\"portcullis admin\""),
                );
            }
            Self::MethodNotAllowed { allow } => {
                extra.insert(ALLOW, HeaderValue::from_static(allow));
            }
            _ => {}
        }
        Answer {
            extra,
            ..Answer::json(self.status().as_u16(), &self.to_json())
        }
    }
}

fn request_id() -> String {
    RequestId::generate().as_str().to_owned()
}
