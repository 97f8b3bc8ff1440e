use super::super::tests::Signer;
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn with(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk[name] = value;
    jwk
}

#[test]
fn keys_that_can_verify_are_taken_and_others_passed_over() {
    let good = Signer::p256().jwk("good");
    let rsa = Signer::rsa().jwk("rsa");
    for (key, taken) in [
        (good.clone(), true),
        (with(good.clone(), "use", json!("sig")), true),
        (with(good.clone(), "alg", json!("ES256")), true),
        (with(good.clone(), "key_ops", json!(["verify"])), true),
        (rsa.clone(), true),
        (Signer::p384().jwk("a"), true),
        (Signer::ed25519().jwk("a"), true),
        (with(good.clone(), "use", json!("enc")), false),
        (with(good.clone(), "key_ops", json!(["encrypt"])), false),
        (with(good.clone(), "kid", json!("")), false),
        (with(good.clone(), "kid", Value::Null), false),
        (with(good.clone(), "kid", json!(7)), false),
        (with(good.clone(), "alg", json!("HS256")), false),
        (with(good.clone(), "alg", json!("ES512")), false),
        (with(good.clone(), "crv", json!("secp256k1")), false),
        (with(good.clone(), "x", json!("AA")), false),
        (with(good.clone(), "kty", json!("oct")), false),
        (json!({"kty": "oct", "kid": "a", "k": "c2VjcmV0"}), false),
        // 1024 bits.
        (with(rsa, "n", json!("-".repeat(171))), false),
        (json!("text"), false),
    ] {
        let document = json!({ "keys": [key] }).to_string();
        let parsed = parse_jwks(document.as_bytes());
        assert_eq!(parsed.is_ok(), taken, "{key}");
        let beside = json!({ "keys": [key, Signer::p256().jwk("b")] }).to_string();
        assert_eq!(
            parse_jwks(beside.as_bytes()).unwrap().len(),
            1 + usize::from(taken)
        );
    }
    for document in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
        assert_eq!(parse_jwks(document.as_bytes()), Err(KeySetError::NoSet));
    }
    assert_eq!(parse_jwks(br#"{"keys":[]}"#), Err(KeySetError::NoneUsable));
}

#[test]
fn a_key_that_is_for_one_algorithm_is_for_no_other() {
    let jwk = with(Signer::rsa().jwk("a"), "alg", json!("RS256"));
    let keys = parse_jwks(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
    let hold = |key| Held {
        key,
        good_until: 10,
    };
    let set = KeySet {
        generation: 1,
        good_until: 10,
        keys: keys.into_iter().map(hold).collect(),
    };
    for (id, algorithm, now, found) in [
        ("a", Algorithm::Rs256, 0, true),
        ("a", Algorithm::Rs256, 9, true),
        ("a", Algorithm::Rs256, 10, false),
        ("a", Algorithm::Rs512, 0, false),
        ("a", Algorithm::Ps256, 0, false),
        ("a", Algorithm::Es256, 0, false),
        ("b", Algorithm::Rs256, 0, false),
        ("A", Algorithm::Rs256, 0, false),
    ] {
        let fitting = set.fitting(id, algorithm, now).count();
        assert_eq!(fitting, usize::from(found), "{id} {now}");
    }
}

#[test]
fn a_pem_document_is_one_key_or_none() {
    let rsa = include_str!("../tests/rsa.pem");
    for document in [
        "",
        "x",
        rsa,
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    ] {
        assert_eq!(
            parse_pem("a", document.as_bytes()),
            Err(KeySetError::NoPem),
            "{document}"
        );
    }
}

proptest! {
    #[test]
    fn any_document_is_read_to_its_end(document in any::<Vec<u8>>()) {
        let _parsed = (parse_jwks(&document), parse_pem("a", &document));
    }
}
