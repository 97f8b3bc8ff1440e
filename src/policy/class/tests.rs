use super::*;

fn classifier() -> Classifier {
    let parse = |name| FieldName::parse(name).unwrap();
    Classifier::new(&Names {
        user: &parse("x-forwarded-user"),
        credential: Some(&parse("x-api-key")),
        assertion: None,
        required: &[
            parse("x-forwarded-proto"),
            parse("x-proxy-secret"),
            parse("remote_addr"),
        ],
        pass: &[
            parse("x-auth-request-groups"),
            parse("x-role"),
            parse("connection"),
        ],
    })
}

fn class(name: &str) -> Option<Class> {
    match classifier().find(name) {
        Found::Ordinary => Some(Class::Pass),
        Found::Known(entry) => Some(entry.class),
        Found::Foreign => Some(Class::Drop),
        Found::Alias(_) => None,
    }
}

#[test]
fn knows_each_name_in_any_case() {
    for (name, expected) in [
        ("accept", Class::Pass),
        ("authorization", Class::Pass),
        ("x-openclaw-agent", Class::Pass),
        ("x-openclaw-session-key", Class::Pass),
        ("x-forwarded", Class::Pass),
        ("remote", Class::Pass),
        ("referer", Class::Pass),
        ("Host", Class::Host),
        ("CONNECTION", Class::Connection),
        ("Cookie", Class::Cookie),
        ("X-Forwarded-For", Class::ForwardedFor),
        ("X-Forwarded-Proto", Class::ForwardedProto),
        ("x-forwarded-host", Class::ForwardedHost),
        ("x-forwarded-port", Class::Drop),
        ("X-Forwarded-User", Class::User),
        ("X-OpenClaw-Scopes", Class::Scopes),
        ("X-Api-Key", Class::Credential),
        ("x-proxy-secret", Class::Named),
        ("remote_addr", Class::Named),
        ("X-Role", Class::Named),
        ("x_role", Class::Drop),
        ("x-auth-request-groups", Class::Named),
        ("x_auth_request_groups", Class::Drop),
        ("X-Auth-Request-Email", Class::Drop),
        ("transfer_encoding", Class::Drop),
        ("", Class::Pass),
    ] {
        assert_eq!(class(name), Some(expected), "{name}");
    }
}

#[test]
fn takes_out_every_identity_header_of_contract_3_under_any_spelling() {
    for name in [
        "forwarded",
        "x-forwarded-uri",
        "x-forwarded-method",
        "x-forwarded-email",
        "x-forwarded-groups",
        "x-forwarded-client-cert",
        "x-forwarded-prefix",
        "x-forwarded-server",
        "x-forwarded-access-token",
        "x-auth-request-user",
        "x-pomerium-jwt-assertion",
        "cf-access-jwt-assertion",
        "cf-access-authenticated-user-email",
        "x-goog-authenticated-user-email",
        "x-goog-iap-jwt-assertion",
        "x-amzn-oidc-identity",
        "x-ms-client-principal",
        "x-ms-client-principal-name",
        "x-ms-token-aad-id-token",
        "tailscale-user-login",
        "remote-user",
        "remote-groups",
        "x-remote-user",
        "x-webauth-user",
        "x-authentik-username",
        "x-vouch-user",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "x-tls-client-subject",
        "x-ssl-client-s-dn",
    ] {
        assert_eq!(class(name), Some(Class::Drop), "{name}");
        assert_eq!(class(&name.to_uppercase()), Some(Class::Drop), "{name}");
        assert_eq!(class(&name.replace('-', "_")), Some(Class::Drop), "{name}");
        assert_eq!(
            class(&name.replacen('-', ".", 1)),
            Some(Class::Drop),
            "{name}"
        );
    }
}

#[test]
fn knows_aliases_of_owned_names() {
    for name in [
        "x_forwarded_user",
        "x.forwarded.user",
        "X-Forwarded_User",
        "X_FORWARDED_FOR",
        "x-real_ip",
        "x.request-id",
        "x_openclaw_scopes",
        "x_api_key",
        "x_proxy_secret",
        "remote-addr",
        "remote.addr",
    ] {
        assert_eq!(class(name), None, "{name}");
    }
}

#[test]
fn finds_long_names_by_prefix_and_whole() {
    let long = format!("x-{}", "y".repeat(100));
    let owned = FieldName::parse(&long).unwrap();
    let classifier = Classifier::new(&Names {
        user: &owned,
        credential: None,
        assertion: None,
        required: &[],
        pass: &[],
    });
    assert!(matches!(classifier.find(&long), Found::Known(entry) if entry.class == Class::User));
    assert!(matches!(
        classifier.find(&format!("x-{}", "y".repeat(99))),
        Found::Ordinary
    ));
    assert!(matches!(
        classifier.find(&format!("tailscale-{long}")),
        Found::Foreign
    ));
}

#[test]
fn settles_ordinary_names_by_first_letter_and_length() {
    let classifier = classifier();
    for name in [
        "accept",
        "accept-encoding",
        "accept-language",
        "user-agent",
        "origin",
        "authorization",
        "sec-fetch-mode",
        "sec-websocket-key",
        "dnt",
        "pragma",
        "if-none-match",
        "range",
    ] {
        assert_eq!(
            classifier.lengths[slot(name)] & length_bit(name.len()),
            0,
            "{name}"
        );
    }
}

#[test]
fn headers_of_other_proxies_are_known_by_name() {
    for (name, foreign) in [
        ("x-forwarded-client-cert", true),
        ("X_Pomerium_Claim_Email", true),
        ("Forwarded", true),
        ("x-original-url", true),
        ("remote-user", true),
        ("remote", false),
        ("x-request-id", false),
        ("x-custom-proof", false),
    ] {
        assert_eq!(is_foreign(name), foreign, "{name}");
    }
}
