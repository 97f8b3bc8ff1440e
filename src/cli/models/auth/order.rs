//! `models auth order`: which of a provider's profiles is tried first.

use super::super::super::output;
use super::super::place::Whose;
use super::{AuthError, Place, fail, finish};
use crate::credentials::{Entry, ProfileId};
use clap::{Args, Subcommand};
use serde_json::json;
use std::process::ExitCode;

/// Subcommands of `order`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Show the stored order
    Get(GetArguments),
    /// Store an order: profiles that aren't in it are not tried
    Set(SetArguments),
    /// Forget the stored order, so that the configuration's counts
    Clear(OrderOf),
}

/// Arguments of `order clear`.
#[derive(Debug, Args)]
pub(in crate::cli) struct OrderOf {
    #[command(flatten)]
    whose: Whose,
    /// The provider
    #[arg(long, value_name = "NAME")]
    provider: String,
}

/// Arguments of `order get`.
#[derive(Debug, Args)]
pub(in crate::cli) struct GetArguments {
    #[command(flatten)]
    of: OrderOf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `order set`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SetArguments {
    #[command(flatten)]
    of: OrderOf,
    /// The profiles, the first to be tried first
    #[arg(value_name = "PROFILE", required = true)]
    profiles: Vec<String>,
}

pub(super) fn run(command: &Command) -> ExitCode {
    let of = match command {
        Command::Get(GetArguments { of, .. }) | Command::Set(SetArguments { of, .. }) => of,
        Command::Clear(of) => of,
    };
    let place = match of.whose.place() {
        Ok(place) => place,
        Err(code) => return code,
    };
    match command {
        Command::Get(arguments) => get(&place, arguments),
        Command::Set(arguments) => finish(set(&place, &of.provider, &arguments.profiles)),
        Command::Clear(_) => finish(clear(&place, &of.provider)),
    }
}

fn get(place: &Place, arguments: &GetArguments) -> ExitCode {
    let provider = &arguments.of.provider;
    let sink = match place.sink.read() {
        Ok(sink) => sink,
        Err(error) => return fail(&error),
    };
    let order = sink.order.get(provider);
    let ids: Vec<&str> = order.into_iter().flatten().map(ProfileId::as_str).collect();
    let written = match (arguments.json, &ids[..]) {
        (true, _) => output::json(json!({ "provider": provider, "order": ids })),
        (false, []) => {
            output::complain(format_args!(
                "portcullis: no order is stored for `{provider}`"
            ));
            Ok(())
        }
        (false, _) => output::line(ids.join("\n")),
    };
    output::finish(written, ExitCode::SUCCESS)
}

fn set(place: &Place, provider: &str, names: &[String]) -> Result<String, AuthError> {
    place.sink.update(|draft| {
        let sink = draft.sink();
        let mut order: Vec<ProfileId> = Vec::new();
        for name in names {
            let refused = |words| Err(AuthError::Refused(format!("`{name}`: {words}")));
            let id = match sink.profiles.iter().find(|entry| entry.id() == name) {
                None => return refused("there is no such profile".to_owned()),
                Some(Entry::Unusable { why, .. }) => return refused(why.to_string()),
                Some(Entry::Usable(profile)) if profile.serves() != provider => {
                    return refused(format!("it is for `{}`", profile.serves()));
                }
                Some(Entry::Usable(profile)) => profile.id.clone(),
            };
            if order.contains(&id) {
                return refused("it comes twice".to_owned());
            }
            order.push(id);
        }
        draft.set_order(provider, &order);
        Ok(format!("order of {provider}: {}", names.join(", ")))
    })?
}

fn clear(place: &Place, provider: &str) -> Result<String, AuthError> {
    place.sink.update(|draft| draft.set_order(provider, &[]))?;
    Ok(format!("no order is stored for {provider} any more"))
}
