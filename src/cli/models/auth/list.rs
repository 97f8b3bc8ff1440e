//! `models auth list`: every profile and its state as the files tell it, never a secret.

use super::super::super::output::{self, Style, one_line};
use super::super::place::Whose;
use super::{chain, fail, is_of, now};
use crate::credentials::status::{CredentialStatus, Fare, State};
use crate::credentials::{Cooldown, Entry, Login, Sink, UnixMillis, words};
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
    let now = now();
    let is_meant = |entry: &&Entry| match &arguments.provider {
        Some(provider) => is_of(entry, provider),
        None => true,
    };
    let entries = sink.profiles.iter().filter(is_meant);
    let rows: Vec<_> = entries.map(|entry| row(&sink, entry, now)).collect();
    let path = place.sink.path();
    let written = if arguments.json {
        output::line(json!({ "path": path, "profiles": rows }))
    } else if rows.is_empty() {
        output::complain(format_args!("portcullis: no profile in {}", path.display()));
        Ok(())
    } else {
        output::raw(table(&rows, now, Style::for_stdout()).as_bytes())
    };
    output::finish(written, ExitCode::SUCCESS)
}

fn row(sink: &Sink, entry: &Entry, now: UnixMillis) -> CredentialStatus {
    let usage = sink.usage.get(entry.id()).copied().unwrap_or_default();
    let fare = Fare {
        cooldown: Cooldown {
            until: usage.cooldown_until,
            limits: usage.error_count,
        },
        last_used: usage.last_used,
    };
    let (expires, problem) = match entry.profile().map(|profile| &profile.login) {
        Some(Login::External(login)) => match login.read() {
            Ok((_, expires)) => (expires, None),
            Err(error) => (None, Some(chain(&error))),
        },
        _ => (None, None),
    };
    CredentialStatus::of_entry(entry, expires, problem, fare, now)
}

fn table(rows: &[CredentialStatus], now: UnixMillis, style: Style) -> String {
    let width = |of: fn(&CredentialStatus) -> &str| {
        let widths = rows.iter().map(|row| one_line(of(row)).chars().count());
        widths.max().unwrap_or_default()
    };
    let names = width(|row| &row.name);
    let providers = width(|row| &row.provider);
    let mut text = String::new();
    for row in rows {
        let state = format!("{:12}", row.state.as_str());
        let state = match row.state {
            State::Ready => style.green(state),
            State::CoolingDown => style.dim(state),
            _ => style.red(state),
        };
        let ends = match row.expires_at.map(UnixMillis) {
            Some(at) if at <= now => format!("expired {}", words::relative(now, at)),
            Some(at) => format!("expires {}", words::relative(now, at)),
            None => "no known end".to_owned(),
        };
        let (name, provider) = (one_line(&row.name), one_line(&row.provider));
        let detail = row.detail.as_deref().map(one_line).unwrap_or_default();
        let line = format!(
            "{name:names$}  {provider:providers$}  {:8}  {state}  {ends:20}  {detail}",
            row.kind
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
