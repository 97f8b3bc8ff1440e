//! The hosts that browsers use: the gateway's allowed origins, and the certificate.

use super::super::checklist::listed;
use super::super::finding::{Finding, Place, Severity};
use super::super::finding_id::FindingId;
use super::Sides;
use super::document::{Said, Texts};
use std::net::IpAddr;
use url::Url;

const ORIGINS: &str = "gateway.controlUi.allowedOrigins";
const FALLBACK: &str = "gateway.controlUi.dangerouslyAllowHostHeaderOriginFallback";
const PUBLIC_ORIGIN: &str = "gateway.publicOrigin";

pub(super) fn check(sides: &Sides<'_>, hosts: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if sides.there.flag(FALLBACK).this() == Some(true) {
        findings.push(sides.at_gateway(
            FindingId::OpenclawAllowedOrigins,
            Severity::Warning,
            FALLBACK,
            "the gateway takes any page whose origin is the request's Host for its own: a rebound \
             DNS name is enough",
            format!("set {FALLBACK} to false and list the origins in {ORIGINS} in openclaw.json"),
        ));
    }
    let allowed = match sides.there.texts(ORIGINS) {
        Said::Unclear(_) => return findings,
        Said::Nothing => Texts::default(),
        Said::This(allowed) => allowed,
    };
    if allowed.items.iter().any(|origin| origin.trim() == "*") {
        findings.push(sides.at_gateway(
            FindingId::OpenclawAllowedOrigins,
            Severity::Warning,
            ORIGINS,
            "every web page may connect as the user who looks at it",
            format!(
                "list the origins in {ORIGINS} in openclaw.json, such as {}",
                example(sides, hosts)
            ),
        ));
        return findings;
    }
    // What seems to be missing may be an entry that wasn't read.
    if !allowed.is_complete() {
        return findings;
    }
    let allowed = allowed.items.iter();
    let allowed: Vec<Origin> = allowed.filter_map(|it| Origin::read(it)).collect();
    findings.extend(refused(sides, hosts, &allowed));
    findings.extend(certificate(sides, &allowed));
    findings
}

/// An origin that the gateway compares: what browsers send.
struct Origin {
    text: String,
    host: String,
}

impl Origin {
    fn read(text: &str) -> Option<Self> {
        let url = Url::parse(text.trim()).ok()?;
        Some(Self {
            host: url
                .host_str()?
                .trim_matches(['[', ']'])
                .to_ascii_lowercase(),
            text: url.origin().ascii_serialization(),
        })
    }
}

/// An origin to write into a list.
fn example(sides: &Sides<'_>, hosts: &[String]) -> String {
    let leaf = sides.here.deployment.chain.first();
    let of_certificate =
        leaf.and_then(|leaf| leaf.dns_names.iter().find(|name| !name.contains('*')));
    match hosts.first().or(of_certificate) {
        Some(host) => format!("\"https://{host}\""),
        None => "\"https://\" and the name that browsers use".to_owned(),
    }
}

/// Hosts that are served, and whose pages the gateway refuses.
fn refused(sides: &Sides<'_>, hosts: &[String], allowed: &[Origin]) -> Option<Finding> {
    let is_allowed = |origin: &Origin| allowed.iter().any(|it| it.text == origin.text);
    let mut missing: Vec<String> = hosts
        .iter()
        .filter_map(|host| Origin::read(&format!("https://{host}")))
        .filter(|origin| !is_private(&origin.host) && !is_allowed(origin))
        .map(|origin| origin.text)
        .collect();
    if let Said::This(origin) = sides.there.text(PUBLIC_ORIGIN)
        && let Some(origin) = Origin::read(origin)
        && !is_private(&origin.host)
        && !is_allowed(&origin)
        && !missing.contains(&origin.text)
    {
        missing.push(origin.text);
    }
    let quoted: Vec<String> = missing.iter().map(|it| format!("\"{it}\"")).collect();
    let (evidence, wanted) = match (missing.as_slice(), allowed) {
        // Pages of a private host need no entry; whether there are others isn't known.
        ([], []) if names_are_private(sides) => return None,
        ([], []) => (
            "no origin is listed: the gateway refuses browsers, unless they use a private address \
             or a name of .local or .ts.net"
                .to_owned(),
            example(sides, hosts),
        ),
        ([], _) => return None,
        (missing, _) => (
            format!("the gateway refuses browsers on {}", listed(missing)),
            listed(&quoted),
        ),
    };
    Some(sides.at_gateway(
        FindingId::OpenclawAllowedOrigins,
        Severity::Warning,
        ORIGINS,
        evidence,
        format!("add {wanted} to {ORIGINS} in openclaw.json"),
    ))
}

fn names_are_private(sides: &Sides<'_>) -> bool {
    let leaf = sides.here.deployment.chain.first();
    leaf.is_some_and(|leaf| leaf.names().count() > 0 && leaf.names().all(|name| is_private(&name)))
}

/// Hosts whose own pages the gateway takes without an entry.
fn is_private(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => !super::super::checklist::is_public(address),
        Err(_) => host == "localhost" || host.ends_with(".local") || host.ends_with(".ts.net"),
    }
}

/// Whether the certificate is for one of the hosts at least. An identity proxy may ask
/// for Portcullis by another name, so this is only worth knowing.
fn certificate(sides: &Sides<'_>, allowed: &[Origin]) -> Option<Finding> {
    let leaf = sides.here.deployment.chain.first()?;
    let tls = sides.here.config.gateway.tls.as_ref()?;
    let names: Vec<String> = leaf.names().collect();
    let is_covered = |origin: &Origin| leaf.covers(&origin.host);
    if names.is_empty() || allowed.is_empty() || allowed.iter().any(is_covered) {
        return None;
    }
    let hosts: Vec<&str> = allowed.iter().map(|origin| origin.host.as_str()).collect();
    Some(Finding {
        id: FindingId::CertificateNames,
        severity: Severity::Info,
        evidence: format!(
            "the certificate is for {}, and browsers use {}: right only where the identity proxy \
             asks for Portcullis by the certificate's name",
            listed(&names),
            listed(&hosts)
        ),
        remedy: format!("have one issued that is for {}, too", listed(&hosts)),
        place: Place::key(&tls.cert_path, "gateway.tls.certPath"),
    })
}
