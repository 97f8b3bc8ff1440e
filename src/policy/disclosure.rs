//! What of a request may be shown to an operator.

use super::Policy;
use super::class::{Class, Found};
use super::names::{SET_FIELDS, same_folded};

impl Policy {
    /// Whether a field's value may be shown to an operator: the user, the scopes, and
    /// where and how the client is, which are no secret by what they are. Of every other
    /// field it might be one.
    pub fn is_open(&self, name: &str) -> bool {
        let is_stand_in_for = |ours: &str| same_folded(ours.as_bytes(), name.as_bytes());
        match self.classifier.find(name) {
            Found::Known(entry) | Found::Alias(entry)
                if entry.is_assertion || entry.class == Class::Credential =>
            {
                false
            }
            Found::Known(entry) | Found::Alias(entry)
                if matches!(entry.class, Class::User | Class::Scopes) =>
            {
                true
            }
            _ => is_stand_in_for("host") || SET_FIELDS.iter().any(|open| is_stand_in_for(open)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::tests::policy;

    #[test]
    fn shows_only_values_that_are_no_secret() {
        let policy = policy();
        for open in [
            "X-Forwarded-User",
            "x_forwarded_user",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-openclaw-scopes",
            "host",
        ] {
            assert!(policy.is_open(open), "{open}");
        }
        for closed in [
            "authorization",
            "cookie",
            "x-proof",
            "x-groups",
            "x-forwarded-access-token",
            "x-forwarded-uri",
            "x-pomerium-jwt-assertion",
            "x-api-key",
            "accept",
        ] {
            assert!(!policy.is_open(closed), "{closed}");
        }
    }
}
