//! Tokens that name keys which don't exist, as many as somebody likes.

use super::*;
use crate::client::complete;
use crate::recorder::Reply;
use crate::signer::part;
use std::time::Instant;
use tokio::task::JoinSet;

const REQUESTS: usize = 100_000;
const CONNECTIONS: usize = 8;
/// So many are sent before the first of them is answered.
const BATCH: usize = 50;

/// A xorshift generator: ids need not be secret, they must differ.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_key_ids_by_the_hundred_thousand_cause_a_handful_of_fetches() {
    let answer = |_: &str| Reply::Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let setup = Setup::new().section("[log]\naccess = false");
    let scene = Scene::of(setup, Recorder::counting(answer).await).await;
    let rest = {
        let token = scene.token();
        token.split_once('.').unwrap().1.to_owned()
    };
    let began = Instant::now();
    let mut flooding = JoinSet::new();
    for number in 0..CONNECTIONS {
        let mut connection = scene.sidecar.connect().await;
        let (rest, genuine) = (rest.clone(), scene.token());
        let mut state = 0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1);
        flooding.spawn(async move {
            for _ in 0..REQUESTS / CONNECTIONS / BATCH {
                let mut batch = String::new();
                for _ in 0..BATCH {
                    let id = format!("{:016x}", next(&mut state));
                    let head = format!(r#"{{"alg":"ES256","kid":"{id}"}}"#);
                    let token = format!("{}.{rest}", part(head.as_bytes()));
                    batch += &complete(&format!("GET / HTTP/1.1\r\n{}", signed(&token)));
                }
                connection.write(batch).await;
                let answer = connection.response(false).await;
                assert_eq!((answer.status, answer.code().as_str()), (401, INVALID));
                // The others are as long, for all that differs is the request's id.
                let length = answer.head.len() + 4 + answer.body.len();
                let others = connection.read_exactly(length * (BATCH - 1)).await;
                let others = String::from_utf8(others.expect("closed")).unwrap();
                assert_eq!(others.matches("HTTP/1.1 401 ").count(), BATCH - 1);
                // Whoever is genuine gets in between them.
                assert_eq!(asked(&mut connection, &signed(&genuine)).await, "200");
            }
        });
    }
    assert_eq!(flooding.join_all().await.len(), CONNECTIONS);
    let (fetches, took) = (scene.issuer.fetches().len(), began.elapsed());
    // The one at the start, and then one in ten seconds.
    assert!(fetches >= 1);
    let most = 2 + took.as_secs() as usize / 10;
    assert!(fetches <= most, "{fetches} fetches in {took:?}");
    let denied = format!("portcullis_denials_total{{code=\"{INVALID}\"}}");
    scene.sidecar.counts(&denied, REQUESTS as f64).await;
}
