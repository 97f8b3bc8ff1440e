//! What is asked for beside the trusted proxy's word: certificates and assertions.

use super::*;
use std::collections::HashSet;

/// Takes a token for what it says: `user:NAME`, `service:NAME`, `expired`; all else is
/// false.
struct Credulous(Vec<String>);

impl Verify for Credulous {
    fn verify(&self, token: &[u8]) -> Result<Claimed<'_>, AssertionFault> {
        let known = self.0.iter().find(|known| known.as_bytes() == token);
        match known.and_then(|known| known.split_once(':')) {
            Some(("user", name)) => Ok(Claimed::User(name)),
            Some(("service", name)) => Ok(Claimed::Service(name)),
            _ if token == b"expired" => Err(AssertionFault::Expired(31)),
            _ => Err(AssertionFault::Invalid(Mismatch::new("a lie", "a truth"))),
        }
    }
}

fn asserting(header: &str, carriage: Carriage) -> PolicyConfig {
    PolicyConfig {
        assertion: Some(AssertionRule {
            header: name(header),
            carriage,
            user_prefix: Some("accounts.google.com:"),
            services: HashSet::from(["robot.access".into()]),
        }),
        ..config()
    }
}

fn judged(config: PolicyConfig, fields: &[(&str, &str)]) -> String {
    let fields: Vec<_> = fields
        .iter()
        .map(|&(name, value)| Field {
            name,
            value: value.as_bytes(),
        })
        .collect();
    let known = fields.iter().map(|field| {
        let value = std::str::from_utf8(field.value).unwrap();
        value.trim_start_matches("Bearer ").to_owned()
    });
    let verifier = Credulous(known.collect());
    let policy = Policy::new(config);
    let request = Request {
        method: "GET",
        target: "/",
        upgrade: Upgrade::None,
        fields: &fields,
    };
    match policy.decide(from("10.0.0.1"), &request, &verifier) {
        Err(denial) => denial.reason().into_owned(),
        Ok(permit) => {
            let user = permit.user().unwrap();
            match user.principal() {
                Principal::User => user.as_str().to_owned(),
                Principal::Service => format!("service {}", user.as_str()),
            }
        }
    }
}

#[test]
fn an_assertion_proves_the_user_or_the_request_is_denied() {
    const HEADER: &str = "x-signed";
    const USER: &str = "x-forwarded-user";
    const NICK: &str = "nick@example.com";
    let rest = [GOOD[0], GOOD[1]];
    for (fields, expected) in [
        (vec![(USER, NICK), (HEADER, "user:nick@example.com")], NICK),
        // The claim alone is enough: it is the better proof of the two.
        (vec![(HEADER, "user:nick@example.com")], NICK),
        (
            vec![
                (USER, "accounts.google.com:nick@example.com"),
                (HEADER, "user:nick@example.com"),
            ],
            NICK,
        ),
        // As Google writes it into `sub`.
        (
            vec![
                (USER, "accounts.google.com:nick@example.com"),
                (HEADER, "user:accounts.google.com:nick@example.com"),
            ],
            NICK,
        ),
        (
            vec![(HEADER, "user:accounts.google.com:nick@example.com")],
            NICK,
        ),
        (
            vec![(HEADER, "user:accounts.google.com:")],
            "trusted_proxy_user_invalid",
        ),
        (
            vec![(HEADER, "service:accounts.google.com:robot.access")],
            "trusted_proxy_user_not_allowed",
        ),
        (
            vec![(HEADER, "service:robot.access")],
            "service robot.access",
        ),
        (vec![(USER, NICK)], "trusted_proxy_assertion_missing"),
        (
            vec![(USER, NICK), (HEADER, " ")],
            "trusted_proxy_assertion_missing",
        ),
        (
            vec![(USER, NICK), (HEADER, "nonsense")],
            "trusted_proxy_assertion_invalid",
        ),
        (
            vec![(USER, NICK), (HEADER, "expired")],
            "trusted_proxy_assertion_expired",
        ),
        (
            vec![(USER, NICK), (HEADER, "user:admin@x")],
            "trusted_proxy_assertion_user_mismatch",
        ),
        (
            vec![
                (USER, "Nick@example.com"),
                (HEADER, "user:nick@example.com"),
            ],
            "trusted_proxy_assertion_user_mismatch",
        ),
        (
            vec![(USER, ""), (HEADER, "user:nick@example.com")],
            "trusted_proxy_user_missing",
        ),
        (
            vec![(USER, NICK), (HEADER, "service:robot.access")],
            "trusted_proxy_assertion_user_mismatch",
        ),
        (
            vec![(HEADER, "service:other.access")],
            "trusted_proxy_user_not_allowed",
        ),
        // A service's name is none of a user, nor the other way round.
        (
            vec![(HEADER, "service:nick@example.com")],
            "trusted_proxy_user_not_allowed",
        ),
        (
            vec![(HEADER, "user:robot.access")],
            "trusted_proxy_user_not_allowed",
        ),
        (
            vec![(HEADER, "user:stranger@x")],
            "trusted_proxy_user_not_allowed",
        ),
        (
            vec![(HEADER, "user:nick@example.com,admin@x")],
            "trusted_proxy_user_invalid",
        ),
        (
            vec![(HEADER, "user: nick@example.com")],
            "trusted_proxy_user_invalid",
        ),
        (
            vec![(HEADER, "user:nick@example.com"), (HEADER, "expired")],
            "trusted_proxy_ambiguous_header",
        ),
        (
            vec![(HEADER, "user:nick@example.com"), ("x_signed", "expired")],
            "trusted_proxy_ambiguous_header",
        ),
    ] {
        let fields = [&rest[..], &fields].concat();
        let config = asserting(HEADER, Carriage::Plain);
        assert_eq!(judged(config, &fields), expected, "{fields:?}");
    }
}

