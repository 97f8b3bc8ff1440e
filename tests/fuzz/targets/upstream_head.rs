//! A connection's bytes, taken through head, policy and rewriting as the front door
//! does: a reader that knows nothing of us finds as many requests behind it as there
//! were permits, and no identity that the policy didn't verify.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::forwarded::{Facts, Scheme};
use portcullis::fuzzing::finish_head;
use portcullis::http1::Persistence;
use portcullis::http1::body::{Decoder, Framing, LAST_CHUNK, write_chunk};
use portcullis::http1::request::{FieldList, parse};
use portcullis::http1::scan::HeadScanner;
use portcullis::policy::{Keyless, LocalInterface, Request, Source, Upgrade};
use portcullis_fuzz::{CEILING, CREDENTIAL, Door, Line, PASSED, USER_HEADER, USERS, lines, only};
use std::net::IpAddr;
use std::sync::LazyLock;

static DOOR: LazyLock<Door> = LazyLock::new(Door::new);

/// How the names of identity headers begin that a client must not get through.
const FOREIGN: [&str; 8] = [
    "x-forwarded-",
    "x-auth-request-",
    "x-pomerium-",
    "cf-access-",
    "tailscale-",
    "remote-",
    "x-remote-",
    "x-webauth-",
];
/// What of these the upstream may get, since it is ours or was let through.
const OURS: [&str; 6] = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    USER_HEADER,
    PASSED,
];

fuzz_target!(|bytes: &[u8]| {
    let (wire, permits) = pass(bytes);
    let mut rest = &wire[..];
    for permit in &permits {
        let end = rest
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a head")
            + 4;
        let (head, body) = rest.split_at(end);
        let start = head
            .windows(2)
            .position(|two| two == b"\r\n")
            .expect("a request line")
            + 2;
        assert_eq!(&head[..start], permit.line.as_bytes());
        let lines = lines(&head[start..end - 2]);
        check_lines(permit, &lines);
        rest = after_body(&lines, body);
        if permit.is_last {
            return;
        }
    }
    assert!(
        rest.is_empty(),
        "a request that nobody decided on: {}",
        rest.escape_ascii()
    );
});

/// What the policy permitted.
struct Permitted {
    line: String,
    user: Option<String>,
    /// The client's fields, names in lower case.
    sent: Vec<Line>,
    is_upgrade: bool,
    /// Its body didn't come whole, or the connection is no longer HTTP.
    is_last: bool,
}

/// The front door's way with a connection, less its sockets.
fn pass(mut bytes: &[u8]) -> (Vec<u8>, Vec<Permitted>) {
    let source = Source::new(IpAddr::from([10, 0, 0, 1]), LocalInterface::No);
    let (mut wire, mut permits) = (Vec::new(), Vec::new());
    while let Ok(Some(length)) = HeadScanner::default().advance(bytes) {
        let (head, mut rest) = bytes.split_at(length);
        let mut fields = FieldList::default();
        let Ok(read) = parse(head, 100, &mut fields) else {
            break;
        };
        let request = Request {
            method: read.method,
            target: read.target,
            upgrade: read.upgrade,
            fields: fields.as_slice(),
        };
        let permit = DOOR.policy.decide(source, &request, &Keyless);
        if let Ok(permit) = &permit {
            let line = format!("{} {} HTTP/1.1\r\n", read.method, read.target);
            wire.extend_from_slice(line.as_bytes());
            let facts = Facts {
                scheme: Scheme::Http,
                host: read.host.as_str(),
                request_id: "id-1",
            };
            DOOR.rewriter.rewrite(permit, &facts, &mut wire);
            finish_head(&read, &mut wire);
            let sent = fields.as_slice().iter();
            permits.push(Permitted {
                line,
                user: permit.user().map(|user| user.as_str().to_owned()),
                sent: sent
                    .map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec()))
                    .collect(),
                is_upgrade: read.upgrade == Upgrade::Websocket,
                is_last: false,
            });
        }
        let mut decoder = Decoder::new(read.framing);
        let is_whole = loop {
            match decoder.next(&mut rest) {
                Ok(Some(piece)) if permit.is_ok() => match read.framing {
                    Framing::Chunked => write_chunk(piece, &mut wire),
                    _ => wire.extend_from_slice(piece),
                },
                Ok(Some(_)) => {}
                Ok(None) => break decoder.is_done(),
                Err(_) => break false,
            }
        };
        if permit.is_ok() && is_whole && read.framing == Framing::Chunked {
            wire.extend_from_slice(LAST_CHUNK);
        }
        if !is_whole || read.upgrade == Upgrade::Websocket || read.persistence == Persistence::Close
        {
            if let (Ok(_), Some(last)) = (&permit, permits.last_mut()) {
                last.is_last = !is_whole || read.upgrade == Upgrade::Websocket;
            }
            break;
        }
        bytes = rest;
    }
    (wire, permits)
}

