//! A deployment of its own: a config, a chain of certificates, a gateway's port and a
//! folder of units.

use crate::reserved_port::reserve;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use serde_json::Value;
use std::fmt;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use time::{Duration, OffsetDateTime};

/// A secret that no output may hold.
pub(super) const CANARY: &str = "hunter2-Tr0ub4dor-0123456789abcdef";
const PROGRAM: &str = env!("CARGO_BIN_EXE_portcullis");
/// A variable that the tests set nowhere but for the program.
const VARIABLE: &str = "PORTCULLIS_TEST_DOCTOR_TOKEN";

const CONFIG: &str = r#"
[listen]
address = "10.0.0.2:8443"
[upstream]
url = "http://127.0.0.1:{port}"
[gateway]
trustedProxies = ["10.0.0.1"]
[gateway.auth]
mode = "trusted-proxy"
[gateway.auth.trustedProxy]
userHeader = "x-forwarded-user"
clientCertNames = ["proxy.example.com"]
requiredHeaders = ["x-forwarded-proto"]
allowUsers = ["nick@example.com", "ada@example.com"]
[gateway.auth.trustedProxy.scopeCeilings]
"nick@example.com" = ["operator.read", "operator.write"]
"*" = ["operator.read"]
[gateway.tls]
certPath = "{folder}/chain.pem"
keyPath = "{folder}/key.pem"
clientCaPath = "{folder}/ca.pem"
[admin]
address = "127.0.0.1:0"
token = "$PORTCULLIS_TEST_DOCTOR_TOKEN"
[limits]
requestsPerSecondPerUser = 50
[log]
access = true
"#;

pub(super) struct Host {
    folder: tempfile::TempDir,
    gateway: Mutex<Option<TcpListener>>,
    pub(super) port: u16,
}

/// What the doctor said.
pub(super) struct Report {
    pub(super) code: i32,
    pub(super) json: Value,
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct Finding {
    pub(super) id: String,
    pub(super) severity: String,
    pub(super) evidence: String,
    pub(super) remedy: String,
    pub(super) place: Value,
}

/// A certificate to be made.
pub(super) struct Certificate {
    pub(super) names: Vec<String>,
    pub(super) begins: Duration,
    pub(super) ends: Duration,
    pub(super) order: Order,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    LeafThenAuthority,
    LeafTwice,
    SelfSigned,
}

impl Default for Certificate {
    fn default() -> Self {
        Self {
            names: vec!["claw.example.com".to_owned()],
            begins: Duration::days(-1),
            ends: Duration::days(90),
            order: Order::LeafThenAuthority,
        }
    }
}

impl Host {
    pub(super) fn new() -> Self {
        // Reserved, since the gateway may leave it for a while.
        let address = reserve();
        let gateway = TcpListener::bind(address).unwrap();
        let host = Self {
            folder: tempfile::tempdir().unwrap(),
            gateway: Mutex::new(Some(gateway)),
            port: address.port(),
        };
        fs::create_dir(host.path("units")).unwrap();
        host.certify(&Certificate::default());
        let config = host.filled(CONFIG);
        host.write("portcullis.toml", &config, 0o600);
        host
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `{folder}` and `{port}` written out.
    pub(super) fn filled(&self, text: &str) -> String {
        let folder = self.folder.path().display().to_string();
        text.replace("{folder}", &folder)
            .replace("{port}", &self.port.to_string())
    }

    pub(super) fn write(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Changes the one place of the config where `from` stands.
    pub(super) fn edit(&self, from: &str, to: &str) {
        let config = fs::read_to_string(self.path("portcullis.toml")).unwrap();
        let (from, to) = (self.filled(from), self.filled(to));
        assert_eq!(config.matches(&from).count(), 1, "{from}\n{config}");
        fs::write(self.path("portcullis.toml"), config.replace(&from, &to)).unwrap();
    }

    /// Has the gateway listen elsewhere, or nowhere.
    pub(super) fn gateway_at(&self, address: Option<&str>) {
        let mut gateway = self.gateway.lock().unwrap();
        drop(gateway.take());
        *gateway = address.map(|address| TcpListener::bind((address, self.port)).unwrap());
    }

    /// Writes `chain.pem`, `key.pem` and the authority, `ca.pem`.
    pub(super) fn certify(&self, wanted: &Certificate) {
        let now = OffsetDateTime::now_utc();
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name = named("authority");
        let ca = authority.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::new(wanted.names.clone()).unwrap();
        leaf.distinguished_name = named("door");
        leaf.not_before = now + wanted.begins;
        leaf.not_after = now + wanted.ends;
        let signed = match wanted.order {
            Order::SelfSigned => leaf.self_signed(&key).unwrap(),
            Order::LeafThenAuthority | Order::LeafTwice => leaf.signed_by(&key, &issuer).unwrap(),
        };
        let chain = match wanted.order {
            Order::SelfSigned => signed.pem(),
            Order::LeafThenAuthority => signed.pem() + &ca.pem(),
            Order::LeafTwice => signed.pem() + &signed.pem(),
        };
        self.write("chain.pem", &chain, 0o644);
        self.write("key.pem", &key.serialize_pem(), 0o600);
        self.write("ca.pem", &ca.pem(), 0o644);
    }

    /// The exit code, stdout and stderr.
    pub(super) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        self.run_by(Command::new(PROGRAM), arguments)
    }

    fn run_by(&self, mut program: Command, arguments: &[&str]) -> (i32, String, String) {
        let output = program
            .arg("doctor")
            .arg("--config")
            .arg(self.path("portcullis.toml"))
            .arg("--units")
            .arg(self.path("units"))
            .args(arguments)
            .env(VARIABLE, CANARY)
            .output()
            .unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        for said in [&stdout, &stderr] {
            assert!(
                !said.contains("hunter2") && !said.contains("Tr0ub4dor"),
                "{said}"
            );
        }
        (output.status.code().unwrap(), stdout, stderr)
    }

    /// The exit code of `check`, and what it says on stderr.
    pub(super) fn check(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(PROGRAM)
            .arg("check")
            .arg("--config")
            .arg(self.path("portcullis.toml"))
            .args(arguments)
            .env(VARIABLE, CANARY)
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), stderr)
    }

