//! `portcullis models status`: every credential, as the running process knows it, else
//! as the files tell it.

use super::super::admin_client::{AskError, Question, ask};
use super::super::config_file::{Loaded, load_or_complain};
use super::super::output::{self, Style};
use super::super::{ConfigPath, EXIT_FAILURE, EXIT_USAGE, chain};
use super::{span, table};
use crate::broker;
use crate::credentials::UnixMillis;
use crate::credentials::status::{CredentialStatus, Verdict, verdict};
use crate::doctor::check_model_credentials;
use crate::secrets::env;
use clap::Args;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// For the running process' answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Something has ended or is missing.
const EXIT_BAD: u8 = 1;
/// Something ends soon.
const EXIT_EXPIRING: u8 = 2;
/// Of `--check`: it couldn't be looked at.
const EXIT_UNKNOWN: u8 = 3;

/// Arguments of `status`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes of --check: 0 good, 1 expired or missing, 2 expiring soon, 3 couldn't \
look (a bad configuration, an unknown provider).\nA login that renews itself never expires; one \
whose provider refused to renew it has expired."
)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    /// Exit with 1 where a credential has expired or is missing, with 2 where one
    /// expires soon, and say what to do
    #[arg(long)]
    check: bool,
    /// What --check calls soon
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    within: String,
    /// This provider's alone
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Ask no running process: read the configuration, the environment and the files
    #[arg(long)]
    offline: bool,
    /// The running process' admin listener [default: the configuration's admin.address]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "offline")]
    address: Option<SocketAddr>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Who told of the credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Process,
    Files,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let unknown = |code: ExitCode| match arguments.check {
        true => EXIT_UNKNOWN.into(),
        false => code,
    };
    let within = match span::parse(&arguments.within) {
        Ok(within) => within,
        Err(words) => {
            output::complain(format_args!("portcullis: --within: {words}"));
            return unknown(EXIT_USAGE.into());
        }
    };
    let loaded = match load_or_complain(&arguments.config) {
        Ok(loaded) => loaded,
        Err(code) => return unknown(code),
    };
    if let Some(provider) = &arguments.provider
        && !loaded.config.models.providers.contains_key(provider)
    {
        let known: Vec<&str> = loaded
            .config
            .models
            .providers
            .keys()
            .map(String::as_str)
            .collect();
        output::complain(format_args!(
            "portcullis: --provider: got `{}`, expected one of {}",
            output::one_line(provider),
            known.join(", ")
        ));
        return unknown(EXIT_USAGE.into());
    }
    let (mut rows, problems, origin) = match look(&loaded, arguments) {
        Ok(found) => found,
        Err(code) => return unknown(code),
    };
    if let Some(provider) = &arguments.provider {
        rows.retain(|row| row.provider == *provider);
        // Who names one wants it.
        if rows.is_empty() {
            rows.push(CredentialStatus::missing(provider));
        }
    }
    let now = UnixMillis::now();
    for problem in &problems {
        output::complain(format_args!("portcullis: {problem}"));
    }
    let findings = check_model_credentials(&rows, &loaded.path, now, within);
    let code = match verdict(&rows, now, within) {
        _ if !arguments.check => 0,
        _ if !problems.is_empty() => EXIT_BAD,
        Verdict::Good => 0,
        Verdict::Expiring => EXIT_EXPIRING,
        Verdict::Bad => EXIT_BAD,
    };
    let written = if arguments.json {
        output::json(json!({
            "origin": if origin == Origin::Process { "process" } else { "files" },
            "credentials": rows,
            "findings": findings,
            "problems": problems,
        }))
    } else if rows.is_empty() {
        output::complain(
            "portcullis: there is no credential, and no configured provider lacks one",
        );
        Ok(())
    } else {
        output::raw(table::text(&rows, now, Style::for_stdout()).as_bytes())
    };
    if arguments.check && !arguments.json {
        for finding in &findings {
            output::complain(format_args!(
                "{} {} {}: {}; do: {}",
                finding.severity, finding.id, finding.place, finding.evidence, finding.remedy
            ));
        }
    }
    output::finish(written, code.into())
}

type Found = (Vec<CredentialStatus>, Vec<String>, Origin);

/// The credentials, as the running process knows them, else as the files tell them; and
/// what is wrong with those files.
pub(in crate::cli) fn known(loaded: &Loaded) -> (Vec<CredentialStatus>, Vec<String>) {
    let question = question(None);
    let told = match ask(&loaded.config, &question) {
        Ok((StatusCode::OK, status)) => told(&status),
        // Nothing runs there, or nothing that would tell.
        Ok(_) | Err(_) => None,
    };
    match told {
        Some((rows, problems, _)) => (rows, problems),
        None => broker::credentials_of_files(&loaded.config, &env::Process),
    }
}

fn question(address: Option<SocketAddr>) -> Question<'static> {
    Question {
        method: Method::GET,
        path: "/status",
        address,
        patience: ANSWER,
    }
}

fn look(loaded: &Loaded, arguments: &Arguments) -> Result<Found, ExitCode> {
    if !arguments.offline {
        let question = question(arguments.address);
        match ask(&loaded.config, &question) {
            Ok((StatusCode::OK, status)) => {
                if let Some(found) = told(&status) {
                    return Ok(found);
                }
                complain("the running process has no back door");
            }
            Ok((status, answer)) => {
                let message = answer["error"]["message"].as_str().unwrap_or_default();
                complain(&format!("{message} ({status})"));
            }
            Err(error) if arguments.address.is_some() => {
                output::complain(format_args!("portcullis: {}", chain(&error)));
                return Err(EXIT_FAILURE.into());
            }
            // Nothing runs there: the files say what can be said.
            Err(AskError::Unreachable { .. } | AskError::NoPort { .. }) => {}
            Err(AskError::NoToken(_)) => {
                complain("the running process can't be asked without the value of `admin.token`");
            }
            Err(error) => complain(&chain(&error)),
        }
    }
    let (rows, problems) = broker::credentials_of_files(&loaded.config, &env::Process);
    Ok((rows, problems, Origin::Files))
}

fn complain(why: &str) {
    output::complain(format_args!(
        "portcullis: {why}: the files are read instead"
    ));
}

/// The rows in the running process' status.
fn told(status: &Value) -> Option<Found> {
    let rows = serde_json::from_value(status["credentials"].clone()).ok()?;
    let problems = serde_json::from_value(status["tokenSinkProblems"].clone()).ok()?;
    Some((rows, problems, Origin::Process))
}
