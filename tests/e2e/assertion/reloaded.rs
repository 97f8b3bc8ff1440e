//! What a reload of the assertion's rules takes away, and what it may not.

use super::*;
use crate::recorder::Reply;
use crate::sidecar::PATIENCE;
use crate::websocket::{SWITCHED, close_frame, expect_echo, open_on};
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(50);

/// Serves requests, and WebSockets that echo.
async fn both() -> Recorder {
    Recorder::counting(|head| match head.contains("upgrade: websocket") {
        true => Reply::Echo(SWITCHED),
        false => Reply::Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
    })
    .await
}

#[tokio::test]
async fn another_audience_ends_what_the_old_one_opened_and_forgets_whom_it_knew() {
    let scene = Scene::of(Setup::new(), both().await).await;
    let sidecar = &scene.sidecar;
    let token = scene.token();
    let mut connection = sidecar.connect().await;
    assert_eq!(asked(&mut connection, &signed(&token)).await, "200");
    let mut session = open_on(sidecar.connect().await, &signed(&token)).await;
    expect_echo(&mut session, "before").await;
    // A reload that changes nothing of it leaves it alone.
    assert_eq!(sidecar.reload().await.0, 200);
    expect_echo(&mut session, "unchanged").await;
    sidecar.edit(|config| config.replace("audience = \"claw\"", "audience = \"other\""));
    let (status, answer) = sidecar.reload().await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(session.read_to_end().await, close_frame(4001));
    let ended = sidecar
        .logged(|line| line["revocation.code"].is_string())
        .await;
    assert_eq!(ended["revocation.code"], "assertion_changed");
    assert_eq!(asked(&mut connection, &signed(&token)).await, INVALID);
    let other = scene
        .signer
        .token(&header("ES256", "ec"), &claims_but("aud", "other"));
    assert_eq!(asked(&mut connection, &signed(&other)).await, "200");
    // The keys are those of before: nobody was asked for them again.
    assert_eq!(scene.issuer.fetches().len(), 1);
}

