//! `/status/denials`: the requests that were refused last, and one of them in full.

use super::answer::{Answer, Refusal};
use crate::denials::{DenialBook, Entry, KEPT};
use serde_json::{Value, json};

/// How many are listed where nobody says how many.
const LISTED: usize = 50;

/// The latest first, in short; `query` may hold `limit=N`.
pub(super) fn list(book: &DenialBook, query: Option<&str>) -> Result<Answer, Refusal> {
    let latest = book.latest(limit(query)?);
    let listed: Vec<Value> = latest.iter().map(|entry| short(entry)).collect();
    Ok(Answer::json(200, &json!({"denials": listed})))
}

/// The one with this request id.
pub(super) fn one(book: &DenialBook, request_id: &str) -> Result<Answer, Refusal> {
    let entry = book.find(request_id).ok_or(Refusal::UnknownDenial)?;
    Ok(Answer::json(200, &json!(*entry)))
}

fn limit(query: Option<&str>) -> Result<usize, Refusal> {
    let Some(query) = query else {
        return Ok(LISTED);
    };
    let limit = query.strip_prefix("limit=").and_then(|n| n.parse().ok());
    limit
        .filter(|limit| (1..=2 * KEPT).contains(limit))
        .ok_or(Refusal::BadRequest {
            message: "expected no query, or `limit=` and a number from 1 to 2000",
        })
}

fn short(entry: &Entry) -> Value {
    let request = entry.request.as_ref();
    json!({
        "requestId": entry.request_id,
        "at": entry.at,
        "source": entry.source,
        "method": request.map(|request| &request.method),
        "path": request.map(|request| &request.path),
        "status": entry.status,
        "reason": entry.reason,
        "got": entry.got,
    })
}
