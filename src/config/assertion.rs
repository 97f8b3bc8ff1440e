//! `[gateway.auth.trustedProxy.assertion]`: the signed assertion that must prove the user.

mod keys_place;
mod preset;

pub use keys_place::KeysPlace;

use super::entry::Entry;
use super::section::{Section, list};
use super::shape::Shape;
use super::walk::Walk;
use crate::assertion::{Algorithm, Audience, Expectations, SERVICE_CLAIM};
use crate::policy::{AssertionRule, Carriage, FieldName};
use preset::Preset;
use std::collections::HashSet;
use std::path::PathBuf;

/// The signed assertion that must prove the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// Where it comes in, and which services may pass by it.
    pub rule: AssertionRule,
    /// What must stand in it.
    pub expectations: Expectations,
    /// Where the issuer's public keys are.
    pub keys: KeysPlace,
    /// Who may vouch for that place, instead of the public web's authorities.
    pub ca_file: Option<PathBuf>,
}

pub(super) fn read(section: &Section<'_>, walk: &mut Walk<'_>) -> Option<Assertion> {
    let [
        preset,
        header,
        issuer,
        audience,
        algorithms,
        claim,
        signer,
        client,
        keys_url,
        ca_file,
        allow_services,
    ] = section.fields(
        walk,
        [
            "preset",
            "header",
            "issuer",
            "audience",
            "algorithms",
            "claim",
            "signer",
            "client",
            "keysUrl",
            "caFile",
            "allowServices",
        ],
        &[],
    );
    let presets = format!("the identity proxy that signs: {}", list(Preset::NAMES));
    let preset = preset
        .needed(walk, &presets)
        .choice(walk, Preset::NAMES, &Preset::ALL);
    let header = read_header(&header, preset, walk);
    let claim = read_claim(&claim, walk);
    let algorithms = read_algorithms(&algorithms, walk);
    let services = read_services(&allow_services, walk);
    let ca_file = ca_file.path(walk);
    let preset = preset?;
    let issuer = read_issuer(&issuer, preset, walk);
    let audience = match preset {
        Preset::AwsAlb => read_balancer(&audience, &signer, &client, walk),
        _ => {
            refuse_balancers(&[signer, client], walk);
            read_audience(&audience, walk)
        }
    };
    let known = (issuer.as_deref(), audience.as_ref());
    let keys = keys_place::read(&keys_url, preset, known, walk);
    let (issuer, audience) = (issuer?, audience?);
    let carriage = match header.as_ref()?.as_str() {
        "authorization" => Carriage::Bearer,
        _ => Carriage::Plain,
    };
    Some(Assertion {
        rule: AssertionRule {
            header: header?,
            carriage,
            user_prefix: preset.user_prefix(),
            services: services?,
        },
        expectations: Expectations {
            algorithms: algorithms?.unwrap_or_else(|| vec![preset.algorithm()]),
            issuer,
            audience,
            claim: claim?,
        },
        keys: keys?,
        ca_file,
    })
}

fn read_header(
    entry: &Entry<'_>,
    preset: Option<Preset>,
    walk: &mut Walk<'_>,
) -> Option<FieldName> {
    if !entry.is_present() {
        let name = preset?.header();
        return Some(FieldName::parse(name).expect("the presets' are legal"));
    }
    // As a credential's: `authorization` may be, what we set and what frames may not.
    entry.convert(walk, "a header's name", FieldName::parse_credential)
}

fn read_issuer(entry: &Entry<'_>, preset: Preset, walk: &mut Walk<'_>) -> Option<String> {
    if let (false, Some(known)) = (entry.is_present(), preset.issuer()) {
        return Some(known.to_owned());
    }
    let expected = "the issuer, as the assertion's `iss` names it";
    read_text(entry.needed(walk, expected), expected, walk)
}

fn read_claim(entry: &Entry<'_>, walk: &mut Walk<'_>) -> Option<String> {
    if !entry.is_present() {
        return Some("email".to_owned());
    }
    let read = read_text(entry, "a claim's name such as \"email\"", walk)?;
    if read == SERVICE_CLAIM {
        walk.refuse(
            entry.place(),
            format!(
                "got `{SERVICE_CLAIM}`, which names services (`allowServices`), expected the claim \
                 that names the user"
            ),
        );
        return None;
    }
    Some(read)
}

fn read_text(entry: &Entry<'_>, expected: &str, walk: &mut Walk<'_>) -> Option<String> {
    entry.parse(walk, Shape::Hidden, expected, |text| {
        match !text.is_empty() && text.trim() == text {
            true => Ok(text.to_owned()),
            false => Err(String::new()),
        }
    })
}

/// None: problems. Some none: as the preset says.
fn read_algorithms(entry: &Entry<'_>, walk: &mut Walk<'_>) -> Option<Option<Vec<Algorithm>>> {
    let expected = "an array of signature algorithms such as [\"RS256\"]";
    if !entry.is_present() {
        return Some(None);
    }
    let items = entry.items(walk, expected)?;
    if items.is_empty() {
        entry.refuse(walk, Shape::Hidden, &format!("{expected}, at least one"));
        return None;
    }
    let read: Vec<Option<Algorithm>> = items
        .iter()
        .map(|item| item.choice(walk, &Algorithm::NAMES, &Algorithm::ALL))
        .collect();
    read.into_iter().collect::<Option<Vec<_>>>().map(Some)
}

fn read_services(entry: &Entry<'_>, walk: &mut Walk<'_>) -> Option<HashSet<Box<str>>> {
    let expected = "an array of the services' names, as `common_name` has them";
    if !entry.is_present() {
        return Some(HashSet::new());
    }
    let items = entry.items(walk, expected)?;
    let read: Vec<Option<Box<str>>> = items
        .iter()
        .map(|item| read_text(item, "a service's name", walk).map(Box::from))
        .collect();
    read.into_iter().collect()
}

/// A text, or an array of them.
fn read_audience(entry: &Entry<'_>, walk: &mut Walk<'_>) -> Option<Audience> {
    let expected = "the audience that the assertion's `aud` must name, or an array of them";
    entry.needed(walk, expected);
    if let Some(toml::de::DeValue::Array(_)) = entry.value() {
        let items = entry.items(walk, expected)?;
        if items.is_empty() {
            entry.refuse(walk, Shape::Hidden, &format!("{expected}, at least one"));
            return None;
        }
        let read: Vec<Option<String>> = items
            .iter()
            .map(|item| read_text(item, "an audience", walk))
            .collect();
        return read.into_iter().collect::<Option<_>>().map(Audience::OneOf);
    }
    read_text(entry, expected, walk).map(|one| Audience::OneOf(vec![one]))
}

fn refuse_balancers(entries: &[Entry<'_>], walk: &mut Walk<'_>) {
    for entry in entries.iter().filter(|entry| entry.is_present()) {
        walk.refuse(
            entry.place(),
            "got a value, expected none: only assertions of `aws-alb` have it",
        );
    }
}

fn read_balancer(
    audience: &Entry<'_>,
    signer: &Entry<'_>,
    client: &Entry<'_>,
    walk: &mut Walk<'_>,
) -> Option<Audience> {
    if audience.is_present() {
        walk.refuse(
            audience.place(),
            "got an audience, expected none: assertions of `aws-alb` name none, `signer` and \
             `client` are checked instead",
        );
    }
    let arn = "the load balancer's ARN";
    let signer = read_text(signer.needed(walk, arn), arn, walk);
    let id = "the client id that the load balancer has at the identity provider";
    let client = read_text(client.needed(walk, id), id, walk);
    Some(Audience::Balancer {
        signer: signer?,
        client: client?,
    })
}
