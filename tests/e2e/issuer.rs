//! An issuer's place of public keys: it publishes what it is told to, and keeps account
//! of who asked for what.

use crate::sidecar::acceptor;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The server, as long as the test's process.
#[derive(Clone)]
pub(crate) struct Issuer {
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    documents: HashMap<String, String>,
    status: Option<u16>,
    fetches: Vec<String>,
    connections: usize,
    is_away: bool,
}

impl Issuer {
    /// One that publishes nothing yet. It has a thread of its own: it is asked while the
    /// test waits for the sidecar.
    pub(crate) fn spawn() -> Self {
        Self::start(None)
    }

    /// The same over TLS, with the certificate in `folder`.
    pub(crate) fn spawn_tls(folder: &Path) -> Self {
        Self::start(Some(acceptor(folder)))
    }

    fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let issuer = Self {
            address: listener.local_addr().unwrap(),
            tls,
            state: Arc::default(),
        };
        let serving = issuer.clone();
        std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(serving.serve(listener));
        });
        issuer
    }

    async fn serve(self, listener: std::net::TcpListener) {
        let listener = TcpListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            let issuer = self.clone();
            {
                let mut state = issuer.state.lock().unwrap();
                state.connections += 1;
                if state.is_away {
                    continue;
                }
            }
            let service = service_fn(move |request| {
                let issuer = issuer.clone();
                async move { Ok::<_, Infallible>(issuer.respond(&request)) }
            });
            match self.tls.clone() {
                None => drop(tokio::spawn(
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                )),
                Some(tls) => drop(tokio::spawn(async move {
                    if let Ok(stream) = tls.accept(stream).await {
                        let stream = TokioIo::new(stream);
                        let _ = http1::Builder::new()
                            .serve_connection(stream, service)
                            .await;
                    }
                })),
            }
        }
    }

    /// One with a set of these keys at `/keys`.
    pub(crate) fn with_keys(keys: &[Value]) -> Self {
        let issuer = Self::spawn();
        issuer.publish_keys(keys);
        issuer
    }

    /// Where the set of keys is.
    pub(crate) fn keys_url(&self) -> String {
        self.url("/keys")
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// Puts a set of these keys in the place of the one that was there.
    pub(crate) fn publish_keys(&self, keys: &[Value]) {
        self.publish("/keys", &json!({ "keys": keys }).to_string());
    }

    /// Says where the set of keys is, as `issuer`.
    pub(crate) fn publish_discovery(&self, issuer: &str, jwks_uri: &str) {
        let document = json!({"issuer": issuer, "jwks_uri": jwks_uri,
            "id_token_signing_alg_values_supported": ["none", "ES256"]});
        self.publish("/.well-known/openid-configuration", &document.to_string());
    }

    /// Puts a document in the place of the one that was there.
    pub(crate) fn publish(&self, path: &str, document: &str) {
        let mut state = self.state.lock().unwrap();
        state.documents.insert(path.to_owned(), document.to_owned());
    }

    /// From here on every document comes with this status.
    pub(crate) fn answers_with(&self, status: u16) {
        self.state.lock().unwrap().status = Some(status);
    }

    /// From here on connections break before there is an answer, or don't.
    pub(crate) fn is_away(&self, is_away: bool) {
        self.state.lock().unwrap().is_away = is_away;
    }

    /// The path and query of each request so far.
    pub(crate) fn fetches(&self) -> Vec<String> {
        self.state.lock().unwrap().fetches.clone()
    }

    /// How often somebody connected.
    pub(crate) fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().to_string();
        let mut state = self.state.lock().unwrap();
        let document = state.documents.get(&path).cloned();
        state.fetches.push(path);
        let status = if document.is_some() { 200 } else { 404 };
        let status = state.status.unwrap_or(status);
        let mut response = Response::new(Full::new(document.unwrap_or_default().into()));
        *response.status_mut() = status.try_into().unwrap();
        response
    }
}
