//! Assertions, and the keys that they are verified by. The first line says what the rest
//! is: a token, changes of a genuine one, a header and claims to be signed, or a document
//! of keys. Nothing is genuine but what our keys have signed, and of that nothing that
//! says less than it must.
#![no_main]

use async_trait::async_trait;
use libfuzzer_sys::fuzz_target;
use portcullis::assertion::{
    Algorithm, Audience, Expectations, Fetch, FetchError, KeyStore, Layout, Verifier,
};
use portcullis::policy::{AssertionFault, Claimed, Verify};
use ring::signature::Ed25519KeyPair;
use serde_json::Value;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const ISSUER: &str = "https://issuer.example.com";
const AUDIENCE: &str = "claw";
const NICK: &str = "nick@example.com";
const SIGNER: &str =
    "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/claw/50dc6c495c0c9188";
const BALANCERS_KEY: &str = "0f1e2d3c-aaaa-bbbb-cccc-1234567890ab";

/// Made by another program, one for each kind of key; the last as AWS writes it.
const GENUINE: [&str; 4] = [
    include_str!("../seeds/assertion/token-rs256"),
    include_str!("../seeds/assertion/token-es256"),
    include_str!("../seeds/assertion/token-eddsa"),
    include_str!("../seeds/assertion/token-aws"),
];
const KEYS: &str = include_str!("../seeds/assertion/keys-ours");
const PEM: &str = include_str!("../seeds/assertion/pem-ours");

/// Keys are good for a day from when they were fetched: the run begins now.
static NOW: LazyLock<u64> = LazyLock::new(|| {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock that is right").as_secs()
});

struct Verifiers {
    usual: Verifier,
    balancers: Verifier,
}

static VERIFIERS: LazyLock<Verifiers> = LazyLock::new(|| {
    let usual = keys_of(Layout::Set, rest_of(KEYS)).expect("our own keys");
    let balancers = keys_of(Layout::Each, rest_of(PEM)).expect("our own key");
    let balancer = Audience::Balancer {
        signer: SIGNER.to_owned(),
        client: "c-1".to_owned(),
    };
    Verifiers {
        usual: Verifier::new(expecting(Audience::OneOf(vec![AUDIENCE.to_owned()])), usual),
        balancers: Verifier::new(expecting(balancer), balancers),
    }
});
static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
});
static SIGNING: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes"));

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == b'\n');
    let Some((kind, rest)) = end.map(|end| (&data[..end], &data[end + 1..])) else {
        return;
    };
    match kind {
        b"token" => check_token(rest),
        b"edit" => check_edited(rest),
        b"sign" => check_signed(rest),
        b"keys" => check_keys(rest),
        b"pem" => check_pem(rest),
        _ => {}
    }
});

fn expecting(audience: Audience) -> Expectations {
    Expectations {
        algorithms: vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa],
        issuer: ISSUER.to_owned(),
        audience,
        claim: "email".to_owned(),
    }
}

/// What a seed holds after its first line.
fn rest_of(seed: &str) -> &str {
    seed.split_once('\n').expect("a first line").1
}

/// Whom a token proves, asked twice: what is remembered of it says the same.
fn verify(verifier: &Verifier, token: &[u8]) -> Result<String, AssertionFault> {
    let at = UNIX_EPOCH + Duration::from_secs(*NOW);
    let once = || {
        let examination = verifier.examine(at);
        examination.verify(token).map(|claimed| match claimed {
            Claimed::User(user) => user.to_owned(),
            Claimed::Service(service) => format!("service {service}"),
        })
    };
    let (first, second) = (once(), once());
    assert_eq!(first, second);
    if let Err(AssertionFault::Invalid(mismatch)) = &first {
        for part in [&mismatch.got, &mismatch.expected] {
            let is_short = (1..1000).contains(&part.len());
            assert!(is_short && !part.contains(['\n', '\r']), "{mismatch}");
        }
    }
    first
}

/// What a signature of a token would be over.
fn signed_part(token: &[u8]) -> Option<&[u8]> {
    let dot = token.iter().rposition(|byte| *byte == b'.')?;
    Some(&token[..dot])
}

fn check_token(token: &[u8]) {
    let Verifiers { usual, balancers } = &*VERIFIERS;
    for (verifier, genuine) in [(usual, &GENUINE[..3]), (balancers, &GENUINE[3..])] {
        if let Ok(user) = verify(verifier, token) {
            let signed = genuine
                .iter()
                .map(|seed| signed_part(rest_of(seed).as_bytes()));
            let is_ours = { signed }.any(|signed| signed == signed_part(token));
            assert!(is_ours, "nobody has signed this");
            assert_eq!(user, NICK);
        }
    }
}

/// One byte says which token, and each three after it where and what to replace, put in
/// or take out.
fn check_edited(edits: &[u8]) {
    let (which, edits) = edits.split_first().unwrap_or((&0, &[]));
    let seed = rest_of(GENUINE[usize::from(which % 4)]);
    let mut token = seed.as_bytes().to_vec();
    for edit in edits.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([edit[0] & 0x0f, edit[1]])) % (token.len() + 1);
        match edit[0] >> 4 {
            0..=7 if place < token.len() => token[place] = edit[2],
            8..=11 => token.insert(place, edit[2]),
            12..=13 if place < token.len() => drop(token.remove(place)),
            14 if place < token.len() => token[place] ^= 1 << (edit[2] % 8),
            _ => token.truncate(place),
        }
    }
    check_token(&token);
    if token == seed.as_bytes() {
        let verifier = match which % 4 {
            3 => &VERIFIERS.balancers,
            _ => &VERIFIERS.usual,
        };
        assert_eq!(verify(verifier, &token).as_deref(), Ok(NICK));
    }
}

