//! The operator's listener: livez, readyz, metrics, status, denials, reload, probe; and a probe
//! listener with the first three alone, for a kubelet or load balancer.
//!
//! A connection serves one request and lives ten seconds at most, or as long as
//! the reload that it asked for. Probes and scrapers lose nothing by it, and one
//! deadline then covers a slow head, a slow body and a slow reader.

mod answer;
mod denials;
mod guard;
mod health;
mod probe;
mod reload;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

pub use health::{Condition, Health, UpstreamProbe};
pub use reload::{
    MAX_WAITING, ReloadFailure, ReloadOutcome, ReloadProblem, ReloadQueue, ReloadRequest, Reloaded,
};

use crate::denials::DenialBook;
use crate::local_caller::{self, AllowedHosts};
use crate::probe::Probe;
use crate::snapshot::Token;
use crate::telemetry::metrics::{self, Metrics};
use answer::{Answer, Refusal};

/// Connections served at once; further ones wait in the listen queue.
const MAX_CONNECTIONS: usize = 64;
/// The life of a connection, from accept to the answer's last byte.
const DEADLINE: Duration = Duration::from_secs(10);
/// Largest head; the least that hyper takes.
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// Largest body, which is read and thrown away.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// After a failed accept, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long connections may go on when the listener stops.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// Which of the two listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All of it, guarded by `Host` and token.
    Admin,
    /// livez, readyz and metrics, under any `Host` and without token: a kubelet
    /// names the pod's address and can't hold a token.
    Probe,
}

/// What the listeners answer from.
pub struct AdminState {
    /// Rendered at `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Reported at `/readyz`.
    pub health: Arc<Health>,
    /// Makes the body of `/status`; called for every such request.
    pub status: Box<dyn Fn() -> Value + Send + Sync>,
    /// The bearer token demanded for everything but `/livez` and `/readyz`: the one
    /// of the configuration in force, asked for at every request.
    pub token: Box<dyn Fn() -> Option<Token> + Send + Sync>,
    /// Told at `/status/denials`.
    pub denials: Arc<DenialBook>,
    /// Armed by `POST /probe`.
    pub probe: Arc<Probe>,
    /// Whom `POST /reload` asks; none where nothing can be reloaded.
    pub reload: Option<ReloadQueue>,
    /// The `Host` names that [`Kind::Admin`] answers to.
    pub allowed_hosts: AllowedHosts,
}

/// Serves until `shutdown` holds true or its sender is gone, then lets
/// connections go on for a second.
pub async fn serve(
    listener: TcpListener,
    state: Arc<AdminState>,
    kind: Kind,
    shutdown: watch::Receiver<bool>,
) {
    serve_within(DEADLINE, listener, state, kind, shutdown).await;
}

