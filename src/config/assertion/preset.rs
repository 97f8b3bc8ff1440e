//! What is known of the identity proxies that sign.

use crate::assertion::{Algorithm, Audience};

/// Which identity proxy signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preset {
    Pomerium,
    CloudflareAccess,
    GoogleIap,
    AwsAlb,
    Oidc,
}

/// <https://cloud.google.com/iap/docs/signed-headers-howto>
const GOOGLE_ISSUER: &str = "https://cloud.google.com/iap";
const GOOGLE_KEYS: &str = "https://www.gstatic.com/iap/verify/public_key-jwk";
const GOOGLE_PREFIX: &str = "accounts.google.com:";

impl Preset {
    pub(super) const ALL: [Self; 5] = [
        Self::Pomerium,
        Self::CloudflareAccess,
        Self::GoogleIap,
        Self::AwsAlb,
        Self::Oidc,
    ];
    /// Their names, in the same order.
    pub(super) const NAMES: &'static [&'static str] = &[
        "pomerium",
        "cloudflare-access",
        "google-iap",
        "aws-alb",
        "oidc",
    ];

    /// Where its assertions come in.
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::Pomerium => "x-pomerium-jwt-assertion",
            Self::CloudflareAccess => "cf-access-jwt-assertion",
            Self::GoogleIap => "x-goog-iap-jwt-assertion",
            Self::AwsAlb => "x-amzn-oidc-data",
            Self::Oidc => "authorization",
        }
    }

    /// How it signs.
    pub(super) fn algorithm(self) -> Algorithm {
        match self {
            Self::Pomerium | Self::GoogleIap | Self::AwsAlb => Algorithm::Es256,
            Self::CloudflareAccess | Self::Oidc => Algorithm::Rs256,
        }
    }

    /// What it calls itself, where all of its kind have one name.
    pub(super) fn issuer(self) -> Option<&'static str> {
        match self {
            Self::GoogleIap => Some(GOOGLE_ISSUER),
            Self::Pomerium | Self::CloudflareAccess | Self::AwsAlb | Self::Oidc => None,
        }
    }

    /// What it puts before a user's name.
    pub(super) fn user_prefix(self) -> Option<&'static str> {
        match self {
            Self::GoogleIap => Some(GOOGLE_PREFIX),
            Self::Pomerium | Self::CloudflareAccess | Self::AwsAlb | Self::Oidc => None,
        }
    }

    /// Where its keys are, as far as issuer and signer tell.
    pub(super) fn keys(self, issuer: &str, audience: Option<&Audience>) -> Option<String> {
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
