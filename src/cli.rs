//! The commands. This is the only room that prints, and `main` the only other
//! one that knows exit codes.

mod admin_client;
mod barrier;
mod check;
mod completions;
mod config;
mod config_file;
mod demo;
mod doctor;
mod exec_helper;
mod explain;
mod interruptible;
mod models;
mod output;
mod run;
mod secrets;
mod surroundings;
mod terminal;

use crate::config::PATH_VARIABLE;
use crate::telemetry::with_causes as chain;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;

/// It went wrong while running.
const EXIT_FAILURE: u8 = 1;
/// The configuration or the command line is bad.
const EXIT_USAGE: u8 = 2;

/// The two doors of a self-hosted AI-agent gateway.
///
/// Portcullis stands between an identity-aware proxy and an OpenClaw gateway,
/// refuses every request that it can't prove, and passes the rest on with
/// identity and forwarding headers that the gateway can believe.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, long_version = long_version(), max_term_width = 100)]
#[command(
    after_help = "Start with `portcullis demo`. Configuration: `--config`, $PORTCULLIS_CONFIG, \
./portcullis.toml, /etc/portcullis/portcullis.toml.\nExit codes: 0 good, 1 failure, 2 bad \
configuration or usage."
)]
struct Arguments {
    #[command(flatten)]
    verbosity: Verbosity,
    #[command(subcommand)]
    command: Command,
}

/// Version, commit and what does the cryptography.
fn long_version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        format!(
            "{} (commit {COMMIT}, TLS by rustls with ring)",
            env!("CARGO_PKG_VERSION")
        )
    });
    &TEXT
}

/// The commit that this was built from, where the build knew it.
const COMMIT: &str = match option_env!("PORTCULLIS_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// How much to log.
#[derive(Debug, Clone, Copy, Args)]
struct Verbosity {
    /// Log more: once for debug, twice for trace
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    /// Log less: once for warnings, twice for errors alone
    #[arg(short, long, action = clap::ArgAction::Count, global = true, conflicts_with = "verbose")]
    quiet: u8,
}

/// Where the configuration is.
#[derive(Debug, Args)]
struct ConfigPath {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = PATH_VARIABLE)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve: the front door in front of the gateway
    Run(run::Arguments),
    /// Try it: the front door over an embedded demo gateway, with curl lines to paste
    Demo(demo::Arguments),
    /// Validate the configuration and print every problem at once
    Check(check::Arguments),
    /// Say what would become of one request, and why, without any network
    Explain(explain::Arguments),
    /// Find what is wrong around a valid configuration, each with what to do
    Doctor(doctor::Arguments),
    /// Write a configuration
    Config(config::Arguments),
    /// List, resolve, audit and reload the configuration's secrets
    #[command(subcommand)]
    Secrets(secrets::Command),
    /// Model credentials: status, logins, pasted keys and order
    #[command(subcommand)]
    Models(models::Command),
    /// Print a shell's completion script
    Completions(completions::Arguments),
    /// Print the man page
    Man,
}

/// Reads the command line and does what it says.
pub fn run() -> ExitCode {
    // No command for users: help, completions and the man page don't know it.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|name| name == exec_helper::NAME)
    {
        return exec_helper::run(std::env::args_os().skip(1));
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing is left to be done when the terminal is gone.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    let verbosity = arguments.verbosity;
    match arguments.command {
        Command::Run(arguments) => run::run(&arguments, verbosity),
        Command::Demo(arguments) => demo::run(&arguments, verbosity),
        Command::Check(arguments) => check::run(arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Secrets(command) => secrets::run(command),
        Command::Models(command) => models::run(command),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man => completions::man(),
    }
}
