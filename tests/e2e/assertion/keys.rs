//! An issuer that can't be reached, and one that has new keys.

use super::*;
use crate::reload::status;
use crate::sidecar::until;
use std::time::{Duration, Instant};

/// Within what a first retry comes, and an unknown key may be looked for again.
const RETRY: Duration = Duration::from_secs(10);

async fn not_ready_for(sidecar: &Sidecar) -> Option<String> {
    let answer = sidecar.admin("GET /readyz").await;
    (answer.status == 503).then(|| String::from_utf8(answer.body).unwrap())
}

#[tokio::test]
async fn an_issuer_that_is_away_at_the_start_lets_nobody_in_until_it_is_back() {
    let signer = Signer::p256();
    let issuer = Issuer::with_keys(&[signer.jwk("ec")]);
    issuer.is_away(true);
    let upstream = Recorder::spawn().await;
    let gateway = gateway(&usual(&issuer.keys_url()));
    let sidecar = Setup::new().gateway(&gateway).spawn(&upstream.url());
    let began = Instant::now();
    let token = signer.token(&header("ES256", "ec"), &claims());
    let reasons = not_ready_for(&sidecar)
        .await
        .expect("it says that it is ready");
    assert!(reasons.contains("assertion_keys_missing"), "{reasons}");
    let mut connection = sidecar.connect().await;
    assert_eq!(asked(&mut connection, &signed(&token)).await, INVALID);
    let shown = status(&sidecar).await.to_string();
    assert!(shown.contains(&issuer.keys_url()), "{shown}");
    let why = fetch_error(&sidecar).await;
    assert!(why.contains("/keys"), "{why}");
    // Nothing is asked of it from here on: it mends itself.
    issuer.is_away(false);
    while not_ready_for(&sidecar).await.is_some() {
        assert!(began.elapsed() < RETRY * 3 / 2, "it isn't mended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(asked(&mut connection, &signed(&token)).await, "200");
    assert_eq!(upstream.requests().len(), 1);
}

/// What an error's page, or a redirect's, looks like says nothing.
#[tokio::test]
async fn keys_that_come_with_another_status_or_in_a_huge_document_are_none() {
    let signer = Signer::p256();
    let issuer = Issuer::with_keys(&[signer.jwk("ec")]);
    let upstream = Recorder::spawn().await;
    let gateway = gateway(&usual(&issuer.keys_url()));
    let token = signer.token(&header("ES256", "ec"), &claims());
    for (status, expected) in [(302, INVALID), (404, INVALID), (503, INVALID), (200, "200")] {
        issuer.answers_with(status);
        let sidecar = Setup::new().gateway(&gateway).spawn(&upstream.url());
        if status != 200 {
            let why = fetch_error(&sidecar).await;
            assert!(why.contains(&format!("got status {status}")), "{why}");
        }
        let mut connection = sidecar.connect().await;
        let got = asked(&mut connection, &signed(&token)).await;
        assert_eq!(got, expected, "{status}");
    }
    // Nor is a document read to its end that has none.
    let long = json!({ "keys": [signer.jwk("ec")] }).to_string() + &" ".repeat(300 << 10);
    issuer.publish("/keys", &long);
    let sidecar = Setup::new().gateway(&gateway).spawn(&upstream.url());
    let why = fetch_error(&sidecar).await;
    assert!(why.contains("length limit exceeded"), "{why}");
    let mut connection = sidecar.connect().await;
    assert_eq!(asked(&mut connection, &signed(&token)).await, INVALID);
}

#[tokio::test]
async fn an_issuer_that_goes_away_later_takes_nobodys_keys_along() {
    let scene = Scene::new().await;
    let (sidecar, issuer) = (&scene.sidecar, &scene.issuer);
    let mut connection = sidecar.connect().await;
    issuer.is_away(true);
    let new = Signer::p256();
    let unknown = new.token(&header("ES256", "new"), &claims());
    // Until it was asked again, and had no answer.
    let before = issuer.connections();
    until_asked(&mut connection, &unknown, || issuer.connections() > before).await;
    until(|| {
        let line = |line: &String| line.contains("the issuer's keys can't be fetched");
        sidecar.log().iter().any(line).then_some(())
    })
    .await;
    // Not out of the cache: this one is new.
    let token = scene
        .signer
        .token(&header("ES256", "ec"), &claims_but("jti", "1"));
    assert_eq!(asked(&mut connection, &signed(&token)).await, "200");
    assert_eq!(not_ready_for(sidecar).await, None);
    let shown = status(sidecar).await.to_string();
    assert!(shown.contains("goodUntil"), "{shown}");
}

/// Sends requests with a token, all of them denied, until something has come true.
async fn until_asked(connection: &mut Connection, token: &str, is_true: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert_eq!(asked(connection, &signed(token)).await, INVALID);
        assert!(began.elapsed() < RETRY * 3 / 2, "nobody asked");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a request with a token comes to, over whichever protocol.
enum Client {
    Http1(Connection),
    Http2(Http2Client),
}

impl Client {
    async fn asks(&mut self, token: &str) -> String {
        match self {
            Self::Http1(connection) => asked(connection, &signed(token)).await,
            Self::Http2(client) => asked_http2(client, &signed(token)).await,
        }
    }
}

/// The first request that may cause a fetch gets in by what that brings.
async fn expect_rotation(scene: &Scene, mut client: Client) {
    let old = scene.token();
    assert_eq!(client.asks(&old).await, "200");
    let new = Signer::p256();
    scene.issuer.publish_keys(&[new.jwk("new")]);
    let token = new.token(&header("ES256", "new"), &claims());
    let began = Instant::now();
    loop {
        let got = client.asks(&token).await;
        match scene.issuer.fetches().len() {
            // It was asked at the start, and isn't again so soon.
            1 => assert_eq!(got, INVALID),
            2 => {
                assert_eq!(got, "200", "a new key was fetched, and not waited for");
                break;
            }
            more => panic!("{more} fetches"),
        }
        assert!(began.elapsed() < RETRY * 3 / 2, "nobody asked");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() > RETRY / 2, "it was asked again too soon");
    // The key that was taken back has verified for the last time, cache or no cache.
    assert_eq!(client.asks(&old).await, INVALID);
    assert_eq!(client.asks(&token).await, "200");
    assert_eq!(scene.issuer.fetches().len(), 2);
}

#[tokio::test]
async fn the_first_request_with_a_new_key_passes() {
    let scene = Scene::new().await;
    let client = Client::Http1(scene.sidecar.connect().await);
    expect_rotation(&scene, client).await;
}

#[tokio::test]
async fn the_first_request_with_a_new_key_passes_over_http_2() {
    let scene = Scene::of(Setup::new().tls(), Recorder::spawn().await).await;
    let certificate = scene.sidecar.certificate();
    let client = Http2Client::connect(scene.sidecar.address, &certificate).await;
    expect_rotation(&scene, Client::Http2(client)).await;
}

#[tokio::test]
async fn a_cached_assertion_ends_when_it_says() {
    let scene = Scene::new().await;
    let mut connection = scene.sidecar.connect().await;
    // With the leeway of 30 s it has three left.
    let ends = now() - 27;
    let token = scene
        .signer
        .token(&header("ES256", "ec"), &claims_but("exp", ends));
    assert_eq!(asked(&mut connection, &signed(&token)).await, "200");
    loop {
        let (before, got) = (now(), asked(&mut connection, &signed(&token)).await);
        match got.as_str() {
            "200" => assert!(before < ends + 30, "{} s after its end", before - ends),
            EXPIRED => {
                assert!(now() >= ends + 30, "too soon");
                return;
            }
            other => panic!("{other}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
