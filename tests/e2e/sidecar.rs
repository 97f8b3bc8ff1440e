//! Starts `portcullis run` with a configuration and stops it again.

use crate::client::{Connection, Response};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a wait ends with when its condition doesn't come true.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How a sidecar is to be set up. The default trusts loopback, as a proxy on the
/// same machine, asks for `x-forwarded-proto` and permits nick and ada.
#[derive(Clone)]
pub(crate) struct Setup {
    gateway: String,
    sections: String,
    listen: String,
    upstream: String,
    admin: String,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    user: Option<String>,
    is_tls: bool,
}

/// A running sidecar, killed when dropped.
pub(crate) struct Sidecar {
    child: Child,
    /// The front door.
    pub(crate) address: SocketAddr,
    /// The admin listener.
    pub(crate) admin: SocketAddr,
    /// The front door's Unix socket, where one was asked for.
    pub(crate) unix: Option<PathBuf>,
    /// The redirect listener, where one was asked for.
    pub(crate) redirect: Option<SocketAddr>,
    models: Option<SocketAddr>,
    is_tls: bool,
    folder: TempDir,
    log: Arc<Mutex<Vec<String>>>,
}

/// A gateway section that trusts nobody who could connect in a test.
pub(crate) const ELSEWHERE: &str = "trustedProxies = [\"10.0.0.1\"]\n[gateway.auth]\nmode = \"trusted-proxy\"\n\
     [gateway.auth.trustedProxy]\nuserHeader = \"x-forwarded-user\"\nallowUsers = [\"nick@example.com\"]";

/// The gateway section of the default setup.
pub(crate) const GATEWAY: &str = r#"
trustedProxies = ["127.0.0.1", "::1"]
[gateway.auth]
mode = "trusted-proxy"
[gateway.auth.trustedProxy]
userHeader = "x-forwarded-user"
requiredHeaders = ["x-forwarded-proto"]
allowUsers = ["nick@example.com", "ada@example.com"]
allowLoopback = true
"#;

/// The fields that make a request of the default setup permitted.
pub(crate) const IDENTITY: &str =
    "x-forwarded-user: nick@example.com\r\nx-forwarded-proto: https\r\n";

impl Setup {
    /// The default, over plain HTTP.
    pub(crate) fn new() -> Self {
        Self {
            gateway: GATEWAY.to_owned(),
            sections: String::new(),
            listen: "address = \"127.0.0.1:0\"".to_owned(),
            upstream: String::new(),
            admin: String::new(),
            environment: Vec::new(),
            arguments: Vec::new(),
            user: None,
            is_tls: false,
        }
    }

    /// Another `[gateway]` section, from its first key on.
    pub(crate) fn gateway(mut self, toml: &str) -> Self {
        self.gateway = toml.to_owned();
        self
    }

    /// Further sections after the default ones.
    pub(crate) fn section(mut self, toml: &str) -> Self {
        self.sections.push_str(toml);
        self.sections.push('\n');
        self
    }

    /// Other `[listen]` keys.
    pub(crate) fn listen(mut self, toml: &str) -> Self {
        self.listen = toml.to_owned();
        self
    }

    /// Further `[upstream]` keys.
    pub(crate) fn upstream(mut self, toml: &str) -> Self {
        self.upstream = toml.to_owned();
        self
    }

    /// Further `[admin]` keys.
    pub(crate) fn admin(mut self, toml: &str) -> Self {
        self.admin = toml.to_owned();
        self
    }

    /// A variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A further argument of `run`.
    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Another user's process, by number; only root can start one.
    pub(crate) fn user(mut self, id: &str) -> Self {
        self.user = Some(id.to_owned());
        self
    }

    /// TLS with a certificate for `claw.example.com` and 127.0.0.1.
    pub(crate) fn tls(mut self) -> Self {
        self.is_tls = true;
        self
    }

    /// Starts it in front of `upstream` (a URL) and waits until it serves.
    pub(crate) fn spawn(self, upstream: &str) -> Sidecar {
        let folder = tempfile::tempdir().unwrap();
        let is_tls = self.is_tls;
        let mut child = self.command(folder.path(), upstream).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = follow(&mut child, log.clone());
        let mut listeners = std::collections::HashMap::new();
        let mut unix = None;
        loop {
            let line = lines.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                panic!("it did not come up: {:#?}", log.lock().unwrap());
            });
            let Ok(line) = serde_json::from_str::<serde_json::Value>(&line) else {
                continue;
            };
            match line["message"].as_str() {
                Some("listening") => {
                    let name = line["listener.name"].as_str().unwrap().to_owned();
                    let address = line["listener.address"].as_str().unwrap();
                    match address.strip_prefix("unix:") {
                        Some(path) => unix = Some(path.into()),
                        None => drop(listeners.insert(name, address.parse().unwrap())),
                    }
                }
                Some("serving") => break,
                _ => {}
            }
        }
        Sidecar {
            child,
            address: listeners["front"],
            admin: listeners["admin"],
            unix,
            redirect: listeners.get("redirect").copied(),
            models: listeners.get("models").copied(),
            is_tls,
            folder,
            log,
        }
    }

    /// Starts it where it must not come up. The exit's code and what it says.
    pub(crate) fn refused(self) -> (Option<i32>, String) {
        let folder = tempfile::tempdir().unwrap();
        let mut command = self.command(folder.path(), "http://127.0.0.1:9");
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let came_up = follow(&mut child, log.clone())
            .iter()
            .any(|line| line.contains("\"serving\""));
        if came_up {
            let _ = child.kill();
        }
        let code = child.wait().unwrap().code();
        let said = log.lock().unwrap().join("\n");
        assert!(!came_up, "it came up: {said}");
        (code, said)
    }

    /// Writes its configuration into `folder`.
    fn command(self, folder: &Path, upstream: &str) -> Command {
        let tls = if self.is_tls {
            tls_section(folder)
        } else {
            String::new()
        };
        let config = format!(
            "[listen]\n{}\n[upstream]\nurl = \"{upstream}\"\n{}\n[gateway]\n{}\n{tls}\n\
             [admin]\naddress = \"127.0.0.1:0\"\n{}\n{}\n",
            self.listen, self.upstream, self.gateway, self.admin, self.sections
        );
        let path = folder.join("portcullis.toml");
        std::fs::write(&path, config).unwrap();
        // Whatever the umask: commands are run by no file that others may write.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let program = env!("CARGO_BIN_EXE_portcullis");
        let mut command = match &self.user {
            None => Command::new(program),
            Some(user) => {
                for path in [folder, &path] {
                    let readable = std::fs::Permissions::from_mode(0o755);
                    std::fs::set_permissions(path, readable).unwrap();
                }
                let mut command = Command::new("setpriv");
                command.args(["--reuid", user, "--regid", user, "--clear-groups", program]);
                command
            }
        };
        command
            .args(["run", "--config"])
            .arg(&path)
            .args(self.arguments)
            .envs(self.environment)
            .stderr(Stdio::piped())
            .stdin(Stdio::null());
        command
    }
}

