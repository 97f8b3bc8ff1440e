//! `config.example.toml` is a test of its own: it holds, and it names every key.

use std::collections::BTreeSet;

use toml::de::{DeTable, DeValue};

use super::*;

const EXAMPLE: &str = include_str!("../../../config.example.toml");

/// The example with each key that is commented out (`#key`, `#[table]`) set.
pub(super) fn uncommented() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => format!("{key}\n"),
        _ => format!("{line}\n"),
    };
    EXAMPLE.lines().map(line).collect()
}

/// The paths of a table's keys, tables included, as patterns.
fn paths(table: &DeTable<'_>, parent: &str, out: &mut BTreeSet<String>) {
    for (key, value) in table {
        let anyone = matches!(
            parent,
            "secrets.providers"
                | "models.providers"
                | "auth.order"
                | "agents"
                | "gateway.auth.trustedProxy.scopeCeilings"
        );
        let name = if anyone { "*" } else { key.get_ref() };
        let path = if parent.is_empty() {
            name.to_owned()
        } else {
            format!("{parent}.{name}")
        };
        match value.get_ref() {
            DeValue::Table(table) if path != "upstream.credential.value" => {
                paths(table, &path, out)
            }
            DeValue::Array(items) => {
                for item in items {
                    if let DeValue::Table(table) = item.get_ref() {
                        paths(table, &format!("{path}[]"), out);
                    }
                }
            }
            _ => {}
        }
        out.insert(path);
    }
}

#[test]
fn holds_without_a_warning() {
    let parsed = parse(EXAMPLE).unwrap();
    assert_eq!(parsed.warnings, []);
}

#[test]
fn names_every_key_that_exists_and_no_other() {
    let text = uncommented();
    let document = DeTable::parse(&text).unwrap();
    let mut named = BTreeSet::new();
    paths(document.get_ref(), "", &mut named);
    for key in known_keys() {
        assert!(named.contains(key), "the example doesn't name {key}");
    }
    let unknown: Vec<String> = messages(&text)
        .into_iter()
        .filter(|message| message.contains("unknown key"))
        .collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn shows_the_true_defaults() {
    let text = uncommented();
    let tables = text
        .split("\n[")
        .filter(|table| table.starts_with("limits]") || table.starts_with("log]"));
    let shown: String = tables.map(|table| format!("\n[{table}")).collect();
    assert!(shown.contains("maxHeaderBytes") && shown.contains("level"));
    let config = config(&and(&shown));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.log, Log::default());
}

#[test]
fn every_key_that_is_commented_out_can_be_set() {
    // What remains are the keys that exclude each other, and those of later versions.
    let allowed = [
        "not supported yet",
        "expected one of the two",
        "expected none without an https `upstream.url`",
        "none: only `openai-codex` has a login",
        "none: only assertions of `aws-alb` have it",
    ];
    for message in messages(&uncommented()) {
        assert!(allowed.iter().any(|end| message.contains(end)), "{message}");
    }
}
