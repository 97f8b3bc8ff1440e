//! The signed identity that a request must show beside the trusted proxy's word.

use super::mismatch::Mismatch;
use super::names::FieldName;
use super::request::trim;
use std::collections::HashSet;

/// What a policy asks of assertions. Verifying one is for whoever holds the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssertionRule {
    /// The header that it comes in.
    pub header: FieldName,
    /// How the header holds it.
    pub carriage: Carriage,
    /// What the identity proxy writes before a user, in its user header and in some claims.
    pub user_prefix: Option<&'static str>,
    /// The services that may pass without a user.
    pub services: HashSet<Box<str>>,
}

/// How a header holds an assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carriage {
    /// It is the whole value.
    Plain,
    /// It is a bearer token (RFC 6750 §2.1).
    Bearer,
}

/// Whom a verified assertion is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed<'a> {
    /// A user.
    User(&'a str),
    /// A service with a token of its own.
    Service(&'a str),
}

/// Why an assertion proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssertionFault {
    /// It isn't what it should be. What came can follow "an assertion with", and holds
    /// nothing of the signature.
    Invalid(Mismatch),
    /// It ended this many seconds ago.
    Expired(u64),
}

/// Verifies assertions. A policy asks for those alone that trusted sources bring.
pub trait Verify {
    /// Whom `token` is about, if it is genuine.
    ///
    /// # Errors
    /// [`AssertionFault`].
    fn verify(&self, token: &[u8]) -> Result<Claimed<'_>, AssertionFault>;
}

/// Holds no keys: nothing is genuine to it.
#[derive(Debug, Clone, Copy)]
pub struct Keyless;

impl Verify for Keyless {
    fn verify(&self, _: &[u8]) -> Result<Claimed<'_>, AssertionFault> {
        Err(AssertionFault::Invalid(Mismatch::new(
            "no key here to verify it by",
            "the issuer's keys",
        )))
    }
}

impl AssertionRule {
    /// The assertion in a header's value; none where there is none.
    pub(super) fn token<'a>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        let value = trim(value);
        let token = match self.carriage {
            Carriage::Plain => value,
            Carriage::Bearer => {
                let (scheme, token) = value.split_at_checked(7)?;
                scheme
                    .eq_ignore_ascii_case(b"bearer ")
                    .then(|| trim(token))?
            }
        };
        (!token.is_empty()).then_some(token)
    }

    /// The user in the user header's value, without the identity proxy's prefix.
    pub(super) fn named_user<'a>(&self, value: &'a [u8]) -> &'a [u8] {
        let prefix = self.user_prefix.unwrap_or_default().as_bytes();
        value.strip_prefix(prefix).unwrap_or(value)
    }

    /// The user in a claim, likewise.
    pub(super) fn claimed_user<'a>(&self, claim: &'a str) -> &'a str {
        let prefix = self.user_prefix.unwrap_or_default();
        claim.strip_prefix(prefix).unwrap_or(claim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(carriage: Carriage) -> AssertionRule {
        AssertionRule {
            header: FieldName::parse("x-assertion").unwrap(),
            carriage,
            user_prefix: Some("accounts.google.com:"),
            services: HashSet::new(),
        }
    }

    #[test]
    fn finds_the_token_in_its_header() {
        let (plain, bearer) = (rule(Carriage::Plain), rule(Carriage::Bearer));
        for (value, in_plain, in_bearer) in [
            ("a.b.c", Some("a.b.c"), None),
            (" a.b.c\t", Some("a.b.c"), None),
            ("Bearer a.b.c", Some("Bearer a.b.c"), Some("a.b.c")),
            ("bEARER  a.b.c ", Some("bEARER  a.b.c"), Some("a.b.c")),
            ("Bearer ", Some("Bearer"), None),
            ("Bearera.b.c", Some("Bearera.b.c"), None),
            ("Basic a.b.c", Some("Basic a.b.c"), None),
            ("", None, None),
            (" ", None, None),
        ] {
            let (value, expect) = (value.as_bytes(), |text: Option<&'static str>| {
                text.map(str::as_bytes)
            });
            assert_eq!(plain.token(value), expect(in_plain));
            assert_eq!(bearer.token(value), expect(in_bearer));
        }
    }

    #[test]
    fn takes_one_prefix_off_the_user() {
        let rule = rule(Carriage::Plain);
        for (value, user) in [
            ("accounts.google.com:nick@example.com", "nick@example.com"),
            ("nick@example.com", "nick@example.com"),
            ("Accounts.google.com:n", "Accounts.google.com:n"),
        ] {
            assert_eq!(rule.named_user(value.as_bytes()), user.as_bytes());
            assert_eq!(rule.claimed_user(value), user);
        }
    }
}
