//! `portcullis secrets reload`: asks the running process over its admin listener.

use super::super::admin_client::{Question, ask};
use super::super::config_file::load_or_complain;
use super::super::output;
use super::super::{ConfigPath, EXIT_FAILURE};
use clap::Args;
use hyper::{Method, StatusCode};
use serde_json::Value;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// For the answer: a build may take ten minutes, and one may have to be waited for
/// before it begins.
const ANSWER: Duration = Duration::from_secs(1210);

/// Arguments of `reload`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    /// The running process' admin listener [default: the configuration's admin.address]
    #[arg(long, value_name = "ADDRESS")]
    address: Option<SocketAddr>,
    /// Print the answer as it is, JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let config = match load_or_complain(&arguments.config) {
        Ok(loaded) => loaded.config,
        Err(code) => return code,
    };
    let question = Question {
        method: Method::POST,
        path: "/reload",
        address: arguments.address,
        patience: ANSWER,
    };
    match ask(&config, &question) {
        Ok((status, answer)) => report(status, &answer, arguments.json),
        Err(error) => {
            output::complain(format_args!("portcullis: {}", super::super::chain(&error)));
            EXIT_FAILURE.into()
        }
    }
}

fn report(status: StatusCode, answer: &Value, json: bool) -> ExitCode {
    let generation = answer["generation"].as_u64();
    let reloaded = generation.filter(|_| status == StatusCode::OK);
    let code = if reloaded.is_some() {
        ExitCode::SUCCESS
    } else {
        EXIT_FAILURE.into()
    };
    if json {
        return output::finish(output::line(answer), code);
    }
    if let Some(generation) = reloaded {
        let restart = words(&answer["restartRequired"]);
        if !restart.is_empty() {
            output::complain(format_args!(
                "portcullis: these keys keep their old value until a restart: {}",
                restart.join(", ")
            ));
        }
        return output::finish(
            output::line(format_args!("reloaded: generation {generation}")),
            code,
        );
    }
    for problem in answer["problems"].as_array().into_iter().flatten() {
        output::complain(located(problem));
    }
    let message = match (status, answer["error"]["code"].as_str()) {
        (StatusCode::UNAUTHORIZED, Some("admin_unauthorized")) => {
            "the running process expects another admin token: it may still hold the one from \
             before a rotation; SIGHUP needs none"
        }
        (_, Some(_)) => answer["error"]["message"].as_str().unwrap_or_default(),
        (_, None) => "got another answer than an admin listener gives: is this its address?",
    };
    output::complain(format_args!("portcullis: {message} ({status})"));
    code
}

fn words(list: &Value) -> Vec<&str> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).collect()
}

/// `FILE:LINE:COLUMN: key: message (code); do: remedy`, as far as it is known.
fn located(problem: &Value) -> String {
    let mut text = problem["file"].as_str().unwrap_or("portcullis").to_owned();
    if let (Some(line), Some(column)) = (problem["line"].as_u64(), problem["column"].as_u64()) {
        text.push_str(&format!(":{line}:{column}"));
    }
    for (before, field, after) in [
        (": ", "key", ""),
        (": ", "message", ""),
        (" (", "code", ")"),
        ("; do: ", "remedy", ""),
    ] {
        if let Some(words) = problem[field].as_str() {
            text.push_str(&format!("{before}{words}{after}"));
        }
    }
    text
}
