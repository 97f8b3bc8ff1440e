//! `portcullis secrets reload`: asks the running process over its admin listener.

use super::super::config_file::load_or_complain;
use super::super::output;
use super::super::{ConfigPath, EXIT_FAILURE};
use crate::config::{ADMIN_TOKEN, Config};
use crate::secrets::{Environment, SecretError, SecretInput, SecretValue, env};
use crate::snapshot::{Token, TokenError};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For the connection.
const CONNECT: Duration = Duration::from_secs(5);
/// For the answer: a build may take ten minutes, and one may have to be waited for
/// before it begins.
const ANSWER: Duration = Duration::from_secs(1210);
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Arguments of `reload`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    /// The running process' admin listener [default: the configuration's admin.address]
    #[arg(long, value_name = "ADDRESS")]
    address: Option<SocketAddr>,
    /// Print the answer as it is, JSON
    #[arg(long)]
    json: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error(
        "admin.address: got port 0 in the configuration, expected --address with the one that it became"
    )]
    NoPort,
    #[error("admin.token: to ask needs the token; SIGHUP needs none ({code}; do: {remedy})", code = .0.code(), remedy = .0.remedy())]
    NoToken(#[source] Box<SecretError>),
    #[error("admin.token: {0}")]
    Token(#[source] TokenError),
    #[error(
        "can't reach the admin listener at {address}: is Portcullis running, and was it started with this address (else --address)?"
    )]
    Unreachable {
        address: SocketAddr,
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

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let config = match load_or_complain(&arguments.config) {
        Ok(loaded) => loaded.config,
        Err(code) => return code,
    };
    match ask(&config, arguments.address) {
        Ok((status, answer)) => report(status, &answer, arguments.json),
        Err(error) => {
            output::complain(format_args!("portcullis: {}", super::super::chain(&error)));
            EXIT_FAILURE.into()
        }
    }
}

fn ask(config: &Config, named: Option<SocketAddr>) -> Result<(StatusCode, Value), ReloadError> {
    let address = address(named.unwrap_or(config.admin.address));
    if address.port() == 0 {
        return Err(ReloadError::NoPort);
    }
    let token = token(config, &env::Process)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ReloadError::Runtime)?;
    runtime.block_on(post(address, token.as_ref()))
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
fn token(config: &Config, environment: Environment<'_>) -> Result<Option<Token>, ReloadError> {
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
            value.map_err(|error| ReloadError::NoToken(Box::new(error)))?
        }
    };
    Token::new(value).map(Some).map_err(ReloadError::Token)
}

async fn post(
    address: SocketAddr,
    token: Option<&Token>,
) -> Result<(StatusCode, Value), ReloadError> {
    let unreachable = |source| ReloadError::Unreachable { address, source };
    let stream = match timeout(CONNECT, TcpStream::connect(address)).await {
        Ok(connected) => connected.map_err(unreachable)?,
        Err(_) => return Err(unreachable(io::ErrorKind::TimedOut.into())),
    };
    let answer = timeout(ANSWER, exchange(stream, address, token))
        .await
        .unwrap_or_else(|elapsed| Err(elapsed.into()));
    answer.map_err(|source| ReloadError::NoAnswer { address, source })
}

async fn exchange(
    stream: TcpStream,
    address: SocketAddr,
    token: Option<&Token>,
) -> Result<(StatusCode, Value), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = "/reload".parse()?;
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

fn report(status: StatusCode, answer: &Value, json: bool) -> ExitCode {
    let generation = answer["generation"].as_u64();
    let reloaded = generation.filter(|_| status == StatusCode::OK);
    let code = if reloaded.is_some() {
        ExitCode::SUCCESS
    } else {
        EXIT_FAILURE.into()
    };
    if json {
        return output::finish(output::line(answer), code);
    }
    if let Some(generation) = reloaded {
        let restart = words(&answer["restartRequired"]);
        if !restart.is_empty() {
            output::complain(format_args!(
                "portcullis: these keys keep their old value until a restart: {}",
                restart.join(", ")
            ));
        }
        return output::finish(
            output::line(format_args!("reloaded: generation {generation}")),
            code,
        );
    }
    for problem in answer["problems"].as_array().into_iter().flatten() {
        output::complain(located(problem));
    }
    let message = match (status, answer["error"]["code"].as_str()) {
        (StatusCode::UNAUTHORIZED, Some("admin_unauthorized")) => {
            "the running process expects another admin token: it may still hold the one from \
             before a rotation; SIGHUP needs none"
        }
        (_, Some(_)) => answer["error"]["message"].as_str().unwrap_or_default(),
        (_, None) => "got another answer than an admin listener gives: is this its address?",
    };
    output::complain(format_args!("portcullis: {message} ({status})"));
    code
}

fn words(list: &Value) -> Vec<&str> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).collect()
}

/// `FILE:LINE:COLUMN: key: message (code); do: remedy`, as far as it is known.
fn located(problem: &Value) -> String {
    let mut text = problem["file"].as_str().unwrap_or("portcullis").to_owned();
    if let (Some(line), Some(column)) = (problem["line"].as_u64(), problem["column"].as_u64()) {
        text.push_str(&format!(":{line}:{column}"));
    }
    for (before, field, after) in [
        (": ", "key", ""),
        (": ", "message", ""),
        (" (", "code", ")"),
        ("; do: ", "remedy", ""),
    ] {
        if let Some(words) = problem[field].as_str() {
            text.push_str(&format!("{before}{words}{after}"));
        }
    }
    text
}
