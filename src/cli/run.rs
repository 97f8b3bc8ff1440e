//! `portcullis run`: serves until it is told to stop.

use super::config_file::{Loaded, load_or_complain};
use super::exec_helper;
use super::{COMMIT, ConfigPath, EXIT_FAILURE, EXIT_USAGE, Verbosity, output};
use crate::config::{Config, LogLevel};
use crate::confinement::Confinement;
use crate::secrets::{HelperStart, env, kill_running_commands};
use crate::server::{self, Origin, Server, ServerError};
use crate::snapshot::BuildError;
use crate::telemetry::logging::{self, AccessLog, Colour, Logging};
use clap::Args;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
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
    /// Keep all that the process' user may do: read and write files, start programs,
    /// make any of the kernel's calls
    #[arg(long)]
    no_lockdown: bool,
}

/// What holds the process, and who runs commands for it.
struct Guard {
    confinement: Confinement,
    helper: Helper,
}

/// Who runs commands.
enum Helper {
    /// This process itself: nothing holds it.
    NotWanted,
    /// Nobody: there are none, and the helper could not be started.
    NotNeeded(io::Error),
    /// The helper.
    Started(HelperStart),
}

impl Guard {
    /// Before there is a second thread: it would not be held. The helper first, for it
    /// must not be held either.
    fn raise(arguments: &Arguments, loaded: &Loaded) -> io::Result<Self> {
        if arguments.no_lockdown {
            return Ok(Self {
                confinement: Confinement::none(),
                helper: Helper::NotWanted,
            });
        }
        let line = exec_helper::command_line(&loaded.path, arguments.allow_core_dumps);
        let Loaded { path, config, .. } = loaded;
        let has_commands = config.secrets.first_command().is_some();
        let helper = match HelperStart::new(ourselves().as_deref(), &line) {
            Err(error) if !has_commands => Helper::NotNeeded(error),
            started => Helper::Started(started?),
        };
        Ok(Self {
            confinement: server::lock_down(config, path, &env::Process),
            helper,
        })
    }

    /// Tells what is in force, and has commands run by the helper from now on.
    fn stand(self) -> io::Result<Confinement> {
        let Self {
            confinement,
            helper,
        } = self;
        let helper = match helper {
            Helper::NotWanted => {
                tracing::warn!(
                    "not locked down (--no-lockdown): whoever breaks into this process can do \
                     all that its user may"
                );
                return Ok(confinement);
            }
            Helper::NotNeeded(error) => {
                server::tell(&confinement);
                tracing::warn!(
                    error = %error,
                    "no helper process could be started: an exec provider that a reload adds \
                     takes a restart"
                );
                return Ok(confinement);
            }
            Helper::Started(helper) => helper,
        };
        server::tell(&confinement);
        helper.appoint(|| {
            tracing::error!(
                "the helper process that runs commands has ended: secrets of exec providers \
                 can't be had until a restart"
            );
        })?;
        Ok(confinement)
    }
}

/// Where this program is found without `/proc`: as it was called, by its path or a name
/// in `PATH`.
fn ourselves() -> Option<PathBuf> {
    let called = PathBuf::from(std::env::args_os().next()?);
    if called.components().count() > 1 {
        return std::path::absolute(called).ok();
    }
    let path = std::env::var_os("PATH")?;
    // Not the folder that we happen to be in.
    let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    let mut programs = folders.map(|folder| folder.join(&called));
    programs.find(|program| {
        let facts = program.metadata();
        facts.is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
    })
}

pub(super) fn run(arguments: &Arguments, verbosity: Verbosity) -> ExitCode {
    if !arguments.allow_core_dumps
        && let Err(error) = server::seal()
    {
        output::complain(format_args!("portcullis: {}", super::chain(&error)));
        return EXIT_FAILURE.into();
    }
    let loaded = match load_or_complain(&arguments.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if !arguments.no_lockdown {
        let exposed = server::exposed(&loaded.config, &loaded.path, &env::Process);
        if !exposed.is_empty() {
            return complain_of(&loaded.path.display().to_string(), &exposed);
        }
    }
    // What tells it stands in files that are given up.
    let workers = server::workers();
    let guard = match Guard::raise(arguments, &loaded) {
        Ok(guard) => guard,
        Err(error) => return no_helper(&error),
    };
    let Loaded {
        path,
        config,
        warnings,
    } = loaded;
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
    let code = match guard.stand() {
        Ok(confinement) => serve(config, path, confinement, workers),
        Err(error) => no_helper(&error),
    };
    drop(flusher);
    code
}

fn no_helper(error: &io::Error) -> ExitCode {
    output::complain(format_args!(
        "portcullis: can't start the helper process that runs commands (`--no-lockdown` does \
         without it): {error}"
    ));
    EXIT_FAILURE.into()
}

fn serve(config: Config, path: PathBuf, confinement: Confinement, workers: usize) -> ExitCode {
    let file = path.display().to_string();
    let origin = Origin {
        config,
        path: Some(path),
        environment: &env::Process,
        confinement: Arc::new(confinement),
        commit: COMMIT,
    };
    let outcome = server::runtime(workers).and_then(|runtime| {
        let outcome = runtime.block_on(bind_and_run(origin));
        // What still runs on a thread of its own may wait for a command or a file
        // system that never answers.
        kill_running_commands();
        runtime.shutdown_timeout(STRAGGLERS);
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(ServerError::Config(errors)) => complain_of(&file, &errors),
        Err(error) => {
            output::complain(format_args!("portcullis: {}", super::chain(&error)));
            EXIT_FAILURE.into()
        }
    }
}

fn complain_of(file: &str, errors: &[BuildError]) -> ExitCode {
    for error in errors {
        output::complain(format_args!("{file}: {}", error.in_full()));
    }
    EXIT_USAGE.into()
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
