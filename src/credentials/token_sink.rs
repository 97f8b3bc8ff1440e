//! The token sink: `auth-profiles.json`, in which profiles live, in OpenClaw's form.
//! Every change is read, made and put in place under a lock, so that no process' change
//! undoes another's; what is unknown here is kept as it is, and a file that can't be
//! understood is never overwritten.

mod draft;
mod error;
mod lock;
mod replace;

pub use draft::Draft;
pub use error::{Damage, FolderProblem, SinkError};
pub(super) use lock::FileLock;

use super::UnixMillis;
use super::profile::{self, Entry, Profile, ProfileId};
use super::wiped::Wiped;
use crate::secrets::{FileError, read_own_file};
use nix::unistd::geteuid;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The file's name in its folder.
const NAME: &str = "auth-profiles.json";
/// The largest sink, in bytes.
const MAX_BYTES: u64 = 4 << 20;
/// How long a change waits for others'.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks.
const PAUSE: Duration = Duration::from_millis(20);
/// The members that are objects where they are there.
const OBJECTS: [&str; 4] = ["profiles", "order", "lastGood", "usageStats"];

/// A folder with an `auth-profiles.json`, which may not be there yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSink {
    folder: PathBuf,
}

/// What a sink holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sink {
    /// All profiles, also those that can't be used.
    pub profiles: Vec<Entry>,
    /// By provider, the order in which profiles are tried (`models auth order`).
    pub order: BTreeMap<String, Vec<ProfileId>>,
    /// By provider, the profile that last had a good answer.
    pub last_good: BTreeMap<String, ProfileId>,
    /// By profile, or `provider#fingerprint` for a key of a pool, how it fared.
    pub usage: BTreeMap<String, Usage>,
}

/// How a credential fared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// When a request last carried it.
    pub last_used: Option<UnixMillis>,
    /// Until when it is left alone.
    pub cooldown_until: Option<UnixMillis>,
    /// How often in a row it hit a limit.
    pub error_count: u32,
    /// Whose limits these are: a secret's fingerprint, or a login's account. None: of
    /// whatever has the name, as OpenClaw writes it.
    pub of: Option<String>,
}

impl TokenSink {
    /// The sink in `folder`.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    /// What it holds now; a missing file holds nothing. This waits for the file system.
    ///
    /// # Errors
    /// All of [`SinkError`] but `Locked` and `Write`.
    pub fn read(&self) -> Result<Sink, SinkError> {
        Ok(Sink::of(self.document()?.get()))
    }

    /// Makes a change, unless there is none: reads the file anew under the lock, lets
    /// `edit` change what is in it, and puts the new file in the old one's place, after
    /// it has reached the disk. This waits for the disk, and for others up to 10 s.
    ///
    /// # Errors
    /// [`SinkError`]; then nothing has changed, unless the last step, which makes the
    /// new file's name survive a power failure, was what failed.
    pub fn update<T>(&self, edit: impl FnOnce(&mut Draft) -> T) -> Result<T, SinkError> {
        self.make_folder()?;
        let _lock = self.lock()?;
        let before = self.document()?;
        let mut draft = Draft::new(Wiped::new(before.get().clone()));
        let outcome = edit(&mut draft);
        let after = draft.into_document();
        if before != after {
            replace::replace(&self.folder, NAME, after.get())
                .map_err(|source| self.unwritable(source))?;
        }
        Ok(outcome)
    }

    /// The file for a lock that is held over the network calls of `name`.
    pub(super) fn lock_of(&self, name: &str) -> Result<PathBuf, SinkError> {
        self.make_folder()?;
        Ok(self.folder.join(format!("{name}.lock")))
    }

    pub(super) fn unwritable(&self, source: io::Error) -> SinkError {
        SinkError::Write {
            path: self.path(),
            source,
        }
    }

