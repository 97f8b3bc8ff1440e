//! Says what arrived: the demo's proof of what the front door passes on.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Body, USER_HEADER, whole};
use crate::html::Escaped;

/// A request as the gateway saw it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    method: String,
    /// Path and query.
    target: String,
    /// By name in lower case; an array where a field came more than once.
    headers: Map<String, Value>,
    body_bytes: u64,
}

/// Reads the request to its end and answers with what it was.
pub(super) async fn answer(request: Request<Incoming>) -> Response<Body> {
    let wants_page = *request.method() == Method::GET
        && request.uri().path() == "/"
        && names_html(request.headers());
    let mut seen = Seen {
        method: request.method().to_string(),
        target: request.uri().to_string(),
        headers: headers_as_seen(request.headers()),
        body_bytes: 0,
    };
    let mut body = request.into_body();
    // Counted frame by frame, so that an upload of any size costs no memory.
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                if let Some(data) = frame.data_ref() {
                    seen.body_bytes += data.len() as u64;
                }
            }
            Err(_) => return whole(400, "text/plain; charset=utf-8", "the body broke off\n"),
        }
    }
    let json = serde_json::to_string_pretty(&seen).expect("strings and numbers serialise");
    if wants_page {
        page(&seen, &json)
    } else {
        whole(200, "application/json", json + "\n")
    }
}

/// A browser names `text/html`; curl and scripts don't.
fn names_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/html"))
}

fn headers_as_seen(headers: &HeaderMap) -> Map<String, Value> {
    headers
        .keys()
        .map(|name| {
            let mut values: Vec<Value> = headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into())
                .collect();
            let value = match values.len() {
                1 => values.remove(0),
                _ => values.into(),
            };
            (name.to_string(), value)
        })
        .collect()
}

fn page(seen: &Seen, json: &str) -> Response<Body> {
    let user = seen.headers.get(USER_HEADER).and_then(Value::as_str);
    let page = format!(
        include_str!("page.html"),
        user = Escaped(user.unwrap_or("whoever you are")),
        json = Escaped(json),
    );
    let mut response = whole(200, "text/html; charset=utf-8", page);
    response.headers_mut().insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
    );
    response
}
