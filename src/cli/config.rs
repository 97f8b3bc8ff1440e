//! `portcullis config`: writing configurations.

use super::{EXIT_USAGE, output};
use crate::config::{Imported, import_openclaw};
use clap::{Args, Subcommand};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `config`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the TOML for what an openclaw.json shares with Portcullis, and name the rest
    Import(Import),
}

#[derive(Debug, Args)]
struct Import {
    /// The gateway's configuration, `-` for stdin
    #[arg(value_name = "openclaw.json")]
    file: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.command {
        Command::Import(arguments) => import(&arguments.file),
    }
}

fn import(file: &Path) -> ExitCode {
    let shown = if is_stdin(file) {
        "stdin".into()
    } else {
        file.display().to_string()
    };
    let text = match read(file) {
        Ok(text) => text,
        Err(error) => {
            output::complain(format_args!("portcullis: {shown}: {error}"));
            return EXIT_USAGE.into();
        }
    };
    match import_openclaw(&text) {
        Ok(imported) => {
            let written = output::raw(imported.toml.as_bytes());
            advise(&imported, &shown);
            output::finish(written, ExitCode::SUCCESS)
        }
        Err(error) => {
            output::complain(format_args!("{shown}:{error}"));
            EXIT_USAGE.into()
        }
    }
}

fn read(file: &Path) -> io::Result<String> {
    if is_stdin(file) {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text)?;
        Ok(text)
    } else {
        std::fs::read_to_string(file)
    }
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

/// What is left to do, in lines of the printed text.
fn advise(imported: &Imported, shown: &str) {
    let Imported {
        toml: _,
        left_out,
        problems,
        warnings,
    } = imported;
    if !left_out.is_empty() {
        let count = left_out.len();
        let noun = if count == 1 { "key" } else { "keys" };
        output::complain(format_args!(
            "{shown}: {count} {noun} left out; the output's last lines name each and say why"
        ));
    }
    for warning in warnings {
        output::complain(format_args!("warning: {warning}"));
    }
    if !problems.is_empty() {
        output::complain("portcullis: before `portcullis check` passes, the output needs:");
        for problem in problems {
            output::complain(format_args!("  {problem}"));
        }
    }
}
