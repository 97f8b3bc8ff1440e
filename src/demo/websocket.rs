//! A WebSocket that sends back what it is sent (RFC 6455).

use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use super::{Body, stopped, whole};

/// Largest message and frame: beyond the 25 MiB that the real gateway takes.
const MAX_MESSAGE_BYTES: usize = 32 * 1024 * 1024;

/// Whether the request asks to become a WebSocket.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Agrees to the upgrade and echoes until either side closes, or `stop` holds
/// true.
pub(super) fn accept(
    mut request: Request<Incoming>,
    stop: watch::Receiver<bool>,
) -> Response<Body> {
    let version = request.headers().get(SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version != "13") {
        let mut response = whole(
            426,
            "text/plain; charset=utf-8",
            "expected sec-websocket-version: 13\n",
        );
        let headers = response.headers_mut();
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        // RFC 9110 §15.5.22: a 426 names the protocol, hop by hop.
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        return response;
    }
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
        return whole(
            400,
            "text/plain; charset=utf-8",
            "expected a sec-websocket-key\n",
        );
    };
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
        .expect("base64 is legal in a header");
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => echo(upgraded, stop).await,
            Err(error) => tracing::debug!(%error, "WebSocket upgrade at the demo gateway failed"),
        }
    });
    let mut response = Response::new(Empty::new().boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

async fn echo(upgraded: Upgraded, mut stop: watch::Receiver<bool>) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let mut socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    loop {
        let received = tokio::select! {
            received = socket.next() => received,
            () = stopped(&mut stop) => {
                let restart = CloseFrame {
                    code: CloseCode::Restart,
                    reason: "the demo gateway stops".into(),
                };
                let _ = socket.close(Some(restart)).await;
                return;
            }
        };
        let sent = match received {
            Some(Ok(message)) if message.is_text() || message.is_binary() => {
                socket.send(message).await
            }
            // Pings and the peer's close are answered by the next read.
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(error),
            None => return,
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "WebSocket at the demo gateway ended");
            return;
        }
    }
}
