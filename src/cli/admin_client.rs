//! Asks the running process over its admin listener.

use crate::config::{ADMIN_TOKEN, Config};
use crate::secrets::{Environment, SecretError, SecretInput, SecretValue, env};
use crate::snapshot::{Token, TokenError};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For the connection.
const CONNECT: Duration = Duration::from_secs(5);
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error(
        "admin.address: got port 0 in the configuration, expected {option} with the one that it became"
    )]
    NoPort { option: &'static str },
    #[error("admin.token: to ask needs the token; SIGHUP needs none ({code}; do: {remedy})", code = .0.code(), remedy = .0.remedy())]
    NoToken(#[source] Box<SecretError>),
    #[error("admin.token: {0}")]
    Token(#[source] TokenError),
    #[error("${name}: {source}")]
    Variable {
        name: &'static str,
        #[source]
        source: TokenError,
    },
    #[error(
        "can't reach the admin listener at {address}: is Portcullis running, and was it started with this address (else {option})?"
    )]
    Unreachable {
        address: SocketAddr,
        option: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the admin listener at {address} did not answer")]
    NoAnswer {
        address: SocketAddr,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("can't start the runtime")]
    Runtime(#[source] io::Error),
}

/// What is asked, where, and how long that may take.
pub(super) struct Question<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    /// The listener's address; none: the configuration's.
    pub(super) address: Option<SocketAddr>,
    pub(super) patience: Duration,
}

/// Whom to ask, and what to show.
pub(super) struct Admin {
    address: SocketAddr,
    token: Option<Token>,
    /// What names the listener on the command line.
    option: &'static str,
}

impl Admin {
    /// The one of `config`, at another address where one is given.
    pub(super) fn of(
        config: &Config,
        elsewhere: Option<SocketAddr>,
        option: &'static str,
    ) -> Result<Self, AskError> {
        let address = address(elsewhere.unwrap_or(config.admin.address));
        if address.port() == 0 {
            return Err(AskError::NoPort { option });
        }
        let token = token(config, &env::Process)?;
        Ok(Self {
            address,
            token,
            option,
        })
    }

    /// The one at `address`, for whoever has no configuration of it.
    pub(super) fn at(
        at: SocketAddr,
        token: Option<Token>,
        option: &'static str,
    ) -> Result<Self, AskError> {
        match at.port() {
            0 => Err(AskError::NoPort { option }),
            _ => Ok(Self {
                address: address(at),
                token,
                option,
            }),
        }
    }

    /// Asks, and gives back the status and the JSON of the answer.
    pub(super) async fn ask(
        &self,
        question: &Question<'_>,
    ) -> Result<(StatusCode, Value), AskError> {
        send(question, self).await
    }
}

/// Asks, and gives back the status and the JSON of the answer.
pub(super) fn ask(
    config: &Config,
    question: &Question<'_>,
) -> Result<(StatusCode, Value), AskError> {
    let admin = Admin::of(config, question.address, "--address")?;
    runtime()?.block_on(admin.ask(question))
}

/// For what is asked one thing after the other.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, AskError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(AskError::Runtime)
}

/// A listener on every address is reached on loopback.
fn address(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// The token alone is resolved: the others are the running process' business.
fn token(config: &Config, environment: Environment<'_>) -> Result<Option<Token>, AskError> {
    let surfaces = config.surfaces();
    let Some(surface) = surfaces.iter().find(|surface| surface.key == ADMIN_TOKEN) else {
        return Ok(None);
    };
    let value = match surface.input {
        SecretInput::Plain(value) => value.clone(),
        SecretInput::Ref(reference) => {
            let wanted = BTreeSet::from([reference.clone()]);
            let resolved = config.secrets.resolve(&wanted, environment);
            let value = resolved[reference].clone();
            value.map_err(|error| AskError::NoToken(Box::new(error)))?
        }
    };
    Token::new(value).map(Some).map_err(AskError::Token)
}

async fn send(question: &Question<'_>, admin: &Admin) -> Result<(StatusCode, Value), AskError> {
    let (address, option) = (admin.address, admin.option);
    let unreachable = |source| AskError::Unreachable {
        address,
        option,
        source,
    };
    let stream = match timeout(CONNECT, TcpStream::connect(address)).await {
        Ok(connected) => connected.map_err(unreachable)?,
        Err(_) => return Err(unreachable(io::ErrorKind::TimedOut.into())),
    };
    let answer = timeout(
        question.patience,
        exchange(stream, question, address, admin.token.as_ref()),
    )
    .await
    .unwrap_or_else(|elapsed| Err(elapsed.into()));
    answer.map_err(|source| AskError::NoAnswer { address, source })
}

async fn exchange(
    stream: TcpStream,
    question: &Question<'_>,
    address: SocketAddr,
    token: Option<&Token>,
) -> Result<(StatusCode, Value), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = question.method.clone();
    *request.uri_mut() = question.path.parse()?;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(&address.to_string())?);
    if let Some(token) = token {
        let shown = SecretValue::concat(&["Bearer ", token.expose()]);
        let mut value = HeaderValue::from_bytes(shown.expose_bytes())?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    // The answer needs the connection driven.
    let driven = tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES);
    let body = body.collect().await?.to_bytes();
    driven.abort();
    Ok((status, serde_json::from_slice(&body)?))
}
