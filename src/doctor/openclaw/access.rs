//! `gateway.auth`: how the gateway is told that a request may pass.

use super::super::checklist::listed;
use super::super::finding::{Finding, Severity};
use super::super::finding_id::FindingId;
use super::document::Said;
use super::{Sides, TRUSTED_PROXY};
use crate::config::ScopeRule;
use crate::policy::{SET_FIELDS, is_foreign};

pub(super) const MODE: &str = "gateway.auth.mode";
/// In both configs.
const REQUIRED: &str = "gateway.auth.trustedProxy.requiredHeaders";
const CREDENTIAL: &str = "upstream.credential";

/// The mode, with the credential that belongs to it.
pub(super) fn mode(sides: &Sides<'_>) -> Option<Finding> {
    let has_credential = sides.here.config.upstream.credential.is_some();
    let mode = sides.there.text(MODE);
    let secret = ["token", "password"]
        .into_iter()
        .find(|name| sides.there.has(&format!("gateway.auth.{name}")));
    let (severity, evidence) = match mode {
        // That it couldn't be read is told apart.
        Said::Unclear(_) => return None,
        Said::This(TRUSTED_PROXY) => return idle_credential(sides, has_credential),
        Said::This("none") => (
            Severity::Critical,
            "the mode is none: whoever reaches the gateway past Portcullis is its owner".to_owned(),
        ),
        Said::This(_) | Said::Nothing => {
            let mode = match (mode, secret) {
                (Said::This(mode), _) => format!("the mode is {mode}"),
                (_, Some(secret)) => format!("no mode is set, and a {secret} makes it {secret}"),
                (_, None) => "no mode is set, which means token".to_owned(),
            };
            match has_credential {
                true => (
                    Severity::Warning,
                    format!(
                        "{mode}: the gateway takes everyone whom Portcullis lets in for its owner, \
                         operator.admin included, whatever their scopes"
                    ),
                ),
                false => (
                    Severity::Critical,
                    format!("{mode}, and Portcullis shows no secret: every request is refused"),
                ),
            }
        }
    };
    let header = sides.here.config.gateway.trusted_proxy.user_header.as_str();
    let rest = match has_credential {
        true => ", and take [upstream.credential] out of Portcullis' config",
        false => "",
    };
    Some(sides.at_gateway(
        FindingId::OpenclawMode,
        severity,
        MODE,
        evidence,
        format!(
            "in openclaw.json, set gateway.auth to {{ mode: \"trusted-proxy\", trustedProxy: {{ \
             userHeader: \"{header}\", … }} }}{rest}"
        ),
    ))
}

fn idle_credential(sides: &Sides<'_>, has_credential: bool) -> Option<Finding> {
    has_credential.then(|| {
        sides.here.finding(
            FindingId::OpenclawCredential,
            Severity::Warning,
            CREDENTIAL,
            "a secret is shown to the gateway, which asks for none in trusted-proxy mode",
            "take [upstream.credential] away",
        )
    })
}

/// What only trusted-proxy mode looks at.
pub(super) fn check(sides: &Sides<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(token_beside(sides));
    findings.extend(user_header(sides));
    findings.extend(required_headers(sides));
    findings
}

/// A password may stand there, for programs on the gateway's own host.
fn token_beside(sides: &Sides<'_>) -> Vec<Finding> {
    // In another mode it may be right.
    let severity = match sides.there.text(MODE) {
        Said::Unclear(_) => Severity::Warning,
        Said::This(_) | Said::Nothing => Severity::Critical,
    };
    let finding = |key: &str, what: &str| {
        sides.at_gateway(
            FindingId::OpenclawSecretBeside,
            severity,
            key,
            "a token is set beside trusted-proxy mode: the gateway does not start",
            format!("take {what} out of openclaw.json"),
        )
    };
    let key = "gateway.auth.token";
    let in_key = sides.there.has(key).then(|| finding(key, key));
    let in_variable = sides.there.sets_token_variable();
    let in_variable = in_variable.then(|| finding("env", "OPENCLAW_GATEWAY_TOKEN (under env)"));
    in_key.into_iter().chain(in_variable).collect()
}

fn user_header(sides: &Sides<'_>) -> Option<Finding> {
    let key = "gateway.auth.trustedProxy.userHeader";
    let here = sides.here.config.gateway.trusted_proxy.user_header.as_str();
    let evidence = match sides.there.text(key) {
        Said::Unclear(_) => return None,
        Said::This(there) if there.trim().eq_ignore_ascii_case(here) => return None,
        Said::This(there) => {
            format!("the gateway reads the user from `{there}`, and Portcullis writes `{here}`")
        }
        Said::Nothing => {
            format!("no header is named, and Portcullis writes the user to `{here}`")
        }
    };
    Some(sides.at_gateway(
        FindingId::OpenclawUserHeader,
        Severity::Critical,
        key,
        format!("{evidence}: every request is refused"),
        format!("set {key} to \"{here}\" in openclaw.json"),
    ))
}

fn required_headers(sides: &Sides<'_>) -> Vec<Finding> {
    let required = sides.there.texts(REQUIRED).this().unwrap_or_default();
    let required = required.items.iter();
    let missing: Vec<String> = required
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !is_sent(sides, name))
        .collect();
    let (dropped, unsure): (Vec<String>, Vec<String>) =
        missing.into_iter().partition(|name| is_foreign(name));
    let mut findings = Vec::new();
    if !dropped.is_empty() {
        let dropped = listed(&dropped);
        findings.push(sides.at_gateway(
            FindingId::OpenclawRequiredHeaders,
            Severity::Critical,
            REQUIRED,
            format!(
                "the gateway demands {dropped}, which Portcullis takes out: every request is refused"
            ),
            format!(
                "take {dropped} out of {REQUIRED} in openclaw.json; or, where the identity proxy \
                 always sets it, add it to {REQUIRED} in Portcullis' config"
            ),
        ));
    }
    if !unsure.is_empty() {
        let unsure = listed(&unsure);
        findings.push(sides.at_gateway(
            FindingId::OpenclawRequiredHeaders,
            Severity::Warning,
            REQUIRED,
            format!(
                "the gateway demands {unsure}, which Portcullis neither sets nor asks for: requests \
                 without it are refused, and clients may set it themselves"
            ),
            format!(
                "add {unsure} to {REQUIRED} in Portcullis' config where the identity proxy always \
                 sets it, or take it out of openclaw.json"
            ),
        ));
    }
    findings
}

/// Whether every request that reaches the gateway has this header.
fn is_sent(sides: &Sides<'_>, name: &str) -> bool {
    let config = sides.here.config;
    let trusted_proxy = &config.gateway.trusted_proxy;
    let mut named = [&trusted_proxy.user_header]
        .into_iter()
        .chain(&trusted_proxy.required_headers)
        .chain(&trusted_proxy.pass_headers);
    let credential = config.upstream.credential.as_ref();
    let sends_scopes = !matches!(trusted_proxy.scopes, ScopeRule::Unset);
    name == "host"
        || SET_FIELDS.contains(&name)
        || named.any(|known| known.as_str() == name)
        || credential.is_some_and(|credential| credential.header.as_str() == name)
        || (sends_scopes && name == "x-openclaw-scopes")
}
