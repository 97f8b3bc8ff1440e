//! What the demo runs on: a certificate of its own and two configurations, made
//! as text and read as any other.

use crate::config::{self, Config};
use std::fmt::Write;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Why the demo can't be prepared.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    #[error("can't write the demo's certificate")]
    Files(#[from] io::Error),
    #[error("can't make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// A defect of ours: the text is made here.
    #[error("the demo's configuration is refused: {0}")]
    Config(String),
}

/// The certificate, in a folder that goes with the demo.
pub(super) struct Setup {
    folder: TempDir,
}

impl Setup {
    /// Makes a self-signed certificate for `localhost`, `claw.example.com`, the
    /// listener's address and this host's own.
    pub(super) fn prepare(listen: IpAddr) -> Result<Self, SetupError> {
        let folder = tempfile::Builder::new()
            .prefix("portcullis-demo-")
            .tempdir()?;
        let mut names = vec![
            "localhost".to_owned(),
            "claw.example.com".to_owned(),
            listen.to_string(),
        ];
        names.extend(super::own_address().map(|address| address.to_string()));
        let certified = rcgen::generate_simple_self_signed(names)?;
        std::fs::write(folder.path().join("cert.pem"), certified.cert.pem())?;
        write_private(
            &folder.path().join("key.pem"),
            &certified.signing_key.serialize_pem(),
        )?;
        Ok(Self { folder })
    }

    /// The certificate's file.
    pub(super) fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// The door that trusts a proxy on 127.0.0.1 (or ::1), alone of loopback.
    pub(super) fn trusting(
        &self,
        listen: SocketAddr,
        upstream: SocketAddr,
    ) -> Result<Config, SetupError> {
        let source = listen.ip();
        self.config(&format!(
            "[listen]\naddress = \"{listen}\"\n[upstream]\nurl = \"http://{upstream}\"\n\
             [gateway]\ntrustedProxies = [\"{source}\"]\n{AUTH}allowLoopback = true\n"
        ))
    }

    /// The door next to it, which lets no process of this host in: on loopback and,
    /// where there is one, on this host's own address.
    pub(super) fn strict(
        &self,
        front: SocketAddr,
        upstream: SocketAddr,
    ) -> Result<Config, SetupError> {
        let port = front.port().checked_add(1).unwrap_or(0);
        let mut listen = format!("\"{}\"", SocketAddr::new(front.ip(), port));
        let mut trusted = format!("\"{}\"", front.ip());
        if let Some(own) = super::own_address() {
            let _ = write!(listen, ", \"{}\"", SocketAddr::new(own, port));
            let _ = write!(trusted, ", \"{own}\"");
        }
        self.config(&format!(
            "[listen]\naddress = [{listen}]\n[upstream]\nurl = \"http://{upstream}\"\n\
             [gateway]\ntrustedProxies = [{trusted}]\n{AUTH}"
        ))
    }

    fn config(&self, text: &str) -> Result<Config, SetupError> {
        let folder = self.folder.path().display();
        let text = format!(
            "{text}[gateway.tls]\ncertPath = \"{folder}/cert.pem\"\nkeyPath = \"{folder}/key.pem\"\n\
             [admin]\naddress = \"127.0.0.1:0\"\n[limits]\nshutdownGrace = \"2s\"\nmaxConnections = 256\n"
        );
        let parsed = config::parse(&text).map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            SetupError::Config(problems.join("; "))
        })?;
        Ok(parsed.config)
    }
}

const AUTH: &str = "[gateway.auth]\nmode = \"trusted-proxy\"\n[gateway.auth.trustedProxy]\n\
userHeader = \"x-forwarded-user\"\nrequiredHeaders = [\"x-forwarded-proto\"]\n\
allowUsers = [\"nick@example.com\"]\n";

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}
