//! Judging without a chain: what was seen goes in, findings come out.

use super::*;
use crate::denials::{Entry, SeenRequest};
use crate::doctor::{FindingId, Severity};
use crate::probe::{Mark, Nonce, ProbeAnswer, ProbedField, Role, Shot};
use crate::redaction::{SeenField, State};

fn mark() -> Mark {
    Nonce::read(&"0".repeat(32)).unwrap().mark()
}

fn field(name: &str, value: &str, role: Role) -> ProbedField {
    let is_open = matches!(role, Role::User | Role::Forwarded | Role::Scopes);
    ProbedField {
        field: SeenField {
            name: name.to_owned(),
            state: State::Present,
            bytes: value.len(),
            value: is_open.then(|| value.to_owned()),
        },
        is_marked: mark().is_in(value.as_bytes()),
        role,
    }
}

/// The answer to a request without an attack.
pub(super) fn baseline() -> ProbeAnswer {
    let fields = |address: &str| {
        vec![
            field("x-forwarded-user", "nick@example.com", Role::User),
            field("x-forwarded-for", address, Role::Forwarded),
            field("x-forwarded-proto", "https", Role::Forwarded),
            field("x-forwarded-host", "claw.example.com", Role::Forwarded),
            field("x-proof", "p", Role::Named),
        ]
    };
    ProbeAnswer {
        shot: Shot {
            mark: mark(),
            number: 1,
        },
        request_id: "r".to_owned(),
        source: "10.0.0.1".to_owned(),
        announced_by: None,
        scheme: "https".to_owned(),
        protocol: "HTTP/1.1".to_owned(),
        user: Some("nick@example.com".to_owned()),
        client: "198.51.100.9".to_owned(),
        received: fields("198.51.100.9"),
        upstream: fields("198.51.100.9"),
        user_header: "x-forwarded-user".to_owned(),
        required_headers: vec!["x-forwarded-proto".to_owned(), "x-proof".to_owned()],
        named_headers: vec![
            "x-forwarded-proto".to_owned(),
            "x-proof".to_owned(),
            "x-auth-request-groups".to_owned(),
        ],
    }
}

fn attack(kind: Kind, header: &str) -> Attack {
    let all = attacks(&baseline(), &mark());
    let is_it = |attack: &Attack| attack.kind == kind && attack.header == header;
    all.into_iter()
        .find(is_it)
        .unwrap_or_else(|| panic!("{header}"))
}

/// A denial of Portcullis' that saw these fields.
fn denied(reason: &'static str, fields: Vec<ProbedField>) -> Seen {
    Seen::Denied(Box::new(Entry {
        request_id: "r".to_owned(),
        at: 0,
        source: "10.0.0.1".to_owned(),
        is_source_trusted: true,
        is_own_address: Some(false),
        announced_by: None,
        certificate: None,
        scheme: "https".into(),
        generation: 1,
        status: 403,
        code: reason.into(),
        reason: reason.into(),
        message: "".into(),
        rule: None,
        header: None,
        got: String::new(),
        expected: "".into(),
        remedy: "".into(),
        request: Some(SeenRequest {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            has_query: false,
            protocol: "HTTP/1.1".into(),
            host: "h".to_owned(),
            is_websocket: false,
            fields: fields.into_iter().map(|field| field.field).collect(),
            absent: Vec::new(),
            is_cut: false,
        }),
    }))
}

/// The doctor's remedies are no sentences.
fn assert_is_like_others(remedy: &str) {
    let is_lower = remedy.starts_with(|first: char| first.is_ascii_lowercase());
    assert!(is_lower && !remedy.ends_with('.'), "{remedy}");
}

/// What is found of one attack: id, severity and key.
fn found(attack: &Attack, seen: Seen) -> Vec<(FindingId, Severity, Option<String>)> {
    let fired = Fired {
        attack: attack.clone(),
        mark: mark(),
        seen,
    };
    let findings = findings("https://h", &baseline(), &[fired]);
    for finding in &findings {
        assert_is_like_others(&finding.remedy);
    }
    let told = findings.into_iter();
    told.map(|finding| (finding.id, finding.severity, finding.place.shown_key()))
        .collect()
}

