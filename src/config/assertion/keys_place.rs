//! Where an issuer's public keys are.

use super::preset::Preset;
use crate::assertion::Audience;
use crate::base_url::BaseUrl;
use crate::config::entry::Entry;
use crate::config::shape::Shape;
use crate::config::walk::Walk;

const URL: &str = "where the issuer's public keys are, https://HOST[:PORT]/PATH";

/// Where an issuer's public keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysPlace {
    /// Here: a JWK Set; for AWS's load balancers, the folder of the keys.
    Url(BaseUrl),
    /// Where the issuer's discovery document says (OpenID Connect Discovery 1.0,
    /// section 4).
    Discovered {
        /// The discovery document.
        document: BaseUrl,
        /// Who must say in it that it is theirs, to the letter.
        issuer: String,
    },
}

impl KeysPlace {
    /// The URL that is known without a network: of the keys, or of the document that
    /// tells it.
    #[must_use]
    pub fn url(&self) -> &BaseUrl {
        match self {
            Self::Url(url) => url,
            Self::Discovered { document, .. } => document,
        }
    }

    fn discovered(issuer: &str) -> Option<Self> {
        let folder = issuer.strip_suffix('/').unwrap_or(issuer);
        // What a URL may not have is looked for in the issuer's own text.
        let base = BaseUrl::parse(folder).ok()?;
        let document = format!("{folder}/.well-known/openid-configuration");
        (!base.is_plain_to_another_host()).then_some(Self::Discovered {
            document: BaseUrl::parse(&document).ok()?,
            issuer: issuer.to_owned(),
        })
    }
}

pub(super) fn read(
    entry: &Entry<'_>,
    preset: Preset,
    (issuer, audience): (Option<&str>, Option<&Audience>),
    walk: &mut Walk<'_>,
) -> Option<KeysPlace> {
    if !entry.is_present() {
        // What it follows from is refused already.
        let (issuer, _) = (issuer?, audience?);
        let known = match preset {
            Preset::Oidc => KeysPlace::discovered(issuer),
            _ => preset
                .keys(issuer, audience)
                .and_then(|known| BaseUrl::parse(&known).ok())
                .map(KeysPlace::Url),
        };
        if known.is_some() {
            return known;
        }
    }
    let expected = match preset {
        Preset::Oidc => {
            "where the issuer's public keys are: `issuer` is no https URL, below which a \
             discovery document could tell it"
        }
        Preset::AwsAlb => {
            "where the load balancer's public keys are, without the key's id: `signer` is none \
             that tells it"
        }
        _ => URL,
    };
    let url = entry
        .needed(walk, expected)
        .parse(walk, Shape::Hidden, URL, |text| {
            BaseUrl::parse(text).map_err(|error| error.to_string())
        })?;
    if url.is_plain_to_another_host() {
        walk.refuse(
            entry.place(),
            "got an http URL of another host, expected https: whoever is on the way could put \
             keys of their own in",
        );
        return None;
    }
    Some(KeysPlace::Url(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discovery_document_is_below_its_issuer() {
        for (issuer, document) in [
            (
                "https://idp.example.com",
                Some("https://idp.example.com/.well-known/openid-configuration"),
            ),
            // Auth0's issuers end in a slash.
            (
                "https://idp.example.com/",
                Some("https://idp.example.com/.well-known/openid-configuration"),
            ),
            (
                "https://idp.example.com/realms/claw",
                Some("https://idp.example.com/realms/claw/.well-known/openid-configuration"),
            ),
            (
                "http://127.0.0.1:9",
                Some("http://127.0.0.1:9/.well-known/openid-configuration"),
            ),
            ("http://idp.example.com", None),
            ("https://idp.example.com?tenant=a", None),
            ("https://user@idp.example.com", None),
            ("idp.example.com", None),
            ("", None),
        ] {
            let found = KeysPlace::discovered(issuer);
            let found = found.as_ref().map(|place| place.url().as_str());
            assert_eq!(found, document, "{issuer}");
        }
    }
}
