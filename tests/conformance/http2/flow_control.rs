//! Windows (RFC 9113 sections 5.2 and 6.9).

use super::*;
use crate::frames::{DATA, END_HEADERS, block, window_update};

const INITIAL_WINDOW_SIZE: u16 = 4;

/// The lengths of the DATA that came.
fn lengths(seen: &Client) -> Vec<usize> {
    let data = seen.frames.iter().filter(|frame| frame.kind == DATA);
    data.map(|frame| frame.payload.len()).collect()
}

fn total(seen: &Client) -> usize {
    lengths(seen).iter().sum()
}

/// Waits for a PING's answer: all that was sent before it has been dealt with.
async fn settle(client: &mut Client) {
    let pings = |seen: &Client| {
        let answers = seen.frames.iter().filter(|frame| frame.kind == PING);
        answers.count()
    };
    let before = pings(client);
    client.send(&frame(PING, 0, 0, PROBE)).await;
    assert!(client.until(|seen| pings(seen) > before).await);
}

async fn begin(answer: &'static str, window: u32) -> (Sidecar, Client) {
    let upstream = Recorder::with_answer(answer).await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let mut client = Client::greeted(&sidecar, &[(INITIAL_WINDOW_SIZE, window)]).await;
    let fields = block(&request("GET", "/"));
    client
        .send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields))
        .await;
    (sidecar, client)
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789";

#[tokio::test]
async fn no_more_is_sent_than_the_window_takes() {
    let (_sidecar, mut client) = begin(ANSWER, 1).await;
    assert!(client.until(|seen| total(seen) == 1).await);
    settle(&mut client).await;
    assert_eq!(lengths(&client), [1]);
    client.send(&window_update(1, 3)).await;
    assert!(client.until(|seen| total(seen) == 4).await);
    settle(&mut client).await;
    assert_eq!(total(&client), 4);
    // Section 6.9.2: a new initial size changes the windows that there are.
    client.send(&settings(&[(INITIAL_WINDOW_SIZE, 7)])).await;
    assert!(client.until(|seen| seen.is_answered(1)).await);
    assert_eq!(total(&client), 10);
}

#[tokio::test]
async fn a_window_may_become_negative() {
    let (_sidecar, mut client) = begin(ANSWER, 4).await;
    assert!(client.until(|seen| total(seen) == 4).await);
    client.send(&settings(&[(INITIAL_WINDOW_SIZE, 1)])).await;
    // From -3 to 0, which is still nothing.
    client.send(&window_update(1, 3)).await;
    settle(&mut client).await;
    assert_eq!(total(&client), 4);
    client.send(&window_update(1, 1)).await;
    assert!(client.until(|seen| total(seen) == 5).await);
    settle(&mut client).await;
    assert_eq!(total(&client), 5);
}

#[tokio::test]
async fn several_values_of_one_setting_are_taken_in_turn() {
    let upstream = Recorder::with_answer(ANSWER).await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let twice = [(INITIAL_WINDOW_SIZE, 100), (INITIAL_WINDOW_SIZE, 1)];
    let mut client = Client::greeted(&sidecar, &twice).await;
    let fields = block(&request("GET", "/"));
    client
        .send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields))
        .await;
    assert!(client.until(|seen| total(seen) > 0).await);
    settle(&mut client).await;
    assert_eq!(lengths(&client), [1]);
}
