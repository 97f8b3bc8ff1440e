use super::*;
use crate::forwarded::Scheme;
use crate::policy::{
    AssertionRule, Carriage, Field, FieldName, Keyless, LocalInterface, Policy, PolicyConfig,
    Request, Source, Upgrade,
};
use crate::redaction::State;
use std::collections::HashSet;
use std::time::SystemTime;

const SECRET: &str = "canary-s3cret";

fn name(text: &str) -> FieldName {
    FieldName::parse(text).unwrap()
}

fn rules() -> PolicyConfig {
    PolicyConfig {
        required_headers: vec![name("x-forwarded-proto"), name("x-proof")],
        ..PolicyConfig::sample()
    }
}

/// What is kept of a denied request with these fields.
fn entry(id: &str, from: &str, target: &str, fields: &[Field<'_>]) -> Entry {
    entry_by(rules(), id, from, target, fields)
}

fn entry_by(
    rules: PolicyConfig,
    id: &str,
    from: &str,
    target: &str,
    fields: &[Field<'_>],
) -> Entry {
    let policy = Policy::new(rules);
    let source = Source::new(from.parse().unwrap(), LocalInterface::No);
    let request = Request {
        method: "GET",
        target,
        upgrade: Upgrade::None,
        fields,
    };
    let denial = policy.decide(source, &request, &Keyless).unwrap_err();
    let arrival = Arrival {
        request_id: id,
        peer: source.into(),
        announced_by: None,
        scheme: Scheme::Https,
        generation: 3,
        policy: &policy,
        request: Some((&request, "claw.example.com", "HTTP/1.1")),
    };
    let refused = Refused::denial(&policy, &denial, "mend it");
    Entry::new(&arrival, refused, SystemTime::now())
}

#[test]
fn the_thousand_and_first_pushes_out_the_first_of_its_kind_alone() {
    let book = DenialBook::default();
    book.note(entry("stranger", "10.9.9.9", "/", &[]));
    for count in 0..KEPT {
        book.note(entry(&format!("user-{count}"), "10.0.0.1", "/", &[]));
    }
    assert!(book.find("user-0").is_some());
    book.note(entry("one-more", "10.0.0.1", "/", &[]));
    assert!(book.find("user-0").is_none());
    for kept in ["user-1", "one-more", "stranger"] {
        assert!(book.find(kept).is_some(), "{kept}");
    }
    for count in 0..=KEPT {
        book.note(entry(&format!("stranger-{count}"), "10.9.9.9", "/", &[]));
    }
    assert!(book.find("stranger").is_none() && book.find("stranger-0").is_none());
    assert!(book.find("user-1").is_some());
}

#[test]
fn the_latest_come_first_and_an_id_means_the_latest_that_has_it() {
    let book = DenialBook::default();
    for (id, from) in [
        ("a", "10.0.0.1"),
        ("b", "10.9.9.9"),
        ("a", "10.9.9.9"),
        ("c", "10.0.0.1"),
    ] {
        book.note(entry(id, from, "/", &[]));
    }
    let ids = |limit| -> Vec<String> {
        let latest = book.latest(limit);
        latest
            .iter()
            .map(|entry| entry.request_id.clone())
            .collect()
    };
    assert_eq!(ids(9), ["c", "a", "b", "a"]);
    assert_eq!(ids(2), ["c", "a"]);
    assert!(ids(0).is_empty());
    assert_eq!(book.find("a").unwrap().source, "10.9.9.9");
}

#[test]
fn keeps_no_value_that_might_be_a_secret() {
    let fields = [
        ("Authorization", SECRET),
        ("Cookie", SECRET),
        ("X-Proof", SECRET),
        ("X-Forwarded-Access-Token", SECRET),
        ("X-Api-Key", SECRET),
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-Proto", " "),
    ]
    .map(|(name, value)| Field {
        name,
        value: value.as_bytes(),
    });
    let noted = |mark: &str| {
        let target = format!("/a/b{mark}key={SECRET}");
        let entry = entry("id", "10.0.0.1", &target, &fields);
        let told = serde_json::to_string(&entry).unwrap();
        assert!(!told.contains(SECRET) && !format!("{entry:?}").contains(SECRET));
        let request = entry.request.as_ref().unwrap();
        assert_eq!((request.path.as_str(), request.has_query), ("/a/b", true));
        (entry, told)
    };
    noted("#");
    let (entry, told) = noted("?");

    let request = entry.request.as_ref().unwrap();
    assert_eq!(request.absent, ["x-forwarded-user"]);
    let shown: Vec<_> = request
        .fields
        .iter()
        .map(|field| {
            (
                field.name.as_str(),
                field.state,
                field.bytes,
                field.value.as_deref(),
            )
        })
        .collect();
    assert_eq!(shown[2], ("X-Proof", State::Present, SECRET.len(), None));
    assert_eq!(
        shown[5],
        ("X-Forwarded-For", State::Present, 11, Some("203.0.113.7"))
    );
    assert_eq!(shown[6], ("X-Forwarded-Proto", State::Blank, 0, Some("")));
    assert_eq!(
        entry.rule.as_deref(),
        Some("gateway.auth.trustedProxy.requiredHeaders")
    );
    assert_eq!(entry.header.as_deref(), Some("x-forwarded-proto"));
    assert_eq!(entry.got, "a blank `x-forwarded-proto`");
    // What the command reads back is what was kept.
    assert_eq!(serde_json::from_str::<Entry>(&told).unwrap(), entry);
}

#[test]
fn a_header_that_is_missed_twice_is_absent_once() {
    let rules = PolicyConfig {
        assertion: Some(AssertionRule {
            header: name("X-Assertion"),
            carriage: Carriage::Plain,
            user_prefix: None,
            services: HashSet::new(),
        }),
        required_headers: ["x-proof", "x-assertion", "X-Forwarded-User", "X-PROOF"]
            .map(name)
            .to_vec(),
        ..rules()
    };
    let absent = |fields: &[Field<'_>]| {
        let entry = entry_by(rules.clone(), "id", "10.0.0.1", "/", fields);
        entry.request.unwrap().absent
    };
    let expected = ["x-forwarded-user", "x-assertion", "x-proof"];
    assert_eq!(absent(&[]), expected);
    let proof = Field {
        name: "X-Proof",
        value: b"1",
    };
    assert_eq!(absent(&[proof]), expected[..2]);
}

#[test]
fn the_largest_request_takes_a_few_kilobytes() {
    let (name, value) = ("x-".repeat(2000), "é".repeat(4000));
    let mut fields = vec![
        Field {
            name: "x-forwarded-user",
            value: value.as_bytes(),
        };
        60
    ];
    fields.push(Field {
        name: &name,
        value: value.as_bytes(),
    });
    let entry = entry("id", "10.9.9.9", &format!("/{value}"), &fields);
    let told = serde_json::to_string(&entry).unwrap();
    assert!(told.len() < 10_000, "{}", told.len());
    assert!(entry.request.unwrap().is_cut);
}
