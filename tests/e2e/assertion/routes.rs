//! Public routes beside signed identity: their proof is their own.

use super::*;

#[tokio::test]
async fn a_public_route_keeps_its_authorization_and_gets_no_assertion() {
    let hooks = "[[gateway.publicRoutes]]\npath = \"/hooks/\"\nmethods = [\"POST\"]\n";
    for header_of in ["authorization", "x-signed"] {
        let signer = Signer::p256();
        let issuer = Issuer::with_keys(&[signer.jwk("ec")]);
        let upstream = Recorder::spawn().await;
        let asked_for = usual(&issuer.keys_url()).replace("x-signed", header_of);
        let setup = Setup::new().gateway(&gateway(&asked_for)).section(hooks);
        let sidecar = setup.spawn(&upstream.url());
        let fields = "authorization: Bearer of-the-route\r\nx-signed: x\r\nx-forwarded-user: a\r\n";
        let answer = sidecar
            .send(&format!("POST /hooks/a HTTP/1.1\r\n{fields}"))
            .await;
        assert_eq!(answer.status, 200);
        let request = upstream.only();
        assert_eq!(request.values("authorization"), ["Bearer of-the-route"]);
        assert!(request.values("x-forwarded-user").is_empty());
        let signed = request.values("x-signed");
        assert_eq!(signed.is_empty(), header_of == "x-signed", "{signed:?}");
        // Elsewhere it takes an assertion.
        let answer = sidecar
            .send(&format!("POST /other HTTP/1.1\r\n{PROTO}{fields}"))
            .await;
        assert_eq!(answer.status, 401);
        assert_eq!(upstream.requests().len(), 1);
    }
}

#[tokio::test]
async fn the_gateways_credential_takes_the_place_of_a_consumed_bearer_token() {
    let signer = Signer::p256();
    let issuer = Issuer::with_keys(&[signer.jwk("ec")]);
    let upstream = Recorder::spawn().await;
    let asked_for = usual(&issuer.keys_url()).replace("x-signed", "authorization");
    let sidecar = Setup::new()
        .gateway(&gateway(&asked_for))
        .section("[upstream.credential]\nheader = \"authorization\"\nvalue = \"ours\"\n")
        .spawn(&upstream.url());
    let token = signer.token(&header("ES256", "ec"), &claims());
    let fields = format!("{PROTO}authorization: Bearer {token}\r\n");
    let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{fields}")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(upstream.only().values("authorization"), ["Bearer ours"]);
    for value in [
        "ours",
        "Basic b3Vycw==",
        "Bearer",
        "Bearer ",
        token.as_str(),
    ] {
        let fields = format!("{PROTO}authorization: {value}\r\n");
        let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{fields}")).await;
        assert_eq!(answer.code(), MISSING, "{value}");
    }
}
