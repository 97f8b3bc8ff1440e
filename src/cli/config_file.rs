//! Finds the configuration file, reads it, and tells what is wrong with it.

use super::{ConfigPath, EXIT_USAGE, output};
use crate::config::{self, Config, DEFAULT_PATHS, PATH_VARIABLE, Parsed, Problem};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A configuration that is valid, and where it came from.
pub(super) struct Loaded {
    pub(super) path: PathBuf,
    pub(super) config: Config,
    /// Lines for the operator.
    pub(super) warnings: Vec<String>,
}

/// Why there is none.
pub(super) enum LoadError {
    /// No file, or it can't be read.
    Unreadable(String),
    /// The file has these problems.
    Invalid {
        path: PathBuf,
        problems: Vec<Problem>,
    },
}

impl LoadError {
    /// Prints it to stderr, a line for each problem.
    pub(super) fn complain(&self) {
        match self {
            Self::Unreadable(message) => output::complain(format_args!("portcullis: {message}")),
            Self::Invalid { path, problems } => {
                for problem in problems {
                    output::complain(problem.with_file(path));
                }
                let count = problems.len();
                let noun = if count == 1 { "problem" } else { "problems" };
                output::complain(format_args!(
                    "portcullis: {}: {count} {noun}",
                    path.display()
                ));
            }
        }
    }
}

/// Loads the configuration that the arguments, or the defaults, point to.
pub(super) fn load(arguments: &ConfigPath) -> Result<Loaded, LoadError> {
    let path = find(arguments.config.as_deref())?;
    let text = std::fs::read_to_string(&path)
        .map_err(|error| LoadError::Unreadable(format!("{}: {error}", path.display())))?;
    match config::parse(&text) {
        Ok(Parsed { config, warnings }) => {
            let warnings = warnings
                .iter()
                .map(|warning| warning.with_file(&path).to_string());
            Ok(Loaded {
                warnings: warnings.collect(),
                config,
                path,
            })
        }
        Err(problems) => Err(LoadError::Invalid { path, problems }),
    }
}

/// As [`load`], for a command that can't go on without: where there is none, it is
/// told and the exit code is left to return.
pub(super) fn load_or_complain(arguments: &ConfigPath) -> Result<Loaded, ExitCode> {
    load(arguments).map_err(|error| {
        error.complain();
        EXIT_USAGE.into()
    })
}

fn find(named: Option<&Path>) -> Result<PathBuf, LoadError> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    DEFAULT_PATHS
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .ok_or_else(|| {
            LoadError::Unreadable(format!(
                "no configuration: got neither --config nor ${PATH_VARIABLE}, and there is no {}",
                DEFAULT_PATHS.join(" and no ")
            ))
        })
}
