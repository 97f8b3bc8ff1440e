//! `portcullis models`: the credentials of model providers.

mod auth;
mod place;

use super::interruptible;
use clap::Subcommand;
use std::process::ExitCode;

/// Subcommands of `models`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Log in at providers, paste keys and tokens, and choose which comes first
    #[command(subcommand)]
    Auth(auth::Command),
}

pub(super) fn run(command: Command) -> ExitCode {
    interruptible::run(move || match command {
        Command::Auth(command) => auth::run(command),
    })
}
