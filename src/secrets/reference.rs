//! What a config may write where a secret belongs: the secret itself, a
//! `$NAME` shorthand, or a reference `{ source, provider, id }`.

use std::fmt;

use super::SecretValue;

/// A secret as the config has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretInput {
    /// The secret stands in the config itself.
    Plain(SecretValue),
    /// The secret is somewhere else.
    Ref(SecretRef),
}

/// Where a secret is: in which provider, and there under which id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretRef {
    /// The provider's alias.
    pub provider: ProviderName,
    /// The id, which also says of which source the provider must be.
    pub id: SecretId,
}

/// A reference's id, valid for its source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretId {
    /// An environment variable.
    Env(EnvName),
    /// A place in a file.
    File(FileId),
    /// A name that a command understands.
    Exec(ExecId),
}

/// The kinds of secret provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretSource {
    /// Environment variables.
    Env,
    /// A JSON file, or a file that holds one value.
    File,
    /// A command that speaks the gateway's resolver protocol.
    Exec,
}

/// A provider's alias: `[a-z][a-z0-9_-]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProviderName(String);

/// An environment variable that may hold a secret: `[A-Z][A-Z0-9_]{0,127}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvName(String);

/// A place in a file: `value`, or a JSON pointer (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(String);

/// A name for a resolver command: `[A-Za-z0-9][A-Za-z0-9._:/#-]{0,255}`, without
/// `.` or `..` as a segment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExecId(String);

/// Why a string is no reference. The messages never repeat it: it may be a
/// secret that was put in the wrong place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefError {
    /// Nothing, or white space only.
    #[error("it is blank")]
    Blank,
    /// `${…}` around something that is no variable's name. Taken literally it
    /// would be a secret that anyone can guess.
    #[error("`${{…}}` holds no name of capitals, digits and underscores")]
    Template,
    /// The gateway's retired markers, which would silently become the secret.
    #[error("`secretref-env:` and `__env__:` are retired markers, write \"$NAME\"")]
    RetiredMarker,
    /// Not a [`ProviderName`].
    #[error("a provider's name is a small letter, then up to 63 of a-z, 0-9, `_` and `-`")]
    Provider,
    /// Not an [`EnvName`].
    #[error("an environment variable's name here is a capital, then up to 127 of A-Z, 0-9 and `_`")]
    EnvName,
    /// Not a file id.
    #[error("a file id is `value` or a JSON pointer such as `/providers/openai/apiKey`")]
    FileId,
    /// Not an exec id.
    #[error(
        "an exec id is a letter or digit, then up to 255 of letters, digits and `._:/#-`, \
         without `.` or `..` as a segment"
    )]
    ExecId,
}

impl SecretInput {
    /// Reads a plain string or a `$NAME` / `${NAME}` shorthand, which means the
    /// environment provider `default_env`.
    ///
    /// # Errors
    /// [`RefError::Blank`], [`RefError::Template`], [`RefError::RetiredMarker`].
    pub fn parse(text: &str, default_env: &ProviderName) -> Result<Self, RefError> {
        let trimmed = super::trim(text);
        if trimmed.is_empty() {
            return Err(RefError::Blank);
        }
        if trimmed.starts_with("secretref-env:") || trimmed.starts_with("__env__:") {
            return Err(RefError::RetiredMarker);
        }
        let braced = trimmed
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'));
        let name = match (braced, trimmed.strip_prefix('$')) {
            (Some(inner), _) => Some(EnvName::parse(inner).map_err(|_| RefError::Template)?),
            (None, Some(rest)) => EnvName::parse(rest).ok(),
            (None, None) => None,
        };
        Ok(match name {
            Some(name) => Self::Ref(SecretRef {
                provider: default_env.clone(),
                id: SecretId::Env(name),
            }),
            None => Self::Plain(SecretValue::new(text.to_owned())),
        })
    }
}

impl SecretSource {
    /// Every source.
    pub const ALL: [Self; 3] = [Self::Env, Self::File, Self::Exec];
    /// Every source of [`SecretSource::ALL`], as the config spells it.
    pub const NAMES: [&'static str; 3] = ["env", "file", "exec"];

    /// Reads `env`, `file` or `exec`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let at = Self::NAMES.iter().position(|name| *name == text)?;
        Self::ALL.get(at).copied()
    }

    /// As the config spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::File => "file",
            Self::Exec => "exec",
        }
    }

    /// Reads an id by the grammar of its source.
    ///
    /// # Errors
    /// [`RefError::EnvName`], [`RefError::FileId`] or [`RefError::ExecId`].
    pub fn parse_id(self, id: &str) -> Result<SecretId, RefError> {
        match self {
            Self::Env => EnvName::parse(id).map(SecretId::Env),
            // The gateway takes blanks off a pointer before it follows it.
            Self::File if is_file_id(id) => Ok(SecretId::File(FileId(super::trim(id).to_owned()))),
            Self::File => Err(RefError::FileId),
            Self::Exec if is_exec_id(id) => Ok(SecretId::Exec(ExecId(id.to_owned()))),
            Self::Exec => Err(RefError::ExecId),
        }
    }
}

impl SecretId {
    /// The source that it belongs to.
    #[must_use]
    pub fn source(&self) -> SecretSource {
        match self {
            Self::Env(_) => SecretSource::Env,
            Self::File(_) => SecretSource::File,
            Self::Exec(_) => SecretSource::Exec,
        }
    }

    /// The id as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Env(EnvName(id)) | Self::File(FileId(id)) | Self::Exec(ExecId(id)) => id,
        }
    }
}

impl FileId {
    /// Whether it means the whole of a file that holds one value.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.0 == "value"
    }

    /// The id as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ExecId {
    /// The id as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ProviderName {
    /// Reads an alias.
    ///
    /// # Errors
    /// [`RefError::Provider`].
    pub fn parse(text: &str) -> Result<Self, RefError> {
        let rest = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        if is_name(text, 64, |byte| byte.is_ascii_lowercase(), rest) {
            Ok(Self(text.to_owned()))
        } else {
            Err(RefError::Provider)
        }
    }

    /// The alias that stands where nothing else is configured: `default`.
    #[must_use]
    pub fn fallback() -> Self {
        Self("default".to_owned())
    }

    /// The alias.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl EnvName {
    /// Reads a variable's name.
    ///
    /// # Errors
    /// [`RefError::EnvName`].
    pub fn parse(text: &str) -> Result<Self, RefError> {
        let rest = |byte: u8| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_');
        if is_name(text, 128, |byte| byte.is_ascii_uppercase(), rest) {
            Ok(Self(text.to_owned()))
        } else {
            Err(RefError::EnvName)
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for EnvName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for SecretRef {
    /// `source:provider:id`, as the gateway writes it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { provider, id } = self;
        write!(formatter, "{}:{provider}:{}", id.source(), id.as_str())
    }
}

fn is_name(text: &str, most: usize, first: fn(&u8) -> bool, rest: fn(u8) -> bool) -> bool {
    text.len() <= most && text.as_bytes().first().is_some_and(first) && text.bytes().all(rest)
}

/// RFC 6901, absolute; `~` only as `~0` or `~1`.
fn is_file_id(id: &str) -> bool {
    if id == "value" {
        return true;
    }
    let mut escapes = id.split('~').skip(1);
    id.starts_with('/') && escapes.all(|after| after.starts_with(['0', '1']))
}

fn is_exec_id(id: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/#-".contains(&byte);
    is_name(id, 256, u8::is_ascii_alphanumeric, rest)
        && !id.split('/').any(|segment| matches!(segment, "." | ".."))
}

#[cfg(test)]
mod tests;
