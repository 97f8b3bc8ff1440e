//! `models auth paste-token` and `setup-token`: keys and tokens that the user has.

use super::super::place::Whose;
use super::{AuthError, Place, finish, profile_id, secret_input};
use crate::credentials::provider::ANTHROPIC_LOGIN;
use crate::credentials::{Held, Login, Profile, UnixMillis, words};
use crate::secrets::SecretValue;
use clap::{Args, ValueEnum};
use std::process::ExitCode;
use std::time::Duration;

/// What every Anthropic credential begins with.
const ANTHROPIC: &str = "sk-ant-";
/// What a token of `claude setup-token` begins with.
const SETUP_TOKEN: &str = "sk-ant-oat01-";
/// The shortest setup-token, in bytes.
const SHORTEST: usize = 80;

/// Arguments of `paste-token`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The provider that it is for
    #[arg(long, value_name = "NAME")]
    provider: String,
    /// What it is [default: a token where it is one of Anthropic's, else an API key]
    #[arg(long)]
    kind: Option<Kind>,
    #[command(flatten)]
    storing: Storing,
}

/// Arguments of `setup-token`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SetupArguments {
    /// The provider that it is for
    #[arg(long, value_name = "NAME", default_value = "anthropic", value_parser = ["anthropic"])]
    provider: String,
    #[command(flatten)]
    storing: Storing,
}

#[derive(Debug, Args)]
struct Storing {
    #[command(flatten)]
    whose: Whose,
    /// The profile is called PROVIDER:NAME
    #[arg(long, value_name = "NAME", default_value = "default")]
    profile_name: String,
    /// When it ends: a token's own end isn't in it
    #[arg(long, value_name = "SPAN", value_parser = super::super::span::parse)]
    expires_in: Option<Duration>,
    /// Put it first in the provider's order
    #[arg(long)]
    set_default: bool,
}

/// What is pasted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Sent in the provider's header of keys
    ApiKey,
    /// Sent as a bearer token
    Token,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let Arguments {
        provider,
        kind,
        storing,
    } = arguments;
    let place = match storing.whose.place() {
        Ok(place) => place,
        Err(code) => return code,
    };
    finish(check_provider(&place, provider).and_then(|()| {
        let prompt = format!("paste the key or token of {provider}, and press Enter:");
        let text = secret_input::read(&prompt)?;
        let is_oauth = text.starts_with(ANTHROPIC_LOGIN);
        let kind = kind.unwrap_or(if is_oauth { Kind::Token } else { Kind::ApiKey });
        check(provider, kind, &text)?;
        store(&place, provider, kind, &text, storing)
    }))
}

pub(super) fn run_setup(arguments: &SetupArguments) -> ExitCode {
    let SetupArguments { provider, storing } = arguments;
    let place = match storing.whose.place() {
        Ok(place) => place,
        Err(code) => return code,
    };
    let text = secret_input::read("paste the token from `claude setup-token`, and press Enter:");
    finish(text.and_then(|text| {
        check_setup_token(&text)?;
        store(&place, provider, Kind::Token, &text, storing)
    }))
}

fn check_provider(place: &Place, provider: &str) -> Result<(), AuthError> {
    let refused = |words| Err(AuthError::Refused(words));
    if !place.has_provider(provider) {
        return refused(format!(
            "--provider: got `{provider}`, expected one of {} (others need [models.providers] in \
             the configuration)",
            place.providers().join(", ")
        ));
    }
    if place.login_of(provider).is_some() {
        return refused(format!(
            "`{provider}` takes logins alone: portcullis models auth login --provider {provider}"
        ));
    }
    Ok(())
}

fn check(provider: &str, kind: Kind, text: &str) -> Result<(), AuthError> {
    let refused = |words: String| Err(AuthError::Refused(words));
    // Somebody else's server would get to see it.
    let is_known = crate::credentials::provider::known(provider).is_some();
    if provider != "anthropic" && is_known && text.starts_with(ANTHROPIC) {
        return refused(format!(
            "got a credential of anthropic, expected one of {provider}"
        ));
    }
    match (text.starts_with(ANTHROPIC_LOGIN), kind) {
        (true, Kind::ApiKey) => {
            refused("got a token (`sk-ant-oat…`), expected an API key: leave --kind out".to_owned())
        }
        (true, Kind::Token) if text.len() < SHORTEST => check_setup_token(text),
        _ => Ok(()),
    }
}

fn check_setup_token(text: &str) -> Result<(), AuthError> {
    if text.starts_with(SETUP_TOKEN) && text.len() >= SHORTEST {
        return Ok(());
    }
    let got = match text.starts_with(SETUP_TOKEN) {
        true => format!("{} characters", text.len()),
        false => "another beginning".to_owned(),
    };
    Err(AuthError::Refused(format!(
        "this is no setup-token: got {got}, expected `{SETUP_TOKEN}…` of at least {SHORTEST} \
         characters"
    )))
}

fn store(
    place: &Place,
    provider: &str,
    kind: Kind,
    text: &str,
    storing: &Storing,
) -> Result<String, AuthError> {
    let held = Held::Value(SecretValue::concat(&[text]));
    let expires = storing
        .expires_in
        .map(|after| UnixMillis::now().plus(after));
    let login = match (kind, expires) {
        (Kind::ApiKey, Some(_)) => {
            let words = "--expires-in: an API key has no end that we would know";
            return Err(AuthError::Refused(words.to_owned()));
        }
        (Kind::ApiKey, None) => Login::ApiKey(held),
        (Kind::Token, expires) => Login::Token {
            token: held,
            expires,
        },
    };
    let profile = Profile {
        id: profile_id(provider, &storing.profile_name)?,
        provider: provider.to_owned(),
        login,
        email: None,
    };
    let stored = super::store(place, &profile, storing.set_default)?;
    let end = expires.map_or_else(String::new, |expires| {
        format!(", expires {}", words::relative(UnixMillis::now(), expires))
    });
    Ok(format!(
        "{}: {} ({}{end})",
        stored.word(),
        profile.id,
        profile.login.kind()
    ))
}
