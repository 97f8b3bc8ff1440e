//! Which credentials a call may carry, and what each looks like on the wire.

use super::caller::Caller;
use super::candidate::{Candidate, api_key, bearer, is_login_token};
use super::credential_key::{CredentialKey, Mark};
use super::keeper::Keeper;
use super::problem::Problem;
use super::profiles::{Loaded, Profiles};
use super::refresher::{Refreshed, refreshed};
use crate::config::SharedKeys;
use crate::credentials::order::{ordered, serves};
use crate::credentials::{Login, OAuthTokens, Profile, ProfileId, UnixMillis};
use crate::secrets::SecretValue;
use crate::snapshot::{BackDoor, Provider};
use http::{HeaderName, HeaderValue};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The credentials that a call may carry, in the order in which they are tried.
pub(super) struct Candidates {
    keeper: Arc<Keeper>,
    door: Arc<BackDoor>,
    provider: Arc<Provider>,
    store: Option<Arc<Profiles>>,
    agent: Option<String>,
    folder: Option<PathBuf>,
    all: Vec<Choice>,
    /// How many of them have had their turn.
    tried: usize,
    /// One of them was cooling down when it was its turn.
    was_cooling: bool,
    /// Profiles that an order leaves out.
    left_out: usize,
    /// Why some could not be used.
    unusable: Vec<String>,
}

#[derive(Clone)]
enum Choice {
    Profile(ProfileId),
    /// Its place in the provider's pool.
    Key(usize),
}

impl Candidates {
    /// Those of `caller` for `provider`. Waits for the sink where it has not been read.
    pub(super) async fn gather(
        keeper: &Arc<Keeper>,
        door: &Arc<BackDoor>,
        provider: &Arc<Provider>,
        caller: Caller<'_>,
        pinned: Option<ProfileId>,
    ) -> Result<Self, Problem> {
        let (folder, takes_keys) = match caller {
            Caller::Main => (door.state_dir.clone(), true),
            Caller::Agent(agent) => (
                agent.state_dir.clone(),
                agent.shared_keys == SharedKeys::Granted,
            ),
        };
        let store = match &folder {
            Some(folder) => Some(open(keeper, door, folder).await?),
            None => None,
        };
        let loaded = store.as_ref().map(|store| store.loaded());
        let sink = loaded.as_ref().map(|loaded| &loaded.sink);
        let order = door.order.get(&provider.name).map(Vec::as_slice);
        let profiles = sink.map_or(Vec::new(), |sink| {
            ordered(sink, &provider.name, pinned.as_ref(), order)
        });
        if let Some(pinned) = &pinned
            && profiles.first().is_none_or(|first| first.id != *pinned)
        {
            return Err(Problem::UnknownProfile {
                profile: pinned.to_string(),
                provider: provider.name.clone(),
            });
        }
        let serving = sink.map_or(0, |sink| {
            let profiles = sink.profiles.iter().filter_map(|entry| entry.profile());
            profiles.filter(|it| serves(it, &provider.name)).count()
        });
        let left_out = serving - profiles.len();
        let profiles = profiles
            .into_iter()
            .map(|it| Choice::Profile(it.id.clone()));
        let keys = 0..if takes_keys { provider.keys.len() } else { 0 };
        let all = profiles.chain(keys.map(Choice::Key)).collect();
        Ok(Self {
            keeper: keeper.clone(),
            door: door.clone(),
            provider: provider.clone(),
            store,
            agent: caller.agent().map(str::to_owned),
            folder,
            all,
            tried: 0,
            was_cooling: false,
            left_out,
            unusable: Vec::new(),
        })
    }

    /// The next that may be used now.
    pub(super) async fn next(&mut self) -> Option<Candidate> {
        while let Some(choice) = self.all.get(self.tried).cloned() {
            self.tried += 1;
            let candidate = match choice {
                Choice::Key(index) => self.key(index),
                Choice::Profile(id) => self.profile(&id).await,
            };
            match candidate {
                Ok(Some(candidate)) => return Some(candidate),
                Ok(None) => self.was_cooling = true,
                Err(why) => self.unusable.push(why),
            }
        }
        None
    }

    /// Whether there may be another.
    pub(super) fn has_more(&self) -> bool {
        let now = UnixMillis::now();
        let mut untried = self.all[self.tried..].iter();
        untried.any(|choice| self.pause(choice, now).is_none())
    }

    /// How long until the first of all that cool down may be used again.
    pub(super) fn soonest(&self) -> Option<Duration> {
        let now = UnixMillis::now();
        let pauses = self.all.iter().filter_map(|it| self.pause(it, now));
        let soonest = pauses.min();
        // A pause may have ended since it was that one's turn.
        soonest.or(self.was_cooling.then_some(Duration::ZERO))
    }

