//! Real keys of each kind, and every way that is known to confuse a verifier of tokens.

use super::key_set::{Held, Key, Material, parse_jwks};
use super::*;
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use signer::{hmac_token, unsigned};
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

#[path = "../../tests/e2e/signer.rs"]
mod signer;

mod faults;

pub(super) use signer::Signer;

pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const ISSUER: &str = "https://issuer.example.com";
const UNFIT: &str =
    "got a signature that doesn't fit its key, expected one by the key that it names";
const UNREAD: &str =
    "got a header that can't be read, expected a JSON object with `alg`, each member once";

struct Nowhere;

#[async_trait]
impl Fetch for Nowhere {
    async fn fetch(&self, _: Option<&str>) -> Result<Vec<u8>, FetchError> {
        Err(FetchError::Unanswered("nowhere".to_owned()))
    }
}

fn holding(keys: Vec<Key>) -> Arc<KeyStore> {
    let store = KeyStore::new(Box::new(Nowhere), Layout::Set);
    let hold = |key| Held {
        key,
        good_until: NOW + 100,
    };
    store.replace(keys.into_iter().map(hold).collect());
    store
}

fn published(keys: &[Value]) -> Arc<KeyStore> {
    holding(parse_jwks(json!({ "keys": keys }).to_string().as_bytes()).unwrap())
}

fn expecting(algorithms: &[Algorithm]) -> Expectations {
    Expectations {
        algorithms: algorithms.to_vec(),
        issuer: ISSUER.to_owned(),
        audience: Audience::OneOf(vec!["claw".to_owned()]),
        claim: "email".to_owned(),
    }
}

fn good_claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "claw", "email": "nick@example.com",
        "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 300,
    })
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// `user NAME`, `service NAME`, or what is wrong.
fn judged(verifier: &Verifier, token: &str, now: u64) -> String {
    match verifier.examine(at(now)).verify(token.as_bytes()) {
        Ok(Claimed::User(user)) => format!("user {user}"),
        Ok(Claimed::Service(service)) => format!("service {service}"),
        Err(Invalid(mismatch)) => mismatch.to_string(),
        Err(AssertionFault::Expired(seconds)) => format!("expired {seconds}"),
    }
}

