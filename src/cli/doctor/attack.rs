//! `doctor --attack`: arms the probe, fires the corpus at the address that was named, and
//! asks Portcullis about what it refused.

mod volley;

use super::super::admin_client::{Admin, AskError, runtime};
use super::super::config_file::{Loaded, load_or_complain};
use super::super::output;
use super::super::{ConfigPath, EXIT_FAILURE, EXIT_USAGE, chain};
use crate::base_url::BaseUrl;
use crate::config::Config;
use crate::doctor::Finding;
use crate::doctor::attack::{Front, OwnHeader, TlsTrust, unverified};
use crate::regular_file;
use crate::secrets::SecretValue;
use crate::snapshot::{Token, TokenError};
use crate::tls::{self, UpstreamTrust};
use clap::Args;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Where the token is, for whoever has no configuration at hand.
const TOKEN_VARIABLE: &str = "PORTCULLIS_ADMIN_TOKEN";

/// The largest file of headers to send, in bytes: no proxy takes as long a head.
const MAX_SESSION_BYTES: u64 = 1 << 20;

/// What names the listener here.
const OPTION: &str = "--admin";

/// Arguments of the attack.
#[derive(Debug, Args)]
#[group(id = "attack-arguments")]
pub(super) struct Arguments {
    /// Fire spoofed headers through the deployed chain at this address, and at no other, and
    /// tell what came through
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    pub(super) attack: Option<BaseUrl>,
    /// A header to send with each of them, such as a session's cookie, and none that the proxy
    /// itself has to set; `@FILE` has one a line; may be repeated
    #[arg(
        short = 'H',
        long = "header",
        value_name = "NAME: VALUE",
        requires = "attack"
    )]
    headers: Vec<String>,
    /// The admin listener of the Portcullis behind that address; this host isn't looked at
    /// then. The token comes from --config, else from $PORTCULLIS_ADMIN_TOKEN
    #[arg(long, value_name = "ADDRESS", requires = "attack")]
    admin: Option<SocketAddr>,
    /// The authority that signed the address' certificate, where the public web doesn't know it
    #[arg(
        long,
        value_name = "FILE",
        requires = "attack",
        conflicts_with = "insecure"
    )]
    ca: Option<PathBuf>,
    /// Believe any certificate: whoever answers then has the session that is sent
    #[arg(long, requires = "attack")]
    insecure: bool,
}

fn parse_url(text: &str) -> Result<BaseUrl, String> {
    BaseUrl::parse(text).map_err(|error| error.to_string())
}

impl Arguments {
    /// Whether the attack is all that is asked for.
    pub(super) fn is_alone(&self) -> bool {
        self.attack.is_some() && self.admin.is_some()
    }

    /// Attacks, knowing the admin listener from the arguments alone.
    pub(super) fn run_alone(&self, config: &ConfigPath) -> Result<Vec<Finding>, ExitCode> {
        let loaded = match &config.config {
            Some(_) => Some(load_or_complain(config)?),
            None => None,
        };
        self.run(loaded.as_ref().map(|loaded| &loaded.config))
    }

    /// Attacks, if that is asked for.
    pub(super) fn run_beside(&self, loaded: &Loaded) -> Result<Vec<Finding>, ExitCode> {
        self.run(Some(&loaded.config))
    }

    fn run(&self, config: Option<&Config>) -> Result<Vec<Finding>, ExitCode> {
        let Some(url) = &self.attack else {
            return Ok(Vec::new());
        };
        let front = self.front(url).map_err(|message| {
            output::complain(format_args!("portcullis: {message}"));
            ExitCode::from(EXIT_USAGE)
        })?;
        let complain = |error: &AskError| {
            output::complain(format_args!("portcullis: {}", chain(error)));
            ExitCode::from(EXIT_FAILURE)
        };
        let admin = match (config, self.admin) {
            (Some(config), elsewhere) => Admin::of(config, elsewhere, OPTION),
            (None, Some(address)) => {
                token_of_variable().and_then(|token| Admin::at(address, token, OPTION))
            }
            (None, None) => Err(AskError::NoPort { option: OPTION }),
        };
        let admin = admin.map_err(|error| complain(&error))?;
        let fired = runtime()
            .map_err(|error| complain(&error))?
            .block_on(volley::fire(&front, &admin, url.as_str()));
        let mut findings = fired.map_err(|error| {
            output::complain(format_args!("portcullis: {error}"));
            ExitCode::from(match error {
                volley::VolleyError::Header(_) => EXIT_USAGE,
                _ => EXIT_FAILURE,
            })
        })?;
        if self.insecure && url.is_tls() {
            findings.push(unverified(url.as_str()));
        }
        Ok(findings)
    }

    fn front(&self, url: &BaseUrl) -> Result<Front, String> {
        let trust = match (&self.ca, self.insecure) {
            (_, true) => TlsTrust::Insecure,
            (None, false) => TlsTrust::Verified(UpstreamTrust::PublicRoots),
            (Some(path), false) => {
                let authorities =
                    tls::certificates(path).map_err(|error| format!("--ca: {error}"))?;
                TlsTrust::Verified(UpstreamTrust::Authorities(authorities))
            }
        };
        let mut headers = Vec::new();
        for (place, given) in self.headers.iter().enumerate() {
            let complain = |what: String| format!("-H, number {}: {what}", place + 1);
            let lines = match given.strip_prefix('@') {
                Some(path) => session(Path::new(path))
                    .map_err(|error| complain(format!("{path}: {error}")))?,
                None => Zeroizing::new(given.clone()),
            };
            for line in lines.lines().filter(|line| !line.trim().is_empty()) {
                let header = OwnHeader::parse(line);
                headers.push(header.map_err(|error| complain(error.to_string()))?);
            }
        }
        Front::new(url, trust, headers).map_err(|error| error.to_string())
    }
}

/// The lines of a file of headers.
fn session(path: &Path) -> io::Result<Zeroizing<String>> {
    let bytes = Zeroizing::new(regular_file::read(path, MAX_SESSION_BYTES)?);
    let lines = std::str::from_utf8(&bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not valid UTF-8"))?;
    Ok(Zeroizing::new(lines.to_owned()))
}

fn token_of_variable() -> Result<Option<Token>, AskError> {
    let Some(token) = std::env::var_os(TOKEN_VARIABLE) else {
        return Ok(None);
    };
    let token = token
        .into_string()
        .map_err(|_| TokenError::NotVisibleAscii)
        .and_then(|token| Token::new(SecretValue::new(token)));
    token.map(Some).map_err(|source| AskError::Variable {
        name: TOKEN_VARIABLE,
        source,
    })
}
