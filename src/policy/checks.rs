//! The checks that make a decision, in their order.

use super::assertion::{AssertionRule, Claimed, Verify};
use super::cause::{Cause, Missing};
use super::names::FieldName;
use super::peer::Peer;
use super::permit::{Identity, Permit, Standing};
use super::request::Request;
use super::scopes::{self, Scopes};
use super::source::{LocalInterface, Source};
use super::survey::Survey;
use super::user::{self, Principal, VerifiedUser};
use super::{Policy, ScopeRule, routes};

impl Policy {
    pub(super) fn check<'a>(
        &'a self,
        peer: Peer<'_>,
        request: Request<'a>,
        verifier: &'a dyn Verify,
    ) -> Result<Permit<'a>, Cause> {
        let source = peer.source;
        if let Some(standing) = self.public_standing(peer, &request) {
            let survey = Survey::take(&self.classifier, request.fields)?;
            survey.refuse_aliases()?;
            return Ok(Permit {
                source,
                standing,
                identity: Identity::Public,
                request,
                classes: survey.classes,
            });
        }

        self.check_peer(peer)?;
        self.check_place(source)?;

        let survey = Survey::take(&self.classifier, request.fields)?;
        survey.refuse_aliases()?;
        survey.refuse_repeated(request.fields)?;
        if survey.user.is_some_and(|user| user.contains(&b',')) {
            return Err(Cause::Comma(self.user_header.clone()));
        }
        self.check_scopes(&survey)?;

        if let Some((name, missing)) = survey.missing(&self.required_headers) {
            return Err(Cause::MissingHeader(name.clone(), missing));
        }
        let user = match &self.assertion {
            None => self.named_user(&survey)?,
            Some(rule) => self.proven_user(rule, &survey, verifier)?,
        };
        let scopes = match &self.scope_rule {
            ScopeRule::Refuse => Scopes::UNSET,
            ScopeRule::Believe => Scopes::believed(survey.scopes),
            ScopeRule::Ceilings(ceilings) => ceilings.grant(user.as_str(), survey.scopes),
        };
        let identity = Identity::User { user, scopes };
        Ok(Permit {
            source,
            standing: Standing::TrustedProxy,
            identity,
            request,
            classes: survey.classes,
        })
    }

    /// Whether a public route takes this request from this source, and how far
    /// the source is believed then.
    pub(super) fn public_standing(
        &self,
        peer: Peer<'_>,
        request: &Request<'_>,
    ) -> Option<Standing> {
        if self.public_routes.is_empty() {
            return None;
        }
        let source = peer.source;
        let trusted = self.trusts(peer);
        let open = routes::fitting(&self.public_routes, request).any(|route| {
            route.sources().map_or(trusted, |sources| {
                let address = source.address();
                address.is_some_and(|address| sources.contains(address))
            })
        });
        let standing = if trusted {
            Standing::TrustedProxy
        } else {
            Standing::RouteSource
        };
        (open && self.check_place(source).is_ok()).then_some(standing)
    }

    /// Refuses whoever is not where a trusted proxy may be, or hasn't the certificate of
    /// one. The kernel proves a Unix socket's peer: there is no certificate.
    pub(super) fn check_peer(&self, peer: Peer<'_>) -> Result<(), Cause> {
        let Peer {
            source,
            certificate,
        } = peer;
        if !self.lists(source) {
            return Err(Cause::UntrustedSource(source));
        }
        match (&self.client_names, certificate) {
            (None, _) => Ok(()),
            (Some(_), _) if source.uid().is_some() => Ok(()),
            (Some(names), Some(certificate)) if names.admit(certificate) => Ok(()),
            (Some(_), certificate) => Err(Cause::UnnamedCertificate(
                source,
                certificate.map(|names| names.first().cloned()),
            )),
        }
    }

    /// Refuses this host's own addresses: whatever runs beside the gateway
    /// could name any user through them.
    pub(super) fn check_place(&self, source: Source) -> Result<(), Cause> {
        if source.is_loopback() && !self.allow_loopback {
            return Err(Cause::LoopbackSource(source));
        }
        match source.local_interface() {
            LocalInterface::Yes if !self.allow_local_interface => {
                Err(Cause::LocalInterfaceSource(source))
            }
            LocalInterface::Unknown if !self.allow_local_interface => {
                Err(Cause::LocalInterfaceCheckFailed(source))
            }
            _ => Ok(()),
        }
    }

    fn check_scopes(&self, survey: &Survey<'_>) -> Result<(), Cause> {
        match (&self.scope_rule, survey.scopes) {
            (ScopeRule::Refuse, Some(_)) => Err(Cause::UnexpectedScopes),
            (ScopeRule::Believe, Some(value)) if !scopes::is_scope_list(value) => {
                Err(Cause::NotScopes)
            }
            _ => Ok(()),
        }
    }

    /// The user that the trusted proxy names.
    fn named_user<'a>(&self, survey: &Survey<'a>) -> Result<VerifiedUser<'a>, Cause> {
        let value = survey
            .user
            .ok_or_else(|| Cause::UserMissing(self.user_header.clone(), Missing::Absent))?;
        let user = read_user(&self.user_header, value)?;
        self.vouch(user, Principal::User)
    }

    /// The user that the assertion proves, who is the one that the trusted proxy names
    /// where it names one; or a service, which has none.
    fn proven_user<'a>(
        &self,
        rule: &AssertionRule,
        survey: &Survey<'a>,
        verifier: &'a dyn Verify,
    ) -> Result<VerifiedUser<'a>, Cause> {
        let missing = |how| Cause::AssertionMissing(rule.header.clone(), rule.carriage, how);
        let value = survey.assertion.ok_or_else(|| missing(Missing::Absent))?;
        let token = rule.token(value).ok_or_else(|| missing(Missing::Blank))?;
        let claimed = verifier
            .verify(token)
            .map_err(|fault| Cause::AssertionFault(rule.header.clone(), fault))?;
        let claimed = match claimed {
            Claimed::User(user) => Claimed::User(rule.claimed_user(user)),
            service @ Claimed::Service(_) => service,
        };
        let named = match survey.user.map(|value| rule.named_user(value)) {
            None => None,
            Some(named) => Some(read_user(&self.user_header, named)?),
        };
        let mismatch = |user| Cause::UserMismatch(self.user_header.clone(), user);
        let (name, principal) = match (claimed, named) {
            (Claimed::Service(_), Some(_)) => return Err(mismatch(None)),
            (Claimed::User(user), Some(named)) if named != user => {
                return Err(mismatch(Some(user.into())));
            }
            (Claimed::Service(service), None) => (service, Principal::Service),
            (Claimed::User(user), _) => (user, Principal::User),
        };
        self.vouch(read_claim(&rule.header, name)?, principal)
    }

    fn vouch<'a>(&self, name: &'a str, principal: Principal) -> Result<VerifiedUser<'a>, Cause> {
        self.check_allowed(name, principal)?;
        Ok(VerifiedUser::vouch(name, principal))
    }

    pub(super) fn check_allowed(&self, name: &str, principal: Principal) -> Result<(), Cause> {
        match principal {
            Principal::User if self.allow_users.allows(name) => Ok(()),
            Principal::User => Err(Cause::UserNotAllowed(name.into())),
            Principal::Service => {
                let rule = self.assertion.as_ref();
                match rule.is_some_and(|rule| rule.services.contains(name)) {
                    true => Ok(()),
                    false => Err(Cause::ServiceNotAllowed(name.into())),
                }
            }
        }
    }
}

/// The user in a header's value.
fn read_user<'v>(header: &FieldName, value: &'v [u8]) -> Result<&'v str, Cause> {
    if value.is_empty() {
        return Err(Cause::UserMissing(header.clone(), Missing::Blank));
    }
    user::read_user(value).map_err(|problem| Cause::UserInvalid(header.clone(), problem))
}

/// The user or service that an assertion names: no less than a header would have to say.
fn read_claim<'c>(header: &FieldName, claim: &'c str) -> Result<&'c str, Cause> {
    user::read_claim(claim).map_err(|problem| Cause::UserInvalid(header.clone(), problem))
}
