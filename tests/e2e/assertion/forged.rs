//! Every way that is known to make a verifier of tokens take a false one.

mod tokens;

use super::*;
use tokens::Keys;

#[tokio::test]
async fn no_known_confusion_passes_over_either_protocol() {
    let (keys, attacker) = (Keys::new(), Issuer::spawn());
    let issuer = Issuer::with_keys(&keys.published());
    let upstream = Recorder::spawn().await;
    let asked_for = usual(&issuer.keys_url()).replace("\"ES256\"", "\"RS256\", \"ES256\"");
    let gateway = gateway(&asked_for);
    let sidecar = Setup::new().gateway(&gateway).tls().spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    let multiplexed = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;

    let groups = [
        keys.by_algorithm(),
        keys.by_secret(),
        keys.by_header(),
        keys.by_claims(),
        keys.by_form(),
        keys.bringing(&attacker),
    ];
    let mut tried = 0;
    for (what, token) in groups.concat() {
        let fields = signed(&token);
        assert_eq!(
            asked(&mut connection, &fields).await,
            INVALID,
            "{what}: {token}"
        );
        assert_eq!(
            asked_http2(&multiplexed, &fields).await,
            INVALID,
            "{what}: {token}"
        );
        tried += 1;
    }
    assert!(tried > 140, "{tried}");
    for ended in [31, 32, 3600, 1_000_000_000] {
        let token = keys.claiming("exp", now() - ended);
        assert_eq!(
            asked(&mut connection, &signed(&token)).await,
            EXPIRED,
            "{ended}"
        );
        assert_eq!(
            asked_http2(&multiplexed, &signed(&token)).await,
            EXPIRED,
            "{ended}"
        );
    }
    let of_ada = keys.claiming("email", "ada@example.com");
    assert_eq!(asked(&mut connection, &signed(&of_ada)).await, MISMATCH);
    assert!(upstream.requests().is_empty());
    // Nobody was asked for a key but the issuer, and that once or twice.
    assert_eq!(attacker.connections(), 0);
    assert!(issuer.fetches().len() <= 2, "{:?}", issuer.fetches());

    // And none of it has turned against what is genuine.
    let leeway = [
        keys.good(),
        keys.claiming("exp", now() - 20),
        keys.claiming("nbf", now() + 20),
        keys.claiming("iat", now() + 20),
        keys.claiming("aud", json!(["other", AUDIENCE])),
        keys.claiming("aud", AUDIENCE),
        keys.claiming("email_verified", true),
        keys.claiming("exp", (now() + 60) as f64 + 0.5),
        keys.headed("typ", Value::Null),
        // What a genuine token says of keys is passed over.
        keys.headed("jku", attacker.keys_url()),
        keys.rsa.token(&header("RS256", "rsa"), &claims()),
        format!(" {}\t", keys.good()),
    ];
    let genuine = leeway.len();
    for token in leeway {
        assert_eq!(
            asked(&mut connection, &signed(&token)).await,
            "200",
            "{token}"
        );
    }
    assert_eq!(upstream.requests().len(), genuine);
    assert_eq!(attacker.connections(), 0);
}

#[tokio::test]
async fn two_assertions_are_ambiguous_and_so_is_an_alias() {
    let scene = Scene::of(Setup::new().tls(), Recorder::spawn().await).await;
    let (sidecar, good) = (&scene.sidecar, scene.token());
    let multiplexed = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    for further in [
        format!("x-signed: {good}"),
        "x-signed: x".to_owned(),
        "X-SIGNED: ".to_owned(),
        format!("x_signed: {good}"),
        format!("x.signed: {good}"),
    ] {
        let fields = format!("{}{further}\r\n", signed(&good));
        let mut connection = sidecar.connect().await;
        let code = "trusted_proxy_ambiguous_header";
        assert_eq!(asked(&mut connection, &fields).await, code, "{further}");
        let fields = fields.replace("X-SIGNED", "x-signed");
        assert_eq!(asked_http2(&multiplexed, &fields).await, code, "{further}");
    }
    // An alias alone is no assertion either.
    let fields = signed(&good).replace("x-signed", "x_signed");
    let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{fields}")).await;
    assert_eq!(answer.code(), "trusted_proxy_ambiguous_header");
    assert!(scene.upstream.requests().is_empty());
}
