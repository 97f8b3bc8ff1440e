//! `portcullis explain`: the policy on one request without any network, and why the
//! running process refused one.

mod asked;
mod assumed;
mod curl;
mod denial;
mod explanation;

use super::config_file::{Loaded, load_or_complain};
use super::output::{self, Style};
use super::{ConfigPath, EXIT_FAILURE, EXIT_USAGE};
use crate::config::{Config, Limits};
use crate::forwarded::{Credential, HeaderBytes};
use crate::policy::{AltName, LocalInterface, Peer, Upgrade};
use crate::secrets::SecretValue;
use crate::snapshot::Rules;
use asked::{Asked, Origin, split_header};
use assumed::Assumed;
use clap::Args;
use explanation::{Explanation, REDACTED};
use std::net::SocketAddr;
use std::process::ExitCode;

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(
    after_help = "A request that a browser copied as a curl command line goes behind `--`; the \
headers that the proxy in front adds go before it:\n  portcullis explain --source 10.0.0.5 \
-H 'x-forwarded-user: nick@example.com' -- curl 'https://claw.example.com/' -H 'accept: */*'\n\n\
Exit codes: 0 permitted, 1 denied, 2 neither can be told: bad configuration or usage; with \
--denial also no answer, no such id, or too little kept of the request to decide it anew."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    /// The address that the request comes from, or `unix:UID` for a Unix socket's peer
    #[arg(long, value_name = "IP", value_parser = Origin::parse, required_unless_present = "denial")]
    source: Option<Origin>,
    /// A header of the request, as curl takes it; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Path and query
    #[arg(long, default_value = "/", conflicts_with_all = ["curl", "denial"])]
    path: String,
    /// The method
    #[arg(long, default_value = "GET", conflicts_with_all = ["curl", "denial"])]
    method: String,
    /// The request is a WebSocket upgrade
    #[arg(long)]
    websocket: bool,
    /// A name of the certificate that the source shows, for clientCertNames; may be repeated
    #[arg(long = "cert-name", value_name = "NAME", value_parser = parse_cert_name)]
    cert_names: Vec<AltName>,
    /// The source is an address of the machine or pod that Portcullis runs on
    #[arg(long)]
    own_address: bool,
    /// Ask the running process why it refused the request with this id, which its answer
    /// and its log line have; and whether it would now
    #[arg(
        long,
        value_name = "REQUEST ID",
        conflicts_with_all = ["source", "headers", "websocket", "cert_names", "own_address", "curl"]
    )]
    denial: Option<String>,
    /// The running process' admin listener [default: the configuration's admin.address]
    #[arg(long, value_name = "ADDRESS", requires = "denial")]
    address: Option<SocketAddr>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The request as a curl command line
    #[arg(last = true, value_name = "curl URL FLAGS")]
    curl: Vec<String>,
}

fn parse_cert_name(text: &str) -> Result<AltName, String> {
    AltName::parse(text).map_err(|error| error.to_string())
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let Loaded { config, path, .. } = match load_or_complain(&arguments.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let rules = match rules(&config) {
        Ok(rules) => rules,
        Err(message) => {
            output::complain(format_args!("{}: {message}", path.display()));
            return EXIT_USAGE.into();
        }
    };
    let place = &Place {
        config,
        rules,
        path,
    };
    match (&arguments.denial, arguments.source) {
        (Some(request_id), _) => denial::run(place, request_id, arguments),
        (None, Some(origin)) => decide(place, origin, arguments),
        (None, None) => EXIT_USAGE.into(),
    }
}

/// What a request is decided by.
struct Place {
    config: Config,
    rules: Rules,
    path: std::path::PathBuf,
}

fn decide(place: &Place, origin: Origin, arguments: &Arguments) -> ExitCode {
    let asked = match asked(arguments, &place.config.limits) {
        Ok(asked) => asked,
        Err(message) => {
            output::complain(format_args!("portcullis: {message}"));
            return EXIT_USAGE.into();
        }
    };
    let local = match arguments.own_address {
        true => LocalInterface::Yes,
        false => LocalInterface::No,
    };
    let source = origin.source(local);
    let assumed = Assumed::claims(&place.config);
    let names = (!arguments.cert_names.is_empty()).then_some(&*arguments.cert_names);
    let peer = Peer::new(source, names);
    let explanation = Explanation::of(place, peer, &asked, &assumed);
    let code = match explanation.is_permitted {
        true => ExitCode::SUCCESS,
        false => EXIT_FAILURE.into(),
    };
    let written = match arguments.json {
        true => output::json(&explanation.json),
        false => output::raw(explanation.text(Style::for_stdout()).as_bytes()),
    };
    output::finish(written, code)
}

/// The request of the arguments.
fn asked(arguments: &Arguments, limits: &Limits) -> Result<Asked, String> {
    let mut asked = match arguments.curl.is_empty() {
        false => curl::read(&arguments.curl)?,
        true => Asked {
            method: arguments.method.clone(),
            target: arguments.path.clone(),
            host: "localhost".to_owned(),
            upgrade: Upgrade::None,
            fields: Vec::new(),
            is_open: false,
        },
    };
    if arguments.websocket {
        asked.upgrade = Upgrade::Websocket;
    }
    let headers = arguments.headers.iter().map(|header| split_header(header));
    asked.fields.extend(headers.collect::<Result<Vec<_>, _>>()?);
    asked.read(limits)?;
    Ok(asked)
}

/// The rules as they run, with a stand-in for the credential: what it is worth is
/// nobody's business here.
fn rules(config: &Config) -> Result<Rules, String> {
    let credential = match &config.upstream.credential {
        None => None,
        Some(configured) => Some(Credential {
            header: configured.header.clone(),
            value: HeaderBytes::new(SecretValue::concat(&[REDACTED]))
                .map_err(|error| error.to_string())?,
        }),
    };
    Rules::build(config, credential).map_err(|error| error.in_full())
}
