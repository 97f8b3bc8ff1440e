//! Refreshes of logins: one at a time for each, in a task of its own, so that no caller
//! who leaves takes it along.

use super::keeper::{Keeper, lock};
use super::profiles::Profiles;
use crate::credentials::oauth::Unanswered;
use crate::credentials::refresh::{RefreshError, refresh};
use crate::credentials::{Login, OAuthSettings, Profile, ProfileId, UnixMillis};
use crate::http_client::call_once;
use crate::secrets::SecretValue;
use crate::snapshot::{BackDoor, Provider};
use crate::telemetry::with_causes;
use crate::tls::UpstreamTrust;
use http::{Request, Response};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// For a token server's answer.
const ANSWER: Duration = Duration::from_secs(60);
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// After a refresh that was of no use, for a while nobody tries another.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LAST_PAUSE: Duration = Duration::from_secs(600);
/// After one that only came at the wrong time.
const SHORT_PAUSE: Duration = Duration::from_secs(5);
/// A token that lives for less is renewed when it is needed, and not ahead of that.
const SHORTEST_LIFE: Duration = Duration::from_secs(2);

/// What came of a refresh, for everyone who waits.
#[derive(Debug, Clone)]
pub(super) enum Refreshed {
    /// The profile as it is now.
    Profile(Box<Profile>),
    /// It needs a login.
    NeedsLogin,
    /// It was not to be had this time.
    Failed,
}

/// A login, by its sink's folder and its name.
pub(super) type Name = (PathBuf, ProfileId);

/// The refreshes under way, and those that were of no use lately.
#[derive(Default)]
pub(super) struct Refresher {
    under_way: Mutex<HashMap<Name, watch::Receiver<Option<Refreshed>>>>,
    useless: Mutex<HashMap<Name, (Instant, Duration)>>,
}

