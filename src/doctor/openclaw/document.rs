//! The keys of the gateway's config that matter to Portcullis.

use super::includes;
use crate::config::ImportError;
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};

/// A gateway's config, as far as it is the gateway's: what others it includes is drawn
/// in, secrets are forgotten.
#[derive(Debug, Clone)]
pub struct OpenClaw {
    path: PathBuf,
    gateway: Value,
    /// Whether it sets the variable that holds the gateway's token.
    sets_token: bool,
}

/// Why a gateway's config can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenClawError {
    /// The file can't be read.
    #[error("{path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no config.
    #[error("{path}:{source}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: ImportError,
    },
    /// It is no object.
    #[error("{path}: got something else than an object, expected an object", path = path.display())]
    NotObject {
        /// The file.
        path: PathBuf,
    },
    /// The gateway refuses an `$include`, and so doesn't start.
    #[error("{path}: $include: {problem}", path = path.display())]
    Include {
        /// The file that includes.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
}

/// What a config says under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said<T> {
    /// Nothing.
    Nothing,
    /// This.
    This(T),
    /// Something that can't be compared, for this reason.
    Unclear(&'static str),
}

/// A list, as far as it can be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Texts<'a> {
    /// The entries that were read.
    pub(super) items: Vec<&'a str>,
    /// Those that weren't, counted from 1, and why.
    unread: Vec<(usize, &'static str)>,
}

pub(super) const TEMPLATE: &str = "holds a ${…}, which only the gateway replaces";
pub(super) const OTHER_KIND: &str = "is of another kind than the gateway expects";

/// The variable that sets the gateway's token.
const TOKEN_VARIABLE: &str = "OPENCLAW_GATEWAY_TOKEN";

impl OpenClaw {
    /// Reads a gateway's config and what it includes for its `gateway`.
    ///
    /// # Errors
    /// [`OpenClawError`].
    pub fn read(path: &Path) -> Result<Self, OpenClawError> {
        let mut root = includes::read(path)?;
        let sets = |variables: Option<&Value>| {
            let token = variables.and_then(|it| it.get(TOKEN_VARIABLE));
            token.is_some_and(|token| token.as_str() != Some(""))
        };
        let variables = root.get("env");
        let sets_token = sets(variables) || sets(variables.and_then(|it| it.get("vars")));
        Ok(Self {
            path: path.to_owned(),
            gateway: root.remove("gateway").unwrap_or_default(),
            sets_token,
        })
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether something stands under a key. A secret may, so it isn't shown.
    pub(super) fn has(&self, key: &str) -> bool {
        self.value(key).is_some_and(|value| !value.is_null())
    }

    /// Whether the variable of the gateway's token is set in the config itself.
    pub(super) fn sets_token_variable(&self) -> bool {
        self.sets_token
    }

    pub(super) fn text(&self, key: &str) -> Said<&str> {
        self.said(key, text)
    }

    pub(super) fn texts(&self, key: &str) -> Said<Texts<'_>> {
        self.said(key, |value| {
            value.as_array().map(|it| Texts::read(it)).ok_or(OTHER_KIND)
        })
    }

    pub(super) fn flag(&self, key: &str) -> Said<bool> {
        self.said(key, |value| value.as_bool().ok_or(OTHER_KIND))
    }

    pub(super) fn port(&self, key: &str) -> Said<u16> {
        self.said(key, |value| {
            let number = value.as_u64().and_then(|it| u16::try_from(it).ok());
            number.filter(|it| *it != 0).ok_or(OTHER_KIND)
        })
    }

    /// The members of an object, each a list.
    pub(super) fn lists(&self, key: &str) -> Said<Vec<(&str, Said<Texts<'_>>)>> {
        self.said(key, |value| {
            let members = value.as_object().ok_or(OTHER_KIND)?.iter();
            let lists = members.map(|(name, value)| {
                let list = match value.as_array() {
                    Some(items) => Said::This(Texts::read(items)),
                    None => Said::Unclear(OTHER_KIND),
                };
                (name.as_str(), list)
            });
            Ok(lists.collect())
        })
    }

    /// The first of the objects around a key that is none, where there is one.
    pub(super) fn no_object<'k>(&self, key: &'k str) -> Option<&'k str> {
        let ends = key.match_indices('.').map(|(end, _)| &key[..end]);
        let mut around = ends.filter(|around| {
            let value = self.value(around);
            value.is_some_and(|value| !value.is_object() && !value.is_null())
        });
        around.next()
    }

    /// What stands under `gateway` or `gateway.…`.
    fn value(&self, key: &str) -> Option<&Value> {
        let mut names = key.strip_prefix("gateway")?.split('.').skip(1);
        names.try_fold(&self.gateway, |value, name| value.get(name))
    }

    fn said<'a, T>(
        &'a self,
        key: &str,
        read: impl FnOnce(&'a Value) -> Result<T, &'static str>,
    ) -> Said<T> {
        match self.value(key).map(read) {
            None if self.no_object(key).is_some() => Said::Unclear(OTHER_KIND),
            None => Said::Nothing,
            Some(Ok(this)) => Said::This(this),
            Some(Err(reason)) => Said::Unclear(reason),
        }
    }
}

impl<T> Said<T> {
    pub(super) fn this(self) -> Option<T> {
        match self {
            Self::This(this) => Some(this),
            Self::Nothing | Self::Unclear(_) => None,
        }
    }

    pub(super) fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Unclear(reason) => Some(reason),
            Self::Nothing | Self::This(_) => None,
        }
    }
}

impl<'a> Texts<'a> {
    fn read(values: &'a [Value]) -> Self {
        let mut texts = Self::default();
        for (index, value) in values.iter().enumerate() {
            match text(value) {
                Ok(item) => texts.items.push(item),
                Err(reason) => texts.unread.push((index + 1, reason)),
            }
        }
        texts
    }

    /// Whether nothing is missing: only then does it tell what isn't on the list.
    pub(super) fn is_complete(&self) -> bool {
        self.unread.is_empty()
    }

    /// The entries that weren't read, counted from 1, and why.
    pub(super) fn unread(&self) -> &[(usize, &'static str)] {
        &self.unread
    }
}

fn text(value: &Value) -> Result<&str, &'static str> {
    match value.as_str() {
        None => Err(OTHER_KIND),
        Some(text) if text.contains("${") => Err(TEMPLATE),
        Some(text) => Ok(text),
    }
}
