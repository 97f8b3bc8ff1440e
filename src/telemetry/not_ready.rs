//! Why a process is not ready, as `/readyz` and `/status` have it.

/// Why requests are not welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    /// Not every listener is bound.
    ListenersNotBound,
    /// An active secret has no value.
    SecretsUnresolved,
    /// Signed assertions can't be verified.
    AssertionKeysMissing,
    /// The process is stopping.
    Draining,
}

impl NotReady {
    /// As JSON has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ListenersNotBound => "listeners_not_bound",
            Self::SecretsUnresolved => "secrets_unresolved",
            Self::AssertionKeysMissing => "assertion_keys_missing",
            Self::Draining => "draining",
        }
    }
}
