//! `[gateway.auth.trustedProxy.assertion]`: the signed assertion that must prove the user.

mod keys_place;

pub use keys_place::KeysPlace;

use super::entry::Entry;
use super::section::Section;
use super::shape::Shape;
use super::walk::Walk;
use crate::assertion::{Algorithm, Audience, Expectations};
use crate::policy::{AssertionRule, Carriage, FieldName};
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

/// Which identity proxy signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Preset {
    Pomerium,
    CloudflareAccess,
    GoogleIap,
    AwsAlb,
    Oidc,
}

const PRESETS: &[&str] = &[
    "pomerium",
    "cloudflare-access",
    "google-iap",
    "aws-alb",
    "oidc",
];
const ALL_PRESETS: [Preset; 5] = [
    Preset::Pomerium,
    Preset::CloudflareAccess,
    Preset::GoogleIap,
    Preset::AwsAlb,
    Preset::Oidc,
];

/// <https://cloud.google.com/iap/docs/signed-headers-howto>
const GOOGLE_ISSUER: &str = "https://cloud.google.com/iap";
const GOOGLE_KEYS: &str = "https://www.gstatic.com/iap/verify/public_key-jwk";
const GOOGLE_PREFIX: &str = "accounts.google.com:";

impl Preset {
    fn header(self) -> &'static str {
        match self {
            Self::Pomerium => "x-pomerium-jwt-assertion",
            Self::CloudflareAccess => "cf-access-jwt-assertion",
            Self::GoogleIap => "x-goog-iap-jwt-assertion",
            Self::AwsAlb => "x-amzn-oidc-data",
            Self::Oidc => "authorization",
        }
    }

    fn algorithm(self) -> Algorithm {
        match self {
            Self::Pomerium | Self::GoogleIap | Self::AwsAlb => Algorithm::Es256,
            Self::CloudflareAccess | Self::Oidc => Algorithm::Rs256,
        }
    }

    fn issuer(self) -> Option<&'static str> {
        match self {
            Self::GoogleIap => Some(GOOGLE_ISSUER),
            Self::Pomerium | Self::CloudflareAccess | Self::AwsAlb | Self::Oidc => None,
        }
    }

    /// Where its keys are, as far as issuer and signer tell.
    fn keys(self, issuer: &str, audience: Option<&Audience>) -> Option<String> {
        let host = issuer.trim_start_matches("https://").trim_end_matches('/');
        match (self, audience) {
            (Self::Pomerium, _) => Some(format!("https://{host}/.well-known/pomerium/jwks.json")),
            (Self::CloudflareAccess, _) => Some(format!("https://{host}/cdn-cgi/access/certs")),
            (Self::GoogleIap, _) => Some(GOOGLE_KEYS.to_owned()),
            (Self::AwsAlb, Some(Audience::Balancer { signer, .. })) => balancer_region(signer)
                .map(|region| format!("https://public-keys.auth.elb.{region}.amazonaws.com")),
            (Self::AwsAlb, _) | (Self::Oidc, _) => None,
        }
    }
}

/// The region in a load balancer's ARN, of AWS's public partition: the others keep their
/// keys elsewhere.
fn balancer_region(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    let begins = [parts.next()?, parts.next()?, parts.next()?];
    let region = parts.next()?;
    let is_plain = region
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    (begins == ["arn", "aws", "elasticloadbalancing"] && is_plain && !region.is_empty())
        .then_some(region)
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
    let presets = "the identity proxy that signs: `pomerium`, `cloudflare-access`, `google-iap`, \
                   `aws-alb` or `oidc`";
    let preset = preset
        .needed(walk, presets)
        .choice(walk, PRESETS, &ALL_PRESETS);
    let header = read_header(&header, preset, walk);
    let claim = read_text(&claim, "a claim's name such as \"email\"", walk);
    let algorithms = read_algorithms(&algorithms, walk);
    let services = read_services(&allow_services, walk);
    let ca_file = ca_file.path(walk);
    let preset = preset?;
    let issuer = match (issuer.is_present(), preset.issuer()) {
        (false, Some(known)) => Some(known.to_owned()),
        _ => {
            let expected = "the issuer, as the assertion's `iss` names it";
            read_text(issuer.needed(walk, expected), expected, walk)
        }
    };
    let audience = match preset {
        Preset::AwsAlb => read_balancer(&audience, &signer, &client, walk),
        _ => {
            for entry in [&signer, &client] {
                if entry.is_present() {
                    walk.refuse(
                        entry.place(),
                        "got a value, expected none: only assertions of `aws-alb` have it",
                    );
                }
            }
            read_audience(&audience, walk)
        }
    };
    let keys = keys_place::read(
        &keys_url,
        preset,
        (issuer.as_deref(), audience.as_ref()),
        walk,
    );
    let (issuer, audience) = (issuer?, audience?);
    let carriage = match header.as_ref()?.as_str() {
        "authorization" => Carriage::Bearer,
        _ => Carriage::Plain,
    };
    Some(Assertion {
        rule: AssertionRule {
            header: header?,
            carriage,
            user_prefix: (preset == Preset::GoogleIap).then_some(GOOGLE_PREFIX),
            services: services?,
        },
        expectations: Expectations {
            algorithms: algorithms?.unwrap_or_else(|| vec![preset.algorithm()]),
            issuer,
            audience,
            claim: claim.unwrap_or_else(|| "email".to_owned()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_read_out_of_an_arn_of_the_public_partition() {
        for (arn, region) in [
            (
                "arn:aws:elasticloadbalancing:eu-central-1:1234:loadbalancer/app/claw/5",
                Some("eu-central-1"),
            ),
            ("arn:aws-cn:elasticloadbalancing:cn-north-1:1:x", None),
            ("arn:aws:iam:eu-central-1:1:x", None),
            ("arn:aws:elasticloadbalancing:evil.example/:1:x", None),
            ("arn:aws:elasticloadbalancing::1:x", None),
            ("arn", None),
        ] {
            assert_eq!(balancer_region(arn), region, "{arn}");
        }
    }
}