#[tokio::test]
async fn keys_that_are_not_to_be_had_change_nothing() {
    let scene = Scene::of(Setup::new(), both().await).await;
    let (sidecar, issuer) = (&scene.sidecar, &scene.issuer);
    let good = sidecar.config();
    let token = scene.token();
    let mut session = open_on(sidecar.connect().await, &signed(&token)).await;
    issuer.publish("/html", "<html>not found</html>");
    issuer.publish("/none", r#"{"keys":[]}"#);
    issuer.publish(
        "/enc",
        &json!({"keys": [but(scene.signer.jwk("ec"), "use", "enc")]}).to_string(),
    );
    for place in ["/nowhere", "/html", "/none", "/enc"].map(|path| issuer.url(path)) {
        sidecar.edit(|_| good.replace(&issuer.keys_url(), &place));
        let (status, answer) = sidecar.reload().await;
        assert_eq!(
            (status, &answer["generation"]),
            (422, &1.into()),
            "{answer}"
        );
        let key = "gateway.auth.trustedProxy.assertion.keysUrl";
        assert_eq!(answer["problems"][0]["key"], key, "{answer}");
        let fresh = scene
            .signer
            .token(&header("ES256", "ec"), &claims_but("jti", place));
        let answer = sidecar
            .send(&format!("GET / HTTP/1.1\r\n{}", signed(&fresh)))
            .await;
        assert_eq!(answer.status, 200);
        assert_eq!(sidecar.admin("GET /readyz").await.status, 200);
    }
    expect_echo(&mut session, "after").await;
    // Another issuer of keys: whom the old one proved isn't proven.
    let next = Signer::p256();
    issuer.publish("/next", &json!({"keys": [next.jwk("ec")]}).to_string());
    sidecar.edit(|_| good.replace(&issuer.keys_url(), &issuer.url("/next")));
    assert_eq!(sidecar.reload().await.0, 200);
    assert_eq!(session.read_to_end().await, close_frame(4001));
    for (signer, expected) in [(&scene.signer, 401), (&next, 200)] {
        let token = signer.token(&header("ES256", "ec"), &claims());
        let answer = sidecar
            .send(&format!("GET / HTTP/1.1\r\n{}", signed(&token)))
            .await;
        assert_eq!(answer.status, expected);
    }
}

#[tokio::test]
async fn signed_identity_does_not_go_by_being_left_out() {
    let scene = Scene::of(Setup::new(), both().await).await;
    let sidecar = &scene.sidecar;
    let good = sidecar.config();
    let start = good.find("[gateway.auth.trustedProxy.assertion]").unwrap();
    let end = start + good[start..].find("[admin]").unwrap();
    for (config, key) in [
        (format!("{}{}", &good[..start], &good[end..]), ""),
        (good.replace("issuer = ", "#issuer = "), ".issuer"),
        (good.replace("audience = ", "#audience = "), ".audience"),
        (good.replace("[\"ES256\"]", "[]"), ".algorithms"),
        (good.replace("[\"ES256\"]", "[\"none\"]"), ".algorithms"),
        (good.replace("[\"ES256\"]", "[\"HS256\"]"), ".algorithms"),
        (
            good.replace("http://127.0.0.1", "http://10.0.0.1"),
            ".keysUrl",
        ),
    ] {
        sidecar.edit(|_| config);
        let (status, answer) = sidecar.reload().await;
        assert_eq!(status, 422, "{answer}");
        let key = format!("gateway.auth.trustedProxy.assertion{key}");
        let problems = answer["problems"].as_array().unwrap();
        let named = |problem: &Value| problem["key"].as_str().unwrap().starts_with(&key);
        assert!(problems.iter().any(named), "{key}: {answer}");
        let bare = format!("GET / HTTP/1.1\r\n{PROTO}x-forwarded-user: {NICK}\r\n");
        assert_eq!(sidecar.send(&bare).await.code(), MISSING);
    }
}

#[tokio::test]
async fn who_was_not_proven_before_an_assertion_was_asked_for_is_put_out() {
    let upstream = both().await;
    let signer = Signer::p256();
    let issuer = Issuer::with_keys(&[signer.jwk("ec")]);
    let sidecar = Setup::new().spawn(&upstream.url());
    let token = signer.token(&header("ES256", "ec"), &claims());
    let mut session = open_on(sidecar.connect().await, &signed(&token)).await;
    expect_echo(&mut session, "before").await;
    let asked_for = gateway(&usual(&issuer.keys_url()));
    sidecar.edit(|config| config.replace(GATEWAY, &asked_for));
    let (status, answer) = sidecar.reload().await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(session.read_to_end().await, close_frame(4001));
    let mut session = open_on(sidecar.connect().await, &signed(&token)).await;
    expect_echo(&mut session, "after").await;
}

#[tokio::test]
async fn files_of_the_configuration_in_force_are_watched_on_where_no_keys_came() {
    let upstream = both().await;
    let (signer, folder) = (Signer::p256(), tempfile::tempdir().unwrap());
    let issuer = Issuer::with_keys(&[signer.jwk("ec")]);
    let users = folder.path().join("users");
    std::fs::write(&users, format!("{NICK}\nada@example.com\n")).unwrap();
    let listed = "allowUsers = [\"nick@example.com\", \"ada@example.com\"]";
    let in_file = format!("allowUsersFile = \"{}\"", users.display());
    let gateway = gateway(&usual(&issuer.keys_url())).replace(listed, &in_file);
    let sidecar = Setup::new().gateway(&gateway).spawn(&upstream.url());
    let good = sidecar.config();
    let elsewhere = good.replace(&issuer.keys_url(), &issuer.url("/nowhere"));
    sidecar.edit(|_| elsewhere.replace(&in_file, listed));
    assert_eq!(sidecar.reload().await.0, 422);
    // Nick is taken off the list, which is in force, and nobody asks for a reload.
    std::fs::write(&users, "ada@example.com\n").unwrap();
    let by_itself = |status: Value| status["lastReload"]["trigger"] == "files";
    let began = Instant::now();
    while !by_itself(crate::reload::status(&sidecar).await) {
        assert!(began.elapsed() < PATIENCE, "nobody watches the file");
        tokio::time::sleep(LOOK).await;
    }
    sidecar.edit(|_| good);
    let token = signer.token(&header("ES256", "ec"), &claims());
    let mut connection = sidecar.connect().await;
    while asked(&mut connection, &signed(&token)).await == "200" {
        assert!(began.elapsed() < PATIENCE * 2, "he is still let in");
        tokio::time::sleep(LOOK).await;
    }
    let denied = asked(&mut connection, &signed(&token)).await;
    assert_eq!(denied, "trusted_proxy_user_not_allowed");
}
