//! `models auth login`: a login with a browser, or another program's.

mod browser;
mod callback;
mod external;
mod pasted;

use super::super::place::Whose;
use super::{AuthError, Place, check_free, finish, profile_id, store};
use crate::base_url::BaseUrl;
use crate::credentials::oauth::{AnswerError, LoggedIn, LoginError, TokenError};
use crate::credentials::provider::CODEX;
use crate::credentials::status::CredentialKind;
use crate::credentials::{Login, OAuthSettings, Profile, UnixMillis, words};
use clap::{Args, ValueEnum};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Where the provider's client is registered to come back to.
const CALLBACK_PORT: u16 = 1455;

/// Arguments of `login`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    whose: Whose,
    /// The provider: openai-codex (or openai), or with `--method cli` anthropic
    #[arg(long, value_name = "NAME")]
    provider: String,
    /// How [default: browser]
    #[arg(long)]
    method: Option<Method>,
    /// The profile is called PROVIDER:NAME [default: default, or claude-cli with
    /// `--method cli`]
    #[arg(long, value_name = "NAME")]
    profile_name: Option<String>,
    /// Put it first in the provider's order
    #[arg(long)]
    set_default: bool,
    /// Open no browser
    #[arg(long)]
    no_browser: bool,
    /// How long to wait for the login
    #[arg(long, value_name = "SPAN", default_value = "5m", value_parser = super::super::span::parse)]
    timeout: Duration,
    /// With `--method cli`, the other program's file [default:
    /// $CLAUDE_CONFIG_DIR/.credentials.json, else ~/.claude/.credentials.json]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Another identity provider's authorize endpoint, such as a test server's; https,
    /// or on loopback
    #[arg(long, value_name = "URL", hide = true, value_parser = endpoint)]
    authorize_url: Option<BaseUrl>,
    /// Likewise its token endpoint
    #[arg(long, value_name = "URL", hide = true, value_parser = endpoint)]
    token_url: Option<BaseUrl>,
    /// The port of 127.0.0.1 that the browser comes back to
    #[arg(long, value_name = "PORT", hide = true, default_value_t = CALLBACK_PORT)]
    callback_port: u16,
}

/// How to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    /// With a browser, on this machine or another
    Browser,
    /// Use the login of the provider's own program, whose file is read each time
    Cli,
}

/// Why a login failed. The messages hold neither code nor token.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Begin(#[from] LoginError),
    #[error("the login failed: {0}")]
    Answer(#[from] AnswerError),
    #[error("the login failed")]
    Tokens(#[from] TokenError),
    #[error("no login within {}: start again", words::span(*.0))]
    TimedOut(Duration),
    #[error("nobody can come back: the port is taken, and standard input is at its end")]
    NoWay,
    #[error("the runtime can't be started")]
    Runtime(#[source] io::Error),
}

fn endpoint(text: &str) -> Result<BaseUrl, String> {
    let url = BaseUrl::parse(text).map_err(|error| error.to_string())?;
    match url.is_plain_to_another_host() {
        true => Err("expected https, or a loopback address".to_owned()),
        false => Ok(url),
    }
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let place = match arguments.whose.place() {
        Ok(place) => place,
        Err(code) => return code,
    };
    let provider = arguments.provider.as_str();
    match arguments.method {
        Some(Method::Cli) if provider == "anthropic" => finish(external::login(&place, arguments)),
        Some(Method::Cli) => finish(Err(AuthError::Refused(format!(
            "--method cli: got --provider {provider}, expected anthropic, the one whose program's \
             login can be used"
        )))),
        Some(Method::Browser) | None => match settings(&place, arguments) {
            Ok(settings) => with_browser(&place, &settings, arguments),
            Err(error) => finish(Err(error)),
        },
    }
}

fn settings(place: &Place, arguments: &Arguments) -> Result<OAuthSettings, AuthError> {
    let provider = arguments.provider.as_str();
    // OpenClaw calls the login by the company's name.
    let known_as = if provider == "openai" {
        CODEX
    } else {
        provider
    };
    let refused = |words| Err(AuthError::Refused(words));
    let Some(mut settings) = place.login_of(known_as) else {
        let instead = match (provider, place.has_provider(provider)) {
            ("anthropic", _) => {
                "use its program's login (`--method cli`), or `portcullis models auth setup-token`"
                    .to_owned()
            }
            (_, true) => format!(
                "store a key with `portcullis models auth paste-token --provider {provider}`, or \
                 describe its login in the configuration (models.providers.{provider}.oauth)"
            ),
            (_, false) => format!("expected one of {}", place.providers().join(", ")),
        };
        return refused(format!(
            "`{provider}` has no login with a browser: {instead}"
        ));
    };
    if let Some(url) = &arguments.authorize_url {
        settings.authorize_url = url.clone();
    }
    if let Some(url) = &arguments.token_url {
        settings.token_url = url.clone();
    }
    for url in [&settings.authorize_url, &settings.token_url] {
        if url.is_plain_to_another_host() {
            return refused(format!(
                "{}: expected https: the login would travel in the clear",
                url.as_str()
            ));
        }
    }
    Ok(settings)
}

fn with_browser(place: &Place, settings: &OAuthSettings, arguments: &Arguments) -> ExitCode {
    let name = arguments.profile_name.as_deref().unwrap_or("default");
    let provider = arguments.provider.as_str();
    let id = match profile_id(provider, name) {
        Ok(id) => id,
        Err(error) => return finish(Err(error)),
    };
    // Before the user has gone through it all.
    let is_free = place
        .sink
        .update(|draft| check_free(&draft.sink(), &id, CredentialKind::OAuth));
    if let Err(error) = is_free.map_err(AuthError::from).and_then(|free| free) {
        return finish(Err(error));
    }
    let store = |logged_in: &LoggedIn| -> Result<String, AuthError> {
        let profile = Profile {
            id: id.clone(),
            provider: provider.to_owned(),
            login: Login::OAuth(logged_in.tokens.clone()),
            email: logged_in.email.clone(),
        };
        store(place, &profile, arguments.set_default)?;
        let account = match &logged_in.tokens.account_id {
            Some(account) => format!("account {account}, "),
            None => String::new(),
        };
        let end = words::relative(UnixMillis::now(), logged_in.tokens.expires);
        Ok(format!(
            "logged in: {} ({account}expires {end})",
            profile.id
        ))
    };
    let waiting = browser::Waiting {
        settings,
        port: arguments.callback_port,
        patience: arguments.timeout,
        opening: match arguments.no_browser {
            true => browser::Opening::Never,
            false => browser::Opening::WhereSeen,
        },
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(waiting.login(&store)),
        Err(error) => Err(Failure::Runtime(error).into()),
    };
    match outcome {
        Ok(line) => finish(Ok(line)),
        Err(error) => super::fail(error.as_ref()),
    }
}
