//! Other programs in Portcullis' place, each with the best configuration that its
//! version allows (`peers/`).

use crate::client::client_config;
use crate::corpus::Row;
use crate::fire::Mark;
use crate::front_end::{FrontEnd, PATIENCE, cast, preamble};
use crate::reserved_port::reserve;
use crate::sidecar::write_certificate;
use crate::upstream::Upstream;
use std::collections::{BTreeSet, HashMap};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What is asked of a peer by name.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    program: &'static str,
    version: &'static [&'static str],
    /// Its main file, and how it is started with it.
    file: &'static str,
    arguments: &'static [&'static str],
}

/// All of them.
pub(crate) const KINDS: [Kind; 3] = [
    Kind {
        name: "nginx",
        program: "nginx",
        version: &["-v"],
        file: "nginx.conf",
        arguments: &["-c"],
    },
    Kind {
        name: "Caddy",
        program: "caddy",
        version: &["version"],
        file: "Caddyfile",
        arguments: &["run", "--adapter", "caddyfile", "--config"],
    },
    Kind {
        name: "HAProxy",
        program: "haproxy",
        version: &["-v"],
        file: "haproxy.cfg",
        arguments: &["-db", "-f"],
    },
];

/// A running one.
pub(crate) struct Peer {
    child: Child,
    folder: TempDir,
    ports: HashMap<String, u16>,
}

impl Kind {
    /// Its version, as it tells it.
    pub(crate) fn version(&self) -> String {
        let output = Command::new(self.program).args(self.version).output();
        let output = output.unwrap_or_else(|error| {
            panic!("{}: {error}; `make attacks` installs it", self.program)
        });
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        said.split(|char: char| !char.is_ascii_digit() && char != '.')
            .find(|part| part.matches('.').count() >= 2)
            .unwrap_or_else(|| panic!("no version in {said:?}"))
            .to_owned()
    }

    /// Starts it in front of `upstream`, with a listener for each configuration of
    /// `rows` that its own knows.
    pub(crate) fn spawn(&self, upstream: &Upstream, rows: &[&Row]) -> Peer {
        let configs: BTreeSet<&str> = rows.iter().map(|row| row.config.as_str()).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        write_certificate(path);
        let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
        let both = read("cert.pem") + &read("key.pem");
        std::fs::write(path.join("both.pem"), both).unwrap();
        let ports = reserve_ports(&configs);
        let mut known = HashMap::new();
        for source in std::fs::read_dir(self.sources()).unwrap() {
            let source = source.unwrap().path();
            let mut text = std::fs::read_to_string(&source).unwrap();
            for (name, port) in &ports {
                let placeholder = format!("@{name}@");
                if text.contains(&placeholder) {
                    text = text.replace(&placeholder, &port.to_string());
                    known.insert(name.clone(), *port);
                }
            }
            let text = text
                .replace("@folder@", &path.display().to_string())
                .replace("@upstream@", &upstream.address.to_string());
            std::fs::write(path.join(source.file_name().unwrap()), text).unwrap();
        }
        let child = Command::new(self.program)
            .args(self.arguments)
            .arg(path.join(self.file))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(path.join("stderr")).unwrap())
            // Caddy keeps state in its home.
            .env("HOME", path)
            .env("XDG_DATA_HOME", path)
            .env("XDG_CONFIG_HOME", path)
            .spawn()
            .unwrap();
        let mut peer = Peer {
            child,
            folder,
            ports: known,
        };
        if !peer.is_up() {
            let said = std::fs::read_to_string(peer.folder.path().join("stderr")).unwrap();
            panic!("{} does not start: {said}", self.name);
        }
        peer
    }

    fn sources(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/attacks/peers")
            .join(self.program)
    }
}

/// A port for each name.
fn reserve_ports(configs: &BTreeSet<&str>) -> Vec<(String, u16)> {
    configs
        .iter()
        .flat_map(|config| ["http", "tls"].map(|kind| format!("{config}-{kind}")))
        .map(|name| (name, reserve().port()))
        .collect()
}

impl Peer {
    /// Waits until every listener takes connections; `false`: it has ended.
    fn is_up(&mut self) -> bool {
        let deadline = Instant::now() + crate::sidecar::PATIENCE;
        while self.child.try_wait().unwrap().is_none() && Instant::now() < deadline {
            let address = |port: &u16| SocketAddr::from(([127, 0, 0, 1], *port));
            if self
                .ports
                .values()
                .all(|port| TcpStream::connect(address(port)).is_ok())
            {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl FrontEnd for Peer {
    fn mark(&mut self, config: &str) -> Option<Mark> {
        let address = |kind: &str| {
            let port = self.ports.get(&format!("{config}-{kind}"))?;
            Some(SocketAddr::from(([127, 0, 0, 1], *port)))
        };
        let certificate = self.folder.path().join("cert.pem");
        Some(Mark {
            plain: Some(address("http")?),
            tls: Some((address("tls")?, client_config(&certificate, b"http/1.1"))),
            cast: cast(),
            preamble: preamble(config),
            patience: PATIENCE,
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