impl Refresher {
    /// Whether a refresh was of no use so lately that another would be, too.
    fn is_pausing(&self, name: &Name) -> bool {
        let useless = lock(&self.useless);
        let until = useless.get(name).map(|(until, _)| *until);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// What a refresh brought was not taken, or nobody knows what came of it: an account
    /// that is refused whatever it shows must not spend a refresh token with every
    /// request.
    pub(super) fn was_useless(&self, name: &Name) {
        let mut useless = lock(&self.useless);
        let last = useless.get(name).map_or(Duration::ZERO, |(_, last)| *last);
        let pause = (last * 2).clamp(FIRST_PAUSE, LAST_PAUSE);
        useless.insert(name.clone(), (Instant::now() + pause, pause));
    }

    /// A refresh failed without spending anything.
    fn was_unlucky(&self, name: &Name) {
        let mut useless = lock(&self.useless);
        let last = useless.get(name).map_or(Duration::ZERO, |(_, last)| *last);
        useless.insert(name.clone(), (Instant::now() + SHORT_PAUSE, last));
    }

    /// The provider takes the login's token. A pause that is running goes on: one call
    /// may be taken where another is not.
    pub(super) fn is_taken(&self, name: &Name) {
        let now = Instant::now();
        let mut useless = lock(&self.useless);
        if useless.get(name).is_some_and(|(until, _)| *until <= now) {
            useless.remove(name);
        }
    }

    /// Ends when no refresh is under way.
    pub(super) async fn all_ended(&self) {
        loop {
            let next = lock(&self.under_way).values().next().cloned();
            let Some(mut next) = next else { return };
            // It ends with its sender, if not with an outcome.
            let _ = next.wait_for(Option::is_some).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// A fresh token for the login `id` of `store`, other than `unfit`. Joins a refresh
/// that is under way.
pub(super) async fn refreshed(
    keeper: &Arc<Keeper>,
    store: &Arc<Profiles>,
    id: &ProfileId,
    unfit: Option<SecretValue>,
    provider: &Arc<Provider>,
) -> Refreshed {
    let Some(settings) = provider.login.clone() else {
        return Refreshed::Failed;
    };
    let name = (store.sink.folder().to_owned(), id.clone());
    let mut waiting = {
        let mut under_way = lock(&keeper.refresher.under_way);
        match under_way.get(&name) {
            Some(waiting) => waiting.clone(),
            None if keeper.refresher.is_pausing(&name) => return Refreshed::Failed,
            None => {
                let (sender, receiver) = watch::channel(None);
                under_way.insert(name.clone(), receiver.clone());
                let work = Work {
                    keeper: keeper.clone(),
                    store: store.clone(),
                    provider: provider.clone(),
                    settings,
                    name,
                };
                tokio::spawn(async move {
                    let outcome = work.run(unfit).await;
                    let _ = sender.send(Some(outcome));
                });
                receiver
            }
        }
    };
    match waiting.wait_for(Option::is_some).await {
        Ok(outcome) => outcome.clone().unwrap_or(Refreshed::Failed),
        // The task panicked.
        Err(_) => Refreshed::Failed,
    }
}

/// A refresh; it is under way until this is dropped.
struct Work {
    keeper: Arc<Keeper>,
    store: Arc<Profiles>,
    provider: Arc<Provider>,
    settings: OAuthSettings,
    name: Name,
}

impl Drop for Work {
    fn drop(&mut self) {
        lock(&self.keeper.refresher.under_way).remove(&self.name);
    }
}

impl Work {
    async fn run(&self, unfit: Option<SecretValue>) -> Refreshed {
        let settings = &self.settings;
        let (_, id) = &self.name;
        let http = |request| call(settings, request);
        let outcome = refresh(
            &self.store.sink,
            id,
            unfit.as_ref(),
            settings,
            &http,
            UnixMillis::now,
        )
        .await;
        let store = self.store.clone();
        // A panic there leaves what was read before.
        let _ = tokio::task::spawn_blocking(move || store.reread()).await;
        let refresher = &self.keeper.refresher;
        let (told, refreshed) = match outcome {
            Ok(profile) => {
                tracing::info!(profile = %id, "the login has a fresh token");
                ("ok", Refreshed::Profile(Box::new(profile)))
            }
            Err(error) => {
                tracing::warn!(
                    profile = %id,
                    error.detail = with_causes(&error),
                    "the login was not refreshed"
                );
                match error {
                    // The sink says so from here on: nothing is sent again.
                    RefreshError::Refused { .. } => ("refused", Refreshed::NeedsLogin),
                    RefreshError::NoRefreshToken(_) => ("failed", Refreshed::NeedsLogin),
                    RefreshError::Unknown { .. } | RefreshError::Attempted { .. } => {
                        refresher.was_useless(&self.name);
                        ("unknown", Refreshed::Failed)
                    }
                    _ => {
                        refresher.was_unlucky(&self.name);
                        ("failed", Refreshed::Failed)
                    }
                }
            }
        };
        let models = self.keeper.metrics.models();
        models.refresh(&self.provider.name, told);
        refreshed
    }
}

/// One call to the token server.
async fn call(
    settings: &OAuthSettings,
    request: Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Unanswered> {
    let limit = (ANSWER, MAX_ANSWER_BYTES);
    let trust = UpstreamTrust::PublicRoots;
    let answer = call_once(&settings.token_url, trust, request, limit).await;
    answer.map_err(Unanswered::from)
}

/// The logins of `store` that end soon, each with its provider.
pub(super) fn due(
    keeper: &Keeper,
    store: &Profiles,
    door: &BackDoor,
) -> Vec<(ProfileId, Arc<Provider>)> {
    let refresher = &keeper.refresher;
    let loaded = store.loaded();
    let profiles = loaded
        .sink
        .profiles
        .iter()
        .filter_map(|entry| entry.profile());
    profiles
        .filter_map(|profile| {
            let Login::OAuth(tokens) = &profile.login else {
                return None;
            };
            let provider = door.providers.get(profile.serves())?;
            provider.login.as_ref()?;
            let name = (store.sink.folder().to_owned(), profile.id.clone());
            let life = tokens.obtained.map(|from| from.until(tokens.expires));
            let is_due = !tokens.is_fresh(UnixMillis::now())
                && life.is_none_or(|life| life >= SHORTEST_LIFE)
                && tokens.can_refresh()
                && !refresher.is_pausing(&name);
            is_due.then(|| (profile.id.clone(), provider.clone()))
        })
        .collect()
}
