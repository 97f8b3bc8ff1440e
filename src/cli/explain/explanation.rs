//! What is told of a decision, to people and to programs.

use super::Place;
use super::asked::Asked;
use super::assumed::Assumed;
use crate::cli::output::{Style, one_line};
use crate::config::{AllowUsersSource, Config};
use crate::forwarded::{Facts, Scheme};
use crate::policy::{
    AllowUsers, Denial, Identity, Peer, Permit, Policy, Principal, Source, VerifiedUser,
};
use crate::proxy::{respond, write_upgrade};
use serde_json::{Value, json};

/// What stands where a secret would.
pub(super) const REDACTED: &str = "[redacted]";

/// Beside what the policy calls open: fields whose values say how to talk, never who.
const PLAIN: [&str; 16] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "content-type",
    "dnt",
    "origin",
    "pragma",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-websocket-version",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
];

/// A decision and its ground.
pub(super) struct Explanation {
    pub(super) is_permitted: bool,
    verdict: String,
    /// Lines without a label, or with one.
    because: Vec<(&'static str, String)>,
    headers: Vec<(String, String)>,
    pub(super) json: Value,
}

impl Explanation {
    /// What `place` decides on a request; of an assertion no more than `assumed` is known.
    pub(super) fn of(place: &Place, peer: Peer<'_>, asked: &Asked, assumed: &Assumed<'_>) -> Self {
        let fields = asked.fields();
        let request = asked.request(&fields);
        let mut explanation = match place.rules.policy.decide(peer, &request, assumed) {
            Ok(permit) => permitted(place, peer, &permit, asked),
            Err(denial) => denied(place, peer.source, &denial),
        };
        if let Some(note) = assumed.note() {
            explanation.json["assumed"] = json!(note);
            explanation.because.push(("assumed", note.to_owned()));
        }
        explanation
    }

    pub(super) fn text(&self, style: Style) -> String {
        let verdict = match self.is_permitted {
            true => style.green(&self.verdict),
            false => style.red(&self.verdict),
        };
        let mut text = format!("{}\n", style.bold(verdict));
        text.push_str(&lines(&self.because, style));
        if !self.headers.is_empty() {
            text.push_str("\nthe upstream gets:\n");
        }
        for (name, value) in &self.headers {
            let value = one_line(value);
            text.push_str(&format!("  {}: {value}\n", style.dim(name)));
        }
        text
    }
}

/// Indented lines, each with its label where it has one.
pub(super) fn lines(lines: &[(&'static str, String)], style: Style) -> String {
    let line = |(label, words): &(&'static str, String)| {
        let words = one_line(words);
        match *label {
            "" => format!("  {words}\n"),
            label => format!("  {} {words}\n", style.dim(format_args!("{label}:"))),
        }
    };
    lines.iter().map(line).collect()
}

/// The key as this configuration spells it: users may come from a file.
pub(super) fn spelt<'k>(rule: &'k str, config: &Config) -> &'k str {
    match &config.gateway.trusted_proxy.allow_users {
        AllowUsersSource::File(_) if rule == "gateway.auth.trustedProxy.allowUsers" => {
            "gateway.auth.trustedProxy.allowUsersFile"
        }
        _ => rule,
    }
}

fn denied(place: &Place, source: Source, denial: &Denial) -> Explanation {
    let code = denial.code();
    let rule = place.rules.policy.rule(denial);
    let rule = rule.map(|rule| spelt(rule, &place.config));
    let remedy = respond::remedy(code.as_str());
    let mismatch = denial.mismatch();
    let json = json!({
        "decision": "denied",
        "source": source.to_string(),
        "status": code.status(),
        "code": code.as_str(),
        "reason": denial.reason(),
        "message": denial.message(),
        "detail": mismatch.to_string(),
        "rule": rule,
        "got": mismatch.got,
        "expected": mismatch.expected,
        "remedy": remedy,
    });
    Explanation {
        is_permitted: false,
        verdict: format!("denied: {} ({})", denial.reason(), code.status()),
        because: vec![
            ("rule", rule.unwrap_or(NO_KEY).to_owned()),
            ("came", mismatch.got.into_owned()),
            ("expected", mismatch.expected.into_owned()),
            ("to change", remedy.to_owned()),
        ],
        headers: Vec::new(),
        json,
    }
}

/// The rule where no key decides.
pub(super) const NO_KEY: &str = "none that a key sets: it always holds";

fn permitted(place: &Place, peer: Peer<'_>, permit: &Permit<'_>, asked: &Asked) -> Explanation {
    let Place { config, rules, .. } = place;
    let source = peer.source;
    let scheme = match config.gateway.tls.is_some() {
        true => Scheme::Https,
        false => Scheme::Http,
    };
    let facts = Facts {
        scheme,
        host: &asked.host,
        request_id: "made-for-each-request",
    };
    let mut head = Vec::new();
    let written = rules.rewriter.rewrite(permit, &facts, &mut head);
    write_upgrade(permit.request().upgrade, &mut head);
    let shown = |name: &str, value: &str| match asked.is_open {
        true => value.to_owned(),
        false => shown(&rules.policy, name, value),
    };
    let headers: Vec<(String, String)> = String::from_utf8_lossy(&head)
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), shown(name, value.trim())))
        .collect();

    let mut because = proofs(place, peer);
    let (decision, user) = match permit.identity() {
        Identity::User { user, .. } => {
            if let Some((header, _)) = rules.policy.assertion_header() {
                because.push(format!(
                    "the assertion in `{header}` is of `{}`",
                    user.as_str()
                ));
            }
            because.push(admitted(config, user));
            ("permitted", Some(user.as_str()))
        }
        Identity::Public => {
            because.push("the path is a public route: no user is asked for".to_owned());
            ("public", None)
        }
    };
    because.push(format!("the client's address is {}", written.client));
    let json = json!({
        "decision": decision,
        "source": source.to_string(),
        "user": user,
        "client": written.client,
        "because": because,
        "headers": headers,
    });
    Explanation {
        is_permitted: true,
        verdict: decision.to_owned(),
        because: because.into_iter().map(|line| ("", line)).collect(),
        headers,
        json,
    }
}

