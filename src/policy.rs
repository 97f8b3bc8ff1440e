//! The front door's decision: one request and who sent it in, a permit or a
//! denial out. Pure, and the permit path allocates nothing.

use std::fmt;

mod assertion;
mod class;
mod denial;
mod names;
mod nets;
mod peer;
mod request;
mod routes;
mod rule;
mod scopes;
mod source;
mod survey;
mod user;

pub use assertion::{AssertionFault, AssertionRule, Carriage, Claimed, Keyless, Verify};
pub use class::{Class, FOREIGN_FAMILIES, FOREIGN_NAMES, is_foreign};
pub use denial::{Code, Denial};
pub use names::{FieldName, NameError, PROBE_HEADER, is_connection_field, same_folded};
pub use nets::{NetError, NetProblem, TrustedNets};
pub use peer::{AltName, AltNameError, ClientNames, Peer};
pub use request::{Field, MAX_FIELDS, Request, Upgrade, trim};
pub use routes::{PlainPath, PublicRoute, RouteError, RoutePath};
pub use scopes::{ScopeCeilings, ScopeError, Scopes};
pub use source::{LocalInterface, Source};
pub use user::{
    AllowUsers, MAX_USER_BYTES, Principal, UserEntryError, UserList, UserListError, UserProblem,
    VerifiedUser,
};

use class::{Classifier, Names};
use denial::{Cause, Missing};
use survey::Survey;

/// All that a policy is made of; every combination is one, though some deserve
/// a warning.
#[derive(Debug, Clone)]
pub struct PolicyConfig {
    /// Who may send requests in. Empty: nobody.
    pub trusted_proxies: TrustedNets,
    /// Which users' processes may send requests in through a Unix socket.
    pub unix_peer_uids: Vec<u32>,
    /// The names one of which a source's certificate must bear, beside its address. None:
    /// it needs none.
    pub client_names: Option<ClientNames>,
    /// The signed assertion that must prove the user. None: the trusted proxy's word is
    /// enough.
    pub assertion: Option<AssertionRule>,
    /// The header in which the trusted proxy names the user.
    pub user_header: FieldName,
    /// Headers that must come, once, with a value.
    pub required_headers: Vec<FieldName>,
    /// The users that may pass.
    pub allow_users: AllowUsers,
    /// Whether loopback sources that are trusted may pass.
    pub allow_loopback: bool,
    /// Whether trusted sources that are an address of this host may pass.
    pub allow_local_interface: bool,
    /// Identity headers that are let through to the upstream.
    pub pass_headers: Vec<FieldName>,
    /// Whether an incoming `x-openclaw-scopes` is believed. Ceilings win over it.
    pub pass_scopes: bool,
    /// The most that an `x-openclaw-scopes` may hold.
    pub scope_ceilings: Option<ScopeCeilings>,
    /// Routes that pass without a user.
    pub public_routes: Vec<PublicRoute>,
    /// The header in which the upstream's credential goes: a client's own is dropped.
    pub credential_header: Option<FieldName>,
}

/// The rules of the front door, ready to decide.
pub struct Policy {
    trusted_proxies: TrustedNets,
    unix_peer_uids: Box<[u32]>,
    client_names: Option<ClientNames>,
    assertion: Option<AssertionRule>,
    user_header: FieldName,
    required_headers: Box<[FieldName]>,
    allow_users: AllowUsers,
    allow_loopback: bool,
    allow_local_interface: bool,
    scope_rule: ScopeRule,
    public_routes: Box<[PublicRoute]>,
    classifier: Classifier,
}

/// What becomes of `x-openclaw-scopes`.
enum ScopeRule {
    Refuse,
    Believe,
    Ceilings(ScopeCeilings),
}

/// Proof that the policy permitted one request: made by [`Policy::decide`]
/// alone, and the only thing that headers for the upstream are written from.
///
/// ```compile_fail
/// use portcullis::policy::{Identity, Permit};
/// fn forge<'a>(permit: &Permit<'a>) -> Permit<'a> {
///     Permit { identity: Identity::Public, ..*permit }
/// }
/// ```
#[must_use]
pub struct Permit<'a> {
    source: Source,
    standing: Standing,
    identity: Identity<'a>,
    request: Request<'a>,
    classes: [Class; MAX_FIELDS],
}

/// For whom a request was permitted.
#[derive(Debug, Clone, Copy)]
pub enum Identity<'a> {
    /// A user that the trusted proxy named and the policy allows.
    User {
        /// Who.
        user: VerifiedUser<'a>,
        /// What the upstream is told they may do.
        scopes: Scopes<'a>,
    },
    /// Nobody: a public route.
    Public,
}

/// Whether what a source says about the client is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A trusted proxy: its `x-forwarded-*` are read.
    TrustedProxy,
    /// A source of a public route and no more: it is the client itself.
    RouteSource,
}

