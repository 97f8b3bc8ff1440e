//! `portcullis secrets list` and `resolve`: the account of every secret.

use super::super::config_file::load_or_complain;
use super::super::output::{self, Style};
use super::super::{ConfigPath, EXIT_USAGE};
use crate::secrets::env;
use crate::snapshot::{BuildError, SecretState, Secrets, State, unfit_secrets};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// Arguments of `list` and `resolve`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What the account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be looked at.
    Show,
    /// To fail where a secret in use has no value, or none that can be used.
    Prove,
}

pub(super) fn run(arguments: &Arguments, purpose: Purpose) -> ExitCode {
    let loaded = match load_or_complain(&arguments.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let secrets = Secrets::resolve(&loaded.config, &env::Process);
    let unfit = unfit_secrets(&loaded.config, &secrets);
    let is_good = secrets.are_whole() && unfit.is_empty();
    let written = if arguments.json {
        let problems: Vec<String> = unfit.iter().map(BuildError::in_full).collect();
        output::json(json!({ "ok": is_good, "secrets": secrets.states(), "problems": problems }))
    } else {
        for error in &unfit {
            output::complain(format_args!(
                "{}: {}",
                loaded.path.display(),
                error.in_full()
            ));
        }
        output::raw(table(secrets.states(), Style::for_stdout()).as_bytes())
    };
    let code = if purpose == Purpose::Prove && !is_good {
        EXIT_USAGE.into()
    } else {
        ExitCode::SUCCESS
    };
    output::finish(written, code)
}

/// A line for each secret, and what is to be said of it below.
fn table(states: &[SecretState], style: Style) -> String {
    if states.is_empty() {
        return "the configuration names no secret\n".to_owned();
    }
    let surface_width = width(states, |state| &state.surface);
    let origins: Vec<String> = states.iter().map(origin).collect();
    let origin_width = origins.iter().map(String::len).max().unwrap_or_default();
    let mut text = String::new();
    for (state, origin) in states.iter().zip(&origins) {
        let word = state.state.as_str();
        let word = match state.state {
            State::Resolved => style.green(word),
            State::Unresolved => style.red(word),
            State::Plain | State::Inactive => style.dim(word),
        };
        text.push_str(&format!(
            "{:surface_width$}  {origin:origin_width$}  {word}\n",
            state.surface
        ));
        let Some(problem) = &state.problem else {
            continue;
        };
        text.push_str(&format!(
            "    {}: {}\n",
            problem.code,
            output::one_line(&problem.message)
        ));
        if let Some(remedy) = &problem.remedy {
            text.push_str(&format!("    do: {}\n", output::one_line(remedy)));
        }
    }
    text
}

fn width(states: &[SecretState], of: impl Fn(&SecretState) -> &String) -> usize {
    let widths = states.iter().map(|state| of(state).len());
    widths.max().unwrap_or_default()
}

/// `source:provider:id`, or that it stands in the configuration.
fn origin(state: &SecretState) -> String {
    match state.reference() {
        Some(reference) => output::one_line(&reference),
        None => "in the configuration".to_owned(),
    }
}
