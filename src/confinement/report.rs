//! What of the confinement is in force, for operators.

use serde::{Serialize, Serializer};
use std::fmt;

/// What is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether no program that it starts could have more rights than it.
    pub no_new_privs: bool,
    /// How files and ports are held back.
    pub landlock: Strength,
    /// What of root's power was given up.
    pub capabilities: Strength,
    /// How the kernel's calls are held back.
    pub seccomp: Strength,
    /// Whether it can connect to the Unix sockets of other services.
    pub unix_sockets: bool,
}

/// How much of a part is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strength {
    /// All that this program asks for.
    Whole(String),
    /// Less: the kernel doesn't know all of it.
    Less(String),
    /// Nothing, and why.
    Off(String),
}

impl Report {
    /// Whether all of it is in force.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let is_whole = |part: &Strength| matches!(part, Strength::Whole(_));
        let parts = [&self.landlock, &self.capabilities, &self.seccomp];
        self.no_new_privs && parts.into_iter().all(is_whole)
    }
}

impl Default for Report {
    fn default() -> Self {
        Self {
            no_new_privs: false,
            landlock: Strength::default(),
            capabilities: Strength::default(),
            seccomp: Strength::default(),
            unix_sockets: true,
        }
    }
}

impl Default for Strength {
    fn default() -> Self {
        Self::Off("not asked for".to_owned())
    }
}

impl fmt::Display for Strength {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(detail) if detail.is_empty() => formatter.write_str("enforced"),
            Self::Whole(detail) => write!(formatter, "enforced ({detail})"),
            Self::Less(detail) => write!(formatter, "partly enforced ({detail})"),
            Self::Off(reason) => write!(formatter, "off ({reason})"),
        }
    }
}

impl Serialize for Strength {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