fn permitted(change: impl FnOnce(&mut ProbeAnswer)) -> Seen {
    let mut answer = baseline();
    change(&mut answer);
    Seen::Probe(Box::new(answer))
}

#[test]
fn what_the_proxy_in_front_overwrites_is_no_finding() {
    for attack in attacks(&baseline(), &mark()) {
        assert_eq!(found(&attack, permitted(|_| ())), [], "{attack:?}");
        assert_eq!(found(&attack, Seen::Refused(400)), [], "{attack:?}");
        // A session that has ended, or a rate, refuses whatever came.
        for status in [401, 407, 408, 425, 429] {
            let ids: Vec<_> = found(&attack, Seen::Refused(status))
                .into_iter()
                .map(|(id, ..)| id)
                .collect();
            assert_eq!(ids, [FindingId::AttackUnjudged], "{status} {attack:?}");
        }
    }
}

#[test]
fn what_is_dropped_here_is_a_warning_and_what_is_believed_is_critical() {
    use FindingId::{AttackHeaderBelieved as Believed, AttackHeaderPassed as Passed};
    use Severity::{Critical, Info, Warning};
    let came = |attack: &Attack, role| field(&attack.header, &attack.value, role);
    let one = |id, severity, attack: &Attack| vec![(id, severity, Some(attack.header.clone()))];

    let foreign = attack(Kind::Foreign, "remote-user");
    let seen = permitted(|answer| answer.received.push(came(&foreign, Role::Drop)));
    assert_eq!(found(&foreign, seen), [(Passed, Info, None)]);

    let named = attack(Kind::Named, "x-auth-request-groups");
    let seen = permitted(|answer| {
        answer.received.push(came(&named, Role::Named));
        answer.upstream.push(came(&named, Role::Named));
    });
    assert_eq!(found(&named, seen), one(Believed, Critical, &named));

    let client = attack(Kind::Client, "x-forwarded-for");
    let list = |last: &str| format!("{}, {last}", client.value);
    let seen = permitted(|answer| {
        answer.received[1] = field("x-forwarded-for", &list("198.51.100.9"), Role::Forwarded);
    });
    assert_eq!(found(&client, seen), one(Passed, Info, &client));
    let taken = |last: &str| {
        permitted(|answer| {
            answer.received[1] = field("x-forwarded-for", last, Role::Forwarded);
            answer.client.clone_from(&client.value);
        })
    };
    assert_eq!(
        found(&client, taken(&client.value)),
        one(Believed, Critical, &client)
    );
    // The doctor's own place, which no other client has.
    assert_eq!(
        found(&client, taken(&list("127.0.0.1"))),
        one(Passed, Info, &client)
    );

    let proto = attack(Kind::Proto, "x-forwarded-proto");
    let seen = permitted(|answer| {
        answer.received[2] = came(&proto, Role::Forwarded);
        answer.upstream[2] = came(&proto, Role::Forwarded);
    });
    assert_eq!(found(&proto, seen), one(Believed, Critical, &proto));

    let scopes = attack(Kind::Scopes, "x-openclaw-scopes");
    let seen = permitted(|answer| {
        answer.received.push(came(&scopes, Role::Scopes));
        answer.upstream.push(came(&scopes, Role::Scopes));
    });
    assert_eq!(found(&scopes, seen), one(Believed, Critical, &scopes));
    // Fewer of the user's own are all that came of it.
    let seen = permitted(|answer| {
        answer.received.push(came(&scopes, Role::Scopes));
        let cut = field(&scopes.header, "operator.read", Role::Scopes);
        answer.upstream.push(cut);
    });
    assert_eq!(found(&scopes, seen), one(Believed, Warning, &scopes));
}

