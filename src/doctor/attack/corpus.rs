//! The corpus, spelt out for one deployment.

use crate::policy::same_folded;
use crate::probe::{Mark, ProbeAnswer};
use serde::Deserialize;

const CORPUS: &str = include_str!("corpus.toml");

/// What an attack aims at, which decides how its outcome is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The user header.
    User,
    /// A header of ours in another spelling.
    Alias,
    /// A header that passes because the config names it.
    Named,
    /// The client's address.
    Client,
    /// The client's protocol.
    Proto,
    /// The host.
    Host,
    /// The request's id.
    Id,
    /// The user's scopes.
    Scopes,
    /// What Portcullis drops, and another reader might believe.
    Foreign,
    /// `Connection` names a header that the proxy in front sets.
    Connection,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attack {
    /// What it aims at.
    pub kind: Kind,
    /// The header that it is about, as it is sent; for [`Kind::Connection`] the one that
    /// is named.
    pub header: String,
    /// The attacker's value.
    pub value: String,
    /// How often the header is sent.
    pub times: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    row: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    kind: Kind,
    /// Who was bitten; for readers of the corpus.
    #[allow(dead_code)]
    source: String,
    names: Vec<String>,
    value: String,
    #[serde(default = "once")]
    times: usize,
    spelling: Option<Spelling>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Spelling {
    Underscores,
    Dots,
    Mixed,
}

fn once() -> usize {
    1
}

/// What a session is shown in: an operator may send it, whatever the config names.
const SESSIONS: [&str; 2] = ["authorization", "cookie"];

/// Whether a header, in whichever spelling, is for the proxy in front to set or to take
/// out, whatever is configured.
pub(super) fn is_the_proxys(name: &str) -> bool {
    let rows = rows();
    let mut names = rows.iter().flat_map(|row| &row.names);
    let begins = name.as_bytes().get(..FORWARDED.len());
    names.any(|known| same_folded(known.as_bytes(), name.as_bytes()))
        || begins.is_some_and(|start| same_folded(start, FORWARDED.as_bytes()))
}

/// Whether it is by the configuration behind `baseline`.
pub(super) fn is_configured(name: &str, baseline: &ProbeAnswer) -> bool {
    let lists = [&baseline.required_headers, &baseline.named_headers];
    let mut names = lists.into_iter().flatten().chain([&baseline.user_header]);
    let is_session = SESSIONS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name));
    !is_session && names.any(|known| same_folded(known.as_bytes(), name.as_bytes()))
}

/// Every attack on a deployment that answered `baseline`.
#[must_use]
pub fn attacks(baseline: &ProbeAnswer, mark: &Mark) -> Vec<Attack> {
    let mut attacks: Vec<Attack> = Vec::new();
    for row in rows() {
        let names = row.names.iter().flat_map(|name| spelt_out(name, baseline));
        for name in names {
            let Some(header) = spell(&name, row.spelling) else {
                continue;
            };
            // A header that the config names has been judged as what it is there.
            let is_known = |known: &&Attack| {
                known.kind != Kind::Alias
                    && known.kind != Kind::Connection
                    && same_folded(known.header.as_bytes(), header.as_bytes())
            };
            let is_second = matches!(row.kind, Kind::Foreign | Kind::Named)
                && attacks.iter().any(|known| is_known(&known));
            if is_second {
                continue;
            }
            let value = row
                .value
                .replace("${mark}", mark.as_str())
                .replace("${name}", &header)
                .replace("${proto}", other_proto(baseline));
            attacks.push(Attack {
                kind: row.kind,
                header,
                value,
                times: row.times,
            });
        }
    }
    attacks
}

impl Attack {
    /// The fields that are sent.
    #[must_use]
    pub fn fields(&self) -> Vec<(&str, &str)> {
        match self.kind {
            Kind::Connection => vec![("connection", &self.value)],
            _ => vec![(self.header.as_str(), self.value.as_str()); self.times],
        }
    }
}

fn rows() -> Vec<Row> {
    let file: File = toml::from_str(CORPUS).expect("the corpus is tested");
    file.row
}

/// A name, or those that it stands for.
fn spelt_out(name: &str, baseline: &ProbeAnswer) -> Vec<String> {
    match name {
        "${user}" => vec![baseline.user_header.clone()],
        "${required}" => baseline.required_headers.clone(),
        "${named}" => {
            let ours = |name: &&String| !OWN_ROWS.contains(&name.as_str());
            baseline
                .named_headers
                .iter()
                .filter(ours)
                .cloned()
                .collect()
        }
        name => vec![name.to_owned()],
    }
}

