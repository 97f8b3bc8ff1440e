//! `portcullis run`: serves until it is told to stop.

use super::config_file::{Loaded, load_or_complain};
use super::{COMMIT, ConfigPath, EXIT_FAILURE, EXIT_USAGE, Verbosity, output};
use crate::config::{Config, LogLevel};
use crate::secrets::{env, kill_running_commands};
use crate::server::{self, Origin, Server, ServerError};
use crate::telemetry::logging::{self, AccessLog, Colour, Logging};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// For work on threads to end when all else has.
const STRAGGLERS: Duration = Duration::from_millis(500);

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    /// Let the kernel write core files of this process, and other processes of its
    /// user read its memory: secrets are in both
    #[arg(long)]
    allow_core_dumps: bool,
}

pub(super) fn run(arguments: &Arguments, verbosity: Verbosity) -> ExitCode {
    if !arguments.allow_core_dumps
        && let Err(error) = server::seal()
    {
        output::complain(format_args!("portcullis: {}", super::chain(&error)));
        return EXIT_FAILURE.into();
    }
    let Loaded {
        path,
        config,
        warnings,
    } = match load_or_complain(&arguments.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let flusher = match logging::init(logging_of(&config, verbosity)) {
        Ok(flusher) => flusher,
        Err(error) => {
            output::complain(format_args!("portcullis: {}", super::chain(&error)));
            return EXIT_FAILURE.into();
        }
    };
    for warning in &warnings {
        tracing::warn!(config.warning = warning, "the configuration has a warning");
    }
    let code = serve(config, path);
    drop(flusher);
    code
}

fn serve(config: Config, path: PathBuf) -> ExitCode {
    let file = path.display().to_string();
    let origin = Origin {
        config,
        path: Some(path),
        environment: &env::Process,
        commit: COMMIT,
    };
    let outcome = server::runtime().and_then(|runtime| {
        let outcome = runtime.block_on(bind_and_run(origin));
        // What still runs on a thread of its own may wait for a command or a file
        // system that never answers.
        kill_running_commands();
        runtime.shutdown_timeout(STRAGGLERS);
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(ServerError::Config(errors)) => {
            for error in &errors {
                output::complain(format_args!("{file}: {}", error.in_full()));
            }
            EXIT_USAGE.into()
        }
        Err(error) => {
            output::complain(format_args!("portcullis: {}", super::chain(&error)));
            EXIT_FAILURE.into()
        }
    }
}

/// Secrets may take their time, and whoever stops the start doesn't wait for them.
async fn bind_and_run(origin: Origin) -> Result<(), ServerError> {
    let mut stop = server::stop_signals()?;
    let server = tokio::select! {
        server = Server::bind(origin) => server?,
        signal = stop.first() => {
            tracing::info!(signal, "stopped before it served");
            return Ok(());
        }
    };
    server.run(stop).await
}

/// The configured log, made louder or quieter by the command line.
fn logging_of(config: &Config, verbosity: Verbosity) -> Logging {
    const LEVELS: [LevelFilter; 5] = [
        LevelFilter::ERROR,
        LevelFilter::WARN,
        LevelFilter::INFO,
        LevelFilter::DEBUG,
        LevelFilter::TRACE,
    ];
    let configured = match config.log.level {
        LogLevel::Error => 0,
        LogLevel::Warn => 1,
        LogLevel::Info => 2,
        LogLevel::Debug => 3,
        LogLevel::Trace => 4,
    };
    let index = (configured + usize::from(verbosity.verbose))
        .saturating_sub(usize::from(verbosity.quiet))
        .min(LEVELS.len() - 1);
    Logging {
        level: LEVELS[index],
        format: config.log.format,
        // Each snapshot has its own word on that: a reload may change it.
        access: AccessLog::On,
        colour: Colour::for_stderr(std::env::var_os("NO_COLOR").as_deref()),
    }
}
