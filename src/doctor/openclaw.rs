//! The gateway's own config, held against Portcullis': whether both sides agree.

mod access;
mod address;
mod document;
mod includes;
mod origins;
mod publication;
mod scopes;
mod unread;
mod users;

pub use document::{OpenClaw, OpenClawError};

use self::document::Said;
use super::checklist::Ground;
use super::deployment::{Deployment, Target};
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
    let mut findings = unread::check(&sides);
    findings.extend(access::mode(&sides));
    findings.extend(trusted_proxy(&sides));
    findings.extend(address::check(&sides));
    findings.extend(publication::check(&sides));
    findings.extend(origins::check(&sides, hosts));
    findings.extend(scopes::check(&sides));
    findings
}

/// What matters in trusted-proxy mode: left out only where the mode is another one for
/// certain.
fn trusted_proxy(sides: &Sides<'_>) -> Vec<Finding> {
    let is_certain = match sides.there.text(access::MODE) {
        Said::This(TRUSTED_PROXY) => true,
        Said::Unclear(_) => false,
        Said::This(_) | Said::Nothing => return Vec::new(),
    };
    let mut findings = access::check(sides);
    findings.extend(users::check(sides));
    findings.extend(address::trust(sides));
    if !is_certain {
        for finding in &mut findings {
            finding.evidence = format!("if the mode is {TRUSTED_PROXY}: {}", finding.evidence);
        }
    }
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
        let place = Place::key(self.there.path(), key);
        Finding::at(place, id, severity, evidence, remedy)
    }

    /// Where `upstream.url` leads to: where the gateway answers, if it does anywhere.
    fn targets(&self) -> Vec<&Target> {
        self.here.deployment.gateway.answering()
    }
}

#[cfg(test)]
mod tests;
