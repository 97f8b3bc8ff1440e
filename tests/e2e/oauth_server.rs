//! An identity provider on loopback: it sends browsers back with codes, gives tokens
//! for them once, and rotates refresh tokens, counting how often each comes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use url::{Url, form_urlencoded};

/// What every code, token and verifier of this server holds, to be looked for where
/// it must not be.
pub(crate) const CANARY: &str = "canary";
/// The account in its tokens.
pub(crate) const ACCOUNT: &str = "acc-1";

type Parameters = BTreeMap<String, String>;

/// The server, as long as the test's runtime.
#[derive(Clone)]
pub(crate) struct OAuthServer {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What was asked with each code that wasn't exchanged yet.
    codes: HashMap<String, Parameters>,
    next: usize,
    uses: BTreeMap<String, usize>,
    verifiers: Vec<String>,
    lifetime: u64,
    refusal: Option<(u16, String)>,
    denial: Option<String>,
    delay: Duration,
    current: Option<String>,
}

impl OAuthServer {
    /// A server whose access tokens live for ten days.
    pub(crate) async fn spawn() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::new(Mutex::new(State {
                lifetime: 10 * 86_400 + 60,
                ..State::default()
            })),
        };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = serving.clone();
                let service = service_fn(move |request| {
                    let server = server.clone();
                    async move { Ok::<_, Infallible>(server.respond(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        server
    }

    /// Where users log in.
    pub(crate) fn authorize_url(&self) -> String {
        format!("http://{}/authorize", self.address)
    }

    /// Where tokens are had.
    pub(crate) fn token_url(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// Answers every further request for tokens so.
    pub(crate) fn refuse(&self, status: u16, body: &str) {
        self.state.lock().unwrap().refusal = Some((status, body.to_owned()));
    }

    /// Answers well again.
    pub(crate) fn recover(&self) {
        self.state.lock().unwrap().refusal = None;
    }

    /// Sends users back with this error in place of a code.
    pub(crate) fn deny(&self, error: &str) {
        self.state.lock().unwrap().denial = Some(error.to_owned());
    }

    /// How often each refresh token came.
    pub(crate) fn uses(&self) -> BTreeMap<String, usize> {
        self.state.lock().unwrap().uses.clone()
    }

    /// The refresh token that it would take.
    pub(crate) fn current(&self) -> Option<String> {
        self.state.lock().unwrap().current.clone()
    }

    /// Takes `refresh` once, as if it had given it.
    pub(crate) fn knows(&self, refresh: &str) {
        self.state.lock().unwrap().current = Some(refresh.to_owned());
    }

    /// Waits so long before each answer to a request for tokens.
    pub(crate) fn delay(&self, delay: Duration) {
        self.state.lock().unwrap().delay = delay;
    }

    /// How long access tokens live, in seconds.
    pub(crate) fn lifetime(&self, seconds: u64) {
        self.state.lock().unwrap().lifetime = seconds;
    }

    /// The verifiers that came.
    pub(crate) fn verifiers(&self) -> Vec<String> {
        self.state.lock().unwrap().verifiers.clone()
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        match (&head.method, head.uri.path()) {
            (&Method::GET, "/authorize") => {
                self.authorize(&read(head.uri.query().unwrap_or_default().as_bytes()))
            }
            (&Method::POST, "/token") => {
                let delay = self.state.lock().unwrap().delay;
                tokio::time::sleep(delay).await;
                self.token(&read(&body))
            }
            _ => answer(404, String::new()),
        }
    }

    fn authorize(&self, asked: &Parameters) -> Response<Full<Bytes>> {
        assert_eq!(asked["code_challenge_method"], "S256");
        assert_eq!(asked["response_type"], "code");
        let mut state = self.state.lock().unwrap();
        let mut url = Url::parse(&asked["redirect_uri"]).unwrap();
        let (name, value) = match &state.denial {
            Some(error) => ("error", error.clone()),
            None => {
                state.next += 1;
                let code = format!("{CANARY}-code-{}", state.next);
                state.codes.insert(code.clone(), asked.clone());
                ("code", code)
            }
        };
        url.query_pairs_mut()
            .append_pair(name, &value)
            .append_pair("state", &asked["state"]);
        let mut answer = answer(302, String::new());
        let location = HeaderValue::from_str(url.as_str()).unwrap();
        answer.headers_mut().insert(LOCATION, location);
        answer
    }

    fn token(&self, asked: &Parameters) -> Response<Full<Bytes>> {
        let mut state = self.state.lock().unwrap();
        let is_good = match asked["grant_type"].as_str() {
            "authorization_code" => {
                let verifier = &asked["code_verifier"];
                state.verifiers.push(verifier.clone());
                let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
                state.codes.remove(&asked["code"]).is_some_and(|login| {
                    login["code_challenge"] == challenge
                        && login["redirect_uri"] == asked["redirect_uri"]
                        && login["client_id"] == asked["client_id"]
                })
            }
            "refresh_token" => {
                let token = &asked["refresh_token"];
                *state.uses.entry(token.clone()).or_default() += 1;
                state.current.as_ref() == Some(token)
            }
            other => panic!("{other}"),
        };
        if let Some((status, body)) = &state.refusal {
            return answer(*status, body.clone());
        }
        if !is_good {
            return answer(400, json!({"error": "invalid_grant"}).to_string());
        }
        state.next += 1;
        let number = state.next;
        let refresh = format!("{CANARY}-refresh-{number}");
        state.current = Some(refresh.clone());
        let access = jwt(&json!({"n": format!("{CANARY}-{number}"),
            "https://api.openai.com/auth": {"chatgpt_account_id": ACCOUNT}}));
        let id_token = jwt(&json!({"email": "nick@example.com"}));
        let tokens = json!({"access_token": access, "refresh_token": refresh,
            "id_token": id_token, "token_type": "Bearer", "expires_in": state.lifetime});
        answer(200, tokens.to_string())
    }
}

fn jwt(claims: &Value) -> String {
    let part = |text: String| URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.{CANARY}",
        part(json!({"alg": "none"}).to_string()),
        part(claims.to_string())
    )
}

fn read(form: &[u8]) -> Parameters {
    form_urlencoded::parse(form).into_owned().collect()
}

fn answer(status: u16, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status.try_into().unwrap();
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}
