//! The demo gateway over real sockets.

use super::*;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{
    Error, Message, client::IntoClientRequest, protocol::frame::coding::CloseCode,
};

async fn gateway() -> (SocketAddr, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(serve(listener, stopped));
    (address, stop)
}

/// Head and body of the answer to a request that closes its connection.
async fn ask(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn echoes_what_arrived() {
    let (address, _stop) = gateway().await;
    let (head, body) = ask(
        address,
        "PUT /a/../b?c=d HTTP/1.1\r\nHost: h\r\nX-Forwarded-User: nick\r\nX-Two: 1\r\nx-two: 2\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
    )
    .await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        json!({
            "method": "PUT", "target": "/a/../b?c=d", "bodyBytes": 5,
            "headers": {
                "host": "h", "x-forwarded-user": "nick", "x-two": ["1", "2"],
                "connection": "close", "content-length": "5",
            },
        })
    );
}

#[tokio::test]
async fn greets_a_browser_with_a_page_in_which_everything_is_escaped() {
    let (address, _stop) = gateway().await;
    let get = |user: &str, accept: &str| {
        format!(
            "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-User: {user}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        )
    };
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    let (head, body) = ask(address, &get("nick@example.com", browser)).await;
    assert!(head.contains("content-type: text/html"), "{head}");
    assert!(head.contains("content-security-policy: default-src 'none'"));
    assert!(body.contains("<h1>Permitted, hello nick@example.com</h1>"));
    let (_, body) = ask(address, &get("<script>&", browser)).await;
    assert!(!body.contains("<script>"), "{body}");
    assert!(body.contains("hello &lt;script&gt;&amp;</h1>"), "{body}");
    let (head, _) = ask(address, &get("nick", "*/*")).await;
    assert!(head.contains("content-type: application/json"), "{head}");
}

#[tokio::test]
async fn streams_a_tick_a_second_and_each_at_once() {
    let (address, _stop) = gateway().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let begun = Instant::now();
    stream
        .write_all(b"GET /events?count=2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    let mut first_at = None;
    let mut buffer = [0; 1024];
    loop {
        let read = stream.read(&mut buffer).await.unwrap();
        if read == 0 {
            break;
        }
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        if first_at.is_none() && text.contains("data: {\"tick\":1,\"of\":2}\n\n") {
            first_at = Some(begun.elapsed());
        }
    }
    assert!(text.contains("content-type: text/event-stream"), "{text}");
    assert!(text.contains("id: 2\nevent: tick\ndata: {\"tick\":2,\"of\":2}\n\n"));
    assert!(!text.contains("id: 3"), "{text}");
    assert!(begun.elapsed() >= PERIOD_LOW, "the second tick came early");
    assert!(
        first_at.unwrap() < PERIOD_LOW,
        "the first tick was held back"
    );
}

/// A second, less the clock's grain.
const PERIOD_LOW: Duration = Duration::from_millis(990);

async fn websocket(address: SocketAddr) -> tokio_tungstenite::WebSocketStream<TcpStream> {
    let request = format!("ws://{address}/any/path")
        .into_client_request()
        .unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let (socket, response) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    assert_eq!(response.status(), 101);
    socket
}

#[tokio::test]
async fn echoes_websocket_messages_and_answers_pings_and_close() {
    let (address, _stop) = gateway().await;
    let mut socket = websocket(address).await;
    let large = Message::binary(vec![7; 1 << 20]);
    for message in [Message::text("hällo"), Message::text(""), large] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket.send(Message::Ping("p".into())).await.unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::Pong("p".into())
    );
    socket.close(None).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap().is_close());
    assert!(matches!(
        socket.next().await,
        None | Some(Err(Error::ConnectionClosed))
    ));
}

#[tokio::test]
async fn stopping_closes_websockets_with_1012() {
    let (address, stop) = gateway().await;
    let mut socket = websocket(address).await;
    stop.send(true).unwrap();
    let Message::Close(Some(frame)) = socket.next().await.unwrap().unwrap() else {
        panic!("expected a close frame");
    };
    assert_eq!(frame.code, CloseCode::Restart);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn refuses_an_upgrade_that_breaks_rfc_6455() {
    let (address, _stop) = gateway().await;
    for (fields, status) in [
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "426"),
        (
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n",
            "426",
        ),
        ("Sec-WebSocket-Version: 13\r\n", "400"),
    ] {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n{fields}\r\n"
        );
        let (head, _) = ask(address, &request).await;
        assert_eq!(head.split(' ').nth(1), Some(status), "{fields}");
    }
}

#[tokio::test]
async fn serves_several_requests_on_one_connection() {
    let (address, _stop) = gateway().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(
        reply.contains("\"/1\"") && reply.contains("\"/2\""),
        "{reply}"
    );
}