    /// How long one is still left alone.
    fn pause(&self, choice: &Choice, now: UnixMillis) -> Option<Duration> {
        match choice {
            Choice::Key(index) => {
                self.keeper
                    .pause(&self.pool_key(*index), &self.pool_mark(*index), now)
            }
            Choice::Profile(id) => {
                let loaded = self.loaded();
                let mark = loaded.profile(id).and_then(|it| loaded.mark_of(it));
                self.keeper
                    .pause(&self.profile_key(id), &mark.unwrap_or_default(), now)
            }
        }
    }

    /// Why there is none that can be used.
    pub(super) fn why_none(&self) -> String {
        if !self.unusable.is_empty() {
            return self.unusable.join("; ");
        }
        if self.left_out > 0 {
            return "it has profiles, and its order (`auth.order`, `portcullis models auth order`) \
                    leaves them out"
                .to_owned();
        }
        if let Some(agent) = &self.agent {
            return format!(
                "the agent has no profile of it (`portcullis models auth … --agent {agent}`), and \
                 the shared keys are its own only with `agents.{agent}.sharedKeys = true`"
            );
        }
        match (&self.provider.login, &self.store) {
            (Some(_), None) => "it needs a login, and `models.stateDir` is not set".to_owned(),
            (Some(_), Some(_)) => format!(
                "nobody has logged in: `portcullis models auth login --provider {}`",
                self.provider.name
            ),
            (None, _) => {
                let name = &self.provider.name;
                format!(
                    "there is no key (`models.providers.{name}.apiKey`, a variable) and no profile"
                )
            }
        }
    }

    /// The same profile with another token than the one that the provider didn't take.
    pub(super) async fn renewed(&mut self, candidate: &Candidate) -> Renewal {
        let (Some(id), Some(unfit)) = (&candidate.profile, candidate.access.clone()) else {
            return Renewal::NotNow;
        };
        let loaded = self.loaded();
        let tokens = match loaded.profile(id).map(|profile| &profile.login) {
            Some(Login::OAuth(tokens)) => tokens,
            _ => return Renewal::NotNow,
        };
        let is_over = tokens.needs_login.is_some() || tokens.refresh.is_none();
        if tokens.access == unfit && is_over {
            self.unusable.push(needs_login(id));
            return Renewal::NeedsLogin;
        }
        match self.refresh(id, Some(unfit)).await {
            Refreshed::Profile(profile) => match self.ready_anew(&profile) {
                Ok(candidate) => Renewal::Ready(Box::new(candidate)),
                Err(_) => Renewal::NotNow,
            },
            Refreshed::NeedsLogin => {
                self.unusable.push(needs_login(id));
                Renewal::NeedsLogin
            }
            Refreshed::Failed => Renewal::NotNow,
        }
    }

    /// The provider takes what a refresh brought.
    pub(super) fn refresh_is_taken(&self, candidate: &Candidate) {
        if let Some(login) = self.login_of(candidate) {
            self.keeper.refresher.is_taken(&login);
        }
    }

    /// The provider doesn't take what a refresh brought.
    pub(super) fn refresh_was_useless(&self, candidate: &Candidate) {
        if let Some(login) = self.login_of(candidate) {
            self.keeper.refresher.was_useless(&login);
        }
    }

    /// The login whose refresh brought a candidate.
    fn login_of(&self, candidate: &Candidate) -> Option<(PathBuf, ProfileId)> {
        candidate.access.as_ref()?;
        Some((self.folder.clone()?, candidate.profile.clone()?))
    }

    /// Whether there is none at all.
    pub(super) fn are_none(&self) -> bool {
        self.all.is_empty()
    }

    fn pool_key(&self, index: usize) -> CredentialKey {
        CredentialKey::of_pool(&self.door, &self.provider.name, &self.provider.keys[index])
    }

    fn pool_mark(&self, index: usize) -> Mark {
        Mark::of_fingerprint(&self.provider.keys[index].key.fingerprint)
    }

    fn profile_key(&self, id: &ProfileId) -> CredentialKey {
        CredentialKey {
            folder: self.folder.clone(),
            name: id.to_string(),
        }
    }

    fn key(&self, index: usize) -> Result<Option<Candidate>, String> {
        let (key, mark) = (self.pool_key(index), self.pool_mark(index));
        let ready = &self.provider.keys[index];
        if self.keeper.pause(&key, &mark, UnixMillis::now()).is_some() {
            return Ok(None);
        }
        let headers = match is_login_token(&self.provider, &ready.key.value) {
            true => bearer(&self.provider, &ready.key.value, None)?,
            false => vec![(self.provider.header.clone(), ready.value.clone())],
        };
        Ok(Some(Candidate {
            mark,
            key,
            name: format!("#{}", ready.key.fingerprint),
            headers,
            profile: None,
            access: None,
        }))
    }

