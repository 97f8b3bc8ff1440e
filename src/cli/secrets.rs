//! `portcullis secrets`: which secrets the configuration names, whether they can be
//! had, and how the running process takes up new ones.

mod audit;
mod list;
mod reload;

use super::interruptible;
use clap::Subcommand;
use std::process::ExitCode;

/// Subcommands of `secrets`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show every secret: where it is used, where it comes from, whether it was had;
    /// never its value
    List(list::Arguments),
    /// Resolve every secret that is in use, and say why one can't be had
    Resolve(list::Arguments),
    /// Find secrets in plain text, files of secrets that others can open, and references
    /// without a value
    Audit(audit::Arguments),
    /// Have the running process read its configuration and secrets again
    Reload(reload::Arguments),
}

pub(super) fn run(command: Command) -> ExitCode {
    interruptible::run(move || match command {
        Command::List(arguments) => list::run(&arguments, list::Purpose::Show),
        Command::Resolve(arguments) => list::run(&arguments, list::Purpose::Prove),
        Command::Audit(arguments) => audit::run(&arguments),
        Command::Reload(arguments) => reload::run(&arguments),
    })
}
