//! A stand-in for the gateway, so that the front door can be tried with nothing
//! behind it: it echoes HTTP requests and WebSocket messages, and streams events.

mod echo;
mod events;
mod websocket;

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// The header in which the demo expects the verified user.
pub const USER_HEADER: &str = "x-forwarded-user";

/// How long a connection may idle; the real gateway's keep-alive time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// After a failed accept, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long connections may go on when the gateway stops.
const STOP_GRACE: Duration = Duration::from_secs(1);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Serves until `shutdown` holds true or its sender is gone; WebSockets are then
/// closed with 1012, and requests go on for a second.
///
/// `/events` streams a tick a second (`?count=`, 5 by default), an upgrade to
/// WebSocket at any path echoes, and everything else says what arrived: as a
/// page at `/` for a browser, as JSON for the rest.
pub async fn serve(listener: TcpListener, mut shutdown: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let stop = shutdown.clone();
    loop {
        let accepted = tokio::select! {
            () = stopped(&mut shutdown) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(serve_connection(stream, stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection at the demo gateway");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let _ = timeout(STOP_GRACE, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
}

async fn serve_connection(stream: TcpStream, stop: watch::Receiver<bool>) {
    // Without this a small answer may wait for the source's acknowledgement.
    let _ = stream.set_nodelay(true);
    let mut stopping = stop.clone();
    let service = service_fn(move |request| {
        let stop = stop.clone();
        async move { Ok::<_, Infallible>(respond(request, stop).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection to the demo gateway failed");
    }
}

async fn respond(request: Request<Incoming>, stop: watch::Receiver<bool>) -> Response<Body> {
    if websocket::is_upgrade(request.headers()) {
        return websocket::accept(request, stop);
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_read && request.uri().path() == "/events" {
        return events::stream(request.uri().query());
    }
    echo::answer(request).await
}

/// Waits until the gateway shall stop, or nobody is left to say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A whole body of `content_type`.
fn whole(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).expect("only literal statuses come here");
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests;
