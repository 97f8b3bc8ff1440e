//! Answers pass piece by piece, and either side's leaving reaches the other.

use super::provider::{Provider, Reply, Script};
use super::{anthropic, back_door, request, section, start};
use crate::client::Connection;
use crate::sidecar::{Sidecar, until};
use std::time::{Duration, Instant};

const PATH: &str = "POST /anthropic/v1/messages";

async fn caller(sidecar: &Sidecar) -> Connection {
    let mut caller = Connection::tcp(sidecar.models()).await;
    caller.write(request(PATH, "", "{\"stream\":true}")).await;
    caller
}

/// A caller that is owed what the script says.
async fn streamed(provider: &Provider, sidecar: &Sidecar) -> (Connection, Script) {
    let (reply, script) = Reply::stream();
    provider.answers_others(reply);
    (caller(sidecar).await, script)
}

async fn piece(caller: &mut Connection, text: &str) {
    let read = caller.read_until(text.as_bytes()).await;
    assert!(read.is_some(), "it ended before {text:?}");
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_sent() {
    let provider = Provider::spawn().await;
    // With a second key the first event is looked at, with one it isn't.
    for keys in [&["key-1", "key-2"][..], &["key-1"]] {
        let sidecar = anthropic(&provider, keys);
        let (mut caller, script) = streamed(&provider, &sidecar).await;
        for number in 0..20 {
            let event = format!("event: delta\ndata: {{\"n\":{number}}}\n\n");
            script.piece(&event);
            piece(&mut caller, &event).await;
        }
        script.end();
        piece(&mut caller, "0\r\n\r\n").await;
    }
}

#[tokio::test]
async fn a_comment_or_a_part_of_another_event_is_not_held_back() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &["key-1", "key-2"]);
    let began = Instant::now();
    for start in [": ping\n\n", "event: message_start\n", "event: ping"].repeat(5) {
        let (mut caller, script) = streamed(&provider, &sidecar).await;
        script.piece(start);
        piece(&mut caller, start).await;
        script.end();
    }
    // Held back, each would take a second.
    assert!(began.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn what_may_be_an_error_is_held_back_for_a_moment_only() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &["key-1", "key-2"]);
    let (mut caller, script) = streamed(&provider, &sidecar).await;
    script.piece("data: {\"half\"");
    piece(&mut caller, "data: {\"half\"").await;
    script.piece(":1}\n\n");
    piece(&mut caller, ":1}\n\n").await;
}

#[tokio::test]
async fn a_caller_that_leaves_in_the_middle_ends_the_call() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &["key-1"]);
    let (mut caller, script) = streamed(&provider, &sidecar).await;
    script.piece("data: 1\n\n");
    piece(&mut caller, "data: 1\n\n").await;
    drop(caller);
    provider.is_left(1).await;
    let line = sidecar
        .logged(|line| line["message"] == "model request")
        .await;
    assert_eq!(line["outcome"], "client_gone");
}

#[tokio::test]
async fn a_caller_that_leaves_before_the_answer_ends_the_call() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &["key-1", "key-2"]);
    provider.answers_others(Reply::Silence);
    let caller = caller(&sidecar).await;
    provider.nth(1).await;
    drop(caller);
    provider.is_left(1).await;
    assert_eq!(provider.shown(), ["key-1"]);
}

#[tokio::test]
async fn an_answer_that_breaks_off_arrives_broken() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &["key-1", "key-2"]);
    let (mut caller, script) = streamed(&provider, &sidecar).await;
    script.piece("event: delta\ndata: 1\n\n");
    piece(&mut caller, "data: 1\n\n").await;
    script.break_off();
    let rest = caller.read_to_end().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{rest:?}");
    assert_eq!(provider.shown(), ["key-1"]);
    let outcome =
        "portcullis_model_requests_total{outcome=\"upstream_error\",provider=\"anthropic\"}";
    assert_eq!(sidecar.metric(outcome).await, Some(1.0));
}

#[tokio::test]
async fn an_answer_that_breaks_off_before_its_first_event_is_an_error() {
    let provider = Provider::spawn().await;
    let sidecar = anthropic(&provider, &["key-1", "key-2"]);
    let (mut caller, script) = streamed(&provider, &sidecar).await;
    script.break_off();
    let answer = caller.response(false).await;
    assert_eq!(
        super::refusal(&answer),
        (502, "upstream_unreachable".to_owned())
    );
    assert_eq!(provider.shown(), ["key-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_under_way_goes_on_after_sigterm_up_to_its_end_or_the_grace_times() {
    for is_ended in [true, false] {
        let provider = Provider::spawn().await;
        let grace = if is_ended { "15s" } else { "1s" };
        let setup = back_door(&section("anthropic", &provider, &["key"]))
            .section(&format!("[limits]\nshutdownGrace = \"{grace}\""));
        let mut sidecar = start(setup);
        let (mut caller, script) = streamed(&provider, &sidecar).await;
        script.piece("data: 1\n\n");
        piece(&mut caller, "data: 1\n\n").await;
        sidecar.signal("TERM");
        sidecar.logged(|line| line["message"] == "draining").await;
        let address = sidecar.models();
        until(|| std::net::TcpStream::connect(address).is_err().then_some(())).await;
        script.piece("data: 2\n\n");
        piece(&mut caller, "data: 2\n\n").await;
        if is_ended {
            script.end();
        }
        let rest = caller.read_to_end().await;
        assert_eq!(rest.ends_with(b"0\r\n\r\n"), is_ended, "{rest:?}");
        assert!(sidecar.wait().success());
    }
}

#[tokio::test]
async fn a_caller_whose_token_a_reload_takes_away_is_cut_off_and_no_other() {
    let provider = Provider::spawn().await;
    let models = format!(
        "clientToken = \"main-token\"\n{}\
         [agents.work]\nclientToken = \"work-token\"\nsharedKeys = true\n\
         [agents.home]\nclientToken = \"home-token\"\nsharedKeys = true\n",
        section("anthropic", &provider, &["key-1"])
    );
    let sidecar = start(back_door(&models));
    let mut calls = Vec::new();
    for token in ["main-token", "work-token", "home-token"] {
        let (reply, script) = Reply::stream();
        provider.answers_others(reply);
        let mut caller = Connection::tcp(sidecar.models()).await;
        let fields = format!("x-api-key: {token}\r\n");
        caller
            .write(request(PATH, &fields, "{\"stream\":true}"))
            .await;
        script.piece("event: first\ndata: {}\n\n");
        piece(&mut caller, "event: first").await;
        calls.push((caller, script));
    }
    let [main, work, home] = &mut calls[..] else {
        unreachable!("three calls were begun")
    };
    sidecar.edit(|config| {
        let without = config.replace(
            "[agents.work]\nclientToken = \"work-token\"\nsharedKeys = true\n",
            "",
        );
        without.replace("home-token", "another-token")
    });
    let began = Instant::now();
    assert_eq!(sidecar.reload().await.0, 200);
    for (gone, _) in [work, home] {
        assert_eq!(gone.read_until(b"never").await, None);
    }
    assert!(began.elapsed() < Duration::from_secs(1));
    main.1.piece("event: second\ndata: {}\n\n");
    piece(&mut main.0, "event: second").await;
    let revoked = sidecar.metric("portcullis_revoked_total").await;
    assert_eq!(revoked, Some(2.0));
}
