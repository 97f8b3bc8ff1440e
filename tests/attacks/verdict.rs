//! A row and what was seen: as it should be, or what deviates.

use crate::corpus::{Allowed, Ending, Protocol, Row};
use crate::fire::{Answer, Sight};
use crate::placeholder::Cast;
use crate::upstream::{Arrivals, Arrived};
use std::fmt::Write;

/// How strictly a front end is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standard {
    /// Exactly what the row says: Portcullis.
    Exact,
    /// Nothing unsafe reached the upstream, and what had to be refused was not
    /// served: other front ends, which may choose their own status.
    Safe,
}

/// What a front end has to itself: at most once each in what reaches the upstream,
/// and in one spelling.
const OWNED: [&str; 8] = [
    "x-forwarded-user",
    "x-forwarded-for",
    "x-real-ip",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-openclaw-scopes",
    "x-request-id",
];

/// Every deviation of what was seen from what `row` asks for; none: it passed.
pub(crate) fn deviations(
    row: &Row,
    protocol: Protocol,
    standard: Standard,
    cast: &Cast,
    sight: &Sight,
    arrivals: &Arrivals,
) -> Vec<String> {
    let mut found = answers(row, protocol, standard, sight, arrivals);
    for request in &arrivals.requests {
        found.extend(ownership(row, cast, request));
        found.extend(fields(row, standard, cast, request));
    }
    found.extend(arrivals.requests.iter().filter_map(request_line));
    found.extend(arrivals.requests.iter().filter_map(framing));
    found.extend(bytes(row, cast, arrivals));
    if standard == Standard::Exact && !row.targets.is_empty() {
        let targets: Vec<_> = arrivals.requests.iter().map(Arrived::target).collect();
        if targets != row.targets {
            found.push(format!("upstream: targets {targets:?}"));
        }
    }
    found
}

fn answers(
    row: &Row,
    protocol: Protocol,
    standard: Standard,
    sight: &Sight,
    arrivals: &Arrivals,
) -> Vec<String> {
    let mut found = Vec::new();
    let due = row.due();
    let reached = arrivals
        .requests
        .iter()
        .filter(|request| request.is_whole)
        .count();
    let served = |answer: &Answer| matches!(answer, Answer::Status(101 | 200..=299));
    let may_reach = row
        .reaches
        .unwrap_or_else(|| sight.answers.iter().filter(|answer| served(answer)).count());
    if standard == Standard::Exact {
        let is_due = due.len() == sight.answers.len()
            && std::iter::zip(&due, &sight.answers).all(|(due, answer)| allows(due, *answer));
        if !is_due {
            found.push(format!("client: {:?}, due {due:?}", sight.answers));
        }
        if row.closed && protocol != Protocol::H2 && !sight.closed {
            found.push("client: the connection stays open".to_owned());
        }
        if reached != may_reach {
            found.push(format!("upstream: {reached} requests, due {may_reach}"));
        }
        return found;
    }
    if !row.or_clean {
        for (at, answer) in sight.answers.iter().enumerate() {
            let is_refusal = due
                .get(at)
                .is_none_or(|due| !due.iter().any(Allowed::is_passed));
            if is_refusal && served(answer) {
                found.push(format!(
                    "client: {answer:?} to request {}, due a refusal",
                    at + 1
                ));
            }
        }
        if reached > may_reach {
            found.push(format!(
                "upstream: {reached} requests, due at most {may_reach}"
            ));
        }
    }
    // A request that nobody asked for was made out of another's bytes.
    if reached > sight.answers.len() {
        found.push(format!(
            "upstream: {reached} requests for {} answers",
            sight.answers.len()
        ));
    }
    found
}

fn allows(due: &[Allowed], answer: Answer) -> bool {
    due.iter().any(|allowed| match (allowed, answer) {
        (Allowed::Status(status), Answer::Status(seen)) => *status == seen,
        (Allowed::Ending(Ending::Reset), Answer::Reset)
        | (Allowed::Ending(Ending::Closed), Answer::Closed) => true,
        _ => false,
    })
}

