//! The profiles of one sink as this process has them: read when the file changes, with
//! the values of what they refer to. What was good stays until something better is had.

use super::credential_key::Mark;
use super::keeper::lock;
use crate::credentials::{
    Entry, Held, Login, Profile, ProfileId, Sink, TokenSink, UnixMillis, fingerprint,
};
use crate::secrets::{
    Environment, Providers, Resolved, SecretError, SecretRef, SecretSource, SecretValue,
};
use crate::telemetry::with_causes;
use arc_swap::ArcSwap;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How soon a reference without a value is asked for again, and how far that grows.
const FIRST_RETRY: Duration = Duration::from_secs(10);
const LAST_RETRY: Duration = Duration::from_secs(300);
/// How often references to files are looked at again: a rotated file says nothing.
const FILES_EVERY: Duration = Duration::from_secs(5);

/// A sink and what was last read from it.
pub(super) struct Profiles {
    /// Where they are kept.
    pub(super) sink: TokenSink,
    loaded: ArcSwap<Loaded>,
    /// What is known of the file and the references.
    known: Mutex<Known>,
    /// Held while references are resolved, which may take commands their time.
    resolving: Mutex<()>,
}

/// What a sink held, and what its references led to.
#[derive(Default)]
pub(super) struct Loaded {
    /// The sink.
    pub(super) sink: Arc<Sink>,
    /// Why it can't be read now; what was read before is used on.
    pub(super) problem: Option<String>,
    values: BTreeMap<SecretRef, Value>,
}

/// What a reference leads to.
struct Value {
    value: Option<SecretValue>,
    /// Why there is none, or not the newest: a code.
    problem: Option<&'static str>,
}

/// How much is read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// What has changed or is due.
    Due,
    /// All of it: the configuration is another, or the process ends.
    All,
}

#[derive(Default)]
struct Known {
    stamp: Option<Stamp>,
    is_read: bool,
    sink: Arc<Sink>,
    /// Why the sink can't be read now.
    problem: Option<String>,
    references: BTreeMap<SecretRef, Reference>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

/// A reference, and when it is asked for again.
struct Reference {
    value: Option<SecretValue>,
    /// Why it has no value, or not the newest.
    problem: Option<&'static str>,
    due: Option<Instant>,
    pause: Duration,
}

impl Profiles {
    /// The profiles in `folder`, not read yet.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            sink: TokenSink::new(folder),
            loaded: ArcSwap::default(),
            known: Mutex::default(),
            resolving: Mutex::default(),
        }
    }

    /// What was last read.
    pub(super) fn loaded(&self) -> Arc<Loaded> {
        self.loaded.load_full()
    }

    /// Reads the sink where it has changed, and resolves what it refers to where that is
    /// due. Waits for both.
    pub(super) fn look(&self, providers: &Providers, environment: Environment<'_>, extent: Extent) {
        // One at a time, so that what was asked for later also counts later. The sink
        // itself may be read meanwhile.
        let _resolving = lock(&self.resolving);
        let due = {
            let mut known = lock(&self.known);
            self.read(&mut known, extent);
            known.due(extent)
        };
        if due.is_empty() {
            return;
        }
        let resolved = providers.resolve(&due, environment);
        let mut known = lock(&self.known);
        known.take(resolved);
        self.publish(&known);
    }

    /// Reads the sink alone: a token is there that somebody waits for.
    pub(super) fn reread(&self) {
        self.read(&mut lock(&self.known), Extent::Due);
    }

    fn read(&self, known: &mut Known, extent: Extent) {
        // Looked at before it is read: what changes in between is seen as changed.
        let stamp = Stamp::of(&self.sink.path());
        if known.is_read && stamp == known.stamp && extent == Extent::Due {
            return;
        }
        known.stamp = stamp;
        known.is_read = true;
        match self.sink.read() {
            Ok(sink) => {
                if known.problem.take().is_some() {
                    tracing::info!("the token sink can be read again");
                }
                known.sink = Arc::new(sink);
            }
            Err(error) => {
                let problem = with_causes(&error);
                tracing::warn!(
                    error.detail = problem,
                    "the token sink can't be read: what was read before is used on"
                );
                known.problem = Some(problem);
            }
        }
        self.publish(known);
    }

    /// Puts what is known where requests find it: always the sink with all values.
    fn publish(&self, known: &Known) {
        let values = known.references.iter().map(|(reference, state)| {
            let value = Value {
                value: state.value.clone(),
                problem: state.problem,
            };
            (reference.clone(), value)
        });
        self.loaded.store(Arc::new(Loaded {
            sink: known.sink.clone(),
            problem: known.problem.clone(),
            values: values.collect(),
        }));
    }
}

