//! A secret in memory: wiped when dropped, shown to nobody by accident.

use std::fmt;

use zeroize::Zeroizing;

/// A resolved secret. It has no `Display`, its `Debug` is redacted, and its
/// memory is wiped when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Zeroizing<String>);

impl SecretValue {
    /// Takes the secret over.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(Zeroizing::new(secret))
    }

    /// The secret itself: for the one place that sends or compares it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretValue(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_secret() {
        let secret = SecretValue::new("hunter2".into());
        assert_eq!(format!("{secret:?}"), "SecretValue(redacted)");
        assert_eq!(secret.expose(), "hunter2");
    }
}