#[test]
fn each_kind_of_key_verifies_what_it_signed_and_nothing_else() {
    let signers = [
        (Signer::p256(), vec!["ES256"]),
        (Signer::p384(), vec!["ES384"]),
        (Signer::ed25519(), vec!["EdDSA"]),
        (
            Signer::rsa(),
            vec!["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
        ),
    ];
    for (signer, algorithms) in &signers {
        for algorithm in algorithms {
            let header = json!({"alg": algorithm, "kid": "a", "typ": "JWT"});
            let token = signer.token(&header, &good_claims());
            let named = Algorithm::named(algorithm).unwrap();
            let verifier = Verifier::new(expecting(&[named]), published(&[signer.jwk("a")]));
            assert_eq!(judged(&verifier, &token, NOW), "user nick@example.com");
            // Said to be of another algorithm, it isn't.
            let others: Vec<Algorithm> = Algorithm::ALL
                .into_iter()
                .filter(|other| *other != named)
                .collect();
            let strict = Verifier::new(expecting(&others), published(&[signer.jwk("a")]));
            let problem = judged(&strict, &token, NOW);
            assert!(problem.contains("got algorithm"), "{problem}");
            for bit in [0, 3] {
                let mut changed = URL_SAFE_NO_PAD
                    .decode(token.rsplit('.').next().unwrap())
                    .unwrap();
                changed[10] ^= 1 << bit;
                let head = token.rsplit_once('.').unwrap().0;
                let forged = format!("{head}.{}", URL_SAFE_NO_PAD.encode(changed));
                assert_eq!(judged(&verifier, &forged, NOW), UNFIT);
            }
        }
    }
}

#[test]
fn any_key_of_the_named_id_may_have_signed_and_no_other() {
    let (rsa, first, second) = (Signer::rsa(), Signer::p256(), Signer::p256());
    let (stranger, elsewhere) = (Signer::p256(), Signer::p256());
    let both = [Algorithm::Rs256, Algorithm::Es256];
    let token = |signer: &Signer, algorithm: &str| {
        signer.token(&json!({"alg": algorithm, "kid": "a"}), &good_claims())
    };
    let mut keys = vec![
        rsa.jwk("a"),
        first.jwk("a"),
        second.jwk("a"),
        elsewhere.jwk("b"),
    ];
    for order in ["as published", "the other way round"] {
        let verifier = Verifier::new(expecting(&both), published(&keys));
        for (signer, algorithm) in [(&rsa, "RS256"), (&first, "ES256"), (&second, "ES256")] {
            let got = judged(&verifier, &token(signer, algorithm), NOW);
            assert_eq!(got, "user nick@example.com", "{order} {algorithm}");
        }
        for signer in [&stranger, &elsewhere] {
            let got = judged(&verifier, &token(signer, "ES256"), NOW);
            assert_eq!(got, UNFIT, "{order}");
        }
        keys.reverse();
    }
}

#[test]
fn no_confusion_of_algorithms_keys_or_headers_passes() {
    let (rsa, other) = (Signer::rsa(), Signer::p256());
    let jwk = rsa.jwk("a");
    let keys = published(&[jwk.clone(), other.jwk("b")]);
    let verifier = Verifier::new(expecting(&[Algorithm::Rs256, Algorithm::Es256]), keys);
    let claims = good_claims();
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = json!({"alg": alg, "kid": "a"}).to_string();
        let token = format!("{}.", unsigned(&header, &claims.to_string()));
        let problem = judged(&verifier, &token, NOW);
        assert!(problem.starts_with("got algorithm"), "{alg}: {problem}");
    }
    // HMAC with what everybody knows: the key's modulus, its JWK, its document.
    let n = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let known = [
        n,
        jwk.to_string().into_bytes(),
        rsa.pem().into_bytes(),
        Vec::new(),
    ];
    for secret in known {
        for alg in ["HS256", "HS384", "RS256"] {
            let token = hmac_token(&json!({"alg": alg, "kid": "a"}), &claims, &secret);
            let problem = judged(&verifier, &token, NOW);
            assert!(!problem.starts_with("user"), "{alg}: {problem}");
        }
    }
    let attacker = Signer::p256();
    let own = attacker.jwk("evil");
    for (header, problem) in [
        // The token's own key counts for nothing.
        (
            json!({"alg": "ES256", "kid": "evil", "jwk": own}),
            "got key `evil`, expected one of the 2 that are published, and fit for the algorithm",
        ),
        (
            json!({"alg": "ES256", "kid": "evil", "jku": "https://evil.example/keys"}),
            "got key `evil`, expected one of the 2 that are published, and fit for the algorithm",
        ),
        (
            json!({"alg": "ES256", "kid": "b", "x5u": "https://evil.example/c", "x5c": ["MII"]}),
            UNFIT,
        ),
        (json!({"alg": "ES256", "kid": "b"}), UNFIT),
        // A key of the other kind.
        (
            json!({"alg": "ES256", "kid": "a"}),
            "got key `a`, expected one of the 2 that are published, and fit for the algorithm",
        ),
        (
            json!({"alg": "RS256", "kid": "b"}),
            "got key `b`, expected one of the 2 that are published, and fit for the algorithm",
        ),
        (
            json!({"alg": "ES256"}),
            "got no `kid` in its header, expected its key's id",
        ),
        (
            json!({"alg": "ES256", "kid": ""}),
            "got no `kid` in its header, expected its key's id",
        ),
        (json!({"alg": "ES256", "kid": 7}), UNREAD),
        (json!({"alg": ["ES256"], "kid": "b"}), UNREAD),
        (
            json!({"alg": "ES256", "kid": "b", "crit": null}),
            "got `crit` in its header, expected no extensions",
        ),
        (
            json!({"alg": "ES256", "kid": "b", "crit": ["exp"]}),
            "got `crit` in its header, expected no extensions",
        ),
        (
            json!({"alg": "ES256", "kid": "b", "typ": "secevent+jwt"}),
            "got type `secevent+jwt`, expected `JWT`",
        ),
    ] {
        let token = attacker.token(&header, &claims);
        assert_eq!(judged(&verifier, &token, NOW), problem, "{header}");
    }
}

