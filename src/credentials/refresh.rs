//! Refreshes a login: once, however many tasks and processes ask, and so that whenever
//! the process or the machine dies no refresh token is sent a second time.
//!
//! A provider that rotates refresh tokens takes each once, and reads a second use as
//! theft, which ends the login everywhere (RFC 9700 section 4.14.2). So a mark reaches
//! the disk before the token is sent, and the new tokens before they are used.

mod error;
mod plan;

pub use error::RefreshError;

use super::oauth::{Grant, TokenError, Unanswered, ask};
use super::profile::{Login, Profile, ProfileId};
use super::provider::OAuthSettings;
use super::token_sink::{Draft, FileLock, TokenSink};
use super::{OAuthTokens, UnixMillis, fingerprint};
use crate::secrets::SecretValue;
use http::{Request, Response};
use plan::{Plan, plan};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long one refresh waits for another, longer than a call and the saving after it.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often it looks.
const PAUSE: Duration = Duration::from_millis(25);
/// How long new tokens are tried to be saved: a full disk may have room in a moment, and
/// what isn't saved is lost.
const SAVING: Duration = Duration::from_secs(25);
/// The first pause between two tries, and the longest.
const SAVE_PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How often a login may be replaced under us before we give up.
const REPLACEMENTS: usize = 3;
/// Why a login is needed after a refresh whose outcome nobody knows.
pub const OUTCOME_UNKNOWN: &str = "refresh_outcome_unknown";

/// Has a token for the login `id` that is fresh, and isn't `unfit`, which the provider
/// didn't take. `http` sends one request, follows no redirect, and answers within a
/// minute. This must run to its end: let it have a task of its own, which a requester
/// that goes away doesn't take along.
///
/// # Errors
/// [`RefreshError`].
pub async fn refresh<H, F>(
    sink: &TokenSink,
    id: &ProfileId,
    unfit: Option<&SecretValue>,
    settings: &OAuthSettings,
    http: &H,
    now: impl Fn() -> UnixMillis,
) -> Result<Profile, RefreshError>
where
    H: Fn(Request<Vec<u8>>) -> F,
    F: Future<Output = Result<Response<Vec<u8>>, Unanswered>>,
{
    let _lock = lock(sink, id).await?;
    for _ in 0..REPLACEMENTS {
        let (profile, tokens) = current(sink, id).await?;
        let asked = now();
        let id = || id.clone();
        let sent = match plan(&tokens, unfit, asked) {
            Plan::Done => return Ok(profile),
            Plan::Send(token) => token,
            Plan::NoRefreshToken => return Err(RefreshError::NoRefreshToken(id())),
            Plan::Refused(code) => return Err(RefreshError::Refused { id: id(), code }),
            Plan::Attempted { usable_until } => {
                return Err(RefreshError::Attempted {
                    id: id(),
                    usable_until,
                });
            }
            Plan::GiveUp(sent) => {
                let (name, code) = (id(), OUTCOME_UNKNOWN);
                let refuse =
                    move |draft: &mut Draft| draft.refuse_refresh(&name, &sent, code, asked);
                change(sink, refuse).await?;
                let code = OUTCOME_UNKNOWN.to_owned();
                return Err(RefreshError::Refused { id: id(), code });
            }
        };
        let (name, token) = (id(), sent.clone());
        let begun = change(sink, move |draft| draft.begin_refresh(&name, &token, asked));
        if begun.await? {
            let outcome = ask(settings, Grant::Refresh(&sent), http).await;
            let granted = match outcome {
                Ok(granted) => granted,
                Err(error) => return Err(fail(sink, &id(), sent, error, now()).await),
            };
            let (name, new) = (id(), granted.into_tokens(asked, Some(&tokens)));
            save(sink, move |draft| draft.finish_refresh(&name, &sent, &new))
                .await
                .map_err(|source| unsaved(id(), source))?;
            // A login made meanwhile is newer than what came.
            return current(sink, &id()).await.map(|(profile, _)| profile);
        }
    }
    Err(RefreshError::Gone(id.clone()))
}

/// Notes in the sink what a failed refresh means for the token that was sent.
async fn fail(
    sink: &TokenSink,
    id: &ProfileId,
    sent: SecretValue,
    source: TokenError,
    now: UnixMillis,
) -> RefreshError {
    let (id, name) = (id.clone(), id.clone());
    let (noted, error) = match source {
        TokenError::Refused { ref code, .. } => {
            let (error, code) = (code.clone(), code.clone());
            let refuse = move |draft: &mut Draft| draft.refuse_refresh(&name, &sent, &code, now);
            let error = RefreshError::Refused { id, code: error };
            (save(sink, refuse).await, error)
        }
        TokenError::Unwell { .. } | TokenError::Unanswered(Unanswered::Unsent(_)) => {
            let end = move |draft: &mut Draft| draft.end_attempt(&name, &sent);
            (
                save(sink, end).await,
                RefreshError::Transient { id, source },
            )
        }
        TokenError::Unreadable { .. } | TokenError::Unanswered(Unanswered::Unknown(_)) => {
            (Ok(true), RefreshError::Unknown { id, source })
        }
    };
    match noted {
        Ok(_) => error,
        Err(error) => error,
    }
}

fn unsaved(id: ProfileId, error: RefreshError) -> RefreshError {
    match error {
        RefreshError::Sink(source) => RefreshError::Unsaved { id, source },
        other => other,
    }
}

async fn lock(sink: &TokenSink, id: &ProfileId) -> Result<FileLock, RefreshError> {
    let name = format!("refresh-{}", fingerprint::of_name(id.as_str()));
    let path = sink.lock_of(&name)?;
    let taken = async {
        loop {
            match FileLock::try_take(&path) {
                Ok(Some(lock)) => return Ok(lock),
                Ok(None) => sleep(PAUSE).await,
                Err(source) => return Err(sink.unwritable(source).into()),
            }
        }
    };
    let busy = |_| Err(RefreshError::Busy { id: id.clone() });
    timeout(PATIENCE, taken).await.unwrap_or_else(busy)
}

/// The login as it is on the disk.
async fn current(sink: &TokenSink, id: &ProfileId) -> Result<(Profile, OAuthTokens), RefreshError> {
    let reader = sink.clone();
    let read = blocking(move || reader.read()).await??;
    let profile = read.profile(id).cloned();
    match profile {
        Some(profile) => match &profile.login {
            Login::OAuth(tokens) => {
                let tokens = tokens.clone();
                Ok((profile, tokens))
            }
            _ => Err(RefreshError::Gone(id.clone())),
        },
        None => Err(RefreshError::Gone(id.clone())),
    }
}

/// One change of the sink, on the disk when it returns.
async fn change(
    sink: &TokenSink,
    edit: impl FnOnce(&mut Draft) -> bool + Send + 'static,
) -> Result<bool, RefreshError> {
    let sink = sink.clone();
    Ok(blocking(move || sink.update(edit)).await??)
}

/// As [`change`], tried for a while.
async fn save(
    sink: &TokenSink,
    edit: impl Fn(&mut Draft) -> bool + Clone + Send + 'static,
) -> Result<bool, RefreshError> {
    let began = Instant::now();
    let (mut pause, longest) = SAVE_PAUSES;
    loop {
        match change(sink, edit.clone()).await {
            Err(RefreshError::Sink(_)) if began.elapsed() < SAVING => {
                sleep(pause).await;
                pause = (pause * 2).min(longest);
            }
            outcome => return outcome,
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RefreshError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| RefreshError::Ending)
}

#[cfg(test)]
mod tests;
