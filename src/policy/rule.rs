//! A denial told in full: the rule as the config's key, what came, what was expected;
//! and what of a request may be shown while it is told.

use super::Policy;
use super::assertion::Carriage;
use super::class::{Class, Found};
use super::denial::{Cause, Denial};
use super::names::{FieldName, SET_FIELDS, same_folded};

const ASSERTION: &str = "gateway.auth.trustedProxy.assertion";

impl Policy {
    /// The config's key behind a denial of this policy. None where no key decides it: a
    /// header that is set here comes in disguise, which is never right.
    pub fn rule(&self, denial: &Denial) -> Option<&'static str> {
        Some(match &denial.0 {
            Cause::UntrustedSource(source) if source.uid().is_some() => "listen.unixPeerUids",
            Cause::UntrustedSource(_) => "gateway.trustedProxies",
            Cause::UnnamedCertificate(..) => "gateway.auth.trustedProxy.clientCertNames",
            Cause::LoopbackSource(_) => "gateway.auth.trustedProxy.allowLoopback",
            Cause::LocalInterfaceSource(_) | Cause::LocalInterfaceCheckFailed(_) => {
                "gateway.auth.trustedProxy.allowLocalInterface"
            }
            Cause::TooManyFields(_) => "limits.maxHeaders",
            Cause::Repeated(name, _) | Cause::Alias(name) => return self.key_of(name),
            Cause::Comma(_) | Cause::UserMissing(..) | Cause::UserInvalid(..) => {
                "gateway.auth.trustedProxy.userHeader"
            }
            Cause::NotScopes => "gateway.auth.trustedProxy.passScopes",
            Cause::UnexpectedScopes => "gateway.auth.trustedProxy.scopeCeilings",
            Cause::AssertionMissing(..) | Cause::AssertionFault(..) | Cause::UserMismatch(..) => {
                ASSERTION
            }
            Cause::ServiceNotAllowed(_) => "gateway.auth.trustedProxy.assertion.allowServices",
            Cause::MissingHeader(..) => "gateway.auth.trustedProxy.requiredHeaders",
            Cause::UserNotAllowed(_) => "gateway.auth.trustedProxy.allowUsers",
        })
    }

    /// The key that made a header one of ours.
    fn key_of(&self, name: &FieldName) -> Option<&'static str> {
        let Found::Known(entry) = self.classifier.find(name.as_str()) else {
            return None;
        };
        match entry.class {
            Class::User => Some("gateway.auth.trustedProxy.userHeader"),
            _ if entry.is_assertion => Some(ASSERTION),
            _ if entry.required.is_some() => Some("gateway.auth.trustedProxy.requiredHeaders"),
            Class::Credential => Some("upstream.credential.header"),
            Class::Scopes => Some("gateway.auth.trustedProxy.scopeCeilings"),
            _ => None,
        }
    }

    /// What a field of this name is to the policy.
    pub fn class_of(&self, name: &str) -> Class {
        match self.classifier.find(name) {
            Found::Ordinary => Class::Pass,
            Found::Known(entry) => entry.class,
            Found::Alias(_) | Found::Foreign => Class::Drop,
        }
    }

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

    /// The header in which the trusted proxy names the user.
    pub fn user_header(&self) -> &FieldName {
        &self.user_header
    }

    /// The user in a value of that header, without what the identity proxy writes before it.
    pub fn user_named_in<'v>(&self, value: &'v [u8]) -> &'v [u8] {
        match &self.assertion {
            Some(rule) => rule.named_user(value),
            None => value,
        }
    }

    /// The header in which a signed assertion must come, and how it holds it; none: none
    /// is asked for.
    pub fn assertion_header(&self) -> Option<(&FieldName, Carriage)> {
        let rule = self.assertion.as_ref()?;
        Some((&rule.header, rule.carriage))
    }

    /// The headers that must come.
    pub fn required_headers(&self) -> &[FieldName] {
        &self.required_headers
    }

    /// The headers that pass because they are named in the config, required ones included.
    pub fn named_headers(&self) -> impl Iterator<Item = &FieldName> {
        let named = |entry: &&super::class::Entry| entry.class == Class::Named;
        self.classifier
            .entries()
            .iter()
            .filter(named)
            .map(|entry| &entry.name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::denial::Missing;
    use super::super::{
        AllowUsers, AssertionFault, AssertionRule, Code, LocalInterface, MAX_FIELDS, Mismatch,
        PROBE_HEADER, PolicyConfig, Source, TrustedNets, UserProblem,
    };
    use super::*;
    use std::collections::HashSet;

    fn policy() -> Policy {
        let name = |text: &str| FieldName::parse(text).unwrap();
        Policy::new(PolicyConfig {
            trusted_proxies: TrustedNets::parse(["10.0.0.1"]).unwrap(),
            unix_peer_uids: Vec::new(),
            client_names: None,
            assertion: Some(AssertionRule {
                header: name("x-pomerium-jwt-assertion"),
                carriage: Carriage::Plain,
                user_prefix: None,
                services: HashSet::new(),
            }),
            user_header: name("x-forwarded-user"),
            required_headers: vec![name("x-forwarded-proto"), name("x-proof")],
            allow_users: AllowUsers::Any,
            allow_loopback: false,
            allow_local_interface: false,
            pass_headers: vec![name("x-groups"), name(PROBE_HEADER)],
            pass_scopes: false,
            scope_ceilings: None,
            public_routes: Vec::new(),
            credential_header: Some(name("authorization")),
        })
    }

    #[test]
    fn every_cause_names_its_rule_what_came_and_what_was_expected() {
        let name = |text: &str| FieldName::parse(text).unwrap();
        let source = Source::new("10.0.0.9".parse().unwrap(), LocalInterface::Yes);
        let user = "gateway.auth.trustedProxy.userHeader";
        let mut codes = Vec::new();
        for (cause, rule) in [
            (
                Cause::UntrustedSource(source),
                Some("gateway.trustedProxies"),
            ),
            (
                Cause::UntrustedSource(Source::unix_peer(3)),
                Some("listen.unixPeerUids"),
            ),
            (
                Cause::LoopbackSource(source),
                Some("gateway.auth.trustedProxy.allowLoopback"),
            ),
            (
                Cause::LocalInterfaceSource(source),
                Some("gateway.auth.trustedProxy.allowLocalInterface"),
            ),
            (
                Cause::LocalInterfaceCheckFailed(source),
                Some("gateway.auth.trustedProxy.allowLocalInterface"),
            ),
            (
                Cause::TooManyFields(MAX_FIELDS + 1),
                Some("limits.maxHeaders"),
            ),
            (Cause::Repeated(name("x-forwarded-user"), 2), Some(user)),
            (
                Cause::Repeated(name("x-proof"), 2),
                Some("gateway.auth.trustedProxy.requiredHeaders"),
            ),
            (
                Cause::Repeated(name("x-openclaw-scopes"), 2),
                Some("gateway.auth.trustedProxy.scopeCeilings"),
            ),
            (
                Cause::Alias(name("authorization")),
                Some("upstream.credential.header"),
            ),
            (Cause::Alias(name("x-real-ip")), None),
            (
                Cause::Alias(name("x-forwarded-proto")),
                Some("gateway.auth.trustedProxy.requiredHeaders"),
            ),
            (Cause::Comma(name("x-forwarded-user")), Some(user)),
            (
                Cause::NotScopes,
                Some("gateway.auth.trustedProxy.passScopes"),
            ),
            (
                Cause::UnexpectedScopes,
                Some("gateway.auth.trustedProxy.scopeCeilings"),
            ),
            (
                Cause::MissingHeader(name("x-proof"), Missing::Blank),
                Some("gateway.auth.trustedProxy.requiredHeaders"),
            ),
            (
                Cause::UserMissing(name("x-forwarded-user"), Missing::Absent),
                Some(user),
            ),
            (
                Cause::UserInvalid(name("x-forwarded-user"), UserProblem::TooLong(999)),
                Some(user),
            ),
            (
                Cause::UnnamedCertificate(source, None),
                Some("gateway.auth.trustedProxy.clientCertNames"),
            ),
            (
                Cause::AssertionMissing(name("x-jwt"), Carriage::Plain, Missing::Absent),
                Some(ASSERTION),
            ),
            (
                Cause::AssertionFault(
                    name("x-jwt"),
                    AssertionFault::Invalid(Mismatch::new("algorithm `none`", "ES256")),
                ),
                Some(ASSERTION),
            ),
            (
                Cause::AssertionFault(name("x-jwt"), AssertionFault::Expired(9)),
                Some(ASSERTION),
            ),
            (
                Cause::UserMismatch(name("x-forwarded-user"), Some("eve".into())),
                Some(ASSERTION),
            ),
            (
                Cause::Alias(name("x-pomerium-jwt-assertion")),
                Some(ASSERTION),
            ),
            (
                Cause::ServiceNotAllowed("ci".into()),
                Some("gateway.auth.trustedProxy.assertion.allowServices"),
            ),
            (
                Cause::UserNotAllowed("eve".into()),
                Some("gateway.auth.trustedProxy.allowUsers"),
            ),
        ] {
            let denial = Denial::new(cause);
            codes.push(denial.code());
            assert_eq!(policy().rule(&denial), rule, "{denial:?}");
            let Mismatch { got, expected } = denial.mismatch();
            assert!(!got.is_empty() && !expected.is_empty(), "{denial:?}");
            // Each half is one by itself.
            assert!(
                !got.starts_with("got ") && !got.contains("expected"),
                "{got}"
            );
            assert_eq!(denial.detail(), format!("got {got}, expected {expected}"));
        }
        for code in Code::ALL {
            assert!(codes.contains(&code), "{code:?}");
        }
    }

    #[test]
    fn passes_no_nonce_on_whatever_is_configured() {
        for name in [PROBE_HEADER, "X-Portcullis-Probe", "x_portcullis_probe"] {
            assert_eq!(policy().class_of(name), Class::Drop, "{name}");
        }
    }

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
        let named: Vec<_> = policy.named_headers().map(FieldName::as_str).collect();
        assert_eq!(named, ["x-proof", "x-groups"]);
    }
}
