//! `portcullis models`: the credentials of model providers.

mod auth;
mod place;
mod span;
mod status;
mod table;

pub(super) use status::known as known_credentials;

use super::interruptible;
use clap::Subcommand;
use std::process::ExitCode;

/// Subcommands of `models`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show every credential, its state, its end and its cool-down; never a secret
    Status(status::Arguments),
    /// Log in at providers, paste keys and tokens, and choose which comes first
    #[command(subcommand)]
    Auth(auth::Command),
}

pub(super) fn run(command: Command) -> ExitCode {
    interruptible::run(move || match command {
        Command::Status(arguments) => status::run(&arguments),
        Command::Auth(command) => auth::run(command),
    })
}
