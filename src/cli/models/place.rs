//! Which token sink a command is about, and what the configuration says of logins.

use super::super::config_file::{LoadError, load};
use super::super::{ConfigPath, EXIT_USAGE, output};
use crate::config::Config;
use crate::credentials::provider::{KNOWN, known};
use crate::credentials::{OAuthSettings, TokenSink};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Whose credentials.
#[derive(Debug, Args)]
pub(super) struct Whose {
    #[command(flatten)]
    config: ConfigPath,
    /// The folder of the profiles [default: the configuration's models.stateDir]
    #[arg(long, value_name = "FOLDER", conflicts_with = "agent")]
    state_dir: Option<PathBuf>,
    /// The agent whose profiles they are, of the configuration's [agents]
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
}

/// A sink, and what is known of providers.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) sink: TokenSink,
    /// None, where a folder was named and no configuration found.
    config: Option<Config>,
}

impl Whose {
    /// Finds it; what is wrong is told, and the exit code left to return.
    pub(super) fn place(&self) -> Result<Place, ExitCode> {
        let loaded = match load(&self.config) {
            Ok(loaded) => Some(loaded),
            Err(LoadError::Unreadable(_))
                if self.state_dir.is_some() && self.config.config.is_none() =>
            {
                None
            }
            Err(error) => {
                error.complain();
                return Err(EXIT_USAGE.into());
            }
        };
        let refuse = |words: String| {
            output::complain(format_args!("portcullis: {words}"));
            Err(EXIT_USAGE.into())
        };
        let folder = match (&self.state_dir, &loaded) {
            (Some(folder), _) => folder.clone(),
            (None, Some(loaded)) => {
                let (models, path) = (&loaded.config.models, loaded.path.display());
                let (key, folder) = match &self.agent {
                    None => ("models.stateDir".to_owned(), &models.state_dir),
                    Some(name) => match models.agents.get(name) {
                        Some(agent) => (format!("agents.{name}.stateDir"), &agent.state_dir),
                        None => {
                            return refuse(format!(
                                "--agent: got `{name}`, expected one of [agents] in {path}"
                            ));
                        }
                    },
                };
                match folder {
                    Some(folder) => folder.clone(),
                    None => {
                        return refuse(format!(
                            "{path}: {key}: got none, expected the folder of the profiles (or \
                             --state-dir)"
                        ));
                    }
                }
            }
            (None, None) => return refuse("expected --state-dir".to_owned()),
        };
        Ok(Place {
            sink: TokenSink::new(folder),
            config: loaded.map(|loaded| loaded.config),
        })
    }
}

impl Place {
    /// The login of a provider, if it has one.
    pub(super) fn login_of(&self, provider: &str) -> Option<OAuthSettings> {
        match &self.config {
            Some(config) => config.models.providers.get(provider)?.login.clone(),
            None => known(provider)?.login.map(|login| login.settings()),
        }
    }

    /// The configuration's order of a provider's profiles.
    pub(super) fn order_of(&self, provider: &str) -> Option<&[String]> {
        let order = self.config.as_ref()?.models.order.get(provider)?;
        Some(order)
    }

    /// Whether there is such a provider.
    pub(super) fn has_provider(&self, provider: &str) -> bool {
        let configured = self.config.as_ref();
        known(provider).is_some()
            || configured.is_some_and(|config| config.models.providers.contains_key(provider))
    }

    /// The names of all providers.
    pub(super) fn providers(&self) -> Vec<String> {
        match &self.config {
            Some(config) => config.models.providers.keys().cloned().collect(),
            None => KNOWN.iter().map(|known| known.name.to_owned()).collect(),
        }
    }
}