    async fn profile(&self, id: &ProfileId) -> Result<Option<Candidate>, String> {
        let loaded = self.loaded();
        let profile = loaded.profile(id);
        let profile = profile.ok_or_else(|| format!("`{id}` has gone"))?;
        let mark = loaded.mark_of(profile).unwrap_or_default();
        if self
            .keeper
            .pause(&self.profile_key(id), &mark, UnixMillis::now())
            .is_some()
        {
            return Ok(None);
        }
        match &profile.login {
            Login::OAuth(tokens) if !tokens.is_unexpired(UnixMillis::now()) => {
                // A mark alone says that another process may be at it.
                if tokens.needs_login.is_some() {
                    return Err(needs_login(id));
                }
                match self.refresh(id, None).await {
                    Refreshed::Profile(profile) => self.ready_anew(&profile).map(Some),
                    Refreshed::NeedsLogin => Err(needs_login(id)),
                    Refreshed::Failed => Err(format!("`{id}` could not be renewed this time")),
                }
            }
            Login::External(login) => {
                let login = login.clone();
                // Another program's file is read each time: it changes without a word.
                let read = tokio::task::spawn_blocking(move || login.read()).await;
                let unreadable = || format!("`{id}`: its program's file can't be read");
                let read = read.map_err(|_| unreadable())?;
                let (token, expires) = read.map_err(|error| {
                    // The caller is told no path of this host.
                    tracing::warn!(
                        profile = %id,
                        error.detail = crate::telemetry::with_causes(&error),
                        "a login of another program can't be read"
                    );
                    unreadable()
                })?;
                if expires.is_some_and(|at| at <= UnixMillis::now()) {
                    return Err(format!("`{id}` has expired; its own program renews it"));
                }
                let headers = bearer(&self.provider, &token, None)?;
                Ok(Some(self.candidate(id, mark, headers, None)))
            }
            _ => self.ready(&loaded, profile, mark).map(Some),
        }
    }

    /// A profile whose token is new.
    fn ready_anew(&self, profile: &Profile) -> Result<Candidate, String> {
        let loaded = self.loaded();
        let mark = loaded.mark_of(profile).unwrap_or_default();
        self.ready(&loaded, profile, mark)
    }

    /// A profile whose secret is among what was loaded.
    fn ready(&self, loaded: &Loaded, profile: &Profile, mark: Mark) -> Result<Candidate, String> {
        let id = &profile.id;
        let why = |problem: &str| format!("`{id}`: {problem}");
        match &profile.login {
            Login::ApiKey(held) => {
                let key = loaded.value(held).map_err(why)?;
                let headers = api_key(&self.provider, &key).map_err(|problem| why(&problem))?;
                Ok(self.candidate(id, mark, headers, None))
            }
            Login::Token { token, expires } => {
                if expires.is_some_and(|at| at <= UnixMillis::now()) {
                    return Err(format!("`{id}` has expired"));
                }
                let token = loaded.value(token).map_err(why)?;
                let headers = bearer(&self.provider, &token, None)?;
                Ok(self.candidate(id, mark, headers, None))
            }
            Login::OAuth(tokens) => {
                let OAuthTokens {
                    access, account_id, ..
                } = tokens;
                let headers = bearer(&self.provider, access, account_id.as_deref())?;
                Ok(self.candidate(id, mark, headers, Some(access.clone())))
            }
            Login::External(_) => Err(why("it is read when it is used")),
        }
    }

    fn candidate(
        &self,
        id: &ProfileId,
        mark: Mark,
        headers: Vec<(HeaderName, HeaderValue)>,
        access: Option<SecretValue>,
    ) -> Candidate {
        Candidate {
            key: self.profile_key(id),
            mark,
            name: id.to_string(),
            headers,
            profile: Some(id.clone()),
            access,
        }
    }

    async fn refresh(&self, id: &ProfileId, unfit: Option<SecretValue>) -> Refreshed {
        match &self.store {
            Some(store) => refreshed(&self.keeper, store, id, unfit, &self.provider).await,
            None => Refreshed::Failed,
        }
    }

    fn loaded(&self) -> Arc<Loaded> {
        let store = self.store.as_ref();
        store.map(|store| store.loaded()).unwrap_or_default()
    }
}

/// What came of a token that the provider didn't take.
pub(super) enum Renewal {
    /// Another one.
    Ready(Box<Candidate>),
    /// The login is over.
    NeedsLogin,
    /// None this time: whose fault that is, is not known.
    NotNow,
}

fn needs_login(id: &ProfileId) -> String {
    format!("`{id}` needs a login: see `portcullis models status --check`")
}

async fn open(
    keeper: &Arc<Keeper>,
    door: &Arc<BackDoor>,
    folder: &std::path::Path,
) -> Result<Arc<Profiles>, Problem> {
    if let Some(known) = keeper.known_store(folder) {
        return Ok(known);
    }
    let (keeper, door, folder) = (keeper.clone(), door.clone(), folder.to_owned());
    let opened = tokio::task::spawn_blocking(move || keeper.store(&folder, &door)).await;
    opened.map_err(|_| Problem::Overloaded)
}
