//! Sends the user to the provider, and waits for the browser to come back or for what
//! it came back with to be pasted, whichever is first.

use super::super::super::super::output;
use super::super::{AuthError, chain};
use super::callback::{Callback, Ending, Visit};
use super::{Failure, pasted};
use crate::credentials::oauth::{Code, LoggedIn, PendingLogin, Unanswered};
use crate::credentials::{OAuthSettings, UnixMillis};
use crate::http_client::call_once;
use crate::tls::UpstreamTrust;
use std::env;
use std::error::Error;
use std::io;
use std::time::Duration;
use tokio::time::timeout;

/// For one call to the token server, and its answer.
const CALL: (Duration, usize) = (Duration::from_secs(60), 256 * 1024);
/// For the browser to take the last page.
const LAST_PAGE: Duration = Duration::from_secs(2);

/// A login that is waited for.
pub(super) struct Waiting<'a> {
    pub(super) settings: &'a OAuthSettings,
    pub(super) port: u16,
    pub(super) patience: Duration,
    pub(super) opening: Opening,
}

/// Whether to open a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    Never,
    /// Where its user would see it.
    WhereSeen,
}

/// What came back, and the page that is waiting to hear how it went.
struct Answer {
    code: Result<Code, Failure>,
    visit: Option<Visit>,
}

impl Waiting<'_> {
    /// Logs in; `store` keeps the tokens and says what to print.
    pub(super) async fn login(
        &self,
        store: &dyn Fn(&LoggedIn) -> Result<String, AuthError>,
    ) -> Result<String, Box<dyn Error>> {
        let port = self.port;
        let redirect = format!("http://localhost:{port}{}", Callback::PATH);
        let pending = PendingLogin::begin(self.settings, &redirect).map_err(Failure::from)?;
        let mut callback = match Callback::bind(port).await {
            Ok(callback) => Some(callback),
            Err(error) => {
                say_taken(port, &error);
                None
            }
        };
        self.send(&pending, callback.is_some());
        let answer = timeout(self.patience, wait(&pending, callback.as_mut())).await;
        let Ok(Answer { code, visit }) = answer else {
            return Err(Failure::TimedOut(self.patience).into());
        };
        let outcome = match code {
            Ok(code) => self.exchange(&pending, &code).await,
            Err(error) => Err(error),
        };
        let outcome = match outcome {
            Ok(logged_in) => store(&logged_in).map_err(Box::from),
            Err(error) => Err(Box::<dyn Error>::from(error)),
        };
        if let (Some(visit), Some(callback)) = (visit, callback) {
            visit.end(match &outcome {
                Ok(_) => Ending::LoggedIn,
                Err(error) => Ending::Failed(chain(error.as_ref())),
            });
            let _ = timeout(LAST_PAGE, callback.finish()).await;
        }
        outcome
    }

    fn send(&self, pending: &PendingLogin, is_listening: bool) {
        let url = pending.authorize_url();
        let is_opened =
            self.opening == Opening::WhereSeen && is_seen() && open::that_detached(url).is_ok();
        output::complain(match is_opened {
            true => "a browser was opened to log in; if it wasn't, open:",
            false => "to log in, open in a browser:",
        });
        output::complain(url);
        output::complain(match is_listening {
            true => {
                "If that browser is on another machine, paste the URL here that it comes back to \
                 (http://localhost…), though it shows an error there:"
            }
            false => "Then paste the URL here that it comes back to:",
        });
    }

    async fn exchange(&self, pending: &PendingLogin, code: &Code) -> Result<LoggedIn, Failure> {
        let http = async |request| {
            let url = &self.settings.token_url;
            let answer = call_once(url, UpstreamTrust::PublicRoots, request, CALL).await;
            answer.map_err(Unanswered::from)
        };
        let logged_in = pending.exchange(code, &http, UnixMillis::now()).await?;
        Ok(logged_in)
    }
}

/// The first answer, by either way.
async fn wait(pending: &PendingLogin, callback: Option<&mut Callback>) -> Answer {
    let pasted = async {
        let line = pasted::lines().recv().await?;
        Some(pending.read_pasted(&line).map_err(Failure::from))
    };
    let Some(callback) = callback else {
        let code = pasted.await.unwrap_or(Err(Failure::NoWay));
        return Answer { code, visit: None };
    };
    tokio::select! {
        visit = callback.next() => Answer {
            code: pending.read_query(visit.query()).map_err(Failure::from),
            visit: Some(visit),
        },
        // At standard input's end the browser alone is waited for.
        Some(code) = pasted => Answer { code, visit: None },
    }
}

/// Whether somebody sits before this machine: not one who came over SSH.
fn is_seen() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let has_display = is_set("DISPLAY") || is_set("WAYLAND_DISPLAY");
    has_display && !is_set("SSH_CONNECTION")
}

fn say_taken(port: u16, error: &io::Error) {
    output::complain(format_args!(
        "127.0.0.1:{port} is taken: {error}; paste the redirect URL here instead"
    ));
}
