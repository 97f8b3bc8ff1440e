//! The front door's decision: one request and who sent it in, a permit or a
//! denial out. Pure, and the permit path allocates nothing.

use std::fmt;

mod class;
mod denial;
mod names;
mod nets;
mod request;
mod routes;
mod scopes;
mod source;
mod survey;
mod user;

pub use class::Class;
pub use denial::{Code, Denial};
pub use names::{FieldName, NameError, is_connection_field, same_folded};
pub use nets::{NetError, NetProblem, TrustedNets};
pub use request::{Field, MAX_FIELDS, Request, Upgrade, trim};
pub use routes::{PlainPath, PublicRoute, RouteError, RoutePath};
pub use scopes::{ScopeCeilings, ScopeError, Scopes};
pub use source::{LocalInterface, Source};
pub use user::{
    AllowUsers, MAX_USER_BYTES, UserEntryError, UserList, UserListError, UserProblem, VerifiedUser,
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
    /// source's flags and the refusal of aliases.
    pub fn decide<'a>(
        &'a self,
        source: &Source,
        request: &Request<'a>,
    ) -> Result<Permit<'a>, Denial> {
        self.check(*source, *request).map_err(Denial::new)
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
    pub fn still_permits(&self, source: Source, user: &str) -> Result<(), Denial> {
        let permitted = if self.trusts(source) {
            self.check_place(source)
        } else {
            Err(Cause::UntrustedSource(source))
        };
        let allowed = permitted.and_then(|()| match self.allow_users.allows(user) {
            true => Ok(()),
            false => Err(Cause::UserNotAllowed(user.into())),
        });
        allowed.map_err(Denial::new)
    }

    /// Whether what a public route once took would be taken by one now.
    pub fn is_public(&self, source: Source, method: &str, path: &str, upgrade: Upgrade) -> bool {
        let request = Request {
            method,
            target: path,
            upgrade,
            fields: &[],
        };
        self.public_standing(source, &request).is_some()
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

    /// Whether a source is one of the trusted proxies: by its address, or by the user
    /// that it runs as.
    pub fn trusts(&self, source: Source) -> bool {
        match (source.address(), source.uid()) {
            (Some(address), _) => self.trusted_proxies.contains(address),
            (None, uid) => uid.is_some_and(|uid| self.unix_peer_uids.contains(&uid)),
        }
    }

    /// The networks whose sources are trusted.
    pub fn trusted_proxies(&self) -> &TrustedNets {
        &self.trusted_proxies
    }

    /// The routes that pass without a user.
    pub fn public_routes(&self) -> &[PublicRoute] {
        &self.public_routes
    }

    fn check<'a>(&'a self, source: Source, request: Request<'a>) -> Result<Permit<'a>, Cause> {
        if let Some(standing) = self.public_standing(source, &request) {
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

        if !self.trusts(source) {
            return Err(Cause::UntrustedSource(source));
        }
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
        let user = self.verify_user(&survey)?;
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
    fn public_standing(&self, source: Source, request: &Request<'_>) -> Option<Standing> {
        if self.public_routes.is_empty() {
            return None;
        }
        let trusted = self.trusts(source);
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

    fn verify_user<'a>(&self, survey: &Survey<'a>) -> Result<VerifiedUser<'a>, Cause> {
        let missing = |how| Cause::UserMissing(self.user_header.clone(), how);
        let value = survey.user.ok_or_else(|| missing(Missing::Absent))?;
        if value.is_empty() {
            return Err(missing(Missing::Blank));
        }
        let user = user::read_user(value)
            .map_err(|problem| Cause::UserInvalid(self.user_header.clone(), problem))?;
        if !self.allow_users.allows(user) {
            return Err(Cause::UserNotAllowed(user.into()));
        }
        Ok(VerifiedUser::vouch(user))
    }
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
