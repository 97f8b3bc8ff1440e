use super::super::tests::{ISSUER, NOW};
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn header() -> Header {
    serde_json::from_value(json!({"alg": "ES256"})).unwrap()
}

fn checked(change: impl FnOnce(&mut Value), now: u64) -> String {
    let mut claims = json!({
        "iss": ISSUER, "aud": "claw", "email": "nick@example.com", "exp": NOW + 300,
    });
    change(&mut claims);
    let expectations = Expectations {
        algorithms: vec![Algorithm::Es256],
        issuer: ISSUER.to_owned(),
        audience: Audience::OneOf(vec!["claw".to_owned(), "other".to_owned()]),
        claim: "email".to_owned(),
    };
    let claims = claims.as_object().unwrap();
    let ends = expectations.check(&header(), claims, now);
    match ends.map(|_| Subject::of(claims, &expectations.claim)) {
        Ok(Ok(Subject::User(user))) => format!("user {user}"),
        Ok(Ok(Subject::Service(service))) => format!("service {service}"),
        Ok(Err(problem)) | Err(Invalid(problem)) => problem.to_string(),
        Err(AssertionFault::Expired(seconds)) => format!("expired {seconds}"),
    }
}

fn set(name: &'static str, value: Value) -> impl FnOnce(&mut Value) {
    move |claims| match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
}

#[test]
fn every_claim_must_be_there_of_its_type_and_right() {
    const NICK: &str = "user nick@example.com";
    for (name, value, expected) in [
        ("x", json!(1), NICK),
        (
            "iss",
            Value::Null,
            "got no `iss`, expected `https://issuer.example.com`",
        ),
        (
            "iss",
            json!("https://issuer.example.com/"),
            "got `iss` `https://issuer.example.com/`",
        ),
        ("iss", json!([ISSUER]), "got `iss` that is no string"),
        (
            "aud",
            Value::Null,
            "got no `aud`, expected `claw` or `other`",
        ),
        ("aud", json!("Claw"), "got `aud` `Claw`"),
        ("aud", json!(""), "got `aud` ``"),
        ("aud", json!([]), "got `aud` ``"),
        ("aud", json!(["x", "other"]), NICK),
        ("aud", json!(["x", "y"]), "got `aud` `x, y`"),
        ("aud", json!(["claw", 1]), "got `aud` that is neither"),
        ("aud", json!({"claw": 1}), "got `aud` that is neither"),
        ("exp", Value::Null, "got no `exp`, expected a time"),
        ("exp", json!("1900000000"), "got `exp` that is no time"),
        ("exp", json!(true), "got `exp` that is no time"),
        ("exp", json!(-5), "got `exp` that is no time"),
        ("exp", json!([NOW + 9]), "got `exp` that is no time"),
        ("exp", json!(0), "expired 1800000000"),
        ("exp", json!(NOW + 1), NICK),
        ("exp", json!(NOW - 29), NICK),
        ("exp", json!(NOW - 30), "expired 30"),
        ("exp", json!(1_800_000_000.5), NICK),
        ("exp", json!(u64::MAX), NICK),
        ("exp", json!(1e300), NICK),
        ("nbf", json!(NOW + 30), NICK),
        ("nbf", json!(NOW + 31), "got `nbf` 31 s ahead"),
        ("nbf", json!("x"), "got `nbf` that is no time"),
        ("iat", json!(NOW + 31), "got `iat` 31 s ahead"),
        ("iat", json!(null), NICK),
        ("email", Value::Null, "got no `email`, expected the user"),
        ("email", json!(""), "got no `email`, expected the user"),
        (
            "email",
            json!(["nick@example.com"]),
            "got `email` that is no string",
        ),
        ("email_verified", json!(true), NICK),
        ("email_verified", json!("true"), NICK),
        ("email_verified", json!(false), "got `email_verified` false"),
        (
            "email_verified",
            json!("false"),
            "got `email_verified` false",
        ),
        ("email_verified", json!(1), "got `email_verified` false"),
    ] {
        let got = checked(set(name, value.clone()), NOW);
        assert!(got.starts_with(expected), "{name} {value}: {got}");
    }
}

#[test]
fn a_service_is_one_only_without_a_user() {
    let with_name = |email: Value| {
        checked(
            |claims| {
                set("email", email)(claims);
                set("common_name", json!("robot.access"))(claims);
            },
            NOW,
        )
    };
    assert_eq!(with_name(Value::Null), "service robot.access");
    assert_eq!(with_name(json!("")), "service robot.access");
    assert_eq!(
        with_name(json!("nick@example.com")),
        "user nick@example.com"
    );
}

proptest! {
    #[test]
    fn only_times_around_now_are_good(exp in any::<u64>(), nbf in any::<u64>(), now in 0..u64::MAX / 2) {
        let got = checked(|claims| {
            set("exp", json!(exp))(claims);
            set("nbf", json!(nbf))(claims);
        }, now);
        let is_good = u128::from(now) < u128::from(exp) + 30 && u128::from(nbf) <= u128::from(now) + 30;
        prop_assert_eq!(got == "user nick@example.com", is_good, "{}", got);
    }
}
