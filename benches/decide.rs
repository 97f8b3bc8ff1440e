//! What a decision costs, in time and allocations: the permit and each denial,
//! with ten and with a million networks and users, with and without an assertion, and the
//! upstream's head.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use divan::{AllocProfiler, Bencher, black_box};
use portcullis::assertion::{
    Algorithm, Audience, Expectations, Fetch, FetchError, KeyStore, Layout, Verifier,
};
use portcullis::forwarded::{
    CookiePatterns, Credential, Facts, ForwardedConfig, HeaderBytes, Rewriter, Scheme,
};
use portcullis::policy::{
    AllowUsers, AssertionRule, Carriage, Code, Field, FieldName, Keyless, LocalInterface, Policy,
    PolicyConfig, PublicRoute, Request, RoutePath, ScopeCeilings, Source, TrustedNets, Upgrade,
};
use portcullis::secrets::SecretValue;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const SIZES: [usize; 2] = [10, 1_000_000];

fn main() {
    divan::main();
}

/// One decision to take: a policy of some size, a source and a request.
struct Case {
    policy: Policy,
    source: Source,
    fields: Vec<Field<'static>>,
}

impl Case {
    fn permit(size: usize) -> Self {
        let user = Box::leak(format!("user{}@example.com", size / 2).into_boxed_str());
        Self {
            policy: policy(size),
            source: source("10.0.0.1"),
            fields: browser_fields(user),
        }
    }

    fn request(&self) -> Request<'_> {
        Request {
            method: "POST",
            target: "/v1/chat/completions?stream=1",
            upgrade: Upgrade::None,
            fields: &self.fields,
        }
    }

    /// Checks once that the case is what it says, then measures it.
    fn measure(&self, bencher: Bencher<'_, '_>, expected: Option<Code>) {
        let request = self.request();
        let code = self
            .policy
            .decide(self.source, &request, &Keyless)
            .err()
            .map(|denial| denial.code());
        assert_eq!(code, expected);
        bencher.bench_local(|| {
            black_box(
                self.policy
                    .decide(black_box(self.source), black_box(&request), &Keyless),
            )
            .is_ok()
        });
    }

    /// The permitted request with one field put in the place of its namesake.
    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.fields.retain(|field| field.name != name);
        self.fields.push(Field {
            name,
            value: value.as_bytes(),
        });
        self
    }
}

#[divan::bench(args = SIZES)]
fn permit(bencher: Bencher<'_, '_>, size: usize) {
    Case::permit(size).measure(bencher, None);
}

/// A permit whose user an assertion proves that was seen before: a token of 1 kB.
#[divan::bench]
fn permit_with_cached_assertion(bencher: Bencher<'_, '_>) {
    let signed = Signed::new();
    let (verifier, request) = (signed.verifier(), signed.case.request());
    signed.decide(&verifier, &request);
    bencher.bench_local(|| signed.decide(black_box(&verifier), black_box(&request)));
}

/// The same request where none is asked for.
#[divan::bench]
fn permit_without_assertion(bencher: Bencher<'_, '_>) {
    let signed = Signed::new();
    let case = Case {
        policy: policy(10),
        ..signed.case
    };
    case.measure(bencher, None);
}

/// The first request with a token: its signature (ES256) is verified.
#[divan::bench]
fn permit_with_new_assertion(bencher: Bencher<'_, '_>) {
    let signed = Signed::new();
    let request = signed.case.request();
    let inputs = bencher.with_inputs(|| signed.verifier());
    inputs.bench_local_refs(|verifier| signed.decide(black_box(verifier), black_box(&request)));
}

#[divan::bench(args = SIZES)]
fn permit_and_rewrite(bencher: Bencher<'_, '_>, size: usize) {
    let case = Case::permit(size);
    let rewriter = rewriter(&case.policy);
    let request = case.request();
    let facts = Facts {
        scheme: Scheme::Https,
        host: "claw.example.com",
        request_id: "0190f5fe7a3c7d2e",
    };
    let mut head = Vec::with_capacity(8192);
    bencher.bench_local(|| {
        head.clear();
        let permit = case
            .policy
            .decide(black_box(case.source), black_box(&request), &Keyless)
            .expect("the case is permitted");
        rewriter.rewrite(&permit, black_box(&facts), &mut head)
    });
}