    pub(super) fn text(&self, arguments: &[&str]) -> String {
        let (_, stdout, stderr) = self.run(arguments);
        assert_eq!(stderr, "");
        stdout
    }

    pub(super) fn examine(&self) -> Report {
        self.examine_with(&[])
    }

    pub(super) fn examine_with(&self, arguments: &[&str]) -> Report {
        Report::read(self.run(&[&["--json"], arguments].concat()))
    }

    /// As a user to whom modes matter: root is let by them.
    pub(super) fn examine_bound_by_modes(&self) -> Report {
        let program = match nix::unistd::geteuid().is_root() {
            false => Command::new(PROGRAM),
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--bounding-set", "-dac_override,-dac_read_search", PROGRAM]);
                command
            }
        };
        Report::read(self.run_by(program, &["--json"]))
    }

    /// Does what a remedy says that begins with a command.
    pub(super) fn obey(&self, remedy: &str) {
        let command = remedy.split(',').next().unwrap();
        assert!(command.starts_with("chmod "), "{remedy}");
        let status = Command::new("sh").args(["-c", command]).status();
        assert!(status.unwrap().success(), "{command}");
    }
}

/// Only root can give a file away; where this isn't root, it is said that nothing is tested.
pub(super) fn is_root_as_this_needs() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        let loud = b"\n*** SKIPPED: only root can give a file away ***\n";
        let _ = std::io::stderr().write_all(loud);
    }
    is_root
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

impl Report {
    fn read((code, stdout, stderr): (i32, String, String)) -> Self {
        assert_eq!(stderr, "");
        Self {
            code,
            json: serde_json::from_str(&stdout).unwrap(),
        }
    }

    pub(super) fn findings(&self) -> impl Iterator<Item = Finding> {
        let findings = self.json["findings"].as_array().unwrap().clone();
        findings
            .into_iter()
            .map(|it| serde_json::from_value(it).unwrap())
    }

    /// The findings of a kind; those that are only worth knowing are left out where
    /// there are worse ones.
    pub(super) fn of(&self, id: &str, severity: &str) -> Vec<Finding> {
        let is_it = |finding: &Finding| finding.id == id && finding.severity == severity;
        self.findings().filter(is_it).collect()
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.findings().any(|finding| finding.id == id)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#}", self.json)
    }
}
