//! The back door as its callers and its providers meet it.

mod callers;
mod canary;
mod elsewhere;
mod first_event;
mod login;
mod memory;
mod pins;
mod profiles;
mod provider;
mod renewal;
mod rotation;
mod start;
mod status;
mod streaming;
mod wire;

use crate::client::{Connection, Response};
use crate::sidecar::{PATIENCE, Setup, Sidecar};
use provider::Provider;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

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

/// The credentials in the running process' status.
async fn credentials(sidecar: &Sidecar) -> Vec<Value> {
    let status = sidecar.admin("GET /status").await.json();
    status["credentials"].as_array().unwrap().clone()
}

/// The state of one of them, by its name.
async fn state_of(sidecar: &Sidecar, name: &str) -> String {
    let rows = credentials(sidecar).await;
    let row = rows.iter().find(|row| row["name"] == name);
    let row = row.unwrap_or_else(|| panic!("no {name}: {rows:?}"));
    row["state"].as_str().unwrap().to_owned()
}

/// A command of the program's, away from the test's own environment.
fn portcullis(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// `[models]` with the profiles of `folder`, then `rest`.
fn with_profiles(folder: &Path, rest: &str) -> Setup {
    back_door(&format!("stateDir = \"{}\"\n{rest}", folder.display()))
}

/// Milliseconds since 1970, so many seconds from now.
fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(now.unwrap().as_millis()).unwrap() + seconds * 1000
}

/// Whether `it` comes true, waited for.
async fn eventually<F: Future<Output = bool>>(it: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !it().await {
        assert!(Instant::now() < deadline, "waited in vain");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Writes a token sink into `folder`.
fn write_sink(folder: &Path, sink: Value) {
    std::fs::create_dir_all(folder).unwrap();
    write_private(&folder.join("auth-profiles.json"), &sink.to_string());
}

/// Writes a file that nobody else may read.
fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
