//! Logins are renewed once, in time, and without losing one.

use super::login::{CALL, NAME, Town, profile};
use super::provider::Reply;
use super::{call, eventually, refusal, start, state_of};
use crate::oauth_server::{ACCOUNT, CANARY};
use crate::sidecar::{Sidecar, until};
use futures_util::future::join_all;
use serde_json::json;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn refreshes(outcome: &str) -> String {
    format!("portcullis_model_refreshes_total{{outcome=\"{outcome}\",provider=\"openai-codex\"}}")
}

async fn status(sidecar: &Sidecar) -> u16 {
    call(sidecar, CALL, "", "{}").await.status
}

#[tokio::test]
async fn a_call_names_the_account_of_its_login() {
    let town = Town::new(3600).await;
    let sidecar = start(town.setup());
    let fields = "chatgpt-account-id: mine\r\n";
    assert_eq!(call(&sidecar, CALL, fields, "{}").await.status, 200);
    let got = town.provider.only();
    assert_eq!(got.values("authorization"), ["Bearer access-0"]);
    assert_eq!(got.values("chatgpt-account-id"), ["acc-of-login"]);
    assert!(town.uses().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_of_two_processes_refresh_once() {
    let town = Town::new(-1).await;
    town.server.delay(Duration::from_millis(300));
    let both = [start(town.setup()), start(town.setup())];
    let calls = both
        .iter()
        .flat_map(|sidecar| (0..100).map(move |_| status(sidecar)));
    let answers = join_all(calls).await;
    assert_eq!(answers, [200; 200]);
    assert_eq!(town.uses(), [("refresh-0".to_owned(), 1)]);
    let access = format!("Bearer {}", town.stored()["access"].as_str().unwrap());
    for request in town.provider.requests() {
        assert_eq!(request.values("authorization"), [access.as_str()]);
        assert_eq!(request.values("chatgpt-account-id"), [ACCOUNT]);
    }
    assert_eq!(
        town.stored()["refresh"].as_str(),
        town.server.current().as_deref()
    );
}

#[tokio::test]
async fn a_401_on_a_token_that_looked_good_refreshes_once_and_sends_again() {
    let town = Town::new(3600).await;
    town.provider.answers("access-0", Reply::status(401, "{}"));
    let sidecar = start(town.setup());
    let body = format!("{{\"text\":\"{}\"}}", "x".repeat(1 << 20));
    assert_eq!(call(&sidecar, CALL, "", &body).await.status, 200);
    assert_eq!(town.uses(), [("refresh-0".to_owned(), 1)]);
    let requests = town.provider.requests();
    assert_eq!(requests.len(), 2);
    assert!(
        requests
            .iter()
            .all(|request| request.body == body.as_bytes())
    );
    assert!(requests[1].head.contains(&format!(".{CANARY}")));
    assert_eq!(sidecar.metric(&refreshes("ok")).await, Some(1.0));
    assert_eq!(status(&sidecar).await, 200);
    assert_eq!(town.provider.requests().len(), 3);
}

#[tokio::test]
async fn a_token_that_another_process_has_renewed_is_taken_over() {
    let town = Town::new(3600).await;
    town.provider.answers("access-0", Reply::status(401, "{}"));
    let (one, other) = (start(town.setup()), start(town.setup()));
    assert_eq!(status(&one).await, 200);
    assert_eq!(status(&other).await, 200);
    assert_eq!(town.uses(), [("refresh-0".to_owned(), 1)]);
}

#[tokio::test]
async fn a_login_that_openclaw_calls_openai_serves_openai_codex_alone() {
    let town = Town::new(3600).await;
    let mut login = profile("access-o", "refresh-o", 3600);
    login["provider"] = json!("openai");
    town.write(json!({"openai:default": login}));
    let sidecar = start(town.setup());
    for path in ["/openai-codex", "/openai-codex@openai:default"] {
        town.provider.forget();
        let answer = call(&sidecar, &format!("POST {path}/responses"), "", "{}").await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(town.provider.shown(), ["access-o"], "{path}");
    }
    let answer = call(&sidecar, "POST /openai/responses", "", "{}").await;
    assert_eq!(refusal(&answer), (503, "no_credential".to_owned()));
}

#[tokio::test]
async fn a_401_on_the_new_token_too_is_the_answer() {
    let town = Town::new(3600).await;
    town.provider
        .answers_others(Reply::status(401, r#"{"error":"theirs"}"#));
    let sidecar = start(town.setup());
    let answer = call(&sidecar, CALL, "", "{}").await;
    assert_eq!(
        (answer.status, answer.json()["error"].as_str()),
        (401, Some("theirs"))
    );
    assert_eq!(town.provider.requests().len(), 2);
    assert_eq!(town.uses().len(), 1);
}

#[tokio::test]
async fn where_the_refresh_is_refused_the_next_profile_serves() {
    let town = Town::new(3600).await;
    // The server knows another refresh token than this.
    town.write(json!({
        "openai-codex:a": profile("access-a", "refresh-a", -1),
        "openai-codex:b": profile("access-b", "refresh-b", 3600),
    }));
    let sidecar = start(town.setup());
    for _ in 0..3 {
        assert_eq!(status(&sidecar).await, 200);
    }
    assert_eq!(town.provider.shown(), ["access-b"; 3]);
    assert_eq!(town.uses(), [("refresh-a".to_owned(), 1)]);
    eventually(|| async { state_of(&sidecar, "openai-codex:a").await == "needs_login" }).await;
    assert_eq!(state_of(&sidecar, "openai-codex:b").await, "ready");
    assert_eq!(sidecar.metric(&refreshes("refused")).await, Some(1.0));
    eventually(|| async {
        let gauge = "portcullis_model_credentials{provider=\"openai-codex\",state=\"needs_login\"}";
        sidecar.metric(gauge).await == Some(1.0)
    })
    .await;
    let told = sidecar
        .logged(|line| line["message"] == "the login was not refreshed")
        .await;
    assert_eq!(told["profile"], "openai-codex:a");
}

#[tokio::test]
async fn a_401_whose_refresh_is_refused_goes_on_with_the_next_profile() {
    let town = Town::new(3600).await;
    town.write(json!({
        "openai-codex:a": profile("access-a", "refresh-a", 3600),
        "openai-codex:b": profile("access-b", "refresh-b", 3600),
    }));
    town.provider.answers("access-a", Reply::status(401, "{}"));
    let sidecar = start(town.setup());
    // Again and again, for the access token has not ended by the clock.
    for _ in 0..3 {
        town.provider.forget();
        assert_eq!(status(&sidecar).await, 200);
        assert_eq!(town.provider.shown(), ["access-a", "access-b"]);
    }
    assert_eq!(town.uses(), [("refresh-a".to_owned(), 1)]);
}

#[tokio::test]
async fn a_token_server_that_was_away_for_a_moment_is_asked_again_soon() {
    let town = Town::new(-1).await;
    town.server.refuse(503, "{}");
    let sidecar = start(town.setup());
    assert_eq!(status(&sidecar).await, 503);
    town.server.recover();
    eventually(|| async { status(&sidecar).await == 200 }).await;
}

#[tokio::test]
async fn a_token_server_that_is_unwell_does_no_harm_while_the_token_lives() {
    let town = Town::new(240).await;
    town.server.refuse(503, "{}");
    let sidecar = start(town.setup());
    eventually(|| async { sidecar.metric(&refreshes("failed")).await == Some(1.0) }).await;
    assert_eq!(status(&sidecar).await, 200);
    assert_eq!(town.provider.shown(), ["access-0"]);
    assert_eq!(state_of(&sidecar, NAME).await, "ready");
    assert!(town.stored().get("refreshAttempt").is_none());
}

#[tokio::test]
async fn a_login_is_renewed_before_it_ends_though_nobody_calls() {
    let town = Town::new(240).await;
    town.server.lifetime(4);
    let _sidecar = start(town.setup());
    // Each token lives for four seconds, and is renewed when half of that is over.
    until(|| (town.uses().len() >= 3).then_some(())).await;
    assert!(
        town.uses().iter().all(|(_, times)| *times == 1),
        "{:?}",
        town.uses()
    );
    assert!(town.provider.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_waits_for_a_refresh_under_way() {
    let town = Town::new(-1).await;
    town.server.delay(Duration::from_secs(1));
    let mut sidecar = start(town.setup());
    until(|| town.stored().get("refreshAttempt").map(drop)).await;
    assert!(town.uses().is_empty());
    sidecar.signal("TERM");
    assert!(sidecar.wait().success());
    assert_eq!(town.uses(), [("refresh-0".to_owned(), 1)]);
    let stored = town.stored();
    assert_eq!(stored["refresh"].as_str(), town.server.current().as_deref());
    assert!(stored.get("refreshAttempt").is_none(), "{stored}");
}

const KILLS: usize = 50;

/// Calls one after the other, until nobody listens.
async fn load(address: SocketAddr) {
    let request = super::request(CALL, "", "{}");
    while let Ok(mut stream) = TcpStream::connect(address).await {
        let mut start = [0; 12];
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.read_exact(&mut start).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_spends_no_refresh_token_twice() {
    let town = Town::new(3600).await;
    town.server.delay(Duration::from_millis(40));
    // Whatever token is shown, it is to be renewed.
    town.provider.answers_others(Reply::status(401, "{}"));
    let (mut good, mut marked) = (0, 0);
    for round in 1..=KILLS {
        let sidecar = start(town.setup());
        let address = sidecar.models();
        let load: Vec<_> = (0..4).map(|_| tokio::spawn(load(address))).collect();
        until(|| town.stored().get("refreshAttempt").map(drop)).await;
        // Before it is sent, until after the new tokens are saved.
        let random = RandomState::new().hash_one(round) % 90_000;
        tokio::time::sleep(Duration::from_micros(random)).await;
        drop(sidecar);
        for task in load {
            task.abort();
        }
        // What it had sent arrives after its end.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let uses = town.uses();
        let is_marked = town.stored().get("refreshAttempt").is_some();

        let sidecar = start(town.setup());
        status(&sidecar).await;
        if is_marked {
            marked += 1;
            assert_eq!(town.uses(), uses);
            eventually(|| async { state_of(&sidecar, NAME).await == "needs_login" }).await;
            drop(sidecar);
            town.log_in(&format!("refresh-of-login-{round}"), 3600);
        } else {
            good += 1;
            assert_eq!(town.uses().len(), uses.len() + 1, "{:#?}", sidecar.log());
            // The provider answers 401 to whatever it is shown.
            assert_eq!(state_of(&sidecar, NAME).await, "rejected");
        }
        assert!(
            town.uses().iter().all(|(_, times)| *times == 1),
            "{:?}",
            town.uses()
        );
    }
    // Both were met.
    assert!(good > 0 && marked > 0, "{good} good, {marked} marked");
}
