//! A token is as good as a password while it lasts: its text shows nowhere.

use super::*;
use crate::client::complete;
use crate::websocket::UPGRADE;

#[tokio::test]
async fn no_part_of_a_token_shows_in_logs_answers_or_the_status() {
    let setup = Setup::new().section("[log]\nlevel = \"debug\"\n").tls();
    let scene = Scene::of(setup, Recorder::spawn().await).await;
    let sidecar = &scene.sidecar;
    let multiplexed = Http2Client::connect(sidecar.address, &sidecar.certificate()).await;
    let good = scene.token();
    let (head, signature) = good.rsplit_once('.').unwrap();
    let token = |header: &Value, claims: &Value| scene.signer.token(header, claims);
    let usual = header("ES256", "ec");
    let tokens = [
        good.clone(),
        format!("{head}.{}", &signature[1..]),
        format!("{head}.{}A", signature),
        format!("{good}.{signature}"),
        good.replace('.', ":"),
        token(&header("ES256", "unknown"), &claims()),
        token(&header("none", "ec"), &claims()),
        token(&usual, &claims_but("exp", now() - 60)),
        token(&usual, &claims_but("aud", "other")),
        token(&usual, &claims_but("email", "ada@example.com")),
        token(&usual, &claims_but("email", "eve@example.com")),
        token(&usual, &claims_but("email", Value::Null)),
        good.chars().rev().collect(),
    ];
    let mut seen = Vec::new();
    for token in &tokens {
        for accept in ["application/json", "text/html"] {
            let fields = format!("{}accept: {accept}\r\n", signed(token));
            let answer = sidecar.send(&format!("GET / HTTP/1.1\r\n{fields}")).await;
            seen.push(format!(
                "{}\n{}",
                answer.head,
                String::from_utf8_lossy(&answer.body)
            ));
        }
        let answer = multiplexed
            .send(http2_request("GET", "/", &signed(token)))
            .await
            .unwrap();
        seen.push(format!(
            "{:?}\n{}",
            answer.headers(),
            String::from_utf8_lossy(answer.body())
        ));
        // Where it doesn't belong.
        let request = format!(
            "GET /?t={token} HTTP/1.1\r\nHost: twice\r\n{}",
            signed(token)
        );
        let mut connection = sidecar.connect().await;
        connection.write(complete(&request)).await;
        connection.try_response().await;
    }
    let mut websocket = sidecar.connect().await;
    let handshake = format!("GET /ws HTTP/1.1\r\n{}{UPGRADE}", signed(&good));
    websocket.write(complete(&handshake)).await;
    websocket.try_response().await;
    for line in ["GET /status", "GET /metrics", "GET /readyz"] {
        seen.push(String::from_utf8(sidecar.admin(line).await.body).unwrap());
    }
    // All of it has been logged once this has.
    sidecar.logged(|line| line["path"] == "/ws").await;
    let log = sidecar.log();
    assert!(
        log.iter()
            .any(|line| line.contains("trusted_proxy_assertion_expired"))
    );
    seen.extend(log);
    for token in &tokens {
        let pieces = token.split(['.', ':']).filter(|piece| piece.len() > 24);
        for piece in pieces.flat_map(|piece| [&piece[..24], &piece[piece.len() - 24..]]) {
            let shown = seen.iter().find(|text| text.contains(piece));
            assert_eq!(shown, None, "{piece} of {token}");
        }
    }
}