async fn serve_within(
    deadline: Duration,
    listener: TcpListener,
    state: Arc<AdminState>,
    kind: Kind,
    mut shutdown: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let (slot, accepted) = tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
            next = next_connection(&listener, &slots) => next,
        };
        match accepted {
            Ok((stream, source)) => {
                let state = Arc::clone(&state);
                connections.spawn(async move {
                    let reloads = AtomicBool::new(false);
                    let connection = serve_connection(stream, source, state, kind, &reloads);
                    tokio::pin!(connection);
                    while timeout(deadline, &mut connection).await.is_err() {
                        if !reloads.load(Ordering::Relaxed) {
                            tracing::debug!("admin connection reached its deadline");
                            break;
                        }
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an admin connection");
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

async fn next_connection(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (
    tokio::sync::OwnedSemaphorePermit,
    io::Result<(TcpStream, SocketAddr)>,
) {
    let slot = Arc::clone(slots)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    (slot, listener.accept().await)
}

async fn serve_connection(
    stream: TcpStream,
    source: SocketAddr,
    state: Arc<AdminState>,
    kind: Kind,
    reloads: &AtomicBool,
) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let service = service_fn(|request| {
        let state = Arc::clone(&state);
        async move {
            let head_only = request.method() == Method::HEAD;
            let answer = match respond(request, &state, kind, local.ip(), reloads).await {
                Ok(answer) => answer,
                Err(refusal) => {
                    tracing::info!(
                        source.ip = %source.ip(),
                        decision = refusal.code(),
                        status = refusal.status().as_u16(),
                        "admin request refused"
                    );
                    refusal.into_answer()
                }
            };
            Ok::<_, Infallible>(answer.into_response(head_only))
        }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        // The deadline covers the head, and the whole connection, already.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "admin connection failed");
    }
}

async fn respond(
    request: Request<Incoming>,
    state: &AdminState,
    kind: Kind,
    local: IpAddr,
    reloads: &AtomicBool,
) -> Result<Answer, Refusal> {
    local_caller::refuse_web_pages(request.headers())?;
    let uri = request.uri().clone();
    let route = Route::find(uri.path(), kind);
    if kind == Kind::Admin {
        local_caller::check_host(&request, &state.allowed_hosts, local)?;
        // Before 404 and 405, so that a stranger learns no routes.
        if !matches!(route, Some(Route::Livez | Route::Readyz))
            && let Some(token) = (state.token)()
        {
            guard::check_token(&token, request.headers())?;
        }
    }
    let route = route.ok_or(Refusal::NotFound)?;
    route.check_method(request.method())?;
    discard(request.into_body()).await?;
    match route {
        Route::Livez => Ok(Answer::json(200, &json!({"live": true}))),
        Route::Readyz => Ok(readyz(&state.health, kind)),
        Route::Metrics => Ok(Answer::text(metrics::CONTENT_TYPE, state.metrics.render())),
        Route::Status => Ok(Answer::json(200, &(state.status)())),
        Route::Denials => denials::list(&state.denials, uri.query()),
        Route::Denial(request_id) => denials::one(&state.denials, request_id),
        Route::Probe => probe::arm(&state.probe),
        Route::Reload => {
            reloads.store(true, Ordering::Relaxed);
            let answer = reload::answer(state.reload.as_ref()).await;
            reloads.store(false, Ordering::Relaxed);
            answer
        }
    }
}

fn readyz(health: &Health, kind: Kind) -> Answer {
    let reasons = health.reasons();
    let status = if reasons.is_empty() { 200 } else { 503 };
    let upstream = match (health.upstream(), kind) {
        (None, _) => json!({"reachable": null}),
        // The error may name the upstream's address, which is not for a
        // listener without token.
        (Some(probe), Kind::Probe) => json!({"reachable": probe.is_reachable()}),
        (Some(probe), Kind::Admin) => probe.to_json(),
    };
    Answer::json(
        status,
        &json!({"ready": reasons.is_empty(), "reasons": reasons, "upstream": upstream}),
    )
}

/// Before the id of a refused request.
const DENIAL: &str = "/status/denials/";

#[derive(Clone, Copy)]
enum Route<'p> {
    Livez,
    Readyz,
    Metrics,
    Status,
    Denials,
    /// The one with this request id.
    Denial(&'p str),
    Probe,
    Reload,
}

impl<'p> Route<'p> {
    fn find(path: &'p str, kind: Kind) -> Option<Self> {
        match (path, kind) {
            ("/livez", _) => Some(Self::Livez),
            ("/readyz", _) => Some(Self::Readyz),
            ("/metrics", _) => Some(Self::Metrics),
            ("/status", Kind::Admin) => Some(Self::Status),
            ("/status/denials", Kind::Admin) => Some(Self::Denials),
            ("/probe", Kind::Admin) => Some(Self::Probe),
            ("/reload", Kind::Admin) => Some(Self::Reload),
            (path, Kind::Admin) => path.strip_prefix(DENIAL).map(Self::Denial),
            _ => None,
        }
    }

    fn check_method(self, method: &Method) -> Result<(), Refusal> {
        let (allowed, allow): (&[Method], _) = match self {
            Self::Reload | Self::Probe => (&[Method::POST], "POST"),
            _ => (&[Method::GET, Method::HEAD], "GET, HEAD"),
        };
        if allowed.contains(method) {
            Ok(())
        } else {
            Err(Refusal::MethodNotAllowed { allow })
        }
    }
}

/// Reads a body that nothing here has a use for, lest closing the connection
/// over unread bytes resets it before the client has the answer.
async fn discard(body: Incoming) -> Result<(), Refusal> {
    if body.is_end_stream() {
        return Ok(());
    }
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(_) => Ok(()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Refusal::RequestTooLarge)
        }
        Err(_) => Err(Refusal::BadRequest {
            message: "the request's body is malformed",
        }),
    }
}

#[cfg(test)]
mod tests;
