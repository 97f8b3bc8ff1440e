//! `portcullis models auth`: logins, pasted keys and tokens, and their order.

mod list;
mod login;
mod logout;
mod order;
mod paste;
mod secret_input;

use super::super::{EXIT_FAILURE, chain, output};
use super::place::Place;
use crate::credentials::order::ordered;
use crate::credentials::status::CredentialKind;
use crate::credentials::token_sink::Draft;
use crate::credentials::{Entry, Profile, ProfileId, Sink, SinkError, profile};
use clap::Subcommand;
use std::error::Error;
use std::process::ExitCode;

/// Subcommands of `models auth`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Log in at a provider with a browser, here or elsewhere, or use the login of
    /// another program
    Login(Box<login::Arguments>),
    /// Store an API key or a token that is given on standard input
    PasteToken(paste::Arguments),
    /// Store the token that `claude setup-token` printed, given on standard input
    SetupToken(paste::SetupArguments),
    /// Show every profile and its state; never a secret
    List(list::Arguments),
    /// Show or change the order in which a provider's profiles are tried
    #[command(subcommand)]
    Order(order::Command),
    /// Remove a profile, or all of a provider
    Logout(logout::Arguments),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum AuthError {
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("--profile-name: {0}")]
    Name(#[source] profile::ProfileIdError),
    #[error("{0}")]
    Refused(String),
}

pub(super) fn run(command: Command) -> ExitCode {
    match command {
        Command::Login(arguments) => login::run(&arguments),
        Command::PasteToken(arguments) => paste::run(&arguments),
        Command::SetupToken(arguments) => paste::run_setup(&arguments),
        Command::List(arguments) => list::run(&arguments),
        Command::Order(command) => order::run(&command),
        Command::Logout(arguments) => logout::run(&arguments),
    }
}

/// Tells of the error.
fn fail(error: &dyn Error) -> ExitCode {
    output::complain(format_args!("portcullis: {}", chain(error)));
    EXIT_FAILURE.into()
}

/// Prints the line, or tells of the error.
fn finish(outcome: Result<String, AuthError>) -> ExitCode {
    match outcome {
        Ok(line) => output::finish(output::line(output::one_line(&line)), ExitCode::SUCCESS),
        Err(error) => fail(&error),
    }
}

/// The profile `NAME` of a provider; the name may be written with the provider.
fn profile_id(provider: &str, name: &str) -> Result<ProfileId, AuthError> {
    let full = format!("{provider}:");
    let name = name.strip_prefix(&full).unwrap_or(name);
    ProfileId::parse(&format!("{full}{name}")).map_err(AuthError::Name)
}

/// Whether an entry is for a provider's requests; of one that can't be read, its name
/// says so.
fn is_of(entry: &Entry, provider: &str) -> bool {
    match entry {
        Entry::Usable(profile) => profile.serves() == provider,
        Entry::Unusable { id, .. } => id
            .strip_prefix(provider)
            .is_some_and(|rest| rest.starts_with(':')),
    }
}

/// What storing a profile did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// There was none of its name.
    New,
    /// One of its name has gone.
    Replaced,
}

impl Stored {
    fn word(self) -> &'static str {
        match self {
            Self::New => "stored",
            Self::Replaced => "replaced",
        }
    }
}

/// Keeps a profile, in front of all others of its provider if it is the default.
fn store(place: &Place, profile: &Profile, is_default: bool) -> Result<Stored, AuthError> {
    let provider = profile.serves();
    let order = |draft: &Draft, first: Option<&ProfileId>| -> Vec<ProfileId> {
        let sink = draft.sink();
        let order = ordered(&sink, provider, first, place.order_of(provider));
        order.iter().map(|profile| profile.id.clone()).collect()
    };
    let (is_tried, stored) = place.sink.update(|draft| {
        let stored = match draft.sink().profile(&profile.id) {
            Some(_) => Stored::Replaced,
            None => Stored::New,
        };
        check_free(&draft.sink(), &profile.id, profile.login.kind())?;
        draft.put_profile(profile);
        if is_default {
            let first = order(draft, Some(&profile.id));
            draft.set_order(provider, &first);
        }
        Ok::<_, AuthError>((order(draft, None).contains(&profile.id), stored))
    })??;
    if !is_tried {
        output::complain(format_args!(
            "portcullis: `{id}` is stored, but not in the order of {provider}, which leaves out \
             whom it doesn't name: see `portcullis models auth order`",
            id = profile.id
        ));
    }
    Ok(stored)
}

/// Whether a name is free, or its profile one that a new one is meant to replace: a key
/// of `openai` and a login of `openai` would have one name, and aren't for one provider.
fn check_free(sink: &Sink, id: &ProfileId, kind: CredentialKind) -> Result<(), AuthError> {
    const LOGIN: CredentialKind = CredentialKind::OAuth;
    match sink.profile(id).map(|profile| profile.login.kind()) {
        Some(old) if (old == LOGIN) != (kind == LOGIN) => Err(AuthError::Refused(format!(
            "`{id}` is there already, as {old}: name another with --profile-name, or remove it \
             with `portcullis models auth logout {id}`"
        ))),
        _ => Ok(()),
    }
}
