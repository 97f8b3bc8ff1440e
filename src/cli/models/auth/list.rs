//! `models auth list`: every profile and its state as the files tell it, never a secret.

use super::super::super::output::{self, Style};
use super::super::place::{Place, Whose};
use super::super::table;
use super::{chain, fail, is_of};
use crate::credentials::status::{CredentialStatus, Facts, Fare, Renewable};
use crate::credentials::{Entry, Login, Sink, UnixMillis};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// Arguments of `list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    whose: Whose,
    /// This provider's alone
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let place = match arguments.whose.place() {
        Ok(place) => place,
        Err(code) => return code,
    };
    let sink = match place.sink.read() {
        Ok(sink) => sink,
        Err(error) => return fail(&error),
    };
    let now = UnixMillis::now();
    let is_meant = |entry: &&Entry| match &arguments.provider {
        Some(provider) => is_of(entry, provider),
        None => true,
    };
    let entries = sink.profiles.iter().filter(is_meant);
    let rows: Vec<_> = entries
        .map(|entry| row(&place, &sink, entry, now))
        .collect();
    let path = place.sink.path();
    let written = if arguments.json {
        output::json(json!({ "path": path, "profiles": rows }))
    } else if rows.is_empty() {
        output::complain(format_args!("portcullis: no profile in {}", path.display()));
        Ok(())
    } else {
        output::raw(table::text(&rows, now, Style::for_stdout()).as_bytes())
    };
    output::finish(written, ExitCode::SUCCESS)
}

fn row(place: &Place, sink: &Sink, entry: &Entry, now: UnixMillis) -> CredentialStatus {
    let usage = sink.usage.get(entry.id()).cloned().unwrap_or_default();
    let (expires, problem) = match entry.profile().map(|profile| &profile.login) {
        Some(Login::External(login)) => match login.read() {
            Ok((_, expires)) => (expires, None),
            Err(error) => (None, Some(chain(&error))),
        },
        _ => (None, None),
    };
    let renewable = match entry.profile().and_then(|it| place.login_of(it.serves())) {
        Some(_) => Renewable::Here,
        None => Renewable::Nowhere,
    };
    let facts = Facts {
        expires,
        problem,
        fare: Fare::from(&usage),
        renewable,
    };
    CredentialStatus::of_entry(entry, facts, now)
}
