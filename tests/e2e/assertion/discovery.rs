//! An issuer that tells by itself where its keys are, and one behind TLS of an authority
//! of its own.

use super::*;
use crate::reload::status;
use crate::sidecar::write_certificate;

/// Asks for an assertion of `issuer`, without a word of where its keys are.
fn discovering(issuer: &str) -> String {
    gateway(&format!(
        "preset = \"oidc\"\nheader = \"x-signed\"\nalgorithms = [\"ES256\"]\n\
         issuer = \"{issuer}\"\naudience = \"{AUDIENCE}\"\n"
    ))
}

fn token_of(signer: &Signer, id: &str, issuer: &str) -> String {
    signer.token(&header("ES256", id), &claims_but("iss", issuer))
}

#[tokio::test]
async fn the_keys_are_found_where_the_issuer_says_and_followed_where_it_moves_them() {
    let signer = Signer::p256();
    let issuer = Issuer::with_keys(&[signer.jwk("ec")]);
    let name = issuer.url("");
    issuer.publish_discovery(&name, &issuer.keys_url());
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new()
        .gateway(&discovering(&name))
        .spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    let token = token_of(&signer, "ec", &name);
    assert_eq!(asked(&mut connection, &signed(&token)).await, "200");
    let shown = status(&sidecar).await.to_string();
    let document = issuer.url("/.well-known/openid-configuration");
    assert!(shown.contains(&document), "{shown}");

    // The next fetch goes where the keys are then.
    let next = Signer::p256();
    let keys = json!({ "keys": [next.jwk("next")] });
    issuer.publish("/moved", &keys.to_string());
    issuer.publish_discovery(&name, &issuer.url("/moved"));
    let token = token_of(&next, "next", &name);
    until_passes(&mut connection, &token).await;
    assert!(issuer.fetches().contains(&"/moved".to_owned()));
}

/// An unknown key is looked for 10 s after the fetch before.
async fn until_passes(connection: &mut Connection, token: &str) {
    let patience = std::time::Duration::from_secs(20);
    let passes = async {
        while asked(connection, &signed(token)).await != "200" {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let passed = tokio::time::timeout(patience, passes).await;
    passed.expect("the keys are not looked for where they are now");
}

#[tokio::test]
async fn a_document_of_another_issuer_or_of_keys_without_tls_gives_no_keys() {
    let signer = Signer::p256();
    let issuer = Issuer::with_keys(&[signer.jwk("ec")]);
    let name = issuer.url("");
    let upstream = Recorder::spawn().await;
    for (of, jwks_uri, problem) in [
        (format!("{name}/"), issuer.keys_url(), "got `issuer`"),
        (
            name.clone(),
            "http://issuer.example.com/keys".to_owned(),
            "expected an https URL",
        ),
    ] {
        issuer.publish_discovery(&of, &jwks_uri);
        let sidecar = Setup::new()
            .gateway(&discovering(&name))
            .spawn(&upstream.url());
        let why = fetch_error(&sidecar).await;
        assert!(why.contains(problem), "{why}");
        let mut connection = sidecar.connect().await;
        let token = token_of(&signer, "ec", &name);
        assert_eq!(asked(&mut connection, &signed(&token)).await, INVALID);
        assert_eq!(sidecar.admin("GET /readyz").await.status, 503);
    }
    assert_eq!(upstream.requests().len(), 0);
    assert!(!issuer.fetches().contains(&"/keys".to_owned()));
}

#[tokio::test]
async fn an_issuer_behind_tls_is_believed_where_its_authority_is_named() {
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    let signer = Signer::p256();
    let issuer = Issuer::spawn_tls(folder.path());
    issuer.publish_keys(&[signer.jwk("ec")]);
    let upstream = Recorder::spawn().await;
    let asked_for = usual(&issuer.keys_url());
    let token = signer.token(&header("ES256", "ec"), &claims());

    let stranger = Setup::new()
        .gateway(&gateway(&asked_for))
        .spawn(&upstream.url());
    let why = fetch_error(&stranger).await;
    assert!(why.contains("certificate"), "{why}");
    let mut connection = stranger.connect().await;
    assert_eq!(asked(&mut connection, &signed(&token)).await, INVALID);
    assert!(issuer.fetches().is_empty());

    let ca_file = format!("caFile = \"{}/cert.pem\"", folder.path().display());
    let sidecar = Setup::new()
        .gateway(&gateway(&format!("{asked_for}\n{ca_file}")))
        .spawn(&upstream.url());
    let mut connection = sidecar.connect().await;
    assert_eq!(asked(&mut connection, &signed(&token)).await, "200");

    // For the keys that such a document names, as well.
    let name = issuer.url("");
    issuer.publish_discovery(&name, &issuer.keys_url());
    let discovering = Setup::new()
        .gateway(&format!("{}{ca_file}\n", discovering(&name)))
        .spawn(&upstream.url());
    let mut connection = discovering.connect().await;
    let token = token_of(&signer, "ec", &name);
    assert_eq!(asked(&mut connection, &signed(&token)).await, "200");
}