    fn document(&self) -> Result<Wiped, SinkError> {
        match self.folder.metadata() {
            Ok(_) => self.check_folder()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(empty()),
            Err(source) => {
                let path = self.folder.clone();
                return Err(FileError::Io { path, source }.into());
            }
        }
        let text = match read_own_file(&self.path(), MAX_BYTES) {
            Ok(text) => text,
            Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(empty());
            }
            Err(error) => return Err(error.into()),
        };
        let damaged = |problem| SinkError::Damaged {
            path: self.path(),
            problem,
        };
        let document = Wiped::parse(&text).ok_or(damaged(Damage::NoObject))?;
        let members = document.get();
        if members.get("version").and_then(Value::as_u64) != Some(1) {
            return Err(damaged(Damage::Version));
        }
        let is_other = |name: &&str| members.get(*name).is_some_and(|it| !it.is_object());
        match OBJECTS.into_iter().find(is_other) {
            Some(name) => Err(damaged(Damage::Member(name))),
            None => Ok(document),
        }
    }

    /// Makes the folder where it isn't there yet, for its owner alone.
    ///
    /// # Errors
    /// [`SinkError::Write`] and [`SinkError::Folder`].
    pub fn make_folder(&self) -> Result<(), SinkError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
            .create(&self.folder)
            .map_err(|source| self.unwritable(source))?;
        self.check_folder()
    }

    fn check_folder(&self) -> Result<(), SinkError> {
        let facts = self.folder.metadata();
        let facts = facts.map_err(|source| self.unwritable(source))?;
        let user = geteuid().as_raw();
        let (got, mode) = (facts.uid(), facts.mode() & 0o7777);
        let problem = if !facts.is_dir() {
            FolderProblem::NotAFolder
        } else if got != user && got != 0 {
            FolderProblem::Owner { got, user }
        } else if mode & 0o022 != 0 {
            FolderProblem::Mode(mode)
        } else {
            return Ok(());
        };
        Err(SinkError::Folder {
            folder: self.folder.clone(),
            problem,
        })
    }

    fn lock(&self) -> Result<FileLock, SinkError> {
        let path = self.lock_of(NAME)?;
        let began = Instant::now();
        loop {
            match FileLock::try_take(&path).map_err(|source| self.unwritable(source))? {
                Some(lock) => return Ok(lock),
                None if began.elapsed() > PATIENCE => return Err(SinkError::Locked { path }),
                None => std::thread::sleep(PAUSE),
            }
        }
    }
}

impl Sink {
    /// The profile of this name, if it can be used.
    #[must_use]
    pub fn profile(&self, id: &ProfileId) -> Option<&Profile> {
        let mut profiles = self.profiles.iter().filter_map(Entry::profile);
        profiles.find(|profile| profile.id == *id)
    }

    fn of(document: &Map<String, Value>) -> Self {
        let members = |name| document.get(name).and_then(Value::as_object);
        let each = |name| members(name).into_iter().flatten();
        let id = |value: &Value| ProfileId::parse(value.as_str()?).ok();
        let ids = |ids: &Value| Some(ids.as_array()?.iter().filter_map(id).collect());
        Self {
            profiles: each("profiles")
                .map(|(id, value)| profile::read(id, value))
                .collect(),
            order: each("order")
                .filter_map(|(provider, value)| Some((provider.clone(), ids(value)?)))
                .collect(),
            last_good: each("lastGood")
                .filter_map(|(provider, value)| Some((provider.clone(), id(value)?)))
                .collect(),
            usage: each("usageStats")
                .map(|(key, value)| (key.clone(), Usage::of(value)))
                .collect(),
        }
    }
}

impl Usage {
    fn of(value: &Value) -> Self {
        let time = |name| value.get(name).and_then(profile::millis);
        let count = value.get("errorCount").and_then(Value::as_u64);
        Self {
            last_used: time("lastUsed"),
            cooldown_until: time("cooldownUntil"),
            error_count: count.map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX)),
            of: value.get("of").and_then(Value::as_str).map(str::to_owned),
        }
    }
}

fn empty() -> Wiped {
    let mut document = Map::new();
    document.insert("version".to_owned(), json!(1));
    document.insert("profiles".to_owned(), json!({}));
    Wiped::new(document)
}

#[cfg(test)]
mod tests;
