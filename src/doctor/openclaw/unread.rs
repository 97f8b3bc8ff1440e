//! What could not be compared: it may be right or wrong.

use super::super::checklist::listed;
use super::super::finding::{Finding, Severity};
use super::super::finding_id::FindingId;
use super::Sides;
use super::document::{OTHER_KIND, OpenClaw, Said, Texts};
use std::collections::BTreeSet;

/// Entries that are named in a finding; of more their number is told.
const NAMED: usize = 10;

/// What kind of value a key has.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Texts,
    /// Lists by name.
    Lists,
    Flag,
    Port,
}

/// Every key that is compared, and what it tells.
const COMPARED: [(&str, Kind, &str); 17] = [
    (
        "gateway.port",
        Kind::Port,
        "whether the gateway listens where Portcullis connects to",
    ),
    ("gateway.bind", Kind::Text, "for whom the gateway listens"),
    (
        "gateway.customBindHost",
        Kind::Text,
        "for whom the gateway listens",
    ),
    (
        "gateway.publicOrigin",
        Kind::Text,
        "whether the gateway takes browsers on its own origin",
    ),
    (
        "gateway.trustedProxies",
        Kind::Texts,
        "whether the gateway trusts Portcullis, and nobody else",
    ),
    (
        "gateway.auth.mode",
        Kind::Text,
        "whether it is trusted-proxy, and so whether what goes with that matters",
    ),
    (
        "gateway.auth.trustedProxy.userHeader",
        Kind::Text,
        "whether the gateway reads the user where Portcullis writes it",
    ),
    (
        "gateway.auth.trustedProxy.requiredHeaders",
        Kind::Texts,
        "whether the gateway gets every header that it demands",
    ),
    (
        "gateway.auth.trustedProxy.allowUsers",
        Kind::Texts,
        "whether both sides let the same users in",
    ),
    (
        "gateway.auth.trustedProxy.allowLoopback",
        Kind::Flag,
        "whether the gateway takes Portcullis over loopback",
    ),
    (
        "gateway.auth.trustedProxy.deviceAutoApprove.enabled",
        Kind::Flag,
        "whether browsers become administrators by themselves",
    ),
    (
        "gateway.auth.trustedProxy.deviceAutoApprove.scopes",
        Kind::Texts,
        "whether browsers become administrators by themselves",
    ),
    (
        "gateway.auth.identityScopes",
        Kind::Lists,
        "what the gateway grants that a ceiling here cuts",
    ),
    (
        "gateway.tls.enabled",
        Kind::Flag,
        "whether both sides speak TLS to each other, or neither",
    ),
    (
        "gateway.tailscale.mode",
        Kind::Text,
        "whether Tailscale leads to the gateway past Portcullis",
    ),
    (
        "gateway.controlUi.allowedOrigins",
        Kind::Texts,
        "which pages the gateway takes for its own",
    ),
    (
        "gateway.controlUi.dangerouslyAllowHostHeaderOriginFallback",
        Kind::Flag,
        "whether the gateway takes any page whose origin is the request's Host for its own",
    ),
];

/// A value that wasn't compared.
struct Unread {
    /// Its key.
    key: String,
    /// Which of a list's entries, counted from 1; none: the value as a whole.
    entries: Vec<usize>,
    reason: &'static str,
    expected: &'static str,
}

pub(super) fn check(sides: &Sides<'_>) -> Vec<Finding> {
    let mut told = BTreeSet::new();
    let mut findings = Vec::new();
    for (key, kind, question) in COMPARED {
        // One finding for all that should be in an object.
        if let Some(around) = sides.there.no_object(key) {
            if told.insert(around) {
                let unread = Unread {
                    key: around.to_owned(),
                    entries: Vec::new(),
                    reason: OTHER_KIND,
                    expected: "an object",
                };
                findings.push(finding(
                    sides,
                    &unread,
                    "whether what belongs there is right",
                ));
            }
            continue;
        }
        let unread = kind.unread(sides.there, key);
        findings.extend(unread.iter().map(|it| finding(sides, it, question)));
    }
    findings
}

fn finding(sides: &Sides<'_>, unread: &Unread, question: &str) -> Finding {
    let Unread {
        key,
        entries,
        reason,
        expected,
    } = unread;
    let what = match entries.as_slice() {
        [] => key.clone(),
        [entry] => format!("entry {entry} of {key}"),
        entries if entries.len() > NAMED => format!("{} entries of {key}: each", entries.len()),
        entries => format!("entries {} of {key}: each", listed(entries)),
    };
    let remedy = match *reason {
        OTHER_KIND => format!("write {expected} there in openclaw.json"),
        _ => "write it out there, or compare it by hand".to_owned(),
    };
    sides.at_gateway(
        FindingId::OpenclawUnread,
        Severity::Warning,
        key,
        format!("{what} {reason}: not compared is {question}"),
        remedy,
    )
}

impl Kind {
    fn unread(self, there: &OpenClaw, key: &str) -> Vec<Unread> {
        let whole = |reason: Option<&'static str>| {
            let unread = reason.map(|reason| Unread {
                key: key.to_owned(),
                entries: Vec::new(),
                reason,
                expected: self.expected(),
            });
            unread.into_iter().collect()
        };
        match self {
            Self::Text => whole(there.text(key).reason()),
            Self::Flag => whole(there.flag(key).reason()),
            Self::Port => whole(there.port(key).reason()),
            Self::Texts => of_list(key, &there.texts(key)),
            Self::Lists => match there.lists(key) {
                Said::This(lists) => {
                    let lists = lists.iter();
                    lists
                        .flat_map(|(name, list)| of_list(&format!("{key}.{name}"), list))
                        .collect()
                }
                said => whole(said.reason()),
            },
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Texts => "a list of strings",
            Self::Lists => "an object of lists",
            Self::Flag => "true or false",
            Self::Port => "a number from 1 to 65535",
        }
    }
}

fn of_list(key: &str, said: &Said<Texts<'_>>) -> Vec<Unread> {
    let list = match said {
        Said::Nothing => return Vec::new(),
        Said::Unclear(reason) => {
            return vec![Unread {
                key: key.to_owned(),
                entries: Vec::new(),
                reason,
                expected: Kind::Texts.expected(),
            }];
        }
        Said::This(list) => list,
    };
    // One finding for all that have the same reason.
    let mut unread: Vec<Unread> = Vec::new();
    for (entry, reason) in list.unread() {
        match unread.iter_mut().find(|it| it.reason == *reason) {
            Some(same) => same.entries.push(*entry),
            None => unread.push(Unread {
                key: key.to_owned(),
                entries: vec![*entry],
                reason,
                expected: Kind::Text.expected(),
            }),
        }
    }
    unread
}