impl Policy {
    /// Makes a policy ready to decide.
    pub fn new(config: PolicyConfig) -> Self {
        let PolicyConfig {
            trusted_proxies,
            unix_peer_uids,
            client_names,
            assertion,
            user_header,
            mut required_headers,
            allow_users,
            allow_loopback,
            allow_local_interface,
            pass_headers,
            pass_scopes,
            scope_ceilings,
            public_routes,
            credential_header,
        } = config;
        // Every request has a host, or the engine has refused it; over HTTP/2
        // it isn't among the fields.
        let mut known = Vec::new();
        required_headers.retain(|name| {
            let kept = name.as_str() != "host" && !known.contains(name);
            known.push(name.clone());
            kept
        });
        let classifier = Classifier::new(&Names {
            user: &user_header,
            credential: credential_header.as_ref(),
            assertion: assertion.as_ref().map(|rule| &rule.header),
            required: &required_headers,
            pass: &pass_headers,
        });
        let scope_rule = match (scope_ceilings, pass_scopes) {
            (Some(ceilings), _) => ScopeRule::Ceilings(ceilings),
            (None, true) => ScopeRule::Believe,
            (None, false) => ScopeRule::Refuse,
        };
        Self {
            trusted_proxies,
            unix_peer_uids: unix_peer_uids.into(),
            client_names,
            assertion,
            user_header,
            required_headers: required_headers.into(),
            allow_users,
            allow_loopback,
            allow_local_interface,
            scope_rule,
            public_routes: public_routes.into(),
            classifier,
        }
    }

    /// Decides one request. The checks run in this order, and the first that
    /// fails decides; a public route that fits stands in for all but the
    /// source's flags and the refusal of aliases. `verifier` is asked about the
    /// assertion, if the policy wants one, once the source is trusted.
    pub fn decide<'a>(
        &'a self,
        peer: impl Into<Peer<'a>>,
        request: &Request<'a>,
        verifier: &'a dyn Verify,
    ) -> Result<Permit<'a>, Denial> {
        self.check(peer.into(), *request, verifier)
            .map_err(Denial::new)
    }

    /// Whether a source that is on this host may come at all, whatever it says of itself.
    ///
    /// # Errors
    /// The denial that its requests would get.
    pub fn permits_place(&self, source: Source) -> Result<(), Denial> {
        self.check_place(source).map_err(Denial::new)
    }

    /// Whether what was once permitted for `user` would be now, as far as it depends on
    /// who sent it in and for whom: a long-lived session is asked for after a change.
    ///
    /// # Errors
    /// The denial that a new request of theirs would get.
    pub fn still_permits(
        &self,
        peer: Peer<'_>,
        name: &str,
        principal: Principal,
    ) -> Result<(), Denial> {
        let permitted = self
            .check_peer(peer)
            .and_then(|()| self.check_place(peer.source));
        let allowed = permitted.and_then(|()| self.check_allowed(name, principal));
        allowed.map_err(Denial::new)
    }

    /// Whether what a public route once took would be taken by one now.
    pub fn is_public(&self, peer: Peer<'_>, method: &str, path: &str, upgrade: Upgrade) -> bool {
        let request = Request {
            method,
            target: path,
            upgrade,
            fields: &[],
        };
        self.public_standing(peer, &request).is_some()
    }

    /// Whether a user who was granted `scopes` may hold them now. None: no scopes were
    /// named, which the gateway reads as its default set.
    pub fn still_grants(&self, user: &str, scopes: Option<&[u8]>) -> bool {
        match (&self.scope_rule, scopes) {
            (ScopeRule::Refuse | ScopeRule::Believe, _) => true,
            (ScopeRule::Ceilings(_), None) => false,
            (ScopeRule::Ceilings(ceilings), Some(scopes)) => ceilings.covers_all(user, scopes),
        }
    }

    /// Whether a source is where a trusted proxy may be: by its address, or by the user
    /// that it runs as. It may still have a certificate to show.
    pub fn lists(&self, source: Source) -> bool {
        match (source.address(), source.uid()) {
            (Some(address), _) => self.trusted_proxies.contains(address),
            (None, uid) => uid.is_some_and(|uid| self.unix_peer_uids.contains(&uid)),
        }
    }

    /// Whether a peer is one of the trusted proxies.
    pub fn trusts(&self, peer: Peer<'_>) -> bool {
        self.check_peer(peer).is_ok()
    }

    /// The networks whose sources are trusted.
    pub fn trusted_proxies(&self) -> &TrustedNets {
        &self.trusted_proxies
    }

    /// The routes that pass without a user.
    pub fn public_routes(&self) -> &[PublicRoute] {
        &self.public_routes
    }

    fn check<'a>(
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
    fn public_standing(&self, peer: Peer<'_>, request: &Request<'_>) -> Option<Standing> {
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
    fn check_peer(&self, peer: Peer<'_>) -> Result<(), Cause> {
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
    fn check_place(&self, source: Source) -> Result<(), Cause> {
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
        let named = match survey.user.map(|value| rule.user(value)) {
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

    fn check_allowed(&self, name: &str, principal: Principal) -> Result<(), Cause> {
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

impl<'a> Permit<'a> {
    /// Who connected.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Whether what the source says about the client is believed.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// For whom the request was permitted.
    pub fn identity(&self) -> &Identity<'a> {
        &self.identity
    }

    /// The user, unless it is a public route.
    pub fn user(&self) -> Option<VerifiedUser<'a>> {
        match self.identity {
            Identity::User { user, .. } => Some(user),
            Identity::Public => None,
        }
    }

    /// The request that was permitted.
    pub fn request(&self) -> &Request<'a> {
        &self.request
    }

    /// Every field of the request with its class, in the order received.
    pub fn fields(
        &self,
    ) -> impl DoubleEndedIterator<Item = (Class, &'a Field<'a>)> + ExactSizeIterator + '_ {
        self.classes.iter().copied().zip(self.request.fields)
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("user_header", &self.user_header)
            .field("required_headers", &self.required_headers)
            .field("allow_users", &self.allow_users)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("source", &self.source)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
