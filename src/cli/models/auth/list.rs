//! `models auth list`: every profile and its state, never a secret.

use super::super::super::output::{self, Style, one_line};
use super::super::place::Whose;
use super::{fail, is_of, now};
use crate::credentials::{Entry, Login, UnixMillis, words};
use clap::Args;
use serde_json::{Value, json};
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

/// What is shown of a profile.
struct Row {
    id: String,
    provider: String,
    kind: &'static str,
    state: State,
    expires: Option<UnixMillis>,
    /// Whose it is: an e-mail address, an account.
    owner: Option<String>,
    problem: Option<String>,
}

/// How a profile is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    Expired,
    NeedsLogin,
    Unusable,
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
    let rows: Vec<Row> = entries.map(|entry| Row::of(entry, now)).collect();
    let written = if arguments.json {
        let rows: Vec<Value> = rows.iter().map(|row| row.to_json(now)).collect();
        output::line(json!({ "path": place.sink.path(), "profiles": rows }))
    } else if rows.is_empty() {
        let path = place.sink.path();
        output::complain(format_args!("portcullis: no profile in {}", path.display()));
        Ok(())
    } else {
        output::raw(table(&rows, now, Style::for_stdout()).as_bytes())
    };
    output::finish(written, ExitCode::SUCCESS)
}

impl Row {
    fn of(entry: &Entry, now: UnixMillis) -> Self {
        let profile = match entry {
            Entry::Usable(profile) => profile,
            Entry::Unusable { id, why } => {
                return Self {
                    id: one_line(id),
                    provider: "-".to_owned(),
                    kind: "-",
                    state: State::Unusable,
                    expires: None,
                    owner: None,
                    problem: Some(why.to_string()),
                };
            }
        };
        let (mut expires, mut problem) = (profile.login.expires(), None);
        let ended = |expires: Option<UnixMillis>| expires.is_some_and(|at| at <= now);
        let state = match &profile.login {
            Login::ApiKey(_) => State::Good,
            Login::Token { .. } if ended(expires) => State::Expired,
            Login::Token { .. } => State::Good,
            Login::OAuth(tokens) => {
                problem = tokens.needs_login.as_ref().map(|code| {
                    format!(
                        "the refresh was refused (`{}`): log in again",
                        one_line(code)
                    )
                });
                if tokens.is_attempted() && problem.is_none() {
                    problem = Some("the outcome of a refresh is unknown: log in again".to_owned());
                }
                match (&problem, tokens.is_usable(now)) {
                    (None, true) => State::Good,
                    (None, false) => State::Expired,
                    (Some(_), _) => State::NeedsLogin,
                }
            }
            Login::External(login) => match login.read() {
                Ok((_, end)) => {
                    expires = end;
                    match ended(end) {
                        true => State::Expired,
                        false => State::Good,
                    }
                }
                Err(error) => {
                    problem = Some(super::chain(&error));
                    State::Unusable
                }
            },
        };
        let account = match &profile.login {
            Login::OAuth(tokens) => tokens.account_id.clone(),
            _ => None,
        };
        Self {
            id: profile.id.to_string(),
            provider: profile.serves().to_owned(),
            kind: profile.login.kind(),
            state,
            expires,
            owner: profile.email.clone().or(account),
            problem,
        }
    }

    fn to_json(&self, now: UnixMillis) -> Value {
        json!({
            "id": self.id,
            "provider": self.provider,
            "kind": self.kind,
            "state": self.state.as_str(),
            "expiresAt": self.expires.map(|UnixMillis(at)| at),
            "expires": self.expires.map(|at| words::relative(now, at)),
            "owner": self.owner,
            "problem": self.problem,
        })
    }
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Expired => "expired",
            Self::NeedsLogin => "needs_login",
            Self::Unusable => "unusable",
        }
    }
}

fn table(rows: &[Row], now: UnixMillis, style: Style) -> String {
    let width = |of: fn(&Row) -> &str| rows.iter().map(|row| of(row).len()).max();
    let ids = width(|row| &row.id).unwrap_or_default();
    let providers = width(|row| &row.provider).unwrap_or_default();
    let mut text = String::new();
    for row in rows {
        // Padding counts the signs of a colour.
        let state = format!("{:11}", row.state.as_str());
        let state = match row.state {
            State::Good => style.green(state),
            State::Expired | State::NeedsLogin | State::Unusable => style.red(state),
        };
        let ends = match row.expires {
            Some(at) if at <= now => format!("expired {}", words::relative(now, at)),
            Some(at) => format!("expires {}", words::relative(now, at)),
            None => "no known end".to_owned(),
        };
        let owner = row.owner.as_deref().map(one_line).unwrap_or_default();
        let line = format!(
            "{:ids$}  {:providers$}  {:8}  {state}  {ends:20}  {owner}",
            row.id, row.provider, row.kind
        );
        text.push_str(line.trim_end());
        text.push('\n');
        if let Some(problem) = &row.problem {
            text.push_str(&format!("    {}\n", one_line(problem)));
        }
    }
    text
}
