//! Signed identity: what the identity proxies of the presets sign passes, and nothing
//! else does.

mod balancer;
mod canary;
mod discovery;
mod flood;
mod forged;
mod keys;
mod presets;
mod reloaded;
mod routes;
mod services;

use crate::client::{Connection, Http2Client, Response, http2_request};
use crate::issuer::Issuer;
use crate::recorder::Recorder;
use crate::sidecar::{GATEWAY, Setup, Sidecar};
use crate::signer::Signer;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const ISSUER: &str = "https://issuer.example.com";
const AUDIENCE: &str = "claw";
const NICK: &str = "nick@example.com";
const PROTO: &str = "x-forwarded-proto: https\r\n";

/// The seconds of now.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// Claims of nick that are good for five minutes.
fn claims() -> Value {
    json!({"iss": ISSUER, "aud": [AUDIENCE], "email": NICK, "sub": "u-1",
        "iat": now(), "exp": now() + 300})
}

/// The same but for one of them; null: without it.
fn claims_but(name: &str, value: impl Into<Value>) -> Value {
    but(claims(), name, value)
}

fn but(mut object: Value, name: &str, value: impl Into<Value>) -> Value {
    let object_of = object.as_object_mut().unwrap();
    match value.into() {
        Value::Null => drop(object_of.remove(name)),
        value => drop(object_of.insert(name.to_owned(), value)),
    }
    object
}

fn header(algorithm: &str, id: &str) -> Value {
    json!({"alg": algorithm, "kid": id, "typ": "JWT"})
}

/// A gateway section whose users must be proven. `assertion` are its keys.
fn gateway(assertion: &str) -> String {
    format!("{GATEWAY}[gateway.auth.trustedProxy.assertion]\n{assertion}\n")
}

/// The usual one: `x-signed` holds what the issuer's key `ec` signed by ES256.
fn usual(keys_url: &str) -> String {
    format!(
        "preset = \"oidc\"\nheader = \"x-signed\"\nalgorithms = [\"ES256\"]\n\
         issuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\nkeysUrl = \"{keys_url}\""
    )
}

/// A sidecar that asks for the usual, with its issuer and what reaches its upstream.
struct Scene {
    signer: Signer,
    issuer: Issuer,
    upstream: Recorder,
    sidecar: Sidecar,
}

impl Scene {
    async fn new() -> Self {
        Self::of(Setup::new(), Recorder::spawn().await).await
    }

    async fn of(setup: Setup, upstream: Recorder) -> Self {
        Self::with("", setup, upstream).await
    }

    /// With further keys of the assertion.
    async fn with(assertion: &str, setup: Setup, upstream: Recorder) -> Self {
        let signer = Signer::p256();
        let issuer = Issuer::with_keys(&[signer.jwk("ec")]);
        let assertion = format!("{}\n{assertion}", usual(&issuer.keys_url()));
        let setup = setup.gateway(&gateway(&assertion));
        let sidecar = setup.spawn(&upstream.url());
        Self {
            signer,
            issuer,
            upstream,
            sidecar,
        }
    }

    /// A good token.
    fn token(&self) -> String {
        self.signer.token(&header("ES256", "ec"), &claims())
    }
}

/// Why the issuer's keys can't be fetched, as the log has it.
async fn fetch_error(sidecar: &Sidecar) -> String {
    let line = sidecar
        .logged(|line| line["message"] == "the issuer's keys can't be fetched")
        .await;
    line["error.detail"].as_str().unwrap().to_owned()
}

/// The fields of a request of nick's with a token.
fn signed(token: &str) -> String {
    format!("{PROTO}x-forwarded-user: {NICK}\r\nx-signed: {token}\r\n")
}

/// What came of a request: its status where it passed, else the code.
fn verdict(answer: &Response) -> String {
    match answer.status {
        200 => "200".to_owned(),
        _ => answer.code(),
    }
}

/// What comes of a request with these fields on a connection that is kept.
async fn asked(connection: &mut Connection, fields: &str) -> String {
    let request = format!("GET / HTTP/1.1\r\n{fields}");
    verdict(&connection.exchange(&request).await)
}

/// The same over HTTP/2.
async fn asked_http2(client: &Http2Client, fields: &str) -> String {
    let answer = client.send(http2_request("GET", "/", fields)).await;
    let answer = answer.unwrap();
    match answer.status().as_u16() {
        200 => "200".to_owned(),
        _ => {
            let body: Value = serde_json::from_slice(answer.body()).unwrap();
            body["error"]["code"].as_str().unwrap().to_owned()
        }
    }
}

const INVALID: &str = "trusted_proxy_assertion_invalid";
const EXPIRED: &str = "trusted_proxy_assertion_expired";
const MISSING: &str = "trusted_proxy_assertion_missing";
const MISMATCH: &str = "trusted_proxy_assertion_user_mismatch";
