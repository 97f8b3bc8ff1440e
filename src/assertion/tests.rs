//! Real keys of each kind, and every way that is known to confuse a verifier of tokens.

use super::key_set::{Held, Key, Material, parse_jwks};
use super::*;
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::Duration;

pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const ISSUER: &str = "https://issuer.example.com";

/// A key that can sign.
pub(super) enum Signer {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl Signer {
    pub(super) fn p256() -> Self {
        Self::ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    pub(super) fn p384() -> Self {
        Self::ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self::Ecdsa(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap())
    }

    pub(super) fn ed25519() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    pub(super) fn rsa() -> Self {
        let pem = include_bytes!("tests/rsa.pem");
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).unwrap();
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
        Self::Rsa(Box::new(key))
    }

    fn sign(&self, algorithm: &str, signed: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ecdsa(key) => key.sign(&random, signed).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(signed).as_ref().to_vec(),
            Self::Rsa(key) => {
                let padding: &dyn ring::signature::RsaEncoding = match algorithm {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(padding, &random, signed, &mut signature).unwrap();
                signature
            }
        }
    }

    /// The public half as a JWK.
    pub(super) fn jwk(&self, id: &str) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ecdsa(key) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "kid": id, "crv": curve, "x": encode(x), "y": encode(y)})
            }
            Self::Ed25519(key) => {
                let x = encode(key.public_key().as_ref());
                json!({"kty": "OKP", "kid": id, "crv": "Ed25519", "x": x})
            }
            Self::Rsa(key) => {
                let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "kid": id, "n": encode(&public.n), "e": encode(&public.e)})
            }
        }
    }

    /// A token with this header and these claims.
    pub(super) fn token(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), &claims.to_string())
    }

    fn token_of(&self, header: &str, claims: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(header), encode(claims));
        let header: Value = serde_json::from_str(header).unwrap_or_default();
        let signature = self.sign(
            header["alg"].as_str().unwrap_or_default(),
            signed.as_bytes(),
        );
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A token as AWS's load balancers write it.
    fn padded_token(&self, header: &Value, claims: &Value) -> String {
        let encode = |text: String| URL_SAFE.encode(text);
        let signed = format!(
            "{}.{}",
            encode(header.to_string()),
            encode(claims.to_string())
        );
        let signature = self.sign("ES256", signed.as_bytes());
        format!("{signed}.{}", URL_SAFE.encode(signature))
    }
}

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
        Err(AssertionFault::Invalid(problem)) => problem.into(),
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
                assert_eq!(
                    judged(&verifier, &forged, NOW),
                    "its signature doesn't fit its key"
                );
            }
        }
    }
}

#[test]
fn no_confusion_of_algorithms_keys_or_headers_passes() {
    let (rsa, other) = (Signer::rsa(), Signer::p256());
    let jwk = rsa.jwk("a");
    let keys = published(&[jwk.clone(), other.jwk("b")]);
    let verifier = Verifier::new(expecting(&[Algorithm::Rs256, Algorithm::Es256]), keys);
    let claims = good_claims();
    let unsigned = |alg: &str| {
        let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = encode(json!({"alg": alg, "kid": "a"}));
        format!("{header}.{}.", encode(claims.clone()))
    };
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let problem = judged(&verifier, &unsigned(alg), NOW);
        assert!(problem.starts_with("got algorithm"), "{alg}: {problem}");
    }
    // HMAC with what everybody knows: the key's modulus, its JWK, its document.
    let n = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    for secret in [n, jwk.to_string().into_bytes(), Vec::new()] {
        for alg in ["HS256", "HS384", "RS256"] {
            let head = unsigned(alg);
            let signed = head.trim_end_matches('.');
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
            let tag = ring::hmac::sign(&key, signed.as_bytes());
            let token = format!("{head}{}", URL_SAFE_NO_PAD.encode(tag));
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
            "its signature doesn't fit its key",
        ),
        (
            json!({"alg": "ES256", "kid": "b"}),
            "its signature doesn't fit its key",
        ),
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
        (
            json!({"alg": "ES256", "kid": 7}),
            "its header is no JSON object with `alg`, each member once",
        ),
        (
            json!({"alg": ["ES256"], "kid": "b"}),
            "its header is no JSON object with `alg`, each member once",
        ),
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
    let twice = "its claims are no JSON object with each name once";
    assert_eq!(
        judged(&verifier, &signer.token_of(header, &claims), NOW),
        twice
    );
    let header_twice = r#"{"alg":"none","alg":"ES256","kid":"a"}"#;
    let token = signer.token_of(header_twice, &good_claims().to_string());
    assert!(judged(&verifier, &token, NOW).starts_with("its header is no JSON"));
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
    assert!(judged(&verifier, &respelt, NOW).starts_with("its signature is not base64url"));
}

#[test]
fn a_load_balancers_token_is_padded_and_names_who_signed_it() {
    const ARN: &str = "arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/app/claw/5";
    let signer = Signer::p256();
    let Signer::Ecdsa(pair) = &signer else {
        unreachable!()
    };
    let expectations = Expectations {
        audience: Audience::Balancer {
            signer: ARN.to_owned(),
            client: "client".to_owned(),
        },
        ..expecting(&[Algorithm::Es256])
    };
    let spki = [
        &[
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
            0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
        ][..],
        pair.public_key().as_ref(),
    ]
    .concat();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(spki)
    );
    let key = key_set::parse_pem("k-1", pem.as_bytes()).unwrap();
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
        "the issuer's keys are not to be had: see the log and `/status`"
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
    // A key that is withdrawn.
    renewed(&[("b", &next)]);
    let problem = judged(&verifier, &token, NOW);
    assert!(problem.starts_with("got key `a`"), "{problem}");
    // Another key under the same id.
    renewed(&[("a", &next)]);
    assert_eq!(
        judged(&verifier, &token, NOW),
        "its signature doesn't fit its key"
    );
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
    assert_eq!(examination.unknown_key().as_deref(), Some("new"));
    // A token that is wrong in another way asks for no keys.
    let mut foreign = good_claims();
    foreign["aud"] = json!("other");
    let token = signer.token(&json!({"alg": "ES256", "kid": "new"}), &foreign);
    let examination = verifier.examine(at(NOW));
    assert!(examination.verify(token.as_bytes()).is_err());
    assert_eq!(examination.unknown_key(), None);
    let unsigned = signer.token(&json!({"alg": "HS256", "kid": "new"}), &good_claims());
    let examination = verifier.examine(at(NOW));
    assert!(examination.verify(unsigned.as_bytes()).is_err());
    assert_eq!(examination.unknown_key(), None);
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