#[test]
fn a_denial_tells_whether_it_was_the_attackers_word_that_was_refused() {
    use FindingId::{
        AttackHeaderBelieved as Believed, AttackHeaderPassed as Passed,
        AttackHeaderRemoved as Removed, AttackUnjudged as Unjudged,
    };
    use Severity::{Critical, Warning};
    let user = attack(Kind::User, "x-forwarded-user");
    let theirs = || field("x-forwarded-user", &user.value, Role::User);
    let ours = || field("x-forwarded-user", "nick@example.com", Role::User);
    let key = Some("x-forwarded-user".to_owned());
    let not_allowed = "trusted_proxy_user_not_allowed";
    for (reason, fields, outcome) in [
        (
            not_allowed,
            vec![theirs()],
            (Believed, Critical, key.clone()),
        ),
        (
            "trusted_proxy_ambiguous_header",
            vec![ours(), theirs()],
            (Passed, Warning, key.clone()),
        ),
        // No matter of the header.
        ("rate_limited", vec![theirs()], (Unjudged, Warning, None)),
        (
            "trusted_proxy_of_next_year",
            vec![theirs()],
            (Unjudged, Warning, None),
        ),
        // Somebody else's trouble.
        (not_allowed, vec![ours()], (Unjudged, Warning, None)),
    ] {
        assert_eq!(found(&user, denied(reason, fields)), [outcome]);
    }
    let alias = attack(Kind::Alias, "x_forwarded_user");
    let seen = denied(
        "trusted_proxy_ambiguous_header",
        vec![ours(), field("X_Forwarded_User", &alias.value, Role::Drop)],
    );
    assert_eq!(found(&alias, seen), [(Passed, Warning, None)]);

    let connection = attack(Kind::Connection, "x-forwarded-user");
    let key = Some("connection: x-forwarded-user".to_owned());
    let seen = denied("trusted_proxy_user_missing", Vec::new());
    assert_eq!(found(&connection, seen), [(Removed, Warning, key.clone())]);
    let nominated = || field("connection", &connection.value, Role::Connection);
    let seen = permitted(|answer| answer.received.push(nominated()));
    assert_eq!(found(&connection, seen), [(Passed, Warning, key)]);
    let connection = attack(Kind::Connection, "x-forwarded-for");
    let seen = permitted(|answer| drop(answer.received.remove(1)));
    assert_eq!(found(&connection, seen)[0].0, Removed);
}

#[test]
fn what_nobody_can_judge_is_said_once_and_the_worst_of_a_header_alone() {
    let unknown = || Seen::Unknown("the answer was 502".to_owned());
    let user = attack(Kind::User, "x-forwarded-user");
    let theirs = || field("x-forwarded-user", &user.value, Role::User);
    let fired: Vec<Fired> = [
        unknown(),
        denied("trusted_proxy_ambiguous_header", vec![theirs(), theirs()]),
        denied("trusted_proxy_user_not_allowed", vec![theirs()]),
        unknown(),
    ]
    .map(|seen| Fired {
        attack: user.clone(),
        mark: mark(),
        seen,
    })
    .into();
    let findings = findings("https://h", &baseline(), &fired);
    let ids: Vec<_> = findings.iter().map(|finding| finding.id).collect();
    assert_eq!(
        ids,
        [FindingId::AttackHeaderBelieved, FindingId::AttackUnjudged]
    );
    assert!(
        findings[1].evidence.starts_with("2 of 4 attacks"),
        "{}",
        findings[1].evidence
    );
    assert!(
        findings[0]
            .remedy
            .contains("proxy_set_header X-Forwarded-User")
    );
    assert_eq!(findings[0].place.to_string(), "https://h: x-forwarded-user");
}

#[test]
fn an_answer_to_another_request_is_no_pass() {
    let user = attack(Kind::User, "x-forwarded-user");
    let replayed = [(FindingId::AttackReplayed, Severity::Critical, None)];
    assert_eq!(found(&user, Seen::Replayed), replayed);
    let alone = unanswered("https://h", &Seen::Replayed);
    assert_eq!((alone.id, alone.severity, None), replayed[0]);
    assert!(alone.evidence.contains("an answer to another request"));
    assert!(alone.remedy.contains("proxy_cache off"));
}

