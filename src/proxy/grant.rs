//! On what a request stands while it lives: who sent it in, for whom, with what. A
//! reload may take that away, and then what still runs on it ends.

use super::refusal::denial_answer;
use super::respond::{Answer, Problem};
use super::{ConnectionFacts, FrontDoor};
use crate::policy::{Denial, Identity, Permit, Principal, Upgrade};
use crate::request_id::RequestId;
use crate::snapshot::{SignedIdentity, Snapshot};
use std::sync::Arc;
use tokio::sync::watch;

/// What a permitted request was granted.
#[derive(Debug)]
pub(super) struct Grant {
    upgrade: Upgrade,
    who: Who,
}

/// For whom.
#[derive(Debug)]
enum Who {
    User {
        user: Box<str>,
        principal: Principal,
        /// What a WebSocket may do for as long as it lives, as the gateway was told; none
        /// where it was told nothing.
        scopes: Option<Box<[u8]>>,
        has_credential: bool,
        /// By what a WebSocket's user was proven, which is not asked again while it lives.
        proven_by: Option<Arc<SignedIdentity>>,
    },
    /// Nobody: a public route's.
    Public { method: Box<str>, path: Box<str> },
}

/// Why something that ran has no ground any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Revoked {
    /// A new request would be denied.
    #[error("{}", .0.detail())]
    Denied(Denial),
    #[error("the load balancer that said who the source is is no longer believed")]
    Unvouched,
    #[error("no public route takes it any more")]
    RouteGone,
    #[error("the user's scopes were cut below what the WebSocket holds")]
    ScopesCut,
    #[error("`upstream.credential`, which was put on, is no longer configured")]
    CredentialGone,
    #[error("the user was not proven as `gateway.auth.trustedProxy.assertion` asks now")]
    Unproven,
    #[error("the connection is from before `gateway.tls` changed")]
    Outdated,
}

impl Revoked {
    /// The answer for a client that has none yet: what a new request would get, or that
    /// it is to come again.
    pub(super) fn answer(&self, request_id: RequestId, accept: Option<&[u8]>) -> Answer {
        match self {
            Self::Denied(denial) => denial_answer(denial, request_id, accept),
            Self::Unvouched
            | Self::RouteGone
            | Self::ScopesCut
            | Self::CredentialGone
            | Self::Unproven
            | Self::Outdated => Problem::Outdated.answer(request_id.as_str(), accept),
        }
    }

    /// For the log.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Denied(denial) => denial.code().as_str(),
            Self::Unvouched => "balancer_gone",
            Self::RouteGone => "route_gone",
            Self::ScopesCut => "scopes_cut",
            Self::CredentialGone => "credential_gone",
            Self::Unproven => "assertion_changed",
            Self::Outdated => "tls_changed",
        }
    }
}

impl Grant {
    pub(super) fn of(permit: &Permit<'_>, snapshot: &Snapshot) -> Self {
        let request = permit.request();
        let upgrade = request.upgrade;
        let who = match permit.identity() {
            Identity::Public => Who::Public {
                method: request.method.into(),
                path: request.target.split('?').next().unwrap_or_default().into(),
            },
            Identity::User { user, scopes } => Who::User {
                user: user.as_str().into(),
                principal: user.principal(),
                scopes: (upgrade == Upgrade::Websocket && scopes.is_sent()).then(|| {
                    let mut told = Vec::new();
                    scopes.write_to(&mut told);
                    told.into()
                }),
                has_credential: snapshot.rewriter.has_credential(),
                proven_by: match upgrade {
                    Upgrade::Websocket => snapshot.signed_identity.clone(),
                    Upgrade::None => None,
                },
            },
        };
        Self { upgrade, who }
    }

    /// Whether it is a public route's.
    pub(super) fn is_public(&self) -> bool {
        matches!(self.who, Who::Public { .. })
    }

    /// The verified user.
    pub(super) fn user(&self) -> Option<&str> {
        match &self.who {
            Who::User { user, .. } => Some(user),
            Who::Public { .. } => None,
        }
    }

    fn check(&self, facts: &ConnectionFacts, now: &Snapshot) -> Result<(), Revoked> {
        if !facts.is_vouched_for(now) {
            return Err(Revoked::Unvouched);
        }
        let is_websocket = self.upgrade == Upgrade::Websocket;
        // A request that is under way may end on the terms that it began with, unless
        // its source itself may be the one that was removed.
        let is_bound = is_websocket || facts.terms.are_disowned_by(&now.terms);
        if is_bound && facts.is_outdated(now) {
            return Err(Revoked::Outdated);
        }
        let Snapshot {
            policy, rewriter, ..
        } = now;
        match &self.who {
            Who::Public { method, path } => {
                if !policy.is_public(facts.peer(), method, path, self.upgrade) {
                    return Err(Revoked::RouteGone);
                }
            }
            Who::User {
                user,
                principal,
                scopes,
                has_credential,
                proven_by,
            } => {
                let permitted = policy.still_permits(facts.peer(), user, *principal);
                permitted.map_err(Revoked::Denied)?;
                if is_websocket && !policy.still_grants(user, scopes.as_deref()) {
                    return Err(Revoked::ScopesCut);
                }
                if is_websocket && !proves(proven_by.as_deref(), now.signed_identity.as_deref()) {
                    return Err(Revoked::Unproven);
                }
                if *has_credential && !rewriter.has_credential() {
                    return Err(Revoked::CredentialGone);
                }
            }
        }
        Ok(())
    }
}

/// Whether whoever was proven `then` would still be, as far as rules and keys go.
fn proves(then: Option<&SignedIdentity>, now: Option<&SignedIdentity>) -> bool {
    match (then, now) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(then), Some(now)) => then.proves_as_much_as(now),
    }
}

/// Tells what runs that the configuration has changed.
#[derive(Debug, Clone)]
pub(super) struct Changes(watch::Receiver<()>);

/// Where changes come from.
#[derive(Debug)]
pub(super) struct Announcer(watch::Sender<()>);

impl Announcer {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(()))
    }

    /// To be called once the new snapshot is in place.
    pub(super) fn announce(&self) {
        self.0.send_replace(());
    }

    pub(super) fn changes(&self) -> Changes {
        Changes(self.0.subscribe())
    }
}

impl Changes {
    /// What has changed until now is taken into account: the next request is decided by
    /// the snapshot that is read after this.
    pub(super) fn catch_up(&mut self) {
        self.0.mark_unchanged();
    }

    /// Ends when a change has taken away what `grant` stands on.
    pub(super) async fn revoked(
        &mut self,
        door: &FrontDoor,
        facts: &ConnectionFacts,
        grant: &Grant,
    ) -> Revoked {
        // Without an announcer the process is ending as well.
        while self.0.changed().await.is_ok() {
            let now: Arc<Snapshot> = door.snapshot();
            if let Err(revoked) = grant.check(facts, &now) {
                door.metrics.revoked();
                tracing::info!(
                    source.ip = %facts.source,
                    user = grant.user(),
                    revocation.code = revoked.code(),
                    revocation.detail = %revoked,
                    "ended by a reload, which took away what had permitted it"
                );
                return revoked;
            }
        }
        std::future::pending().await
    }
}
