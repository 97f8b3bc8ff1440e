//! What a decision costs, in time and allocations: the permit and each denial,
//! with ten and with a million networks and users, and the upstream's head.

use std::net::Ipv4Addr;

use divan::{AllocProfiler, Bencher, black_box};
use portcullis::forwarded::{
    CookiePatterns, Credential, Facts, ForwardedConfig, HeaderBytes, Rewriter, Scheme,
};
use portcullis::policy::{
    AllowUsers, Code, Field, FieldName, Keyless, LocalInterface, Policy, PolicyConfig, PublicRoute,
    Request, RoutePath, ScopeCeilings, Source, TrustedNets, Upgrade,
};
use portcullis::secrets::SecretValue;

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