#[test]
fn a_token_has_one_reading_or_none() {
    let signer = Signer::p256();
    let verifier = Verifier::new(
        expecting(&[Algorithm::Es256]),
        published(&[signer.jwk("a")]),
    );
    let header = r#"{"alg":"ES256","kid":"a"}"#;
    let good = signer.token_of(header, &good_claims().to_string());
    assert_eq!(judged(&verifier, &good, NOW), "user nick@example.com");
    let mut claims = good_claims().to_string();
    claims.insert_str(1, r#""email":"admin@x","#);
    let twice = "got claims that can't be read, expected a JSON object with each name once";
    assert_eq!(
        judged(&verifier, &signer.token_of(header, &claims), NOW),
        twice
    );
    for header in [
        r#"{"alg":"none","alg":"ES256","kid":"a"}"#,
        // Of members that are passed over.
        r#"{"alg":"ES256","kid":"a","x":1,"x":2}"#,
    ] {
        let token = signer.token_of(header, &good_claims().to_string());
        let told = judged(&verifier, &token, NOW);
        assert!(
            told.starts_with("got a header that can't be read"),
            "{told}"
        );
    }
    for claims in ["[]", "null", "\"x\"", "", "{", r#"{"a":1} x"#] {
        assert_eq!(
            judged(&verifier, &signer.token_of(header, claims), NOW),
            twice,
            "{claims}"
        );
    }
    let (head, signature) = good.rsplit_once('.').unwrap();
    for token in [
        format!("{good}="),
        format!("{good}.x"),
        format!("{good}\n"),
        format!(" {good}"),
        format!("{head}.{signature}AA"),
        format!("{head}."),
        format!("{head}.{}", &signature[..signature.len() - 2]),
        head.to_owned(),
        "a.b.c.d.e".to_owned(),
        ".".repeat(10),
        String::new(),
        "x".repeat(20_000),
        good.replace('.', "%2e"),
    ] {
        let problem = judged(&verifier, &token, NOW);
        assert!(!problem.starts_with("user"), "{token}: {problem}");
    }
    // Bits that are left over in the last character would be another spelling of the same.
    let last = good.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place = alphabet.find(last).unwrap();
    let respelt = format!(
        "{}{}",
        &good[..good.len() - 1],
        &alphabet[place + 1..=place + 1]
    );
    assert!(judged(&verifier, &respelt, NOW).starts_with("got a signature not in base64url"));
}

#[test]
fn a_load_balancers_token_is_padded_and_names_who_signed_it() {
    const ARN: &str = "arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/app/claw/5";
    let signer = Signer::p256();
    let expectations = Expectations {
        audience: Audience::Balancer {
            signer: ARN.to_owned(),
            client: "client".to_owned(),
        },
        ..expecting(&[Algorithm::Es256])
    };
    let key = key_set::parse_pem("k-1", signer.pem().as_bytes()).unwrap();
    assert!(matches!(key.material, Material::P256(_)));
    let verifier = Verifier::new(expectations, holding(vec![key]));
    let header = json!({
        "typ": "JWT", "kid": "k-1", "alg": "ES256", "iss": ISSUER,
        "client": "client", "signer": ARN, "exp": NOW + 120,
    });
    let claims = json!({"sub": "1", "email": "nick@example.com", "exp": NOW + 120, "iss": ISSUER});
    let good = signer.padded_token(&header, &claims);
    assert!(good.contains('='), "{good}");
    assert_eq!(judged(&verifier, &good, NOW), "user nick@example.com");
    let unpadded = good.replace('=', "");
    assert!(judged(&verifier, &unpadded, NOW).contains("base64url"));
    let changed = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        judged(&verifier, &signer.padded_token(&header, &claims), NOW)
    };
    for (name, value, problem) in [
        (
            "signer",
            json!("arn:aws:elasticloadbalancing:eu-central-1:2:loadbalancer/app/evil/6"),
            "got `signer` `arn:aws:elasticloadbalancing:eu-central-1:2:loadbalancer/app/evil/6`",
        ),
        ("signer", Value::Null, "got no `signer`"),
        ("client", json!("other"), "got `client` `other`"),
        ("client", Value::Null, "got no `client`"),
        (
            "iss",
            json!("https://evil.example"),
            "got `iss` `https://evil.example`",
        ),
        ("iss", Value::Null, "got no `iss`"),
        ("exp", json!(NOW - 31), "expired 31"),
        ("exp", json!("1"), "got `exp` that is no time"),
    ] {
        let got = changed(name, value.clone());
        assert!(got.starts_with(problem), "{name} {value}: {got}");
    }
    let foreign = json!({"email": "nick@example.com", "exp": NOW + 9, "iss": "https://evil"});
    let got = judged(&verifier, &signer.padded_token(&header, &foreign), NOW);
    assert!(got.starts_with("got `iss` of the claims"), "{got}");
}

