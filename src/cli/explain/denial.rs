//! `portcullis explain --denial ID`: why the running process refused a request, and what
//! the configuration of now would make of it.

use super::asked::{Asked, Origin};
use super::assumed::Assumed;
use super::explanation::{Explanation, NO_KEY, lines, spelt};
use super::{Arguments, Place};
use crate::cli::admin_client::{Question, ask};
use crate::cli::output::{self, Style, one_line};
use crate::cli::{EXIT_FAILURE, EXIT_USAGE, chain};
use crate::denials::{Entry, SeenRequest};
use crate::policy::{AltName, Code, LocalInterface, Peer, Policy, Source, Upgrade};
use crate::redaction::{SeenField, State};
use crate::request_id::RequestId;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

/// For the answer, which is in memory.
const ANSWER: Duration = Duration::from_secs(10);

pub(super) fn run(place: &Place, request_id: &str, arguments: &Arguments) -> ExitCode {
    let Some(request_id) = RequestId::accept(request_id.as_bytes()) else {
        output::complain(
            "portcullis: got no request id: expected the `requestId` of the answer, or `request.id` of the log",
        );
        return EXIT_USAGE.into();
    };
    let question = Question {
        method: Method::GET,
        path: &format!("/status/denials/{}", request_id.as_str()),
        address: arguments.address,
        patience: ANSWER,
    };
    let (status, answer) = match ask(&place.config, &question) {
        Ok(answered) => answered,
        Err(error) => {
            output::complain(format_args!("portcullis: {}", chain(&error)));
            return EXIT_USAGE.into();
        }
    };
    if status != StatusCode::OK {
        return not_told(status, &answer);
    }
    match serde_json::from_value(answer) {
        Ok(entry) => tell(place, &entry, arguments),
        Err(_) => {
            output::complain(
                "portcullis: got another answer than this version of Portcullis gives: is it the one that runs?",
            );
            EXIT_USAGE.into()
        }
    }
}

fn not_told(status: StatusCode, answer: &Value) -> ExitCode {
    let message = answer["error"]["message"]
        .as_str()
        .unwrap_or("got another answer than an admin listener gives: is this its address?");
    output::complain(format_args!("portcullis: {message} ({status})"));
    EXIT_USAGE.into()
}

