//! The front door's decision: one request and who sent it in, a permit or a
//! denial out. Pure, and the permit path allocates nothing.

use std::fmt;

mod assertion;
mod cause;
mod checks;
mod class;
mod code;
mod denial;
mod disclosure;
mod mismatch;
mod names;
mod nets;
mod peer;
mod permit;
mod printable;
mod request;
mod routes;
mod rule;
#[cfg(test)]
mod sample;
mod scopes;
mod source;
mod survey;
mod user;

pub use assertion::{AssertionFault, AssertionRule, Carriage, Claimed, Keyless, Verify};
pub use class::{Class, is_foreign};
pub use code::Code;
pub use denial::Denial;
pub use mismatch::Mismatch;
pub use names::{FieldName, NameError, PROBE_HEADER, SET_FIELDS, is_connection_field, same_folded};
pub use nets::{NetError, NetProblem, TrustedNets};
pub use peer::{AltName, AltNameError, ClientNames, Peer};
pub use permit::{Identity, Permit, Standing};
pub use printable::printable;
pub use request::{Field, MAX_FIELDS, Request, Upgrade, trim};
pub use routes::{PlainPath, PublicRoute, RouteError, RoutePath};
pub use scopes::{ScopeCeilings, ScopeError, Scopes};
pub use source::{LocalInterface, Source};
pub use user::{
    AllowUsers, MAX_USER_BYTES, Principal, UserEntryError, UserList, UserListError, UserProblem,
    VerifiedUser,
};

use class::{Classifier, Entry, Found, Names};
#[cfg(test)]
pub(crate) use class::{FOREIGN_FAMILIES, FOREIGN_NAMES};

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
    ///
    /// # Errors
    /// The denial by the check that failed.
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

    /// What a field of this name is to the policy.
    pub fn class_of(&self, name: &str) -> Class {
        match self.classifier.find(name) {
            Found::Ordinary => Class::Pass,
            Found::Known(entry) => entry.class,
            Found::Alias(_) | Found::Foreign => Class::Drop,
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
        let named = |entry: &&Entry| entry.class == Class::Named;
        self.classifier
            .entries()
            .iter()
            .filter(named)
            .map(|entry| &entry.name)
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

#[cfg(test)]
mod tests;
