//! What is told where not even a request without an attack comes through.

use super::corpus::{Attack, Kind};
use super::judge::{KEPT_OUT, Outcome, bears};
use super::replayed;
use super::report::{finding, title_case};
use super::seen::Seen;
use crate::denials::Entry;
use crate::doctor::{Finding, FindingId, Place, Severity};
use crate::policy::Code;
use crate::probe::Mark;

const SESSION: &str = "pass a session that may come in by -H, such as `cookie: …` as the browser \
                       sends it; @FILE keeps it out of the history";

/// The first header that Portcullis missed; none where that was not why it refused.
fn missing(entry: &Entry) -> Option<&str> {
    match Code::named(&entry.code)? {
        Code::UserMissing | Code::MissingHeader => entry.header.as_deref(),
        _ => None,
    }
}

/// Whether the policy got as far as reading a header, each of which stood there once.
fn has_read_headers(entry: &Entry) -> bool {
    match Code::named(&entry.code) {
        Some(
            Code::UnexpectedScopes
            | Code::MissingHeader
            | Code::AssertionMissing
            | Code::AssertionInvalid
            | Code::AssertionExpired
            | Code::AssertionUserMismatch
            | Code::UserMissing
            | Code::UserInvalid
            | Code::UserNotAllowed,
        ) => true,
        Some(
            Code::UntrustedSource
            | Code::UntrustedCertificate
            | Code::LoopbackSource
            | Code::LocalInterfaceSource
            | Code::LocalInterfaceCheckFailed
            | Code::AmbiguousHeader,
        )
        | None => false,
    }
}

/// A client's word in place of the header that Portcullis missed: the proxy in front must
/// take it out. None where no header was missed.
#[must_use]
pub fn stand_in(seen: &Seen, mark: &Mark) -> Option<Attack> {
    let Seen::Denied(entry) = seen else {
        return None;
    };
    let header = missing(entry)?.to_owned();
    let mark = mark.as_str();
    let is_users = Code::named(&entry.code) == Some(Code::UserMissing);
    let (kind, value) = match header.as_str() {
        _ if is_users => (Kind::User, format!("{mark}@attack.example")),
        "x-forwarded-for" => (Kind::Client, "203.0.113.66".to_owned()),
        "x-forwarded-proto" => (Kind::Proto, "https".to_owned()),
        "x-forwarded-host" => (Kind::Host, format!("{mark}.attack.example")),
        _ => (Kind::Named, format!("{mark}-attack")),
    };
    Some(Attack {
        kind,
        header,
        value,
        times: 1,
    })
}

/// Nothing came through at `url`: what an unhurt request of the operator's came to.
#[must_use]
pub fn unanswered(url: &str, seen: &Seen) -> Finding {
    let why = match seen {
        Seen::Probe(_) => "the probe ended too soon".to_owned(),
        Seen::Denied(entry) => format!("Portcullis refused it: {} ({})", entry.reason, entry.got),
        Seen::Refused(status) => format!("whoever stands in front answered {status}"),
        other => other.trouble().unwrap_or_default(),
    };
    Finding {
        id: match seen {
            Seen::Replayed => FindingId::AttackReplayed,
            _ => FindingId::AttackUnanswered,
        },
        severity: Severity::Critical,
        evidence: format!("not a single probe came through, so nothing is known: {why}"),
        remedy: remedy(seen),
        place: Place::address(url),
    }
}

/// The same, and each stand-in of `stand_ins` that was believed; all of them together came
/// to `last`.
#[must_use]
pub fn unanswered_beside(
    url: &str,
    seen: &Seen,
    stand_ins: &[Attack],
    last: &Seen,
    mark: &Mark,
) -> Vec<Finding> {
    let mut findings = vec![unanswered(url, seen)];
    findings.extend(stand_ins.iter().filter_map(|attack| {
        let outcome = Outcome::Believed(believed(attack, last, mark)?.to_owned());
        Some(finding(url, attack, &outcome))
    }));
    findings
}

/// As what a stand-in was believed; none where it was not.
fn believed(attack: &Attack, last: &Seen, mark: &Mark) -> Option<&'static str> {
    const SET_BY_NONE: &str = "the proxy's own, which sets none";
    let came = match last {
        Seen::Probe(answer) => {
            let mut fields = answer.arrived(&attack.header);
            fields.any(|field| field.is_marked || bears(&field.field, attack, mark))
        }
        // What is missing, or stands there twice, was not believed.
        Seen::Denied(entry)
            if has_read_headers(entry) && missing(entry) != Some(&attack.header) =>
        {
            let fields = entry.request.iter().flat_map(|request| &request.fields);
            let mut named = fields.filter(|field| field.name.eq_ignore_ascii_case(&attack.header));
            named.any(|field| bears(field, attack, mark))
        }
        _ => false,
    };
    came.then_some(match (attack.kind, last) {
        (Kind::User, Seen::Denied(entry))
            if Code::named(&entry.code) == Some(Code::UserNotAllowed) =>
        {
            KEPT_OUT
        }
        _ => SET_BY_NONE,
    })
}

fn remedy(seen: &Seen) -> String {
    match seen {
        Seen::Denied(entry) => match missing(entry) {
            Some(name) => format!(
                "the proxy in front doesn't set `{name}` for this request: let it set it for each; in \
                 nginx: `proxy_set_header {} …;`; where it does so for a session alone, pass one by -H, \
                 and never this header: that would only hide it",
                title_case(name)
            ),
            None => entry.remedy.clone().into_owned(),
        },
        Seen::Redirected(_) | Seen::Refused(401 | 403 | 407) => SESSION.to_owned(),
        Seen::Untrusted(_, distrust) => distrust.remedy().to_owned(),
        Seen::Replayed => replayed::REMEDY.to_owned(),
        Seen::Unreachable(_) => {
            "name the address as browsers do, with its scheme and port, and see that this host can \
             reach it"
                .to_owned()
        }
        Seen::Probe(_) => "run it again, with no other attack at the same time".to_owned(),
        Seen::Refused(_) | Seen::Unknown(_) => format!(
            "name the running process that this address leads to by --config or --admin; {SESSION}"
        ),
    }
}
