//! `portcullis explain`: the policy on one request, without any network.

use super::config_file::{Loaded, load_or_complain};
use super::output::{self, Style};
use super::{ConfigPath, EXIT_FAILURE, EXIT_USAGE};
use crate::authority::Authority;
use crate::config::{AllowUsersSource, Config};
use crate::forwarded::{Credential, Facts, HeaderBytes, Scheme};
use crate::policy::{
    Denial, Field, Identity, Keyless, LocalInterface, Permit, Request, Source, Upgrade,
};
use crate::secrets::SecretValue;
use crate::snapshot::Rules;
use clap::Args;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::process::ExitCode;

/// What stands where a secret would.
const REDACTED: &str = "[redacted]";

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    /// The address that the request comes from, or `unix:UID` for a Unix socket's peer
    #[arg(long, value_name = "IP", value_parser = parse_origin)]
    source: Origin,
    /// A header of the request, as curl takes it; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// Path and query
    #[arg(long, default_value = "/")]
    path: String,
    /// The method
    #[arg(long, default_value = "GET")]
    method: String,
    /// The request is a WebSocket upgrade
    #[arg(long)]
    websocket: bool,
    /// The source is an address of the machine or pod that Portcullis runs on
    #[arg(long)]
    own_address: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Where the request comes from.
#[derive(Debug, Clone, Copy)]
enum Origin {
    Address(IpAddr),
    UnixPeer(u32),
}

fn parse_origin(text: &str) -> Result<Origin, String> {
    let origin = match text.strip_prefix("unix:") {
        Some(uid) => uid.parse().ok().map(Origin::UnixPeer),
        None => text.parse().ok().map(Origin::Address),
    };
    origin.ok_or_else(|| "expected an IP address, or `unix:` and a user's number".to_owned())
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| format!("got `{text}`, expected `name: value`"))?;
    match http::HeaderName::from_bytes(name.as_bytes()) {
        Ok(_) if http::HeaderValue::from_bytes(value.as_bytes()).is_ok() => {
            Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
        }
        Ok(_) => Err(format!("`{name}`: the value holds a control character")),
        Err(_) => Err(format!("got `{name}`, expected a header name")),
    }
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
    let host = host_of(arguments);
    if Authority::parse(host.as_bytes()).is_none() {
        output::complain(format_args!(
            "portcullis: got host `{host}`, expected one host and port"
        ));
        return EXIT_USAGE.into();
    }
    let fields: Vec<Field<'_>> = arguments
        .headers
        .iter()
        .map(|(name, value)| Field {
            name,
            value: value.as_bytes(),
        })
        .collect();
    let request = Request {
        method: &arguments.method,
        target: &arguments.path,
        upgrade: if arguments.websocket {
            Upgrade::Websocket
        } else {
            Upgrade::None
        },
        fields: &fields,
    };
    let local = if arguments.own_address {
        LocalInterface::Yes
    } else {
        LocalInterface::No
    };
    let source = match arguments.source {
        Origin::Address(address) => Source::new(address, local),
        Origin::UnixPeer(uid) => Source::unix_peer(uid),
    };
    let explanation = match rules.policy.decide(source, &request, &Keyless) {
        Ok(permit) => permitted(&config, &rules, &source, &permit, &host),
        Err(denial) => denied(&source, &denial),
    };
    let code = if explanation.is_permitted {
        ExitCode::SUCCESS
    } else {
        EXIT_FAILURE.into()
    };
    let written = if arguments.json {
        output::line(&explanation.json)
    } else {
        output::raw(explanation.text(Style::for_stdout()).as_bytes())
    };
    output::finish(written, code)
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

fn host_of(arguments: &Arguments) -> String {
    let named = arguments
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("host"));
    named.map_or_else(|| "localhost".to_owned(), |(_, value)| value.clone())
}

/// What is told, to people and to programs.
struct Explanation {
    is_permitted: bool,
    verdict: String,
    because: Vec<String>,
    headers: Vec<(String, String)>,
    json: Value,
}

fn permitted(
    config: &Config,
    rules: &Rules,
    source: &Source,
    permit: &Permit<'_>,
    host: &str,
) -> Explanation {
    let scheme = if config.gateway.tls.is_some() {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let facts = Facts {
        scheme,
        host,
        request_id: "made-for-each-request",
    };
    let mut head = Vec::new();
    let written = rules.rewriter.rewrite(permit, &facts, &mut head);
    let headers: Vec<(String, String)> = String::from_utf8_lossy(&head)
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();

    let mut because = Vec::new();
    let nets = rules.policy.trusted_proxies();
    if let Some(net) = source.address().and_then(|address| nets.matching(address)) {
        because.push(format!(
            "source {source} is in gateway.trustedProxies ({net})"
        ));
    } else if source.uid().is_some() {
        because.push(format!("source {source} is in listen.unixPeerUids"));
    }
    let (decision, user) = match permit.identity() {
        Identity::User { user, .. } => {
            let rule = match &config.gateway.trusted_proxy.allow_users {
                AllowUsersSource::File(path) => {
                    format!("is in allowUsersFile ({})", path.display())
                }
                AllowUsersSource::Inline(crate::policy::AllowUsers::Any) => {
                    "is named, and allowUsers is absent: any user may pass".to_owned()
                }
                AllowUsersSource::Inline(_) => "is in allowUsers".to_owned(),
            };
            because.push(format!("user `{}` {rule}", user.as_str()));
            ("permitted", Some(user.as_str()))
        }
        Identity::Public => {
            because.push("the path is a public route: no user is asked for".to_owned());
            ("public", None)
        }
    };
    because.push(format!("the client's address is {}", written.client));
    let json = json!({
        "decision": decision,
        "source": source.to_string(),
        "user": user,
        "client": written.client,
        "because": because,
        "headers": headers,
    });
    Explanation {
        is_permitted: true,
        verdict: decision.to_owned(),
        because,
        headers,
        json,
    }
}

fn denied(source: &Source, denial: &Denial) -> Explanation {
    let code = denial.code();
    let json = json!({
        "decision": "denied",
        "source": source.to_string(),
        "status": code.status(),
        "code": code.as_str(),
        "reason": denial.reason(),
        "message": denial.message(),
        "detail": denial.detail(),
    });
    Explanation {
        is_permitted: false,
        verdict: format!("denied: {} ({})", denial.reason(), code.status()),
        because: vec![denial.detail()],
        headers: Vec::new(),
        json,
    }
}

impl Explanation {
    fn text(&self, style: Style) -> String {
        let verdict = if self.is_permitted {
            style.green(&self.verdict)
        } else {
            style.red(&self.verdict)
        };
        let mut text = format!("{}\n", style.bold(verdict));
        for reason in &self.because {
            text.push_str(&format!("  {reason}\n"));
        }
        if !self.headers.is_empty() {
            text.push_str("\nthe upstream gets:\n");
        }
        for (name, value) in &self.headers {
            text.push_str(&format!("  {}: {value}\n", style.dim(name)));
        }
        text
    }
}
