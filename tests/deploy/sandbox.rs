//! A folder with certificates and configurations made from the committed ones, and the programs that
//! run on them: ended, and the folder removed, when the test is over.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client;

/// The program under test.
pub(crate) const PORTCULLIS: &str = env!("CARGO_BIN_EXE_portcullis");

/// The public name in every committed configuration.
pub(crate) const PUBLIC_NAME: &str = "claw.example.com";

/// Where the configurations are, and all that is made from them.
pub(crate) struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    /// Makes the folder, with the certificates of the committed `make-certificates` under `tls/` and
    /// one for the identity proxy's own listener under `edge/`.
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let made = Command::new(repository().join("deploy/identity-proxies/make-certificates"))
            .arg(dir.path().join("tls"))
            .output()
            .expect("bash runs make-certificates");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );

        let edge = rcgen::generate_simple_self_signed([PUBLIC_NAME.to_owned()]).unwrap();
        fs::create_dir(dir.path().join("edge")).unwrap();
        fs::write(
            dir.path().join("edge").join(format!("{PUBLIC_NAME}.pem")),
            edge.cert.pem(),
        )
        .unwrap();
        fs::write(
            dir.path().join("edge").join(format!("{PUBLIC_NAME}.key")),
            edge.signing_key.serialize_pem(),
        )
        .unwrap();
        Self { dir }
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same as text, for a configuration.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name)
            .to_str()
            .expect("a temporary folder's name is UTF-8")
            .to_owned()
    }

    /// Writes a committed file to `name`, with replacements. Each must find something.
    pub(crate) fn write_from(
        &self,
        committed: &str,
        name: &str,
        replacements: &[(&str, &str)],
    ) -> PathBuf {
        let mut text = committed_file(committed);
        for (from, to) in replacements {
            assert!(
                text.contains(from),
                "{committed} doesn't hold `{from}`, which this test replaces"
            );
            text = text.replace(from, to);
        }
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }
}

/// A running program, killed when dropped.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts a program whose output goes to a file in the sandbox.
    ///
    /// Panics with the way out when the program isn't installed: a chain that wasn't tried must not
    /// look like one that holds.
    pub(crate) fn start(sandbox: &Sandbox, program: &str, arguments: &[&str]) -> Self {
        let name = Path::new(program)
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or(program);
        let log = fs::File::create(sandbox.path(&format!("{name}.log"))).unwrap();
        let child = Command::new(program)
            .args(arguments)
            // Debian keeps nginx where a user's PATH may not look.
            .env(
                "PATH",
                format!(
                    "{}:/usr/sbin:/sbin",
                    std::env::var("PATH").unwrap_or_default()
                ),
            )
            .env("HOME", sandbox.path(""))
            .env("XDG_DATA_HOME", sandbox.path("data"))
            .env("XDG_CONFIG_HOME", sandbox.path("config"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("`{name}` doesn't start ({error}); `make test` installs what the tests need")
            });
        Self { child }
    }

    /// Waits until `address` accepts, or fails with the program's log.
    pub(crate) fn accepting(mut self, sandbox: &Sandbox, log: &str, address: SocketAddr) -> Self {
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                let text = fs::read_to_string(sandbox.path(log)).unwrap_or_default();
                panic!("{log}: nothing listens on {address} ({ended:?})\n{text}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Portcullis on a configuration from `deploy/`.
pub(crate) struct Portcullis {
    pub(crate) door: SocketAddr,
    admin: SocketAddr,
    _running: Running,
}

impl Portcullis {
    /// Starts it on a configuration from `deploy/`, its addresses, certificates and upstream
    /// replaced, and `more` with them.
    pub(crate) fn start(
        sandbox: &Sandbox,
        committed: &str,
        upstream: SocketAddr,
        more: &[(&str, &str)],
    ) -> Self {
        let (door, admin) = (free_address(), free_address());
        let tls = sandbox.text("tls/");
        let (door_text, admin_text, upstream_text) = (
            format!("\"{door}\""),
            format!("\"{admin}\""),
            format!("\"http://{upstream}\""),
        );
        let mut replacements = vec![
            ("\"http://127.0.0.1:18789\"", upstream_text.as_str()),
            ("\"127.0.0.1:9180\"", &admin_text),
            ("/etc/portcullis/tls/", &tls),
        ];
        let listens_on = if more.is_empty() {
            "\"127.0.0.1:8443\""
        } else {
            "\"10.0.0.7:8443\""
        };
        replacements.push((listens_on, &door_text));
        replacements.extend(more);
        let config = sandbox.write_from(committed, "portcullis.toml", &replacements);
        let running = Running::start(
            sandbox,
            PORTCULLIS,
            &[
                "run",
                "--config",
                config.to_str().expect("a temporary folder's name is UTF-8"),
            ],
        )
        .accepting(sandbox, "portcullis.log", door);
        Self {
            door,
            admin,
            _running: running,
        }
    }

    /// How many requests the front door has answered, whatever the outcome.
    pub(crate) fn requests(&self) -> u64 {
        let answer = client::fetch(self.admin, "/metrics").expect("the admin listener answers");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
            .body
            .lines()
            .filter(|line| line.starts_with("portcullis_requests_total"))
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(_, count)| count.parse::<f64>().expect("a counter is a number") as u64)
            .sum()
    }
}

/// A loopback address whose port was free a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// The text of a file of this repository.
pub(crate) fn committed_file(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// This repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
