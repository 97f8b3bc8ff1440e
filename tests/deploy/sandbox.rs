//! A folder with certificates and configurations made from the committed ones, and the programs that
//! run on them: ended, and the folder removed, when the test is over.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

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

        let edge =
            rcgen::generate_simple_self_signed([PUBLIC_NAME, "127.0.0.1"].map(str::to_owned))
                .unwrap();
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
        let path = self.path(name);
        fs::write(&path, with_replacements(committed, replacements)).unwrap();
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
        Self::start_with(sandbox, program, arguments, &[])
    }

    /// The same, with further variables in its environment.
    pub(crate) fn start_with(
        sandbox: &Sandbox,
        program: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
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
            .envs(environment.iter().copied())
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

/// The text of a file of this repository.
pub(crate) fn committed_file(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The text of a file of this repository, with replacements. Each must find something.
pub(crate) fn with_replacements(committed: &str, replacements: &[(&str, &str)]) -> String {
    let mut text = committed_file(committed);
    for (from, to) in replacements {
        assert!(
            text.contains(from),
            "{committed} doesn't hold `{from}`, which this test replaces"
        );
        text = text.replace(from, to);
    }
    text
}

/// This repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
