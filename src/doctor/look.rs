//! What came of looking at something that may not be there, or not be shown.

use std::io;

/// What came of looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look<T> {
    /// This is what it is.
    Seen(T),
    /// It isn't there.
    Missing,
    /// The system doesn't show it, for this reason.
    Hidden(String),
}

impl<T> Look<T> {
    /// What is made of what was seen.
    #[must_use]
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Look<U> {
        match self {
            Self::Seen(seen) => Look::Seen(make(seen)),
            Self::Missing => Look::Missing,
            Self::Hidden(reason) => Look::Hidden(reason),
        }
    }

    /// What was seen, if anything.
    #[must_use]
    pub fn seen(&self) -> Option<&T> {
        match self {
            Self::Seen(seen) => Some(seen),
            Self::Missing | Self::Hidden(_) => None,
        }
    }
}

impl<T> From<io::Result<T>> for Look<T> {
    fn from(result: io::Result<T>) -> Self {
        match result {
            Ok(seen) => Self::Seen(seen),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Self::Missing
            }
            Err(error) => Self::Hidden(error.to_string()),
        }
    }
}
