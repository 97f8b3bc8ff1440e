//! Refreshes of logins: one at a time for each, in a task of its own, so that no caller
//! who leaves takes it along.

use super::keeper::{Keeper, lock, now};
use super::profiles::Profiles;
use crate::credentials::oauth::Unanswered;
use crate::credentials::refresh::{RefreshError, refresh};
use crate::credentials::{Login, OAuthSettings, Profile, ProfileId};
use crate::http_client::call_once;
use crate::secrets::SecretValue;
use crate::snapshot::{BackDoor, Login as Servers};
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
/// After a refresh that failed, for a while nobody tries another.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LAST_PAUSE: Duration = Duration::from_secs(600);

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

type Name = (PathBuf, ProfileId);

/// The refreshes under way, and those that failed lately.
#[derive(Default)]
pub(super) struct Refresher {
    under_way: Mutex<HashMap<Name, watch::Receiver<Option<Refreshed>>>>,
    failed: Mutex<HashMap<Name, (Instant, Duration)>>,
}

impl Refresher {
    /// Whether a refresh failed so lately that another would be of no use.
    pub(super) fn is_pausing(&self, name: &Name) -> bool {
        let failed = lock(&self.failed);
        failed
            .get(name)
            .is_some_and(|(until, _)| Instant::now() < *until)
    }

    fn note(&self, name: &Name, outcome: &Refreshed) {
        let mut failed = lock(&self.failed);
        match outcome {
            Refreshed::Profile(_) => {
                failed.remove(name);
            }
            Refreshed::NeedsLogin | Refreshed::Failed => {
                let pause = failed
                    .get(name)
                    .map_or(FIRST_PAUSE, |(_, last)| (*last * 2).min(LAST_PAUSE));
                failed.insert(name.clone(), (Instant::now() + pause, pause));
            }
        }
    }

    /// Ends when no refresh is under way.
    pub(super) async fn all_ended(&self) {
        loop {
            let next = lock(&self.under_way).values().next().cloned();
            let Some(mut next) = next else { return };
            let _ = next.wait_for(Option::is_some).await;
            tokio::task::yield_now().await;
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
    servers: &Servers,
    door: &Arc<BackDoor>,
) -> Refreshed {
    let name = (store.sink.folder().to_owned(), id.clone());
    let mut waiting = {
        let mut under_way = lock(&keeper.refresher.under_way);
        match under_way.get(&name) {
            Some(waiting) => waiting.clone(),
            None => {
                if keeper.refresher.is_pausing(&name) {
                    return Refreshed::Failed;
                }
                let (sender, receiver) = watch::channel(None);
                under_way.insert(name.clone(), receiver.clone());
                let work = Work {
                    keeper: keeper.clone(),
                    store: store.clone(),
                    door: door.clone(),
                    servers: servers.clone(),
                    name,
                };
                tokio::spawn(async move {
                    let outcome = work.run(unfit).await;
                    lock(&work.keeper.refresher.under_way).remove(&work.name);
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

struct Work {
    keeper: Arc<Keeper>,
    store: Arc<Profiles>,
    door: Arc<BackDoor>,
    servers: Servers,
    name: Name,
}

impl Work {
    async fn run(&self, unfit: Option<SecretValue>) -> Refreshed {
        let Servers { settings, trust } = &self.servers;
        let (_, id) = &self.name;
        let http = |request| call(settings, trust, request);
        let outcome = refresh(&self.store.sink, id, unfit.as_ref(), settings, &http, now).await;
        let (store, door, keeper) = (self.store.clone(), self.door.clone(), self.keeper.clone());
        let load = move || store.load(&door.secret_providers, keeper.environment);
        // A panic there leaves what was read before.
        let _ = tokio::task::spawn_blocking(load).await;
        let (told, refreshed) = match outcome {
            Ok(profile) => {
                tracing::info!(profile = %id, "the login has a fresh token");
                ("ok", Refreshed::Profile(Box::new(profile)))
            }
            Err(error) => {
                let told = match error {
                    RefreshError::Refused { .. } => "refused",
                    RefreshError::Unknown { .. } | RefreshError::Attempted { .. } => "unknown",
                    _ => "failed",
                };
                tracing::warn!(
                    profile = %id,
                    error.detail = with_causes(&error),
                    "the login was not refreshed"
                );
                let refreshed = match error {
                    RefreshError::Refused { .. } | RefreshError::NoRefreshToken(_) => {
                        Refreshed::NeedsLogin
                    }
                    _ => Refreshed::Failed,
                };
                (told, refreshed)
            }
        };
        let provider = crate::credentials::provider::CODEX;
        self.keeper.metrics.models().refresh(provider, told);
        self.keeper.refresher.note(&self.name, &refreshed);
        refreshed
    }
}

/// One call to the token server.
async fn call(
    settings: &OAuthSettings,
    trust: &UpstreamTrust,
    request: Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Unanswered> {
    let limit = (ANSWER, MAX_ANSWER_BYTES);
    let answer = call_once(&settings.token_url, trust.clone(), request, limit).await;
    answer.map_err(Unanswered::from)
}

/// The logins of `store` that end soon, and the servers that renew them.
pub(super) fn due(keeper: &Keeper, store: &Profiles, door: &BackDoor) -> Vec<(ProfileId, Servers)> {
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
            let servers = door.providers.get(profile.serves())?.login.clone()?;
            let name = (store.sink.folder().to_owned(), profile.id.clone());
            let is_due = !tokens.is_fresh(now())
                && tokens.can_refresh()
                && !keeper.refresher.is_pausing(&name);
            is_due.then(|| (profile.id.clone(), servers))
        })
        .collect()
}
