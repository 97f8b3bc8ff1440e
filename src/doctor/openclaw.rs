//! The gateway's own config, held against Portcullis': whether both sides agree.

mod access;
mod address;
mod document;
mod includes;
mod origins;
mod publication;
mod scopes;
mod users;

pub use document::{OpenClaw, OpenClawError};

use super::checklist::Ground;
use super::deployment::{Answer, Deployment, Gateway, Target};
use super::facts::Facts;
use super::finding::{Finding, Place, Severity};
use super::finding_id::FindingId;
use crate::config::Config;

/// The mode in which the gateway believes a proxy.
const TRUSTED_PROXY: &str = "trusted-proxy";

/// Every disagreement between the two configs, in no order. `hosts` are names that
/// browsers use, beside those that the configs tell.
#[must_use]
pub fn check_openclaw(
    config: &Config,
    facts: &Facts,
    deployment: &Deployment,
    openclaw: &OpenClaw,
    hosts: &[String],
) -> Vec<Finding> {
    let sides = Sides {
        here: Ground {
            config,
            facts,
            deployment,
        },
        there: openclaw,
    };
    let mut findings = sides.unread();
    findings.extend(access::mode(&sides));
    if sides.is_trusted_proxy() {
        findings.extend(access::check(&sides));
        findings.extend(users::check(&sides));
        findings.extend(address::trust(&sides));
    }
    findings.extend(address::check(&sides));
    findings.extend(publication::check(&sides));
    findings.extend(origins::check(&sides, hosts));
    findings.extend(scopes::check(&sides));
    findings
}

/// Both configs.
struct Sides<'a> {
    here: Ground<'a>,
    there: &'a OpenClaw,
}

impl Sides<'_> {
    /// A finding on a key of the gateway's config.
    fn at_gateway(
        &self,
        id: FindingId,
        severity: Severity,
        key: &str,
        evidence: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        Finding {
            id,
            severity,
            evidence: evidence.into(),
            remedy: remedy.into(),
            place: Place {
                key: Some(key.to_owned()),
                ..Place::file(self.there.path())
            },
        }
    }

    fn is_trusted_proxy(&self) -> bool {
        self.there.text("gateway.auth.mode").is(TRUSTED_PROXY)
    }

    /// Where `upstream.url` leads to: where the gateway answers, if it does anywhere.
    /// `localhost` is two addresses, and mostly listens at one.
    fn targets(&self) -> Vec<&Target> {
        let targets = match &self.here.deployment.gateway {
            Gateway::Tcp { targets, .. } => targets.as_slice(),
            Gateway::Unix { .. } => &[],
        };
        let answers = |target: &&Target| target.answer == Answer::Taken;
        match targets.iter().any(|target| answers(&target)) {
            true => targets.iter().filter(answers).collect(),
            false => targets.iter().collect(),
        }
    }

    /// Whether the gateway is on this host, as far as it can be told.
    fn is_gateway_here(&self) -> bool {
        let mut targets = self.targets().into_iter();
        targets.any(|target| self.here.deployment.is_own(target.address.ip()))
    }

    /// What couldn't be compared.
    fn unread(&self) -> Vec<Finding> {
        let unclear = self.there.unclear().into_iter();
        unclear
            .map(|(key, reason)| {
                self.at_gateway(
                    FindingId::OpenclawUnread,
                    Severity::Info,
                    key,
                    format!("{key} could not be compared: it {reason}"),
                    "write it out there, or compare it by hand",
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