impl Known {
    /// The references that are new, due, or all of them.
    fn due(&mut self, extent: Extent) -> BTreeSet<SecretRef> {
        let wanted = references(&self.sink);
        self.references.retain(|known, _| wanted.contains(known));
        let now = Instant::now();
        let is_due = |reference: &SecretRef| match self.references.get(reference) {
            None => true,
            Some(known) => extent == Extent::All || known.due.is_some_and(|due| due <= now),
        };
        wanted.into_iter().filter(is_due).collect()
    }

    fn take(&mut self, resolved: Resolved) {
        let now = Instant::now();
        for (reference, value) in resolved {
            let known = self.references.remove(&reference);
            let known = known.unwrap_or(Reference {
                value: None,
                problem: None,
                due: None,
                pause: FIRST_RETRY,
            });
            let state = known.renewed(value, reference.id.source(), now);
            self.references.insert(reference, state);
        }
    }
}

impl Reference {
    fn renewed(
        self,
        value: Result<SecretValue, SecretError>,
        source: SecretSource,
        now: Instant,
    ) -> Self {
        match value {
            Ok(value) => Self {
                value: Some(value),
                problem: None,
                due: (source == SecretSource::File).then_some(now + FILES_EVERY),
                pause: FIRST_RETRY,
            },
            Err(error) => {
                if self.problem != Some(error.code()) {
                    tracing::warn!(
                        error.code = error.code(),
                        error.detail = with_causes(&error),
                        is_served = self.value.is_some(),
                        "a profile's secret is not to be had; one that was had before is used on"
                    );
                }
                Self {
                    problem: Some(error.code()),
                    due: Some(now + self.pause),
                    pause: (self.pause * 2).min(LAST_RETRY),
                    ..self
                }
            }
        }
    }
}

impl Loaded {
    /// The value of a key or token, or the code of why there is none.
    pub(super) fn value(&self, held: &Held) -> Result<SecretValue, &'static str> {
        let reference = match held {
            Held::Value(value) => return Ok(value.clone()),
            Held::Ref(reference) => reference,
        };
        let known = self.values.get(reference).ok_or("not resolved yet")?;
        let problem = known.problem.unwrap_or("not resolved yet");
        known.value.clone().ok_or(problem)
    }

    /// Why the value of a key or token may be an old one: a code.
    pub(super) fn stale(&self, entry: &Entry) -> Option<&'static str> {
        let known = self.values.get(entry.profile()?.login.reference()?)?;
        known.problem.filter(|_| known.value.is_some())
    }

    /// What is wrong with the secret of a profile, and when an external one ends. Waits
    /// for the file system.
    pub(super) fn facts_of(&self, entry: &Entry) -> (Option<UnixMillis>, Option<String>) {
        match entry.profile().map(|profile| &profile.login) {
            Some(Login::ApiKey(held) | Login::Token { token: held, .. }) => {
                (None, self.value(held).err().map(str::to_owned))
            }
            Some(Login::External(login)) => match login.read() {
                Ok((_, expires)) => (expires, None),
                Err(error) => (None, Some(with_causes(&error))),
            },
            Some(Login::OAuth(_)) | None => (None, None),
        }
    }

    /// What the secret of a profile is known by; none while it isn't to be had.
    pub(super) fn mark_of(&self, profile: &Profile) -> Option<Mark> {
        Some(match &profile.login {
            Login::ApiKey(held) | Login::Token { token: held, .. } => {
                Mark::of_secret(&self.value(held).ok()?)
            }
            // Its limits are the account's, whatever token it shows.
            Login::OAuth(tokens) => Mark {
                limits: tokens.account_id.clone(),
                refusals: Some(fingerprint(&tokens.access)),
            },
            Login::External(_) => Mark::default(),
        })
    }

    /// The profile of this name.
    pub(super) fn profile(&self, id: &ProfileId) -> Option<&Profile> {
        self.sink.profile(id)
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let facts = path.metadata().ok()?;
        Some(Self {
            inode: facts.ino(),
            length: facts.len(),
            changed: (facts.ctime(), facts.ctime_nsec()),
        })
    }
}

