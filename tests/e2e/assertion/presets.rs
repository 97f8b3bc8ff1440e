//! Each identity proxy as it signs, with a real key of its kind.

use super::*;

struct Preset {
    name: &'static str,
    keys: String,
    user_header: &'static str,
    user: String,
    header: &'static str,
    value: String,
    /// The same without the scheme that may stand before it.
    token: String,
}

const SIGNER: &str =
    "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/claw/50dc6c495c0c9188";

/// All of them, by keys that `issuer` publishes.
fn presets(issuer: &Issuer) -> Vec<Preset> {
    let (p256, rsa) = (Signer::p256(), Signer::rsa());
    issuer.publish_keys(&[p256.jwk("ec"), rsa.jwk("rsa")]);
    issuer.publish("/alb/0f1e2d3c-aaaa-bbbb-cccc-1234567890ab", &p256.pem());
    let keys = format!("issuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"");
    let at = format!("keysUrl = \"{}\"", issuer.keys_url());
    let ecdsa = p256.token(&header("ES256", "ec"), &claims());
    let rsa = rsa.token(&header("RS256", "rsa"), &claims());
    let google = but(claims(), "iss", "https://cloud.google.com/iap");
    let google = but(google, "aud", "/projects/1/global/backendServices/2");
    let google = p256.token(&header("ES256", "ec"), &google);
    let balancer = json!({"alg": "ES256", "typ": "JWT", "iss": ISSUER, "client": "c-1",
        "kid": "0f1e2d3c-aaaa-bbbb-cccc-1234567890ab", "signer": SIGNER, "exp": now() + 120});
    // AWS's user header has the subject.
    let subject = json!({"sub": NICK, "email": "n@example.com", "iss": ISSUER, "exp": now() + 120});
    let balancer = p256.padded_token(&balancer, &subject);
    assert!(balancer.contains('='), "nothing is padded: {balancer}");
    vec![
        Preset {
            name: "pomerium",
            keys: format!("{keys}\n{at}"),
            user_header: "x-pomerium-claim-email",
            user: NICK.to_owned(),
            header: "x-pomerium-jwt-assertion",
            value: ecdsa.clone(),
            token: ecdsa,
        },
        Preset {
            name: "cloudflare-access",
            keys: format!("{keys}\n{at}"),
            user_header: "cf-access-authenticated-user-email",
            user: NICK.to_owned(),
            header: "cf-access-jwt-assertion",
            value: rsa.clone(),
            token: rsa.clone(),
        },
        Preset {
            name: "google-iap",
            keys: format!("audience = \"/projects/1/global/backendServices/2\"\n{at}"),
            user_header: "x-goog-authenticated-user-email",
            user: format!("accounts.google.com:{NICK}"),
            header: "x-goog-iap-jwt-assertion",
            value: google.clone(),
            token: google,
        },
        Preset {
            name: "aws-alb",
            keys: format!(
                "issuer = \"{ISSUER}\"\nsigner = \"{SIGNER}\"\nclient = \"c-1\"\nclaim = \"sub\"\n\
                 keysUrl = \"{}\"",
                issuer.url("/alb/")
            ),
            user_header: "x-amzn-oidc-identity",
            user: NICK.to_owned(),
            header: "x-amzn-oidc-data",
            value: balancer.clone(),
            token: balancer,
        },
        Preset {
            name: "oidc",
            keys: format!("{keys}\n{at}"),
            user_header: "x-forwarded-email",
            user: NICK.to_owned(),
            header: "authorization",
            value: format!("Bearer {rsa}"),
            token: rsa,
        },
    ]
}

impl Preset {
    fn gateway(&self, further: &str) -> String {
        let assertion = format!("preset = \"{}\"\n{}", self.name, self.keys);
        let gateway = gateway(&assertion).replace("x-forwarded-user", self.user_header);
        gateway.replace(
            "[gateway.auth.trustedProxy.assertion]",
            &format!("{further}\n[gateway.auth.trustedProxy.assertion]"),
        )
    }

    fn fields(&self, user: Option<&str>) -> String {
        let user = user.map(|user| format!("{}: {user}\r\n", self.user_header));
        format!(
            "{PROTO}{}: {}\r\n{}",
            self.header,
            self.value,
            user.unwrap_or_default()
        )
    }
}

#[tokio::test]
async fn what_each_preset_signs_proves_the_user_and_goes_no_further() {
    let issuer = Issuer::spawn();
    for preset in presets(&issuer) {
        let name = preset.name;
        let upstream = Recorder::spawn().await;
        let sidecar = Setup::new()
            .gateway(&preset.gateway(""))
            .tls()
            .spawn(&upstream.url());
        let mut connection = sidecar.connect().await;
        let multiplexed = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
        for user in [Some(preset.user.as_str()), None] {
            let fields = preset.fields(user);
            assert_eq!(
                asked(&mut connection, &fields).await,
                "200",
                "{name} {user:?}"
            );
            assert_eq!(
                asked_http2(&multiplexed, &fields).await,
                "200",
                "{name} {user:?}"
            );
        }
        let requests = upstream.requests();
        assert_eq!(requests.len(), 4);
        for request in requests {
            assert_eq!(request.values(preset.user_header), [NICK], "{name}");
            assert!(
                request.values(preset.header).is_empty(),
                "{name}: {}",
                request.head
            );
            assert!(!request.head.contains(&preset.token), "{name}");
        }
        let other = preset.user.replace("nick", "ada");
        let longer = format!("{}x", preset.user);
        let upper = preset.user.replace("nick", "Nick");
        for user in [other.as_str(), &longer, &upper] {
            let fields = preset.fields(Some(user));
            let code = asked(&mut connection, &fields).await;
            assert_eq!(code, MISMATCH, "{name} {user}");
            assert_eq!(
                asked_http2(&multiplexed, &fields).await,
                MISMATCH,
                "{name} {user}"
            );
        }
        let named = format!("{PROTO}{}: {}\r\n", preset.user_header, preset.user);
        for fields in [named.clone(), format!("{named}{}: \r\n", preset.header)] {
            assert_eq!(asked(&mut connection, &fields).await, MISSING, "{name}");
            assert_eq!(asked_http2(&multiplexed, &fields).await, MISSING, "{name}");
        }
        assert_eq!(upstream.requests().len(), 4, "{name}");
    }
}

#[tokio::test]
async fn an_assertion_goes_on_where_it_is_named() {
    let issuer = Issuer::spawn();
    for preset in presets(&issuer) {
        let required = format!("requiredHeaders = [\"{}\"]", preset.header);
        let passed = format!("passHeaders = [\"{}\"]", preset.header);
        // As a header of identity alone `authorization` can't be passed.
        let may_pass = preset.header != "authorization";
        for further in [Some(required), may_pass.then_some(passed)]
            .into_iter()
            .flatten()
        {
            let gateway = preset.gateway(&further);
            let gateway = match further.starts_with("required") {
                true => gateway.replace("requiredHeaders = [\"x-forwarded-proto\"]", ""),
                false => gateway,
            };
            let upstream = Recorder::spawn().await;
            let sidecar = Setup::new().gateway(&gateway).spawn(&upstream.url());
            let fields = preset.fields(Some(&preset.user));
            let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{fields}")).await;
            assert_eq!(answer.status, 200, "{} {further}", preset.name);
            assert_eq!(
                upstream.only().values(preset.header),
                [preset.value.as_str()]
            );
        }
    }
}

#[tokio::test]
async fn every_algorithm_that_can_be_asked_for_is_verified() {
    let (rsa, p256, p384, ed25519) = (
        Signer::rsa(),
        Signer::p256(),
        Signer::p384(),
        Signer::ed25519(),
    );
    let keys = [
        rsa.jwk("rsa"),
        p256.jwk("p256"),
        p384.jwk("p384"),
        ed25519.jwk("ed25519"),
    ];
    let issuer = Issuer::with_keys(&keys);
    let upstream = Recorder::spawn().await;
    let signers = [
        ("RS256", &rsa, "rsa"),
        ("RS384", &rsa, "rsa"),
        ("RS512", &rsa, "rsa"),
        ("PS256", &rsa, "rsa"),
        ("PS384", &rsa, "rsa"),
        ("PS512", &rsa, "rsa"),
        ("ES256", &p256, "p256"),
        ("ES384", &p384, "p384"),
        ("EdDSA", &ed25519, "ed25519"),
    ];
    let all: Vec<&str> = signers.iter().map(|(algorithm, ..)| *algorithm).collect();
    for allowed in all.iter().map(|one| vec![*one]).chain([all.clone()]) {
        let usual = usual(&issuer.keys_url());
        let asked_for = usual.replace("[\"ES256\"]", &format!("{allowed:?}"));
        let sidecar = Setup::new()
            .gateway(&gateway(&asked_for))
            .spawn(&upstream.url());
        let mut connection = sidecar.connect().await;
        for (algorithm, signer, id) in &signers {
            let token = signer.token(&header(algorithm, id), &claims());
            let expected = if allowed.contains(algorithm) {
                "200"
            } else {
                INVALID
            };
            let got = asked(&mut connection, &signed(&token)).await;
            assert_eq!(got, expected, "{algorithm} where {allowed:?} may be");
        }
    }
}