#[test]
fn what_is_dropped_is_told_once_by_name_and_below_what_is_believed() {
    use FindingId::{AttackHeaderBelieved as Believed, AttackHeaderPassed as Passed};
    let fired = |attack: &Attack, seen| Fired {
        attack: attack.clone(),
        mark: mark(),
        seen,
    };
    let dropped = |name| {
        let attack = attack(Kind::Foreign, name);
        let came = field(&attack.header, &attack.value, Role::Drop);
        fired(&attack, permitted(|answer| answer.received.push(came)))
    };
    let alias = |name| {
        let attack = attack(Kind::Alias, name);
        let came = field(&attack.header, &attack.value, Role::Drop);
        fired(
            &attack,
            denied("trusted_proxy_ambiguous_header", vec![came]),
        )
    };
    let id = attack(Kind::Id, "x-request-id");
    let id = fired(
        &id,
        permitted(|answer| {
            answer
                .upstream
                .push(field("x-request-id", &id.value, Role::Forwarded))
        }),
    );
    let user = attack(Kind::User, "x-forwarded-user");
    let theirs = || field("x-forwarded-user", &user.value, Role::User);
    let twice = denied("trusted_proxy_ambiguous_header", vec![theirs(), theirs()]);
    let all = [
        fired(&user, twice),
        dropped("remote-user"),
        alias("x_forwarded_user"),
        alias("x.forwarded.user"),
        dropped("forwarded"),
        id,
    ];
    let findings = findings("https://h", &baseline(), &all);
    let told: Vec<_> = findings
        .iter()
        .map(|finding| (finding.id, finding.severity))
        .collect();
    let expected = [
        (Believed, Severity::Warning),
        (Passed, Severity::Warning),
        (Passed, Severity::Warning),
        (Passed, Severity::Info),
    ];
    assert_eq!(told, expected);
    let (aliases, dropped) = (&findings[2].evidence, &findings[3].evidence);
    assert!(
        aliases.starts_with("2 come through")
            && aliases.ends_with("`x_forwarded_user`, `x.forwarded.user`")
    );
    assert!(
        dropped.starts_with("2 come through") && dropped.ends_with("`remote-user`, `forwarded`")
    );
}

/// A denial for want of this header.
fn missed(code: &'static str, name: &str, fields: Vec<ProbedField>) -> Seen {
    let Seen::Denied(mut entry) = denied(code, fields) else {
        unreachable!("a denial");
    };
    entry.header = Some(name.to_owned());
    Seen::Denied(entry)
}

#[test]
fn a_clients_word_for_a_header_that_the_proxy_does_not_set_is_judged() {
    let user_missing = "trusted_proxy_user_missing";
    let first = missed("trusted_proxy_missing_header", "x-proof", Vec::new());
    let proof = stand_in(&first, &mark()).unwrap();
    assert_eq!((proof.kind, &*proof.header), (Kind::Named, "x-proof"));
    let came = |attack: &Attack, role| field(&attack.header, &attack.value, role);

    // The one came, the other is missed in spite of it.
    let second = missed(user_missing, "x-who", vec![came(&proof, Role::Named)]);
    let user = stand_in(&second, &mark()).unwrap();
    assert_eq!((user.kind, &*user.header), (Kind::User, "x-who"));
    let stand_ins = [proof.clone(), user.clone()];
    let told = |last: &Seen| -> Vec<(FindingId, Option<String>)> {
        unanswered_beside("https://h", &first, &stand_ins, last, &mark())
            .into_iter()
            .map(|finding| (finding.id, finding.place.shown_key()))
            .collect()
    };
    let believed = |name: &str| (FindingId::AttackHeaderBelieved, Some(name.to_owned()));
    let alone = (FindingId::AttackUnanswered, None);
    assert_eq!(told(&second), [alone.clone(), believed("x-proof")]);
    let both = vec![came(&proof, Role::Named), came(&user, Role::User)];
    for last in [
        denied("trusted_proxy_user_not_allowed", both.clone()),
        permitted(|answer| answer.received.extend(both.clone())),
    ] {
        let all = [alone.clone(), believed("x-proof"), believed("x-who")];
        assert_eq!(told(&last), all);
    }
    // The proxy's own beside it, a limit, a refusal on the way: nobody believed it.
    for last in [
        denied("trusted_proxy_ambiguous_header", both.clone()),
        denied("rate_limited", both.clone()),
        denied("trusted_proxy_of_next_year", both.clone()),
        denied("trusted_proxy_untrusted_source", both),
        Seen::Refused(403),
    ] {
        assert_eq!(told(&last), std::slice::from_ref(&alone));
    }
    let remedy = unanswered("https://h", &second).remedy;
    assert!(remedy.contains("proxy_set_header X-Who"), "{remedy}");
    assert!(
        stand_in(
            &denied("trusted_proxy_user_not_allowed", Vec::new()),
            &mark()
        )
        .is_none()
    );
}

