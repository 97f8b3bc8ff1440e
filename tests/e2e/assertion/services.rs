//! Service tokens: they name themselves, where they may come at all.

use super::*;
use crate::recorder::Reply;
use crate::websocket::{SWITCHED, close_frame, expect_echo, open_on};

const ROBOT: &str = "88bf3b6d86161464f6509f7219099e57.access";
const ALLOWED: &str = "allowServices = [\"88bf3b6d86161464f6509f7219099e57.access\"]";

/// As Cloudflare Access writes one.
fn service(name: &str) -> Value {
    but(
        but(claims_but("email", Value::Null), "sub", ""),
        "common_name",
        name,
    )
}

fn alone(token: &str) -> String {
    format!("{PROTO}x-signed: {token}\r\n")
}

#[tokio::test]
async fn a_listed_service_passes_by_its_name_and_without_a_user() {
    let upstream = Recorder::spawn().await;
    let scene = Scene::with(ALLOWED, Setup::new(), upstream).await;
    let mut connection = scene.sidecar.connect().await;
    let token = |claims: &Value| scene.signer.token(&header("ES256", "ec"), claims);
    let robot = token(&service(ROBOT));
    assert_eq!(asked(&mut connection, &alone(&robot)).await, "200");
    assert_eq!(scene.upstream.only().values("x-forwarded-user"), [ROBOT]);
    let not_allowed = "trusted_proxy_user_not_allowed";
    for (fields, code) in [
        (signed(&robot), MISMATCH),
        (
            format!("{}x-forwarded-user: {ROBOT}\r\n", alone(&robot)),
            MISMATCH,
        ),
        (alone(&token(&service("other.access"))), not_allowed),
        // A service's name is no user's, nor the other way round.
        (alone(&token(&service(NICK))), not_allowed),
        (alone(&token(&claims_but("email", ROBOT))), not_allowed),
        (
            alone(&token(&but(service(ROBOT), "common_name", json!([ROBOT])))),
            INVALID,
        ),
    ] {
        assert_eq!(asked(&mut connection, &fields).await, code, "{fields}");
    }
    // Who has both is a user.
    let both = token(&but(service(ROBOT), "email", NICK));
    assert_eq!(asked(&mut connection, &alone(&both)).await, "200");
    let requests = scene.upstream.requests();
    assert_eq!(requests[1].values("x-forwarded-user"), [NICK]);
    assert_eq!(requests.len(), 2);
}

#[tokio::test]
async fn no_service_passes_where_none_is_listed() {
    let scene = Scene::new().await;
    let token = scene.signer.token(&header("ES256", "ec"), &service(ROBOT));
    let answer = scene
        .sidecar
        .send(&format!("GET / HTTP/1.1\r\n{}", alone(&token)))
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "trusted_proxy_user_not_allowed")
    );
    assert!(scene.upstream.requests().is_empty());
}

#[tokio::test]
async fn a_service_that_is_taken_off_the_list_is_put_out_and_users_stay() {
    let upstream = Recorder::counting(|_| Reply::Echo(SWITCHED)).await;
    let scene = Scene::with(ALLOWED, Setup::new(), upstream).await;
    let sidecar = &scene.sidecar;
    let robot = scene.signer.token(&header("ES256", "ec"), &service(ROBOT));
    let mut service = open_on(sidecar.connect().await, &alone(&robot)).await;
    let mut user = open_on(sidecar.connect().await, &signed(&scene.token())).await;
    for session in [&mut service, &mut user] {
        expect_echo(session, "before").await;
    }
    sidecar.edit(|config| config.replace(ALLOWED, "allowServices = [\"other.access\"]"));
    let (status, answer) = sidecar.reload().await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(service.read_to_end().await, close_frame(4001));
    let ended = sidecar
        .logged(|line| line["revocation.code"].is_string())
        .await;
    assert_eq!(ended["revocation.code"], "trusted_proxy_user_not_allowed");
    expect_echo(&mut user, "after").await;
    let answer = sidecar
        .send(&format!("GET / HTTP/1.1\r\n{}", alone(&robot)))
        .await;
    assert_eq!(answer.status, 403);
}
