//! HTTP/1.1 calls to one service of others: a model provider, a token server. They
//! go over connections made as the gateway's are; hyper keeps them and speaks HTTP.
//!
//! Nothing here follows a redirect: a credential goes to the host that it is for.

use crate::base_url::{BaseHost, BaseUrl};
use crate::credentials::oauth::Unanswered;
use crate::tls::{self, TlsError, UpstreamTrust};
use crate::transport::Transport;
use crate::upstream::{ConnectError, Target, Upstream, UpstreamConfig, UpstreamTls};
use bytes::Bytes;
use http::{Request, Response, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::timeout;
use tower_service::Service as Connects;

/// How long the connection of a single call may take.
const CONNECT: Duration = Duration::from_secs(15);

/// An error of whatever kind.
pub type BoxError = Box<dyn Error + Send + Sync>;
/// The body of a request: bytes that are there, or a stream.
pub type OutgoingBody = UnsyncBoxBody<Bytes, BoxError>;

/// How long a connection is kept for the next call.
const IDLE: Duration = Duration::from_secs(30);

/// Calls one service.
#[derive(Debug)]
pub struct HttpClient {
    inner: Client<Connector, OutgoingBody>,
    made_for: Service,
}

/// A service, and how to connect to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Where it is.
    pub base: BaseUrl,
    /// Who may vouch for it.
    pub trust: UpstreamTrust,
    /// Name resolution, connect and TLS handshake together.
    pub connect_timeout: Duration,
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There was no connection: nothing of the request was sent.
    #[error("{0}")]
    Unconnected(#[source] BoxError),
    /// The connection ended before there was an answer, or there was a malformed one.
    #[error("the connection broke before there was an answer: {0}")]
    Broken(#[source] BoxError),
    /// There was no answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

impl HttpClient {
    /// A client for `service`; `origin` says in errors where its authorities came from.
    ///
    /// # Errors
    /// [`TlsError`] where an authority is malformed, or the host no name that a
    /// certificate could bear.
    pub fn new(service: Service, origin: &str) -> Result<Self, TlsError> {
        let Service {
            base,
            trust,
            connect_timeout,
        } = &service;
        let port = base.port();
        let (target, name) = match base.host() {
            BaseHost::Ip(ip) => (Target::Address(SocketAddr::new(ip, port)), ip.to_string()),
            BaseHost::Dns(host) => (
                Target::Name {
                    host: host.clone(),
                    port,
                },
                host,
            ),
        };
        let tls = match base.is_tls() {
            true => Some(UpstreamTls {
                config: tls::client_config(trust, origin)?,
                name: tls::server_name(&name)?,
                trust: trust.clone(),
            }),
            false => None,
        };
        let upstream = Upstream::new(UpstreamConfig {
            target,
            tls,
            idle_timeout: Duration::ZERO,
            connect_timeout: *connect_timeout,
        });
        let inner = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            // `Host` and the request's target are set from the base URL, below.
            .set_host(false)
            .build(Connector(Arc::new(upstream)));
        Ok(Self {
            inner,
            made_for: service,
        })
    }

    /// The service that it calls.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.made_for
    }

    /// Sends `request`, whose URI is a path and query, and gives back the answer as
    /// soon as its head is there. Dropping either ends the call. A request that met a
    /// kept connection's end before any of it was sent is sent again on a new one.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn send(
        &self,
        mut request: Request<OutgoingBody>,
    ) -> Result<Response<Incoming>, CallError> {
        let base = &self.made_for.base;
        let scheme = if base.is_tls() { "https" } else { "http" };
        let authority = base.authority();
        let path = request.uri().path_and_query().cloned();
        let uri = Uri::builder().scheme(scheme).authority(authority.as_str());
        let uri = match path {
            Some(path) => uri.path_and_query(path),
            None => uri.path_and_query("/"),
        };
        *request.uri_mut() = uri
            .build()
            .map_err(|error| CallError::Unconnected(error.into()))?;
        let host = header::HeaderValue::from_str(&authority)
            .map_err(|error| CallError::Unconnected(error.into()))?;
        request.headers_mut().insert(header::HOST, host);
        self.inner.request(request).await.map_err(CallError::from)
    }
}

/// Sends one request to `url`'s host on a connection of its own and reads the whole
/// answer: `limit` is for both together, in time, and for the answer, in bytes.
///
/// # Errors
/// [`CallError`]; with [`CallError::Unconnected`] nothing was sent. A connection that
/// isn't there in time is such a case: a network that swallows everything must leave no
/// doubt whether a refresh token was used.
pub async fn call_once(
    url: &BaseUrl,
    trust: UpstreamTrust,
    request: Request<Vec<u8>>,
    limit: (Duration, usize),
) -> Result<Response<Vec<u8>>, CallError> {
    let (deadline, max_bytes) = limit;
    let unconnected = |error: TlsError| CallError::Unconnected(error.into());
    let service = Service {
        base: url.clone(),
        trust,
        connect_timeout: CONNECT.min(deadline / 2),
    };
    let client = HttpClient::new(service, "authorities").map_err(unconnected)?;
    let request = request.map(|body| whole(Bytes::from(body)));
    let exchange = async {
        let answer = client.send(request).await.map_err(|error| match error {
            // Of sending, connecting alone has a limit.
            CallError::TimedOut(after) => {
                CallError::Unconnected(format!("no connection within {after:?}").into())
            }
            other => other,
        });
        let (head, body) = answer?.into_parts();
        let body = Limited::new(body, max_bytes).collect().await;
        let body = body.map_err(CallError::Broken)?.to_bytes();
        Ok(Response::from_parts(head, body.to_vec()))
    };
    timeout(deadline, exchange)
        .await
        .unwrap_or(Err(CallError::TimedOut(deadline)))
}

/// A body that is there already.
#[must_use]
pub fn whole(bytes: Bytes) -> OutgoingBody {
    UnsyncBoxBody::new(Full::new(bytes).map_err(|never| match never {}))
}

impl From<CallError> for Unanswered {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unconnected(_) => Self::Unsent(error.into()),
            CallError::Broken(_) | CallError::TimedOut(_) => Self::Unknown(error.into()),
        }
    }
}

impl From<ClientError> for CallError {
    fn from(error: ClientError) -> Self {
        if !error.is_connect() {
            return Self::Broken(error.into());
        }
        match error.source().and_then(|source| source.downcast_ref()) {
            Some(ConnectError::TimedOut { after, .. }) => Self::TimedOut(*after),
            _ => Self::Unconnected(error.into()),
        }
    }
}

/// Makes connections for hyper's pool.
#[derive(Debug, Clone)]
struct Connector(Arc<Upstream>);

impl Connects<Uri> for Connector {
    type Response = TokioIo<Transport>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let upstream = self.0.clone();
        Box::pin(async move {
            let connection = upstream.connect().await?;
            Ok(TokioIo::new(connection.into_transport()))
        })
    }
}

impl Connection for Transport {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