#[divan::bench]
fn permit_public_route(bencher: Bencher<'_, '_>) {
    let case = Case::permit(10);
    let request = Request {
        target: "/hooks/github",
        ..case.request()
    };
    bencher.bench_local(|| {
        black_box(
            case.policy
                .decide(black_box(case.source), black_box(&request), &Keyless),
        )
        .is_ok()
    });
}

#[divan::bench(args = SIZES)]
fn deny_untrusted_source(bencher: Bencher<'_, '_>, size: usize) {
    let case = Case {
        source: source("203.0.113.7"),
        ..Case::permit(size)
    };
    case.measure(bencher, Some(Code::UntrustedSource));
}

#[divan::bench]
fn deny_loopback_source(bencher: Bencher<'_, '_>) {
    let case = Case {
        source: source("127.0.0.1"),
        ..Case::permit(10)
    };
    case.measure(bencher, Some(Code::LoopbackSource));
}

#[divan::bench]
fn deny_local_interface_source(bencher: Bencher<'_, '_>) {
    let source = Source::new(Ipv4Addr::new(10, 0, 0, 1).into(), LocalInterface::Yes);
    Case {
        source,
        ..Case::permit(10)
    }
    .measure(bencher, Some(Code::LocalInterfaceSource));
}

#[divan::bench]
fn deny_local_interface_check_failed(bencher: Bencher<'_, '_>) {
    let source = Source::new(Ipv4Addr::new(10, 0, 0, 1).into(), LocalInterface::Unknown);
    Case {
        source,
        ..Case::permit(10)
    }
    .measure(bencher, Some(Code::LocalInterfaceCheckFailed));
}

#[divan::bench]
fn deny_ambiguous_header(bencher: Bencher<'_, '_>) {
    Case::permit(10)
        .with("x_forwarded_user", "admin")
        .measure(bencher, Some(Code::AmbiguousHeader));
}

#[divan::bench]
fn deny_unexpected_scopes(bencher: Bencher<'_, '_>) {
    let case = Case {
        policy: Policy::new(PolicyConfig {
            scope_ceilings: None,
            ..config(10)
        }),
        ..Case::permit(10)
    };
    case.with("x-openclaw-scopes", "operator.admin")
        .measure(bencher, Some(Code::UnexpectedScopes));
}

#[divan::bench]
fn deny_missing_header(bencher: Bencher<'_, '_>) {
    Case::permit(10)
        .with("X-Forwarded-Proto", "")
        .measure(bencher, Some(Code::MissingHeader));
}

#[divan::bench]
fn deny_user_missing(bencher: Bencher<'_, '_>) {
    Case::permit(10)
        .with("X-Forwarded-User", "")
        .measure(bencher, Some(Code::UserMissing));
}

#[divan::bench]
fn deny_user_invalid(bencher: Bencher<'_, '_>) {
    Case::permit(10)
        .with("X-Forwarded-User", "é")
        .measure(bencher, Some(Code::UserInvalid));
}

#[divan::bench(args = SIZES)]
fn deny_user_not_allowed(bencher: Bencher<'_, '_>, size: usize) {
    Case::permit(size)
        .with("X-Forwarded-User", "else@example.com")
        .measure(bencher, Some(Code::UserNotAllowed));
}

/// A request with an assertion, and who knows its issuer.
struct Signed {
    case: Case,
    keys: std::sync::Arc<KeyStore>,
}

impl Signed {
    fn new() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).expect("a key");
        let (x, y) = key.public_key().as_ref()[1..].split_at(32);
        let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
        let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "key-1", "x": x, "y": y});
        let document = json!({ "keys": [jwk] }).to_string();
        let keys = KeyStore::new(Box::new(Published(document)), Layout::Set);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let fetched = runtime.expect("a runtime").block_on(keys.fetch_known());
        fetched.expect("our own key");

        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("a clock that is right").as_secs();
        let groups: Vec<String> = (0..24).map(|n| format!("group-{n}@example.com")).collect();
        let claims = json!({"iss": ISSUER, "aud": ["claw"], "email": "user5@example.com",
            "groups": groups, "iat": now, "exp": now + 86_400});
        let header = json!({"alg": "ES256", "kid": "key-1", "typ": "JWT"});
        let [header, claims] =
            [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let head = format!("{header}.{claims}");
        let signature = key.sign(&random, head.as_bytes()).expect("a signature");
        let token = format!("{head}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
        assert!((950..1100).contains(&token.len()), "{}", token.len());
        let rule = AssertionRule {
            header: name(ASSERTION),
            carriage: Carriage::Plain,
            user_prefix: None,
            services: HashSet::new(),
        };
        let case = Case {
            policy: Policy::new(PolicyConfig {
                assertion: Some(rule),
                ..config(10)
            }),
            ..Case::permit(10)
        };
        let token = Box::leak(token.into_boxed_str());
        Self {
            case: case.with(ASSERTION, token),
            keys,
        }
    }

    /// One that has seen nothing yet.
    fn verifier(&self) -> Verifier {
        let expectations = Expectations {
            algorithms: vec![Algorithm::Es256],
            issuer: ISSUER.to_owned(),
            audience: Audience::OneOf(vec!["claw".to_owned()]),
            claim: "email".to_owned(),
        };
        Verifier::new(expectations, self.keys.clone())
    }

    /// Decides as the front door does: it reads the clock for each request.
    fn decide(&self, verifier: &Verifier, request: &Request<'_>) {
        let examination = verifier.examine(SystemTime::now());
        let decision = self
            .case
            .policy
            .decide(self.case.source, request, &examination);
        assert!(black_box(decision).is_ok());
    }
}