/// What a server on the other side might take for one of ours.
pub(crate) fn fold(name: &str) -> String {
    name.trim().to_ascii_lowercase().replace(['_', '.'], "-")
}

fn values<'a>(request: &'a Arrived, name: &str) -> Vec<(&'a str, &'a str)> {
    request
        .fields()
        .filter(|(field, _)| fold(field) == name)
        .collect()
}

fn ownership(row: &Row, cast: &Cast, request: &Arrived) -> Vec<String> {
    let mut found = Vec::new();
    for name in OWNED {
        let seen = values(request, name);
        let is_whole = seen
            .iter()
            .all(|(field, _)| field.eq_ignore_ascii_case(name));
        if seen.len() > 1 || !is_whole {
            found.push(format!("upstream: {name} came as {seen:?}"));
        }
    }
    let users: Vec<_> = values(request, "x-forwarded-user");
    let is_right = match users[..] {
        [] => row.public,
        [(_, user)] => user == cast.user && !row.public,
        _ => false,
    };
    if !is_right {
        let line = request.head.lines().next().unwrap_or_default();
        found.push(format!("upstream: {line:?} for the users {users:?}"));
    }
    found
}

fn fields(row: &Row, standard: Standard, cast: &Cast, request: &Arrived) -> Vec<String> {
    let mut found = Vec::new();
    let own = match standard {
        Standard::Exact => row.exactly.iter(),
        Standard::Safe => [].iter(),
    };
    for expected in row.has.iter().chain(own) {
        let (name, value) = expected.split_once(':').unwrap_or((expected, ""));
        let value = cast.expand(value.trim()).unwrap_or_default();
        let seen = values(request, name);
        if !matches!(seen[..], [(_, only)] if only.as_bytes() == value) {
            found.push(format!("upstream: {name} is {seen:?}, due {expected:?}"));
        }
    }
    for name in &row.lacks {
        for (field, value) in values(request, name) {
            found.push(format!("upstream: got {field}: {value}"));
        }
    }
    found
}

/// A request line that is anything but a method, a path and a version.
fn request_line(request: &Arrived) -> Option<String> {
    let line = request.head.lines().next().unwrap_or_default();
    let parts: Vec<&str> = line.split(' ').collect();
    let is_plain = matches!(parts[..], [method, target, "HTTP/1.0" | "HTTP/1.1"]
        if !method.is_empty() && target.starts_with('/'));
    (!is_plain).then(|| format!("upstream: the request line is {line:?}"))
}

/// A head whose body ends in two places, or nowhere that is certain.
fn framing(request: &Arrived) -> Option<String> {
    let lengths = values(request, "content-length");
    let codings = values(request, "transfer-encoding");
    let is_certain = match (&lengths[..], &codings[..]) {
        ([], []) => true,
        ([(_, length)], []) => {
            length.bytes().all(|byte| byte.is_ascii_digit()) && !length.is_empty()
        }
        ([], [(_, coding)]) => coding.eq_ignore_ascii_case("chunked"),
        _ => false,
    };
    (!is_certain).then(|| format!("upstream: framed by {lengths:?} and {codings:?}"))
}

fn bytes(row: &Row, cast: &Cast, arrivals: &Arrivals) -> Vec<String> {
    let mut found = Vec::new();
    for text in &row.nowhere {
        let needle = cast.expand(text).unwrap_or_default();
        let is_there = !needle.is_empty()
            && arrivals
                .raw
                .windows(needle.len())
                .any(|window| window.eq_ignore_ascii_case(&needle));
        if is_there {
            found.push(format!("upstream: its bytes hold {text:?}"));
        }
    }
    found
}

/// One line for a row that deviates.
pub(crate) fn line(row: &Row, protocol: Protocol, deviations: &[String]) -> String {
    let mut line = format!("{} over {protocol:?} ({})", row.id, row.title);
    for deviation in deviations {
        let _ = write!(line, "\n    {deviation}");
    }
    line
}
