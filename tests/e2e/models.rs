//! The back door as its callers and its providers meet it.

mod callers;
mod elsewhere;
mod first_event;
mod memory;
mod provider;
mod rotation;
mod streaming;
mod wire;

use crate::client::{Connection, Response};
use crate::sidecar::{Setup, Sidecar};
use provider::Provider;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A sidecar with a back door; `models` are the keys of `[models]`, its providers and
/// whatever sections follow.
fn back_door(models: &str) -> Setup {
    Setup::new().section(&format!("[models]\nlisten = \"127.0.0.1:0\"\n{models}"))
}

/// The section of a provider with these keys.
fn section(name: &str, provider: &Provider, keys: &[&str]) -> String {
    format!(
        "[models.providers.{name}]\nbaseUrl = \"{}\"\napiKeys = {keys:?}\n",
        provider.url()
    )
}

/// Starts it. Its front door leads nowhere.
fn start(setup: Setup) -> Sidecar {
    setup.spawn("http://127.0.0.1:9")
}

/// A back door to `provider` as anthropic, with these keys.
fn anthropic(provider: &Provider, keys: &[&str]) -> Sidecar {
    start(back_door(&section("anthropic", provider, keys)))
}

/// A request of a program on this host, with a JSON body.
fn request(line: &str, fields: &str, body: &str) -> String {
    format!(
        "{line} HTTP/1.1\r\nHost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n{fields}\r\n{body}",
        body.len()
    )
}

/// A call on a connection of its own.
async fn call(sidecar: &Sidecar, line: &str, fields: &str, body: &str) -> Response {
    send(sidecar, request(line, fields, body)).await
}

/// A request as it is, on a connection of its own.
async fn send(sidecar: &Sidecar, request: impl AsRef<[u8]>) -> Response {
    let mut connection = Connection::tcp(sidecar.models()).await;
    connection.write(request).await;
    connection.response(false).await
}

/// Any call of anthropic.
async fn ask(sidecar: &Sidecar) -> Response {
    call(sidecar, "POST /anthropic/v1/messages", "", "{}").await
}

/// The status and the code of an answer of Portcullis' own.
fn refusal(answer: &Response) -> (u16, String) {
    (answer.status, answer.code())
}

/// Writes a token sink into `folder`.
fn write_sink(folder: &Path, sink: Value) {
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join("auth-profiles.json");
    std::fs::write(&path, sink.to_string()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