fn check_lines(permit: &Permitted, lines: &[Line]) {
    for (name, value) in lines {
        let folded = name.replace(['_', '.'], "-");
        let is_alias = folded == "x-openclaw-scopes" && *name != folded;
        assert!(!is_alias, "{name}");
        let is_foreign =
            folded == "forwarded" || FOREIGN.iter().any(|start| folded.starts_with(start));
        assert!(
            !is_foreign || OURS.contains(&name.as_str()),
            "{name}: {}",
            value.escape_ascii()
        );
    }
    let sent = |name: &str| {
        permit
            .sent
            .iter()
            .filter(|(other, _)| other == name)
            .collect::<Vec<_>>()
    };
    let has = |name: &str| lines.iter().any(|(other, _)| other == name);
    match &permit.user {
        Some(user) => {
            assert!(USERS.contains(&user.as_str()));
            assert_eq!(only(lines, USER_HEADER), user);
            assert_eq!(only(lines, "authorization"), CREDENTIAL);
            let [(_, named)] = sent(USER_HEADER)[..] else {
                panic!("{user} was not named once");
            };
            assert_eq!(named.trim_ascii(), user.as_bytes());
            let scopes = only(lines, "x-openclaw-scopes");
            let mut scopes = scopes
                .split(',')
                .map(str::trim)
                .filter(|scope| !scope.is_empty());
            assert!(scopes.all(|scope| user != "ann" && CEILING.contains(&scope)));
        }
        None => {
            assert!(permit.line.starts_with("POST /hooks/"));
            for name in [USER_HEADER, "x-openclaw-scopes", PASSED] {
                assert!(!has(name), "{name} on a public route");
            }
            let own = sent("authorization");
            assert_eq!(
                lines
                    .iter()
                    .filter(|(name, _)| name == "authorization")
                    .count(),
                own.len()
            );
        }
    }
    let cookies = lines.iter().filter(|(name, _)| name == "cookie");
    for (_, value) in cookies {
        let mut pairs = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        assert!(pairs.all(|pair| !pair.starts_with(b"_oauth2_proxy")));
    }
    // Every value is the client's to the byte, or ours.
    let ours = [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
        "cookie",
        "authorization",
        "x-request-id",
        "x-real-ip",
        "x-openclaw-scopes",
    ];
    for (name, value) in lines {
        if !OURS.contains(&name.as_str()) && !ours.contains(&name.as_str()) {
            let same = |(other, sent): &&Line| other == name && sent.trim_ascii() == value;
            assert!(
                permit.sent.iter().any(|line| same(&line)),
                "{name} came from nowhere"
            );
        }
    }
    assert_eq!(has("upgrade"), permit.is_upgrade);
    assert_eq!(has("connection"), permit.is_upgrade);
    assert!(!has("te") && !has("trailer") && !has("keep-alive") && !has("http2-settings"));
    assert!(!(has("content-length") && has("transfer-encoding")));
    only(lines, "host");
}

/// What follows a request's body, for a reader that goes by the head's framing.
fn after_body<'a>(lines: &[Line], body: &'a [u8]) -> &'a [u8] {
    if lines.iter().any(|(name, _)| name == "transfer-encoding") {
        assert_eq!(only(lines, "transfer-encoding"), "chunked");
        let end = chunked_length(body).unwrap_or(body.len());
        return &body[end..];
    }
    if lines.iter().any(|(name, _)| name == "content-length") {
        let length: usize = only(lines, "content-length").parse().unwrap_or(usize::MAX);
        return &body[length.min(body.len())..];
    }
    body
}

fn chunked_length(body: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let end = at + body[at..].windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&body[at..end]).ok()?, 16).ok()?;
        at = end.checked_add(size)?.checked_add(4)?;
        if at > body.len() {
            return None;
        }
        assert_eq!(&body[at - 2..at], b"\r\n");
        if size == 0 {
            return Some(at);
        }
    }
}