#[test]
fn what_was_found_genuine_is_so_until_it_ends_or_the_keys_change() {
    let (signer, next) = (Signer::p256(), Signer::p256());
    let keys = published(&[signer.jwk("a")]);
    let verifier = Verifier::new(expecting(&[Algorithm::Es256]), keys.clone());
    let header = json!({"alg": "ES256", "kid": "a"});
    let mut claims = good_claims();
    claims["exp"] = json!(NOW + 50);
    let token = signer.token(&header, &claims);
    assert_eq!(judged(&verifier, &token, NOW), "user nick@example.com");
    assert!(verifier.cache.get(token.as_bytes()).is_some());
    for (now, expected) in [
        (NOW + 50, "user nick@example.com"),
        (NOW + 79, "user nick@example.com"),
        (NOW + 80, "expired 30"),
    ] {
        assert_eq!(judged(&verifier, &token, now), expected, "{now}");
    }
    // Keys that nobody could renew end, and take with them what they had verified.
    let lasting = signer.token(&header, &good_claims());
    assert_eq!(
        judged(&verifier, &lasting, NOW + 99),
        "user nick@example.com"
    );
    let stale = judged(&verifier, &lasting, NOW + 100);
    assert_eq!(
        stale,
        "got key `a`, while none of the issuer's keys is to be had, \
         expected them at hand (see the log and `/status`)"
    );
    // The same keys, fetched again.
    let renewed = |signers: &[(&str, &Signer)]| {
        let jwks: Vec<Value> = signers.iter().map(|(id, one)| one.jwk(id)).collect();
        let keys_now = parse_jwks(json!({ "keys": jwks }).to_string().as_bytes()).unwrap();
        let hold = |key| Held {
            key,
            good_until: NOW + 200,
        };
        keys.replace(keys_now.into_iter().map(hold).collect());
    };
    let generation = keys.current().generation;
    renewed(&[("a", &signer)]);
    assert_eq!(keys.current().generation, generation);
    assert_eq!(judged(&verifier, &token, NOW), "user nick@example.com");
    // Another key in its place, under the same id.
    renewed(&[("a", &next)]);
    assert_eq!(judged(&verifier, &token, NOW), UNFIT);
    renewed(&[("a", &signer)]);
    assert_eq!(judged(&verifier, &token, NOW), "user nick@example.com");
    // A key that is withdrawn.
    renewed(&[("b", &next)]);
    let problem = judged(&verifier, &token, NOW);
    assert!(problem.starts_with("got key `a`"), "{problem}");
}

#[test]
fn an_unknown_key_is_told_once_and_is_the_tokens_own() {
    let signer = Signer::p256();
    let verifier = Verifier::new(
        expecting(&[Algorithm::Es256]),
        published(&[signer.jwk("a")]),
    );
    let token = signer.token(&json!({"alg": "ES256", "kid": "new"}), &good_claims());
    let examination = verifier.examine(at(NOW));
    assert!(examination.verify(token.as_bytes()).is_err());
    assert_eq!(examination.take_unknown_key().as_deref(), Some("new"));
    // A token that is wrong in another way asks for no keys.
    let mut foreign = good_claims();
    foreign["aud"] = json!("other");
    let token = signer.token(&json!({"alg": "ES256", "kid": "new"}), &foreign);
    let examination = verifier.examine(at(NOW));
    assert!(examination.verify(token.as_bytes()).is_err());
    assert_eq!(examination.take_unknown_key(), None);
    let unsigned = signer.token(&json!({"alg": "HS256", "kid": "new"}), &good_claims());
    let examination = verifier.examine(at(NOW));
    assert!(examination.verify(unsigned.as_bytes()).is_err());
    assert_eq!(examination.take_unknown_key(), None);
}

#[test]
fn claims_alone_are_judged_as_they_would_be_with_a_key() {
    let (signer, stranger) = (Signer::p256(), Signer::p256());
    let expectations = expecting(&[Algorithm::Es256]);
    let verifier = Verifier::new(expectations.clone(), published(&[signer.jwk("a")]));
    let header = json!({"alg": "ES256", "kid": "a"});
    let alone =
        |token: &str| match ClaimsAlone::new(&expectations, at(NOW)).verify(token.as_bytes()) {
            Ok(claimed) => format!("{claimed:?}"),
            Err(fault) => format!("{fault:?}"),
        };
    let keyed = |token: &str| match verifier.examine(at(NOW)).verify(token.as_bytes()) {
        Ok(claimed) => format!("{claimed:?}"),
        Err(fault) => format!("{fault:?}"),
    };
    for (name, value) in [
        ("email", json!("admin@x")),
        ("email", json!(7)),
        ("aud", json!("other")),
        ("iss", json!("other")),
        ("exp", json!(NOW - 31)),
        ("nbf", json!(NOW + 31)),
    ] {
        let mut claims = good_claims();
        claims[name] = value;
        let token = signer.token(&header, &claims);
        assert_eq!(alone(&token), keyed(&token), "{name}");
    }
    let forged = stranger.token(&header, &good_claims());
    assert!(alone(&forged).contains("nick@example.com"));
    assert!(keyed(&forged).contains("doesn't fit its key"));
}

#[test]
fn a_tokens_own_words_are_fit_for_a_log() {
    static SIGNER: LazyLock<Signer> = LazyLock::new(Signer::p256);
    let verifier = Verifier::new(
        expecting(&[Algorithm::Es256]),
        published(&[SIGNER.jwk("a")]),
    );
    let id = format!("x\n\u{1b}[31m`é{}", "y".repeat(500));
    let token = SIGNER.token(&json!({"alg": "ES256", "kid": id}), &good_claims());
    let problem = judged(&verifier, &token, NOW);
    assert!(problem.starts_with("got key `x??[31m??yyy"), "{problem}");
    assert!(
        problem.contains("…`, expected") && problem.len() < 250,
        "{problem}"
    );
}
