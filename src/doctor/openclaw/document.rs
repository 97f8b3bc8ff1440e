//! The keys of the gateway's config that matter to Portcullis.

use super::includes;
use crate::config::ImportError;
use serde_json::{Map, Value};
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

const TEMPLATE: &str = "holds a ${…}, which only the gateway replaces";
const OTHER_KIND: &str = "is of another kind than the gateway expects";

/// The variable that sets the gateway's token.
const TOKEN_VARIABLE: &str = "OPENCLAW_GATEWAY_TOKEN";

/// What kind of value a key has.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Texts,
    Flag,
    Port,
}

/// Every key that is compared.
const COMPARED: [(&str, Kind); 16] = [
    ("gateway.port", Kind::Port),
    ("gateway.bind", Kind::Text),
    ("gateway.customBindHost", Kind::Text),
    ("gateway.publicOrigin", Kind::Text),
    ("gateway.trustedProxies", Kind::Texts),
    ("gateway.auth.mode", Kind::Text),
    ("gateway.auth.trustedProxy.userHeader", Kind::Text),
    ("gateway.auth.trustedProxy.requiredHeaders", Kind::Texts),
    ("gateway.auth.trustedProxy.allowUsers", Kind::Texts),
    ("gateway.auth.trustedProxy.allowLoopback", Kind::Flag),
    (
        "gateway.auth.trustedProxy.deviceAutoApprove.enabled",
        Kind::Flag,
    ),
    (
        "gateway.auth.trustedProxy.deviceAutoApprove.scopes",
        Kind::Texts,
    ),
    ("gateway.tls.enabled", Kind::Flag),
    ("gateway.tailscale.mode", Kind::Text),
    ("gateway.controlUi.allowedOrigins", Kind::Texts),
    (
        "gateway.controlUi.dangerouslyAllowHostHeaderOriginFallback",
        Kind::Flag,
    ),
];

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

    pub(super) fn texts(&self, key: &str) -> Said<Vec<&str>> {
        self.said(key, |value| {
            let items = value.as_array().ok_or(OTHER_KIND)?;
            items.iter().map(text).collect()
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

    /// The members of an object that are lists of texts; others are passed over.
    pub(super) fn lists(&self, key: &str) -> Vec<(&str, Vec<&str>)> {
        let members = self.value(key).and_then(Value::as_object);
        let members = members.into_iter().flat_map(Map::iter);
        let lists = members.map(|(name, value)| {
            let items = value.as_array().into_iter().flatten();
            (name.as_str(), items.filter_map(Value::as_str).collect())
        });
        lists.collect()
    }

    /// The keys that can't be compared, and why.
    pub(super) fn unclear(&self) -> Vec<(&'static str, &'static str)> {
        let found = COMPARED.iter().filter_map(|(key, kind)| {
            let reason = match kind {
                Kind::Text => self.text(key).reason(),
                Kind::Texts => self.texts(key).reason(),
                Kind::Flag => self.flag(key).reason(),
                Kind::Port => self.port(key).reason(),
            };
            Some((*key, reason?))
        });
        found.collect()
    }

    /// What stands under `gateway.…`.
    fn value(&self, key: &str) -> Option<&Value> {
        let mut names = key.strip_prefix("gateway.")?.split('.');
        names.try_fold(&self.gateway, |value, name| value.get(name))
    }

    fn said<'a, T>(
        &'a self,
        key: &str,
        read: impl FnOnce(&'a Value) -> Result<T, &'static str>,
    ) -> Said<T> {
        match self.value(key).map(read) {
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

    fn reason(self) -> Option<&'static str> {
        match self {
            Self::Unclear(reason) => Some(reason),
            Self::Nothing | Self::This(_) => None,
        }
    }
}

impl Said<&str> {
    pub(super) fn is(&self, text: &str) -> bool {
        matches!(self, Self::This(this) if *this == text)
    }
}

fn text(value: &Value) -> Result<&str, &'static str> {
    match value.as_str() {
        None => Err(OTHER_KIND),
        Some(text) if text.contains("${") => Err(TEMPLATE),
        Some(text) => Ok(text),
    }
}
