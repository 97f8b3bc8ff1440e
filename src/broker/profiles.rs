//! The profiles of one sink as this process has them: read when the file changes, with
//! the values of what they refer to.

use crate::credentials::{
    Entry, Held, Login, Profile, ProfileId, Sink, SinkError, TokenSink, UnixMillis,
};
use crate::secrets::{Environment, Providers, SecretRef, SecretValue};
use arc_swap::ArcSwap;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A sink and what was last read from it.
pub(super) struct Profiles {
    /// Where they are kept.
    pub(super) sink: TokenSink,
    loaded: ArcSwap<Loaded>,
    stamp: Mutex<Option<Stamp>>,
}

/// What a sink held, and what its references led to.
#[derive(Default)]
pub(super) struct Loaded {
    /// The sink.
    pub(super) sink: Sink,
    /// Why it can't be read now; what was read before is used on.
    pub(super) problem: Option<String>,
    resolved: BTreeMap<SecretRef, Result<SecretValue, &'static str>>,
}

/// Why a profile's secret is not to be had: a code.
pub(super) type Problem = String;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl Profiles {
    /// The profiles in `folder`, not read yet.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            sink: TokenSink::new(folder),
            loaded: ArcSwap::default(),
            stamp: Mutex::new(None),
        }
    }

    /// What was last read.
    pub(super) fn loaded(&self) -> Arc<Loaded> {
        self.loaded.load_full()
    }

    /// Whether the file is another than the one that was read.
    pub(super) fn have_changed(&self) -> bool {
        Stamp::of(&self.sink.path()) != *self.stamp()
    }

    /// Reads the sink and resolves what it refers to. Waits for both.
    pub(super) fn load(&self, providers: &Providers, environment: Environment<'_>) {
        // Looked at before it is read: what changes in between is seen as changed.
        let stamp = Stamp::of(&self.sink.path());
        let loaded = match self.sink.read() {
            Ok(sink) => Loaded {
                resolved: resolve(&sink, providers, environment),
                sink,
                problem: None,
            },
            Err(error) => self.kept(&error),
        };
        *self.stamp() = stamp;
        self.loaded.store(Arc::new(loaded));
    }

    fn kept(&self, error: &SinkError) -> Loaded {
        let problem = crate::telemetry::with_causes(error);
        tracing::warn!(
            error.detail = problem,
            "the token sink can't be read: what was read before is used on"
        );
        let known = self.loaded();
        Loaded {
            sink: known.sink.clone(),
            resolved: known.resolved.clone(),
            problem: Some(problem),
        }
    }

    fn stamp(&self) -> std::sync::MutexGuard<'_, Option<Stamp>> {
        self.stamp.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loaded {
    /// The value of a key or token.
    pub(super) fn value(&self, held: &Held) -> Result<SecretValue, Problem> {
        match held {
            Held::Value(value) => Ok(value.clone()),
            Held::Ref(reference) => match self.resolved.get(reference) {
                Some(Ok(value)) => Ok(value.clone()),
                Some(Err(code)) => Err((*code).to_owned()),
                None => Err("not resolved yet".to_owned()),
            },
        }
    }

    /// What is wrong with the secret of a profile, and when an external one ends. Waits
    /// for the file system.
    pub(super) fn look(&self, entry: &Entry) -> (Option<UnixMillis>, Option<Problem>) {
        match entry.profile().map(|profile| &profile.login) {
            Some(Login::ApiKey(held) | Login::Token { token: held, .. }) => {
                (None, self.value(held).err())
            }
            Some(Login::External(login)) => match login.read() {
                Ok((_, expires)) => (expires, None),
                Err(error) => (None, Some(crate::telemetry::with_causes(&error))),
            },
            Some(Login::OAuth(_)) | None => (None, None),
        }
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

fn resolve(
    sink: &Sink,
    providers: &Providers,
    environment: Environment<'_>,
) -> BTreeMap<SecretRef, Result<SecretValue, &'static str>> {
    let held = |entry: &Entry| match &entry.profile()?.login {
        Login::ApiKey(Held::Ref(reference))
        | Login::Token {
            token: Held::Ref(reference),
            ..
        } => Some(reference.clone()),
        _ => None,
    };
    let wanted: BTreeSet<SecretRef> = sink.profiles.iter().filter_map(held).collect();
    let resolved = providers.resolve(&wanted, environment);
    let code = |error: crate::secrets::SecretError| {
        tracing::warn!(
            error.code = error.code(),
            error.detail = %error,
            "a profile's secret is not to be had"
        );
        error.code()
    };
    let each = resolved.into_iter();
    each.map(|(reference, value)| (reference, value.map_err(code)))
        .collect()
}