const ISSUER: &str = "https://issuer.example.com";
const ASSERTION: &str = "x-pomerium-jwt-assertion";

struct Published(String);

#[async_trait]
impl Fetch for Published {
    async fn fetch(&self, _: Option<&str>) -> Result<Vec<u8>, FetchError> {
        Ok(self.0.clone().into_bytes())
    }
}

fn source(address: &str) -> Source {
    Source::new(address.parse().expect("an address"), LocalInterface::No)
}

fn name(text: &str) -> FieldName {
    FieldName::parse(text).expect("a header name")
}

fn policy(size: usize) -> Policy {
    Policy::new(config(size))
}

/// A policy with this many networks, every other one a /32, and as many users.
fn config(size: usize) -> PolicyConfig {
    let nets = (0..size as u32).map(|n| Ipv4Addr::from_bits(0x0a00_0001 + 2 * n).to_string());
    let loopback = ["127.0.0.1".to_owned()];
    let hooks = PublicRoute::new(
        RoutePath::parse("/hooks/").expect("a path"),
        ["POST"],
        false,
        None,
    );
    PolicyConfig {
        unix_peer_uids: vec![],
        client_names: None,
        assertion: None,
        trusted_proxies: TrustedNets::parse(nets.chain(loopback)).expect("addresses"),
        user_header: name("x-forwarded-user"),
        required_headers: vec![name("x-forwarded-proto"), name("x-forwarded-host")],
        allow_users: AllowUsers::only((0..=size).map(|n| format!("user{n}@example.com")))
            .expect("users"),
        allow_loopback: false,
        allow_local_interface: false,
        pass_headers: vec![],
        pass_scopes: false,
        scope_ceilings: Some(
            ScopeCeilings::new([("*", vec!["operator.read", "operator.write"])]).expect("scopes"),
        ),
        public_routes: vec![hooks.expect("a route")],
        credential_header: Some(name("authorization")),
    }
}

fn rewriter(policy: &Policy) -> Rewriter {
    let value =
        HeaderBytes::new(SecretValue::concat(&["Bearer 0123456789abcdef"])).expect("a legal value");
    Rewriter::new(ForwardedConfig {
        user_header: name("x-forwarded-user"),
        trusted: policy.trusted_proxies().clone(),
        drop_cookies: CookiePatterns::default(),
        credential: Some(Credential {
            header: name("authorization"),
            value,
        }),
    })
}

/// What a browser sends through an identity proxy.
fn browser_fields(user: &'static str) -> Vec<Field<'static>> {
    [
        ("Host", "claw.example.com"),
        (
            "User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36",
        ),
        ("Accept", "application/json, text/event-stream"),
        ("Accept-Encoding", "gzip, deflate, br"),
        ("Accept-Language", "en-GB,en;q=0.9"),
        ("Content-Type", "application/json"),
        ("Content-Length", "412"),
        ("Origin", "https://claw.example.com"),
        ("Referer", "https://claw.example.com/chat"),
        (
            "Cookie",
            "theme=dark; _oauth2_proxy=MTIzNDU2Nzg5MGFiY2RlZg; lang=en",
        ),
        ("Sec-Fetch-Mode", "cors"),
        ("Connection", "keep-alive"),
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "claw.example.com"),
        ("X-Real-IP", "203.0.113.7"),
        ("X-Forwarded-User", user),
    ]
    .map(|(name, value)| Field {
        name,
        value: value.as_bytes(),
    })
    .to_vec()
}