/// What makes the source one of the trusted proxies, as far as it is one.
fn proofs(place: &Place, peer: Peer<'_>) -> Vec<String> {
    let Place { config, rules, .. } = place;
    let source = peer.source;
    let nets = rules.policy.trusted_proxies();
    let mut proofs = Vec::new();
    if let Some(net) = source.address().and_then(|address| nets.matching(address)) {
        proofs.push(format!(
            "source {source} is in gateway.trustedProxies ({net})"
        ));
    } else if source.uid().is_some() {
        proofs.push(format!("source {source} is in listen.unixPeerUids"));
    }
    let asked_for = config.gateway.trusted_proxy.client_names.as_ref();
    if let (Some(asked_for), Some(shown)) = (asked_for, peer.certificate)
        && source.uid().is_none()
        && let Some(name) = shown
            .iter()
            .find(|name| asked_for.admit(&[(*name).clone()]))
    {
        proofs.push(format!(
            "its certificate is for `{name}`, which is in clientCertNames"
        ));
    }
    proofs
}

/// The rule that lets a user, or a service, in.
fn admitted(config: &Config, user: &VerifiedUser<'_>) -> String {
    let name = user.as_str();
    match (user.principal(), &config.gateway.trusted_proxy.allow_users) {
        (Principal::Service, _) => format!("service `{name}` is in assertion.allowServices"),
        (Principal::User, AllowUsersSource::File(path)) => {
            format!("user `{name}` is in allowUsersFile ({})", path.display())
        }
        (Principal::User, AllowUsersSource::Inline(AllowUsers::Any)) => {
            format!("user `{name}` is named, and allowUsers is absent: any user may pass")
        }
        (Principal::User, AllowUsersSource::Inline(_)) => {
            format!("user `{name}` is in allowUsers")
        }
    }
}

/// A value that the upstream would get, where it can be no secret.
fn shown(policy: &Policy, name: &str, value: &str) -> String {
    let is_plain = PLAIN.iter().any(|plain| plain.eq_ignore_ascii_case(name));
    match is_plain || value.is_empty() || policy.is_open(name) {
        true => value.to_owned(),
        false => REDACTED.to_owned(),
    }
}
