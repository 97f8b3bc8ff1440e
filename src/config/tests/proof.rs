//! Certificates by name and signed assertions.

use super::*;
use crate::assertion::{Algorithm, Audience};
use crate::policy::{AltName, Carriage};

const TLS: &str = "[gateway.tls]\ncertPath = \"c\"\nkeyPath = \"k\"\n";
const ASSERTION: &str = "[gateway.auth.trustedProxy.assertion]\n";

fn asserting(keys: &str) -> String {
    and(&format!("{ASSERTION}{keys}"))
}

#[test]
fn presets_know_what_their_proxies_do() {
    for (keys, header, carriage, algorithm, issuer, url) in [
        (
            "preset = \"pomerium\"\nissuer = \"claw.example.com\"\naudience = \"claw.example.com\"",
            "x-pomerium-jwt-assertion",
            Carriage::Plain,
            Algorithm::Es256,
            "claw.example.com",
            "https://claw.example.com/.well-known/pomerium/jwks.json",
        ),
        (
            "preset = \"cloudflare-access\"\nissuer = \"https://t.cloudflareaccess.com\"\naudience = \"a\"",
            "cf-access-jwt-assertion",
            Carriage::Plain,
            Algorithm::Rs256,
            "https://t.cloudflareaccess.com",
            "https://t.cloudflareaccess.com/cdn-cgi/access/certs",
        ),
        (
            "preset = \"google-iap\"\naudience = [\"a\"]",
            "x-goog-iap-jwt-assertion",
            Carriage::Plain,
            Algorithm::Es256,
            "https://cloud.google.com/iap",
            "https://www.gstatic.com/iap/verify/public_key-jwk",
        ),
        (
            "preset = \"aws-alb\"\nissuer = \"https://idp\"\nclient = \"c\"\nsigner = \
             \"arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/a/b\"",
            "x-amzn-oidc-data",
            Carriage::Plain,
            Algorithm::Es256,
            "https://idp",
            "https://public-keys.auth.elb.eu-west-1.amazonaws.com/",
        ),
        (
            "preset = \"oidc\"\nissuer = \"https://idp\"\naudience = \"a\"\nkeysUrl = \
             \"https://idp/keys\"",
            "authorization",
            Carriage::Bearer,
            Algorithm::Rs256,
            "https://idp",
            "https://idp/keys",
        ),
        (
            "preset = \"oidc\"\nissuer = \"https://idp/realms/claw\"\naudience = \"a\"",
            "authorization",
            Carriage::Bearer,
            Algorithm::Rs256,
            "https://idp/realms/claw",
            "https://idp/realms/claw/.well-known/openid-configuration",
        ),
    ] {
        let read = config(&asserting(keys)).gateway.trusted_proxy.assertion;
        let read = read.unwrap();
        assert_eq!(
            (read.rule.header.as_str(), read.rule.carriage),
            (header, carriage)
        );
        assert_eq!(read.expectations.algorithms, [algorithm], "{keys}");
        assert_eq!(read.expectations.issuer, issuer);
        assert_eq!(read.expectations.claim, "email");
        assert_eq!(read.keys.url().as_str(), url);
        assert_eq!(read.rule.user_prefix.is_some(), keys.contains("google"));
    }
}