/// What the profiles of a sink refer to.
fn references(sink: &Sink) -> BTreeSet<SecretRef> {
    let profiles = sink.profiles.iter().filter_map(Entry::profile);
    let referred = profiles.filter_map(|profile| profile.login.reference());
    referred.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::SecretInput;
    use serde_json::json;
    use std::ffi::OsString;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_secret_that_is_gone_for_a_while_is_served_on() {
        static IS_THERE: AtomicBool = AtomicBool::new(true);
        let environment = |name: &str| -> Option<OsString> {
            (name == "GROQ" && IS_THERE.load(Ordering::SeqCst)).then(|| "sk-canary".into())
        };
        let folder = tempfile::tempdir().unwrap();
        let profiles = Profiles::new(folder.path().join("state"));
        let providers = Providers::default();
        let profile = json!({"type": "api_key", "provider": "groq",
            "keyRef": {"source": "env", "provider": "default", "id": "GROQ"}});
        write(&profiles, json!({"groq:v": profile}));
        let SecretInput::Ref(reference) =
            SecretInput::parse("$GROQ", providers.default_env()).unwrap()
        else {
            panic!("a reference");
        };
        let held = Held::Ref(reference);
        let look = |extent| profiles.look(&providers, &environment, extent);
        let value = || {
            profiles
                .loaded()
                .value(&held)
                .map(|value| value.expose().to_owned())
        };
        look(Extent::Due);
        assert_eq!(value().unwrap(), "sk-canary");
        IS_THERE.store(false, Ordering::SeqCst);
        write(&profiles, json!({"groq:v": profile, "groq:w": profile}));
        look(Extent::All);
        assert_eq!(profiles.loaded().sink.profiles.len(), 2);
        assert_eq!(value().unwrap(), "sk-canary");
        // One that never was there says why.
        let fresh = Profiles::new(folder.path().join("state"));
        fresh.look(&providers, &environment, Extent::Due);
        assert_eq!(fresh.loaded().value(&held), Err("SECRET_REF_NOT_FOUND"));
    }

    #[test]
    fn a_sink_that_is_damaged_leaves_what_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let profiles = Profiles::new(folder.path().join("state"));
        let providers = Providers::default();
        let nothing = |_: &str| None;
        write(
            &profiles,
            json!({"groq:a": {"type": "api_key", "provider": "groq", "key": "sk"}}),
        );
        profiles.look(&providers, &nothing, Extent::Due);
        std::fs::write(profiles.sink.path(), "{").unwrap();
        profiles.look(&providers, &nothing, Extent::Due);
        assert_eq!(profiles.loaded().sink.profiles.len(), 1);
        assert!(profiles.loaded().problem.is_some());
        profiles.look(&providers, &nothing, Extent::Due);
        assert!(profiles.loaded().problem.is_some());
    }

    #[test]
    fn a_mark_tells_one_secret_of_a_name_from_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let profiles = Profiles::new(folder.path().join("state"));
        let mark = |profile: serde_json::Value| {
            write(&profiles, json!({ "openai:a": profile }));
            profiles.reread();
            let loaded = profiles.loaded();
            let id = ProfileId::parse("openai:a").unwrap();
            loaded.mark_of(loaded.profile(&id).unwrap()).unwrap()
        };
        let key = |key: &str| mark(json!({"type": "api_key", "provider": "openai", "key": key}));
        let login = |account: &str, access: &str| {
            mark(
                json!({"type": "oauth", "provider": "openai", "access": access, "refresh": "r",
                "expires": 1_790_000_000_000_u64, "accountId": account}),
            )
        };
        let (one, other) = (key("sk-one"), key("sk-other"));
        assert!(one.limits != other.limits && one.refusals != other.refusals);
        assert_eq!(key("sk-one"), one);
        // A token that is refused says nothing of the next, an account's limit does.
        let (first, renewed) = (login("acct-1", "first"), login("acct-1", "renewed"));
        assert!(first.limits == renewed.limits && first.refusals != renewed.refusals);
        assert_ne!(login("acct-2", "first").limits, first.limits);
    }

    fn write(profiles: &Profiles, content: serde_json::Value) {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        let folder = profiles.sink.folder();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .unwrap();
        let next = folder.join("next");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&next)
            .unwrap();
        let whole = json!({"version": 1, "profiles": content});
        std::io::Write::write_all(&mut file, whole.to_string().as_bytes()).unwrap();
        std::fs::rename(next, profiles.sink.path()).unwrap();
    }
}
