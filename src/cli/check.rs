//! `portcullis check`: the configuration, every problem at once.

use super::config_file::{LoadError, Loaded, load};
use super::{ConfigPath, EXIT_USAGE, interruptible, output};
use crate::config::{Config, Surface};
use crate::secrets::{SecretSource, env};
use crate::server;
use crate::snapshot::{BuildError, Snapshot};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    /// Also build all that `run` would: read certificates and keys, the users file,
    /// and resolve every secret
    #[arg(long)]
    resolve: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: Arguments) -> ExitCode {
    if arguments.resolve {
        interruptible::run(move || check(&arguments))
    } else {
        check(&arguments)
    }
}

fn check(arguments: &Arguments) -> ExitCode {
    match load(&arguments.config) {
        Ok(mut loaded) => {
            let mut failures = server::exposed(&loaded.config, &loaded.path, &env::Process);
            if arguments.resolve {
                failures.extend(resolve(&loaded));
            }
            if let Some(error) = server::unkept_commands(&loaded.config, &loaded.path) {
                // Without a lock-down, or a command in use, the start is none the worse.
                match arguments.resolve && uses_commands(&loaded.config) {
                    true => failures.push(error),
                    false => loaded.warnings.push(error.in_full()),
                }
            }
            report(arguments, &loaded, &failures)
        }
        Err(error) if arguments.json => {
            output::finish(output::json(as_json(&error)), EXIT_USAGE.into())
        }
        Err(error) => {
            error.complain();
            EXIT_USAGE.into()
        }
    }
}

/// Everything that the start would do, short of listening.
fn resolve(loaded: &Loaded) -> Vec<BuildError> {
    match Snapshot::build(&loaded.config, &env::Process, None) {
        Ok(_) => Vec::new(),
        Err(errors) => errors,
    }
}

fn uses_commands(config: &Config) -> bool {
    let surfaces = config.surfaces();
    let mut in_use = surfaces.iter().filter_map(Surface::to_resolve);
    in_use.any(|reference| reference.id.source() == SecretSource::Exec)
}

fn report(arguments: &Arguments, loaded: &Loaded, failures: &[BuildError]) -> ExitCode {
    let code = if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        EXIT_USAGE.into()
    };
    if arguments.json {
        let report = json!({
            "ok": failures.is_empty(),
            "file": loaded.path.display().to_string(),
            "problems": failures.iter().map(failure_json).collect::<Vec<_>>(),
            "warnings": loaded.warnings,
        });
        return output::finish(output::line(report), code);
    }
    for warning in &loaded.warnings {
        output::complain(format_args!("warning: {warning}"));
    }
    for failure in failures {
        output::complain(format_args!(
            "{}: {}",
            loaded.path.display(),
            failure.in_full()
        ));
    }
    if failures.is_empty() {
        return output::finish(
            output::line(format_args!("{}: good", loaded.path.display())),
            code,
        );
    }
    code
}

fn failure_json(failure: &BuildError) -> serde_json::Value {
    let mut problem = json!({ "key": failure.key(), "message": super::chain(failure) });
    if let Some(code) = failure.code() {
        problem["code"] = json!(code);
    }
    if let Some(remedy) = failure.remedy() {
        problem["remedy"] = json!(remedy);
    }
    problem
}

fn as_json(error: &LoadError) -> serde_json::Value {
    match error {
        LoadError::Unreadable(message) => {
            json!({ "ok": false, "problems": [{ "message": message }], "warnings": [] })
        }
        LoadError::Invalid { path, problems } => {
            let problems: Vec<_> = problems
                .iter()
                .map(|problem| {
                    json!({
                        "line": problem.line,
                        "column": problem.column,
                        "key": problem.key,
                        "message": problem.message,
                    })
                })
                .collect();
            json!({ "ok": false, "file": path.display().to_string(), "problems": problems, "warnings": [] })
        }
    }
}