/// Of proxies, all of them.
const FORWARDED: &str = "x-forwarded-";

/// Set by Portcullis, whatever the config names: they have rows of their own.
const OWN_ROWS: [&str; 6] = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-openclaw-scopes",
    "x-request-id",
    "host",
];

/// `name` in another spelling; none where it has no other.
fn spell(name: &str, spelling: Option<Spelling>) -> Option<String> {
    let Some(spelling) = spelling else {
        return Some(name.to_owned());
    };
    let spelt = match spelling {
        Spelling::Underscores => name.replace('-', "_"),
        Spelling::Dots => name.replace('-', "."),
        // A name with one dash has no mixed spelling.
        Spelling::Mixed if name.matches('-').count() < 2 => return None,
        Spelling::Mixed => name.replacen('-', "_", 1),
    };
    (spelt != name).then_some(spelt)
}

/// The protocol that the client did not use.
fn other_proto(baseline: &ProbeAnswer) -> &'static str {
    match baseline.sent("x-forwarded-proto") {
        Some("http") => "https",
        _ => "http",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::baseline;
    use super::*;
    use crate::policy::{FOREIGN_FAMILIES, FOREIGN_NAMES, FieldName};
    use crate::probe::Nonce;

    fn all() -> Vec<Attack> {
        let mark = Nonce::read(&"0".repeat(32)).unwrap().mark();
        attacks(&baseline(), &mark)
    }

    #[test]
    fn the_corpus_can_be_read_and_sent() {
        let attacks = all();
        assert!(attacks.len() > 50, "{}", attacks.len());
        for attack in &attacks {
            for (name, value) in attack.fields() {
                FieldName::parse(name).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!(value.is_ascii() && !value.contains("${"), "{attack:?}");
            }
        }
    }

    #[test]
    fn it_has_every_header_that_the_policy_drops() {
        let attacks = all();
        let has = |is_it: &dyn Fn(&str) -> bool| attacks.iter().any(|attack| is_it(&attack.header));
        for name in FOREIGN_NAMES {
            assert!(has(&|header| header == name), "{name}");
        }
        for family in FOREIGN_FAMILIES {
            assert!(has(&|header| header.starts_with(family)), "{family}");
        }
    }

    #[test]
    fn a_header_of_the_proxys_is_known_in_every_spelling() {
        for name in [
            "X-Forwarded-User",
            "x_forwarded_proto",
            "x.forwarded.anything",
            "Remote-User",
            "x-request-id",
            "x-openclaw-scopes",
            "forwarded",
        ] {
            assert!(is_the_proxys(name), "{name}");
        }
        for name in [
            "cookie",
            "authorization",
            "cf-access-client-id",
            "x-proof",
            "x",
        ] {
            assert!(!is_the_proxys(name), "{name}");
        }
        let mut baseline = baseline();
        baseline.required_headers.push("authorization".to_owned());
        for (name, is_it) in [
            ("X_Proof", true),
            ("x-forwarded-user", true),
            ("Authorization", false),
            ("cf-access-client-id", false),
        ] {
            assert_eq!(is_configured(name, &baseline), is_it, "{name}");
        }
    }

    #[test]
    fn it_is_spelt_out_for_what_is_configured() {
        let attacks = all();
        let of = |kind| -> Vec<&str> {
            let such = attacks.iter().filter(|attack| attack.kind == kind);
            such.map(|attack| attack.header.as_str()).collect()
        };
        assert_eq!(of(Kind::User), ["x-forwarded-user", "x-forwarded-user"]);
        assert_eq!(of(Kind::Named), ["x-proof", "x-auth-request-groups"]);
        for alias in [
            "x_forwarded_user",
            "x.forwarded.user",
            "x_forwarded-user",
            "x_proof",
        ] {
            assert!(of(Kind::Alias).contains(&alias), "{alias}");
        }
        // Judged as what they are here, and once.
        for known in ["x-forwarded-user", "x-auth-request-groups"] {
            assert!(!of(Kind::Foreign).contains(&known), "{known}");
        }
        let connection = attacks
            .iter()
            .find(|attack| attack.kind == Kind::Connection);
        assert_eq!(
            connection.unwrap().fields(),
            [("connection", "close, x-forwarded-user")]
        );
        let proto = attacks.iter().find(|attack| attack.kind == Kind::Proto);
        assert_eq!(proto.unwrap().value, "http");
    }
}