fn follow(child: &mut Child, log: Arc<Mutex<Vec<String>>>) -> Receiver<String> {
    let (sender, receiver) = channel();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            log.lock().unwrap().push(line.clone());
            let _ = sender.send(line);
        }
    });
    receiver
}

/// Writes `cert.pem` and `key.pem` into `folder`.
pub(crate) fn write_certificate(folder: &Path) {
    let names = ["claw.example.com", "localhost", "127.0.0.1"].map(str::to_owned);
    let generated = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(folder.join("cert.pem"), generated.cert.pem()).unwrap();
    std::fs::write(
        folder.join("key.pem"),
        generated.signing_key.serialize_pem(),
    )
    .unwrap();
}

/// Accepts TLS with the certificate in `folder`.
pub(crate) fn acceptor(folder: &Path) -> tokio_rustls::TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

fn tls_section(folder: &Path) -> String {
    write_certificate(folder);
    let folder = folder.display();
    format!("[gateway.tls]\ncertPath = \"{folder}/cert.pem\"\nkeyPath = \"{folder}/key.pem\"\n")
}

impl Sidecar {
    /// A new connection of an HTTP/1.1 client, over TLS where the sidecar speaks it.
    pub(crate) async fn connect(&self) -> Connection {
        if self.is_tls {
            Connection::tls(self.address, &self.certificate(), b"http/1.1").await
        } else {
            Connection::tcp(self.address).await
        }
    }

    /// One request on a connection of its own; the head is completed with `Host`.
    pub(crate) async fn send(&self, request: &str) -> Response {
        self.connect().await.exchange(request).await
    }

    /// The back door.
    pub(crate) fn models(&self) -> SocketAddr {
        self.models.expect("`models.listen` is set")
    }

    /// The value of a metric, by its name with all labels; none: it isn't there.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let text = String::from_utf8(self.admin("GET /metrics").await.body).unwrap();
        let value = |line: &'_ str| {
            line.strip_prefix(name)?
                .strip_prefix(' ')
                .map(str::to_owned)
        };
        let rest = text.lines().find_map(value)?;
        Some(rest.trim().parse().unwrap())
    }

    /// Waits until a metric has this value.
    pub(crate) async fn counts(&self, name: &str, value: f64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.metric(name).await;
            if now == Some(value) {
                return;
            }
            assert!(Instant::now() < deadline, "{name}: {now:?}, not {value}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until a limit, named by its key, has been counted so often.
    pub(crate) async fn reached(&self, key: &str, count: u32) {
        let name = format!("portcullis_limit_reached_total{{limit=\"{key}\"}}");
        self.counts(&name, count.into()).await;
    }

    /// The certificate that it serves with.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// Its configuration file.
    pub(crate) fn config_path(&self) -> PathBuf {
        self.folder.path().join("portcullis.toml")
    }

    /// What is in it.
    pub(crate) fn config(&self) -> String {
        std::fs::read_to_string(self.config_path()).unwrap()
    }

    /// Changes it.
    pub(crate) fn edit(&self, change: impl FnOnce(&str) -> String) {
        std::fs::write(self.config_path(), change(&self.config())).unwrap();
    }

    /// Asks the admin listener: a method and a path.
    pub(crate) async fn admin(&self, line: &str) -> Response {
        let mut connection = Connection::tcp(self.admin).await;
        let host = self.admin;
        connection
            .write(format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        connection.response(line.starts_with("HEAD ")).await
    }

    /// Has it read its configuration again: the status and the answer.
    pub(crate) async fn reload(&self) -> (u16, serde_json::Value) {
        let answer = self.admin("POST /reload").await;
        (answer.status, answer.json())
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "it does not end: {:#?}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log_after(0)
    }

    /// The same but for the first `count` lines.
    pub(crate) fn log_after(&self, count: usize) -> Vec<String> {
        self.log.lock().unwrap()[count..].to_vec()
    }

    /// The first log line for which `is_it` holds, waited for.
    pub(crate) async fn logged(
        &self,
        is_it: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        until(|| {
            let log = self.log.lock().unwrap();
            log.iter()
                .filter_map(|line| serde_json::from_str(line).ok())
                .find(|line| is_it(line))
        })
        .await
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log();
        let panics = log.iter().any(|line| line.contains("panicked at"));
        assert!(!panics || std::thread::panicking(), "it panicked: {log:#?}");
    }
}

/// Waits until `look` finds something.
pub(crate) async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
