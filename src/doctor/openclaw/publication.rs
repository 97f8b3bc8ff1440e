//! Ways to the gateway that it opens by itself.

use super::super::finding::{Finding, Severity};
use super::super::finding_id::FindingId;
use super::Sides;

pub(super) fn check(sides: &Sides<'_>) -> Option<Finding> {
    let key = "gateway.tailscale.mode";
    let (severity, whom) = match sides.there.text(key).this()? {
        "funnel" => (Severity::Critical, "everybody in the Internet"),
        "serve" => (Severity::Warning, "every device of the tailnet"),
        _ => return None,
    };
    Some(sides.at_gateway(
        FindingId::OpenclawTailscale,
        severity,
        key,
        format!("Tailscale leads {whom} to the gateway, past Portcullis"),
        format!("set {key} to \"off\" in openclaw.json, and publish Portcullis instead"),
    ))
}