#[test]
fn a_bearer_token_is_read_out_of_its_header() {
    let rest = [GOOD[0], GOOD[1]];
    for (value, expected) in [
        ("Bearer user:nick@example.com", "nick@example.com"),
        ("user:nick@example.com", "trusted_proxy_assertion_missing"),
        ("Basic bmljazpuaWNr", "trusted_proxy_assertion_missing"),
    ] {
        let fields = [&rest[..], &[("authorization", value)]].concat();
        let config = asserting("authorization", Carriage::Bearer);
        assert_eq!(judged(config, &fields), expected, "{value}");
    }
}

#[test]
fn nobody_without_keys_finds_an_assertion_genuine() {
    let policy = Policy::new(asserting("x-signed", Carriage::Plain));
    let fields = good_and(&[("x-signed", "user:nick@example.com")]);
    let fields: Vec<_> = fields
        .iter()
        .map(|&(name, value)| Field {
            name,
            value: value.as_bytes(),
        })
        .collect();
    let request = Request {
        method: "GET",
        target: "/",
        upgrade: Upgrade::None,
        fields: &fields,
    };
    let denial = policy.decide(from("10.0.0.1"), &request, &Keyless);
    assert_eq!(denial.unwrap_err().code(), Code::AssertionInvalid);
}

#[test]
fn a_verifier_is_asked_for_trusted_sources_alone() {
    struct Unasked;
    impl Verify for Unasked {
        fn verify(&self, _: &[u8]) -> Result<Claimed<'_>, AssertionFault> {
            panic!("a stranger had a signature checked")
        }
    }
    let policy = Policy::new(asserting("x-signed", Carriage::Plain));
    let fields = [Field {
        name: "x-signed",
        value: b"user:nick@example.com",
    }];
    let request = Request {
        method: "GET",
        target: "/",
        upgrade: Upgrade::None,
        fields: &fields,
    };
    for source in [from("192.0.2.1"), from("127.0.0.1")] {
        let _ = policy.decide(source, &request, &Unasked).unwrap_err();
    }
}

#[test]
fn a_consumed_assertion_goes_no_further_unless_it_is_named() {
    for (header, config, class) in [
        (
            "x-signed",
            asserting("x-signed", Carriage::Plain),
            Class::Drop,
        ),
        (
            "x-signed",
            PolicyConfig {
                pass_headers: vec![name("x-signed")],
                ..asserting("x-signed", Carriage::Plain)
            },
            Class::Named,
        ),
        (
            "x-signed",
            PolicyConfig {
                required_headers: vec![name("x-signed")],
                ..asserting("x-signed", Carriage::Plain)
            },
            Class::Named,
        ),
        (
            "authorization",
            asserting("authorization", Carriage::Bearer),
            Class::Credential,
        ),
    ] {
        let Policy { classifier, .. } = Policy::new(config);
        let Found::Known(entry) = classifier.find(header) else {
            panic!("{header} is unknown")
        };
        assert_eq!((entry.class, entry.is_assertion), (class, true), "{header}");
    }
}

#[test]
fn a_source_needs_the_address_and_the_certificate() {
    let named = |text| AltName::parse(text).unwrap();
    let policy = Policy::new(PolicyConfig {
        client_names: ClientNames::new([named("spiffe://example.com/proxy")]),
        unix_peer_uids: vec![33],
        ..config()
    });
    let right = [
        named("other.example.com"),
        named("spiffe://example.com/proxy"),
    ];
    let wrong = [named("spiffe://example.com/other")];
    for (source, certificate, trusted) in [
        (from("10.0.0.1"), Some(&right[..]), true),
        (from("10.0.0.1"), Some(&wrong[..]), false),
        (from("10.0.0.1"), Some(&[][..]), false),
        (from("10.0.0.1"), None, false),
        (from("192.0.2.1"), Some(&right[..]), false),
        // The kernel proves who is behind a Unix socket.
        (Source::unix_peer(33), None, true),
        (Source::unix_peer(34), None, false),
    ] {
        let peer = Peer::new(source, certificate);
        assert_eq!(policy.trusts(peer), trusted, "{peer:?}");
        let still = policy.still_permits(peer, "nick@example.com", Principal::User);
        assert_eq!(still.is_ok(), trusted, "{peer:?}");
        if let Err(denial) = still {
            let is_listed = policy.lists(source);
            let code = match is_listed {
                true => Code::UntrustedCertificate,
                false => Code::UntrustedSource,
            };
            assert_eq!(denial.code(), code);
        }
    }
    let denial = policy.still_permits(
        Peer::new(from("10.0.0.1"), Some(&wrong)),
        "nick@example.com",
        Principal::User,
    );
    assert_eq!(
        denial.unwrap_err().detail(),
        "got source `10.0.0.1` with a certificate for `spiffe://example.com/other`, expected one \
         for a name in `gateway.auth.trustedProxy.clientCertNames`"
    );
}
