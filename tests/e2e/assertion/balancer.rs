//! AWS's load balancers: padded tokens, without an audience, each key by itself.

use super::*;

const ARN: &str =
    "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/claw/50dc6c495c0c9188";
const ID: &str = "0f1e2d3c-aaaa-bbbb-cccc-1234567890ab";

fn balanced(issuer: &Issuer) -> String {
    gateway(&format!(
        "preset = \"aws-alb\"\nheader = \"x-signed\"\nissuer = \"{ISSUER}\"\nsigner = \"{ARN}\"\n\
         client = \"c-1\"\nkeysUrl = \"{}\"",
        issuer.url("/alb")
    ))
}

fn head() -> Value {
    json!({"alg": "ES256", "typ": "JWT", "kid": ID, "iss": ISSUER, "client": "c-1",
        "signer": ARN, "exp": now() + 120})
}

fn said() -> Value {
    json!({"sub": "u-1", "email": NICK, "iss": ISSUER, "exp": now() + 120})
}

async fn published() -> (Issuer, Signer) {
    let (issuer, signer) = (Issuer::spawn(), Signer::p256());
    issuer.publish(&format!("/alb/{ID}"), &signer.pem());
    (issuer, signer)
}

#[tokio::test]
async fn a_key_is_fetched_by_the_first_request_that_is_signed_with_it_however_soon() {
    let (issuer, signer) = published().await;
    let upstream = Recorder::spawn().await;
    let setup = Setup::new().gateway(&balanced(&issuer)).tls();
    let sidecar = setup.spawn(&upstream.url());
    assert_eq!(sidecar.admin("GET /readyz").await.status, 200);
    assert_eq!(issuer.connections(), 0);
    let token = signer.padded_token(&head(), &said());
    let mut connection = sidecar.connect().await;
    let multiplexed = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    for _ in 0..10 {
        assert_eq!(asked(&mut connection, &signed(&token)).await, "200");
        assert_eq!(asked_http2(&multiplexed, &signed(&token)).await, "200");
    }
    assert_eq!(issuer.fetches(), [format!("/alb/{ID}")]);
}

#[tokio::test]
async fn no_kid_leads_to_another_document() {
    let (issuer, signer) = published().await;
    let attacker = Signer::p256();
    for path in [
        "/x",
        "/alb/a/b",
        "/alb/..",
        "/alb/",
        "/alb",
        "/alb/x.pem",
        "/alb/%2e%2e",
    ] {
        issuer.publish(path, &attacker.pem());
    }
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .gateway(&balanced(&issuer))
        .spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    let long = "x".repeat(65);
    let longer = "x".repeat(2000);
    let folder = format!("{ID}/");
    let query = format!("{ID}?a");
    for id in [
        "../x",
        "..",
        ".",
        "a/b",
        "/x",
        "//127.0.0.1/x",
        "%2e%2e",
        "%2e%2e%2fx",
        "x.pem",
        "x\\y",
        "x y",
        " ",
        "x\u{0}",
        "x\r\nHost: evil",
        "x\n",
        "é",
        "x#y",
        "x?y",
        "http://127.0.0.1/x",
        &long,
        &longer,
        &folder,
        &query,
    ] {
        let token = attacker.padded_token(&but(head(), "kid", id), &said());
        assert_eq!(
            asked(&mut connection, &signed(&token)).await,
            INVALID,
            "{id}"
        );
    }
    assert_eq!(issuer.connections(), 0, "{:?}", issuer.fetches());
    // They have cost nobody anything: the next good one is let in.
    let token = signer.padded_token(&head(), &said());
    assert_eq!(asked(&mut connection, &signed(&token)).await, "200");
    assert_eq!(issuer.fetches(), [format!("/alb/{ID}")]);
}

#[tokio::test]
async fn a_foreign_signer_client_or_issuer_is_refused() {
    let (issuer, signer) = published().await;
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .gateway(&balanced(&issuer))
        .spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    // The region's keys sign for every customer's balancers.
    let foreign = ARN.replace("123456789012", "210987654321");
    let headed = |name, value: Value| signer.padded_token(&but(head(), name, value), &said());
    let claiming = |name, value: Value| signer.padded_token(&head(), &but(said(), name, value));
    let good = signer.padded_token(&head(), &said());
    let bare = good.replace('=', "");
    assert_ne!(good, bare);
    for (what, token) in [
        ("a foreign signer", headed("signer", json!(foreign))),
        (
            "a shorter signer",
            headed("signer", json!(&ARN[..ARN.len() - 1])),
        ),
        ("no signer", headed("signer", Value::Null)),
        ("signers", headed("signer", json!([ARN]))),
        ("a foreign client", headed("client", json!("c-2"))),
        ("no client", headed("client", Value::Null)),
        (
            "a foreign issuer",
            headed("iss", json!("https://evil.example")),
        ),
        ("no issuer", headed("iss", Value::Null)),
        ("an end in text", headed("exp", json!("4102444800"))),
        (
            "claims of another issuer",
            claiming("iss", json!("https://evil.example")),
        ),
        ("an audience in the place of a signer", {
            let head = but(but(head(), "signer", Value::Null), "client", Value::Null);
            signer.padded_token(&head, &but(said(), "aud", ARN))
        }),
        ("no padding", bare),
        ("more padding", format!("{good}=")),
    ] {
        assert_eq!(
            asked(&mut connection, &signed(&token)).await,
            INVALID,
            "{what}: {token}"
        );
    }
    // The sooner of both ends counts.
    for token in [
        headed("exp", json!(now() - 40)),
        claiming("exp", json!(now() - 40)),
    ] {
        assert_eq!(
            asked(&mut connection, &signed(&token)).await,
            EXPIRED,
            "{token}"
        );
    }
    let neither = signer.padded_token(
        &but(head(), "exp", Value::Null),
        &but(said(), "exp", Value::Null),
    );
    assert_eq!(asked(&mut connection, &signed(&neither)).await, INVALID);
    assert!(upstream.requests().is_empty());
    for token in [
        good,
        headed("exp", Value::Null),
        claiming("exp", Value::Null),
    ] {
        assert_eq!(
            asked(&mut connection, &signed(&token)).await,
            "200",
            "{token}"
        );
    }
}