#[test]
fn the_remedy_is_for_what_went_wrong() {
    for (seen, said) in [
        (Seen::Refused(401), "pass a session"),
        (Seen::Redirected("302".to_owned()), "pass a session"),
        (Seen::Refused(404), "--admin"),
        (Seen::Unreachable("refused".to_owned()), "reach it"),
        (
            Seen::Untrusted("h:443".to_owned(), Distrust::Issuer),
            "the authority that signed it by --ca",
        ),
        (
            Seen::Untrusted("h:443".to_owned(), Distrust::Authority),
            "CA:TRUE",
        ),
    ] {
        let remedy = unanswered("https://h", &seen).remedy;
        assert!(remedy.contains(said), "{seen:?}: {remedy}");
        assert_is_like_others(&remedy);
        let has_session = said == "pass a session" || said == "--admin";
        assert_eq!(remedy.contains("session"), has_session, "{remedy}");
    }
}

#[test]
fn an_operators_header_is_read_and_never_repeated() {
    for (text, error) in [
        ("s3cret", HeaderError::Malformed),
        ("a b: s3cret", HeaderError::Malformed),
        ("a: s3\r\ncret", HeaderError::Control),
        (
            "X-Forwarded_User: s3cret",
            HeaderError::Proxys("x-forwarded_user".to_owned()),
        ),
        ("X-Portcullis-Probe: s3cret", HeaderError::Own),
        ("Host: s3cret", HeaderError::Own),
        ("Connection: s3cret", HeaderError::Own),
    ] {
        let given = OwnHeader::parse(text).map(|_| ()).unwrap_err();
        assert_eq!(given, error);
        assert!(!given.to_string().contains("s3"));
    }
    assert!(OwnHeader::parse("Cookie:  a=b ").unwrap().is("cookie"));
}

#[test]
fn an_answer_is_read_for_what_it_is() {
    let probe = serde_json::to_vec(&baseline()).unwrap();
    let shot = baseline().shot;
    let read = |status, location, body: &[u8]| Reply::read(&shot, status, location, body);
    assert!(matches!(read(200, None, &probe), Reply::Probe(_)));
    assert!(matches!(read(404, None, &probe), Reply::Other { .. }));
    // Of another request of this probe, or of the same one of another probe.
    let mark = Nonce::read(&"1".repeat(32)).unwrap().mark();
    for other in [
        Shot {
            number: 2,
            ..shot.clone()
        },
        Shot {
            mark,
            ..shot.clone()
        },
    ] {
        assert_eq!(Reply::read(&other, 200, None, &probe), Reply::Replayed);
    }
    let error = br#"{"error":{"code":"x","requestId":"r-1"}}"#;
    let Reply::Error { request_id, .. } = read(403, None, error) else {
        panic!("an error of ours");
    };
    assert_eq!(request_id, "r-1");
    for (status, location, said) in [
        (401, None, "refused"),
        (
            302,
            Some("https://id.example/login?state=s3cret"),
            "`https://id.example/login`",
        ),
        (200, None, "not from Portcullis"),
        (502, None, "502"),
    ] {
        let reply = read(status, location.map(str::to_owned), b"<html>");
        match reply.by_itself() {
            Seen::Refused(_) => assert_eq!(said, "refused"),
            Seen::Redirected(what) | Seen::Unknown(what) => {
                assert!(what.contains(said) && !what.contains("s3cret"), "{what}")
            }
            other => panic!("{other:?}"),
        }
    }
}
