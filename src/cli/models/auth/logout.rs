//! `models auth logout`: takes profiles out of the sink.

use super::super::place::Whose;
use super::{AuthError, Place, finish, is_of};
use clap::Args;
use std::process::ExitCode;

/// Arguments of `logout`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    whose: Whose,
    /// The profile
    #[arg(value_name = "PROFILE", required_unless_present = "provider")]
    profile: Option<String>,
    /// All profiles of a provider
    #[arg(long, value_name = "NAME", conflicts_with = "profile")]
    provider: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match arguments.whose.place() {
        Ok(place) => finish(remove(&place, arguments)),
        Err(code) => code,
    }
}

fn remove(place: &Place, arguments: &Arguments) -> Result<String, AuthError> {
    let (profile, provider) = (arguments.profile.as_deref(), arguments.provider.as_deref());
    let removed = place.sink.update(|draft| {
        let sink = draft.sink();
        let meant = sink.profiles.iter().filter(|entry| match provider {
            Some(provider) => is_of(entry, provider),
            None => Some(entry.id()) == profile,
        });
        let ids: Vec<String> = meant.map(|entry| entry.id().to_owned()).collect();
        for id in &ids {
            draft.remove_profile(id);
        }
        ids
    })?;
    match (&removed[..], profile) {
        ([], Some(profile)) => Err(AuthError::Refused(format!(
            "`{profile}`: there is no such profile in {}",
            place.sink.path().display()
        ))),
        ([], None) => Err(AuthError::Refused(format!(
            "there is no profile of `{}` in {}",
            provider.unwrap_or_default(),
            place.sink.path().display()
        ))),
        (ids, _) => Ok(format!("logged out: {}", ids.join(", "))),
    }
}
