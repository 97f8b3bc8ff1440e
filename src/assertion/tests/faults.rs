//! What an operator is told of each fault: what came by itself, and what was expected.

use super::*;
use crate::policy::{
    AssertionRule, Carriage, Code, Field, FieldName, LocalInterface, Policy, PolicyConfig, Request,
    Source, Upgrade,
};
use std::collections::HashSet;

fn policy() -> Policy {
    Policy::new(PolicyConfig {
        assertion: Some(AssertionRule {
            header: FieldName::parse("x-jwt").unwrap(),
            carriage: Carriage::Plain,
            user_prefix: None,
            services: HashSet::new(),
        }),
        ..PolicyConfig::sample()
    })
}

/// What the policy makes of a token that `verifier` refuses.
fn told(verifier: &dyn Verify, token: &str) -> (Code, Mismatch) {
    let fields = [Field {
        name: "x-jwt",
        value: token.as_bytes(),
    }];
    let request = Request {
        method: "GET",
        target: "/",
        upgrade: Upgrade::None,
        fields: &fields,
    };
    let source = Source::new("10.0.0.1".parse().unwrap(), LocalInterface::No);
    let policy = policy();
    let denial = policy.decide(source, &request, verifier).unwrap_err();
    (denial.code(), denial.mismatch())
}

const GOOD_HEADER: &str = r#"{"alg":"ES256","kid":"a"}"#;

#[test]
fn what_a_token_is_wrong_in_is_told_with_what_was_expected() {
    let signer = Signer::p256();
    let keys = published(&[signer.jwk("a")]);
    let verifier = Verifier::new(expecting(&[Algorithm::Es256]), keys);
    let of = |header: &str| signer.token_of(header, &good_claims().to_string());
    let good = of(GOOD_HEADER);
    let parts: Vec<&str> = good.split('.').collect();
    let forged = Signer::p256().token_of(GOOD_HEADER, &good_claims().to_string());
    let base64url = "each part in it, as RFC 7515 has it";
    let header = "a JSON object with `alg`, each member once";
    let id = "its key's id";
    for (token, with, expected) in [
        (
            "x".repeat(20_000),
            "20000 bytes",
            "a token of at most 16384",
        ),
        (
            "a.b.c.d.e".to_owned(),
            "the 5 parts of an encrypted token",
            "a signed one",
        ),
        ("a.b".to_owned(), "2 parts", "header, claims and signature"),
        (format!("={good}"), "a header not in base64url", base64url),
        (
            format!("{}.=.{}", parts[0], parts[2]),
            "claims not in base64url",
            base64url,
        ),
        (
            format!("{good}="),
            "a signature not in base64url",
            base64url,
        ),
        (of("[]"), "a header that can't be read", header),
        (
            of(r#"{"alg":"ES256","kid":"a","crit":[]}"#),
            "`crit` in its header",
            "no extensions",
        ),
        (
            of(r#"{"alg":"ES256","kid":"a","typ":"x"}"#),
            "type `x`",
            "`JWT`",
        ),
        (
            of(r#"{"alg":"none","kid":"a"}"#),
            "algorithm `none`",
            "ES256",
        ),
        (of(r#"{"alg":"ES256"}"#), "no `kid` in its header", id),
        (
            of(r#"{"alg":"ES256","kid":"b"}"#),
            "key `b`",
            "one of the 1 that are published, and fit for the algorithm",
        ),
        (
            signer.token_of(GOOD_HEADER, "[]"),
            "claims that can't be read",
            "a JSON object with each name once",
        ),
        (
            forged,
            "a signature that doesn't fit its key",
            "one by the key that it names",
        ),
    ] {
        let (code, mismatch) = told(&verifier.examine(at(NOW)), &token);
        assert_eq!(code, Code::AssertionInvalid, "{with}");
        let got = format!("an assertion in `x-jwt` with {with}");
        assert_eq!(mismatch, Mismatch::new(got, expected), "{token}");
    }
}

#[test]
fn what_a_claim_is_wrong_in_is_told_with_what_was_expected() {
    let signer = Signer::p256();
    let keys = published(&[signer.jwk("a")]);
    let expectations = expecting(&[Algorithm::Es256]);
    let verifier = Verifier::new(expectations.clone(), keys);
    let (issuer, claw) = ("`https://issuer.example.com`", "`claw`");
    let come = "a time that has come (are both clocks right?)";
    for (claim, value, with, expected) in [
        ("iss", Value::Null, "`iss` that is no string", issuer),
        ("iss", json!("x"), "`iss` `x`", issuer),
        ("aud", json!("x"), "`aud` `x`", claw),
        (
            "aud",
            json!(7),
            "`aud` that is neither a string nor an array of strings",
            claw,
        ),
        ("exp", json!("x"), "`exp` that is no time", "seconds"),
        ("nbf", json!(NOW + 31), "`nbf` 31 s ahead", come),
        ("iat", json!(NOW + 31), "`iat` 31 s ahead", come),
        ("email", json!(7), "`email` that is no string", "a name"),
        (
            "email_verified",
            json!(false),
            "`email_verified` false",
            "a verified address",
        ),
        ("iss", json!("absent"), "no `iss`", issuer),
        ("aud", json!("absent"), "no `aud`", claw),
        ("exp", json!("absent"), "no `exp`", "a time"),
        ("email", json!("absent"), "no `email`", "the user"),
    ] {
        let mut claims = good_claims();
        match value == "absent" {
            true => drop(claims.as_object_mut().unwrap().remove(claim)),
            false => claims[claim] = value,
        }
        let token = signer.token_of(GOOD_HEADER, &claims.to_string());
        let expected = Mismatch::new(format!("an assertion in `x-jwt` with {with}"), expected);
        let invalid = (Code::AssertionInvalid, expected);
        assert_eq!(told(&verifier.examine(at(NOW)), &token), invalid);
        let alone = ClaimsAlone::new(&expectations, at(NOW));
        assert_eq!(told(&alone, &token), invalid);
    }
}

#[test]
fn an_end_or_want_of_keys_is_told_with_what_was_expected() {
    let signer = Signer::p256();
    let keys = published(&[signer.jwk("a")]);
    let verifier = Verifier::new(expecting(&[Algorithm::Es256]), keys);
    let good = signer.token_of(GOOD_HEADER, &good_claims().to_string());
    for (seconds, code, got, expected) in [
        (
            100,
            Code::AssertionInvalid,
            "with key `a`, while none of the issuer's keys is to be had",
            "them at hand (see the log and `/status`)",
        ),
        (
            331,
            Code::AssertionExpired,
            "that ended 31 s ago",
            "one that is still good (are both clocks right?)",
        ),
    ] {
        let (was, mismatch) = told(&verifier.examine(at(NOW + seconds)), &good);
        assert_eq!(was, code);
        let got = format!("an assertion in `x-jwt` {got}");
        assert_eq!(mismatch, Mismatch::new(got, expected));
    }
    let (_, mismatch) = told(&crate::policy::Keyless, &good);
    let got = "an assertion in `x-jwt` with no key here to verify it by";
    assert_eq!(mismatch, Mismatch::new(got, "the issuer's keys"));
}
