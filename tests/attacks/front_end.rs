//! What stands between client and upstream: Portcullis, another program with its
//! best configuration, or nothing that deserves the name.

use crate::client::client_config;
use crate::fire::Mark;
use crate::placeholder::Cast;
use crate::sidecar::{Setup, Sidecar};
use crate::upstream::Upstream;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// How long anybody may take for what must come. Some let a client be silent for
/// longer: they answer it with nothing, which is as safe.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

/// Who plays in the corpus.
pub(crate) fn cast() -> Cast {
    Cast {
        host: "claw.example.com".to_owned(),
        user: "nick@example.com".to_owned(),
    }
}

/// What a permitted connection begins with where `config` is served.
pub(crate) fn preamble(config: &str) -> String {
    match config {
        "proxy-protocol" => "PROXY TCP4 10.1.2.3 10.0.0.1 1234 443\r\n".to_owned(),
        _ => String::new(),
    }
}

/// A running front end, one for each configuration of the corpus.
pub(crate) trait FrontEnd {
    /// Where `config` is served; none: it can't do what it asks for.
    fn mark(&mut self, config: &str) -> Option<Mark>;
}

/// The folder of the corpus.
pub(crate) fn corpus_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks/corpus")
}

/// Portcullis: a process for each configuration and protocol, started when first
/// asked for.
pub(crate) struct Portcullis {
    upstream: SocketAddr,
    plain: Vec<(String, Sidecar)>,
    tls: Vec<(String, Sidecar)>,
}

impl Portcullis {
    pub(crate) fn new(upstream: &Upstream) -> Self {
        Self {
            upstream: upstream.address,
            plain: Vec::new(),
            tls: Vec::new(),
        }
    }

    /// The process that serves `config` without TLS.
    pub(crate) fn plain(&mut self, config: &str) -> &Sidecar {
        if !self.plain.iter().any(|(name, _)| name == config) {
            let sidecar = setup(config).spawn(&format!("http://{}", self.upstream));
            self.plain.push((config.to_owned(), sidecar));
        }
        let found = self.plain.iter().find(|(name, _)| name == config);
        &found.unwrap().1
    }

    /// The one that serves it over TLS.
    pub(crate) fn tls(&mut self, config: &str) -> &Sidecar {
        if !self.tls.iter().any(|(name, _)| name == config) {
            let sidecar = setup(config)
                .tls()
                .spawn(&format!("http://{}", self.upstream));
            self.tls.push((config.to_owned(), sidecar));
        }
        let found = self.tls.iter().find(|(name, _)| name == config);
        &found.unwrap().1
    }
}

impl FrontEnd for Portcullis {
    fn mark(&mut self, config: &str) -> Option<Mark> {
        let plain = self.plain(config).address;
        let tls = self.tls(config);
        Some(Mark {
            plain: Some(plain),
            tls: Some((tls.address, client_config(&tls.certificate(), b"http/1.1"))),
            cast: cast(),
            preamble: preamble(config),
            patience: PATIENCE,
        })
    }
}

/// A configuration of the corpus as the harness takes it.
fn setup(config: &str) -> Setup {
    let path = corpus_folder().join(format!("config/{config}.toml"));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut whole: toml::Table = text.parse().unwrap();
    let mut gateway = toml::Table::new();
    gateway.extend(whole.remove_entry("gateway"));
    let gateway = toml::to_string(&gateway).unwrap();
    let gateway = gateway.strip_prefix("[gateway]\n").unwrap();
    let listen = whole
        .remove("listen")
        .map(|listen| toml::to_string(&listen).unwrap());
    Setup::new()
        .gateway(gateway)
        .listen(&format!(
            "address = \"127.0.0.1:0\"\n{}",
            listen.unwrap_or_default()
        ))
        .section(&toml::to_string(&whole).unwrap())
}

/// Passes bytes on as they come: shows that the runner can fail.
pub(crate) struct Careless {
    address: SocketAddr,
}

impl Careless {
    pub(crate) async fn spawn(upstream: &Upstream) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, upstream) = (listener.local_addr().unwrap(), upstream.address);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    if let Ok(mut upstream) = TcpStream::connect(upstream).await {
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
                    }
                });
            }
        });
        Self { address }
    }
}

impl FrontEnd for Careless {
    fn mark(&mut self, _config: &str) -> Option<Mark> {
        Some(Mark {
            plain: Some(self.address),
            tls: None,
            cast: cast(),
            preamble: String::new(),
            // It closes nothing, and is not waited for.
            patience: Duration::from_secs(1),
        })
    }
}

/// Portcullis where TLS can't be had: shows that it isn't taken for a refusal.
pub(crate) struct WithoutTls(pub(crate) Portcullis);

impl FrontEnd for WithoutTls {
    fn mark(&mut self, config: &str) -> Option<Mark> {
        let mut mark = self.0.mark(config)?;
        if let (Some((tls, _)), Some(plain)) = (&mut mark.tls, mark.plain) {
            *tls = plain;
        }
        Some(mark)
    }
}