/// Signs whatever stands there as a header and as claims, and looks at it with other eyes
/// where it is taken for genuine.
fn check_signed(text: &[u8]) {
    let Some(end) = text.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let header = &text[..end];
    // So that seeds stay what they are.
    let claims = String::from_utf8_lossy(&text[end + 1..]).replace("NOW", &NOW.to_string());
    let claims = claims.as_bytes();
    let token = sign(header, claims);
    let Ok(user) = verify(&VERIFIERS.usual, token.as_bytes()) else {
        return;
    };
    let header: Value = serde_json::from_slice(header).expect("a header in JSON");
    let claims: Value = serde_json::from_slice(claims).expect("claims in JSON");
    assert!(header.is_object() && claims.is_object());
    assert_eq!(
        (&header["alg"], &header["kid"]),
        (&"EdDSA".into(), &"ed".into())
    );
    assert!(header["crit"].is_null());
    assert_eq!(claims["iss"], ISSUER);
    let named = match &claims["aud"] {
        Value::Array(several) => several.iter().any(|one| one == AUDIENCE),
        one => one == AUDIENCE,
    };
    assert!(named, "it is for somebody else");
    let time = |name: &str| claims[name].as_f64().expect("a time");
    assert!(time("exp") + 30.0 > *NOW as f64, "it has ended");
    for name in ["nbf", "iat"] {
        assert!(
            claims.get(name).is_none() || time(name) < (*NOW + 31) as f64,
            "it hasn't begun"
        );
    }
    let email = claims["email"].as_str().unwrap_or_default();
    match user.strip_prefix("service ") {
        // A user may be called so, too.
        Some(service) if email.is_empty() => assert_eq!(claims["common_name"], service),
        _ => {
            assert_eq!(user, email);
            let verified = &claims["email_verified"];
            assert!(verified.is_null() || verified == true || verified == "true");
        }
    }
}

fn sign(header: &[u8], claims: &[u8]) -> String {
    use base64::Engine;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = SIGNING.sign(signed.as_bytes());
    format!("{signed}.{}", encode(signature.as_ref()))
}

/// A document with a set of keys: as many as can be are taken, and none that isn't there.
fn check_keys(document: &[u8]) {
    let Some(keys) = keys_of(Layout::Set, document) else {
        return;
    };
    let whole: Value = serde_json::from_slice(document).expect("a document in JSON");
    let listed = match &whole {
        Value::Array(members) => &members[0],
        whole => &whole["keys"],
    };
    let may_verify = |key: &&Value| {
        let kind = key["kty"].as_str();
        matches!(kind, Some("RSA" | "EC" | "OKP"))
            && key["kid"].as_str().is_some_and(|id| !id.is_empty())
            && (key["use"].is_null() || key["use"] == "sig")
    };
    let listed = listed.as_array().expect("an array of keys");
    let most = listed.iter().filter(may_verify).count();
    let good = keys.state().good;
    assert!((1..=most.min(64)).contains(&good), "{good} of {most}");
    use_keys(
        keys,
        Audience::OneOf(vec![AUDIENCE.to_owned()]),
        &GENUINE[..3],
    );
}

fn check_pem(document: &[u8]) {
    let Some(keys) = keys_of(Layout::Each, document) else {
        return;
    };
    let text = String::from_utf8_lossy(document);
    assert!(text.contains("-----BEGIN PUBLIC KEY-----"), "{text}");
    assert_eq!(keys.state().good, 1);
    let balancer = Audience::Balancer {
        signer: SIGNER.to_owned(),
        client: "c-1".to_owned(),
    };
    use_keys(keys, balancer, &GENUINE[3..]);
}

/// Verifies by keys that may be none: whatever comes of it, it comes to an end.
fn use_keys(keys: Arc<KeyStore>, audience: Audience, tokens: &[&str]) {
    let expectations = Expectations {
        algorithms: Algorithm::ALL.to_vec(),
        ..expecting(audience)
    };
    let verifier = Verifier::new(expectations, keys);
    for token in tokens {
        if let Ok(user) = verify(&verifier, rest_of(token).as_bytes()) {
            assert_eq!(user, NICK);
        }
    }
}

/// The keys of a document, if it holds any.
fn keys_of(layout: Layout, document: impl AsRef<[u8]>) -> Option<Arc<KeyStore>> {
    let published = Published(document.as_ref().to_vec());
    let store = KeyStore::new(Box::new(published), layout);
    RUNTIME.block_on(async {
        match layout {
            Layout::Set => drop(store.fetch_known().await),
            Layout::Each => store.seek(BALANCERS_KEY).await,
        }
    });
    (store.state().good > 0).then_some(store)
}

struct Published(Vec<u8>);

#[async_trait]
impl Fetch for Published {
    async fn fetch(&self, _: Option<&str>) -> Result<Vec<u8>, FetchError> {
        Ok(self.0.clone())
    }
}
