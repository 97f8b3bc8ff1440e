//! The rule behind a denial, as the config's key.

use super::Policy;
use super::cause::Cause;
use super::class::{Class, Found};
use super::denial::Denial;
use super::names::FieldName;

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
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::cause::Missing;
    use super::super::{
        AssertionFault, AssertionRule, Carriage, Code, LocalInterface, MAX_FIELDS, Mismatch,
        PROBE_HEADER, PolicyConfig, Source, UserProblem,
    };
    use super::*;
    use std::collections::HashSet;

    pub(in crate::policy) fn policy() -> Policy {
        let name = |text: &str| FieldName::parse(text).unwrap();
        Policy::new(PolicyConfig {
            assertion: Some(AssertionRule {
                header: name("x-pomerium-jwt-assertion"),
                carriage: Carriage::Plain,
                user_prefix: None,
                services: HashSet::new(),
            }),
            required_headers: vec![name("x-forwarded-proto"), name("x-proof")],
            pass_headers: vec![name("x-groups"), name(PROBE_HEADER)],
            credential_header: Some(name("authorization")),
            ..PolicyConfig::sample()
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
}