/// What the configuration of now would make of the same request.
enum Replay {
    Decided(Explanation),
    /// Not enough of it was kept.
    Impossible(&'static str),
}

fn tell(place: &Place, entry: &Entry, arguments: &Arguments) -> ExitCode {
    let replay = replay(place, entry);
    let code = match &replay {
        Replay::Decided(now) if now.is_permitted => ExitCode::SUCCESS,
        Replay::Decided(_) => EXIT_FAILURE.into(),
        Replay::Impossible(_) => EXIT_USAGE.into(),
    };
    let written = match arguments.json {
        true => output::json(as_json(entry, &replay)),
        false => output::raw(text(place, entry, &replay, Style::for_stdout()).as_bytes()),
    };
    output::finish(written, code)
}

fn replay(place: &Place, entry: &Entry) -> Replay {
    let Some(request) = &entry.request else {
        return Replay::Impossible("its head could not be read, so there was nothing to decide on");
    };
    if request.is_cut {
        return Replay::Impossible("it was too long to be kept whole");
    }
    let assertion = Assertion::of(entry, request, &place.rules.policy);
    if matches!(assertion, Assertion::Refused) {
        return Replay::Impossible("its assertion is a secret and was not kept");
    }
    let Some(source) = source(entry) else {
        return Replay::Impossible("its source can't be read");
    };
    let asked = Asked {
        method: request.method.clone(),
        target: request.path.clone(),
        host: request.host.clone(),
        upgrade: match request.is_websocket {
            true => Upgrade::Websocket,
            false => Upgrade::None,
        },
        fields: request
            .fields
            .iter()
            .map(|field| stand_in(field, &assertion))
            .collect(),
        is_open: true,
    };
    let names = entry.certificate.as_ref().map(|names| {
        let names = names.iter().map(|name| AltName::parse(name));
        names.filter_map(Result::ok).collect::<Vec<_>>()
    });
    let peer = Peer::new(source, names.as_deref());
    let assumed = Assumed::named(&place.rules.policy, &asked.fields);
    Replay::Decided(Explanation::of(place, peer, &asked, &assumed))
}

fn source(entry: &Entry) -> Option<Source> {
    let local = match entry.is_own_address {
        Some(true) => LocalInterface::Yes,
        Some(false) => LocalInterface::No,
        None => LocalInterface::Unknown,
    };
    Some(Origin::parse(&entry.source).ok()?.source(local))
}

/// What is known of the assertion that the configuration of now asks for.
enum Assertion {
    /// None came, or nothing that holds one.
    Missing,
    /// It was refused for what it says: who knows what it said.
    Refused,
    /// Something came that nobody judged.
    Unjudged,
}

impl Assertion {
    fn of(entry: &Entry, request: &SeenRequest, policy: &Policy) -> Self {
        let Some((header, _)) = policy.assertion_header() else {
            return Self::Missing;
        };
        let came = request.fields.iter().any(|field| {
            field.name.eq_ignore_ascii_case(header.as_str()) && field.state == State::Present
        });
        if !came {
            return Self::Missing;
        }
        match Code::named(&entry.code) {
            // Then it came with something that is no bearer token.
            Some(Code::AssertionMissing) if entry.header.as_deref() == Some(header.as_str()) => {
                Self::Missing
            }
            Some(Code::AssertionInvalid | Code::AssertionExpired | Code::AssertionUserMismatch) => {
                Self::Refused
            }
            // Of another header, or refused before it or after.
            Some(
                Code::AssertionMissing
                | Code::UntrustedSource
                | Code::UntrustedCertificate
                | Code::LoopbackSource
                | Code::LocalInterfaceSource
                | Code::LocalInterfaceCheckFailed
                | Code::AmbiguousHeader
                | Code::UnexpectedScopes
                | Code::MissingHeader
                | Code::UserMissing
                | Code::UserInvalid
                | Code::UserNotAllowed,
            )
            | None => Self::Unjudged,
        }
    }
}

/// A field that the policy can't tell from the one that came: of the fields whose values
/// were not kept it asks no more than whether there was one. Cookies may be taken out.
fn stand_in(field: &SeenField, assertion: &Assertion) -> (String, String) {
    let is = |name: &str| field.name.eq_ignore_ascii_case(name);
    let value = match (&field.value, field.state, assertion) {
        (Some(value), ..) => value.clone(),
        (None, State::Blank, _) => String::new(),
        (None, State::Present, _) if is("cookie") => format!("[at most {} bytes]", field.bytes),
        // The one header in which an assertion may be a bearer's.
        (None, State::Present, Assertion::Unjudged) if is("authorization") => {
            format!("Bearer [{} bytes]", field.bytes.saturating_sub(7))
        }
        (None, State::Present, _) => length(field),
    };
    (field.name.clone(), value)
}

/// What is shown for a value that was not kept.
fn length(field: &SeenField) -> String {
    format!("[{} bytes]", field.bytes)
}

fn as_json(entry: &Entry, replay: &Replay) -> Value {
    match replay {
        Replay::Decided(now) => json!({"denial": entry, "now": now.json}),
        Replay::Impossible(why) => json!({"denial": entry, "now": null, "notDecidedBecause": why}),
    }
}

fn text(place: &Place, entry: &Entry, replay: &Replay, style: Style) -> String {
    let at = UNIX_EPOCH + Duration::from_secs(entry.at);
    let verdict = one_line(&format!("denied: {} ({})", entry.reason, entry.status));
    let rule = entry
        .rule
        .as_deref()
        .map_or(NO_KEY, |rule| spelt(rule, &place.config));
    let mut source = entry.source.clone();
    if entry.is_own_address == Some(true) {
        source.push_str(", an address of Portcullis' own host");
    }
    if let Some(balancer) = &entry.announced_by {
        source.push_str(&format!(", as {balancer} announced"));
    }
    let mut told = vec![
        (
            "when",
            format!(
                "{}, under configuration {}",
                httpdate::fmt_http_date(at),
                entry.generation
            ),
        ),
        ("from", source),
    ];
    told.extend(
        entry
            .request
            .as_ref()
            .map(|request| ("request", line(request))),
    );
    told.extend([
        ("rule", rule.to_owned()),
        ("came", entry.got.clone()),
        ("expected", entry.expected.to_string()),
        ("to change", entry.remedy.to_string()),
    ]);
    let mut text = format!(
        "{}\n{}",
        style.bold(style.red(verdict)),
        lines(&told, style)
    );
    if let Some(request) = &entry.request {
        text.push_str(&headers(request, style));
    }
    let path = place.path.display();
    match replay {
        Replay::Decided(now) => {
            text.push_str(&format!("\nthe same request now, under {path}: "));
            text.push_str(&now.text(style));
        }
        Replay::Impossible(why) => {
            text.push_str(&format!(
                "\nthe same request now, under {path}: not decided, for {why}\n"
            ));
        }
    }
    text
}

fn line(request: &SeenRequest) -> String {
    let query = if request.has_query { "?…" } else { "" };
    let websocket = if request.is_websocket {
        ", a WebSocket upgrade"
    } else {
        ""
    };
    format!(
        "{} {}{query} {} for {}{websocket}",
        request.method, request.path, request.protocol, request.host
    )
}

/// The fields, values where they were kept.
fn headers(request: &SeenRequest, style: Style) -> String {
    let mut text = "\nits headers:\n".to_owned();
    for field in &request.fields {
        let value = match (&field.value, field.state) {
            (_, State::Blank) => "[blank]".to_owned(),
            (Some(value), State::Present) => one_line(value),
            (None, State::Present) => length(field),
        };
        let name = one_line(&field.name);
        text.push_str(&format!("  {}: {value}\n", style.dim(name)));
    }
    for name in &request.absent {
        text.push_str(&format!("  {}: [absent]\n", style.dim(one_line(name))));
    }
    text
}