#[test]
fn every_key_of_an_assertion_can_be_set() {
    let read = config(&asserting(
        "preset = \"oidc\"\nheader = \"x-forwarded-access-token\"\nissuer = \"https://idp\"\n\
         audience = [\"a\", \"b\"]\nalgorithms = [\"PS256\", \"EdDSA\"]\nclaim = \"sub\"\n\
         keysUrl = \"http://127.0.0.1:9/k\"\ncaFile = \"ca.pem\"\nallowServices = [\"r.access\"]",
    ));
    let read = read.gateway.trusted_proxy.assertion.unwrap();
    assert_eq!(
        (read.rule.header.as_str(), read.rule.carriage),
        ("x-forwarded-access-token", Carriage::Plain)
    );
    let expected = &read.expectations;
    assert_eq!(expected.algorithms, [Algorithm::Ps256, Algorithm::EdDsa]);
    assert_eq!(expected.claim, "sub");
    let both = Audience::OneOf(vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(expected.audience, both);
    assert_eq!(read.ca_file.as_deref(), Some("ca.pem".as_ref()));
    assert!(read.rule.services.contains("r.access"));
}

#[test]
fn what_would_prove_nothing_is_refused() {
    const OIDC: &str = "preset = \"oidc\"\nissuer = \"i\"\naudience = \"a\"\n\
                        keysUrl = \"https://idp/keys\"\n";
    let key = "gateway.auth.trustedProxy.assertion";
    for (keys, expected) in [
        (
            "",
            ".preset: got nothing, expected the identity proxy that signs",
        ),
        ("preset = \"okta\"", ".preset: got a string of 4 characters"),
        (
            "preset = \"oidc\"\naudience = \"a\"",
            ".issuer: got nothing",
        ),
        (
            "preset = \"oidc\"\nissuer = \"i\"",
            ".audience: got nothing",
        ),
        (
            "preset = \"oidc\"\nissuer = \"i\"\naudience = []",
            ".audience: got an empty array",
        ),
        (
            "preset = \"oidc\"\nissuer = \"i\"\naudience = \"\"",
            ".audience: got an empty string",
        ),
        (
            "preset = \"oidc\"\nissuer = \"i\"\naudience = \"a\"",
            ".keysUrl: got nothing, expected where the issuer's public keys are",
        ),
        (
            &OIDC.replace("https://idp", "http://idp"),
            ".keysUrl: got an http URL of another host, expected https",
        ),
        (
            &format!("{OIDC}algorithms = []"),
            ".algorithms: got an empty array",
        ),
        (
            &format!("{OIDC}algorithms = [\"HS256\"]"),
            ".algorithms[0]: got `HS256`",
        ),
        (
            &format!("{OIDC}algorithms = [\"none\"]"),
            ".algorithms[0]: got `none`",
        ),
        (
            &format!("{OIDC}signer = \"a\""),
            ".signer: got a value, expected none",
        ),
        (
            &format!("{OIDC}header = \"x-forwarded-for\""),
            ".header: got `x-forwarded-for`, which is always set",
        ),
        (
            &format!("{OIDC}header = \"X_Forwarded_User\""),
            ".header: got the `userHeader`",
        ),
        (
            &format!("{OIDC}allowServices = [\"\"]"),
            ".allowServices[0]: got an empty string",
        ),
        (
            &format!("{OIDC}claim = \"common_name\""),
            ".claim: got `common_name`, which names services",
        ),
        (&format!("{OIDC}jwksUri = \"x\""), ".jwksUri: unknown key"),
        (
            "preset = \"aws-alb\"\nissuer = \"i\"\naudience = \"a\"",
            ".audience: got an audience, expected none",
        ),
        (
            "preset = \"aws-alb\"\nissuer = \"i\"\nsigner = \"x\"\nclient = \"c\"",
            ".keysUrl: got nothing, expected where the load balancer's public keys are",
        ),
    ] {
        let got = messages(&asserting(keys));
        let expected = format!("{key}{expected}");
        assert!(
            got.iter().any(|message| message.starts_with(&expected)),
            "{keys}: expected {expected}, got {got:#?}"
        );
    }
    let google = asserting("preset = \"google-iap\"\naudience = \"a\"")
        .replace("\"nick@", "\"accounts.google.com:nick@");
    assert!(
        messages(&google)[0].starts_with("gateway.auth.trustedProxy.allowUsers: got users that"),
        "{google}"
    );
}

#[test]
fn names_of_certificates_need_an_authority_and_stand_for_one_each() {
    let naming = |names: &str, tls: &str| {
        with(
            "userHeader",
            &format!("clientCertNames = {names}\nuserHeader"),
        ) + tls
    };
    let with_ca = format!("{TLS}clientCaPath = \"ca\"\n");
    let names = config(&naming(
        "[\"spiffe://x/y\", \"proxy.example.com\"]",
        &with_ca,
    ));
    let names = names.gateway.trusted_proxy.client_names.unwrap();
    assert!(names.admit(&[AltName::dns("proxy.example.com")]));
    assert!(!names.admit(&[AltName::dns("other.example.com")]));
    for (names, tls, expected) in [
        (
            "[\"a\"]",
            "",
            "got names, expected `gateway.tls.clientCaPath`",
        ),
        (
            "[\"a\"]",
            TLS,
            "got names, expected `gateway.tls.clientCaPath`",
        ),
        ("[]", &*with_ca, "got an empty array"),
        ("\"a\"", &with_ca, "got a string of 1 character"),
        (
            "[\"*.example.com\"]",
            &with_ca,
            "got a string of 13 characters",
        ),
        ("[\"10.0.0.1\"]", &with_ca, "got a string of 8 characters"),
    ] {
        let got = messages(&naming(names, tls));
        assert!(got[0].contains(expected), "{names} {tls}: {got:#?}");
        assert!(got[0].starts_with("gateway.auth.trustedProxy.clientCertNames"));
    }
    // A Unix socket's peer is whom the kernel says.
    let unix = naming("[\"a\"]", &with_ca).replace(
        "\"127.0.0.1:8443\"",
        "\"unix:/run/portcullis/p.sock\"\nunixPeerUids = [33]",
    );
    let told = warnings(&unix);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(
        told[0].contains("clientCertNames: has no effect"),
        "{told:#?}"
    );
    assert!(warnings(&naming("[\"a\"]", &with_ca)).is_empty());
}

#[test]
fn neither_proof_may_go_while_running() {
    let with_ca = format!("{TLS}clientCaPath = \"ca\"\n");
    let named = config(&(with("userHeader", "clientCertNames = [\"a\"]\nuserHeader") + &with_ca));
    let google = "preset = \"google-iap\"\naudience = \"a\"";
    let asserted = config(&asserting(google));
    let vouched = config(&asserting(&format!("{google}\ncaFile = \"ca\"")));
    for (from, to, key) in [
        (
            named,
            config(&and(&with_ca)),
            "gateway.auth.trustedProxy.clientCertNames",
        ),
        (
            asserted,
            config(LEAST),
            "gateway.auth.trustedProxy.assertion",
        ),
        (
            vouched,
            config(&asserting(google)),
            "gateway.auth.trustedProxy.assertion.caFile",
        ),
    ] {
        let refused = from.changes(&from, &to).refused;
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].key, key);
        assert_eq!(to.changes(&to, &from).refused, []);
    }
}
