//! The verifier of signed assertions, and how it comes by the issuer's keys.

mod publisher;

use super::BuildError;
use crate::assertion::{KeyStore, Layout, Verifier};
use crate::config::{Assertion, Config, KeysPlace};
use crate::tls::{self, UpstreamTrust};
use publisher::Publisher;
use std::sync::Arc;

/// Verifies the assertions that one configuration asks for.
#[derive(Debug)]
pub struct SignedIdentity {
    verifier: Verifier,
    asked_for: Assertion,
    trust: UpstreamTrust,
}

impl SignedIdentity {
    /// The verifier.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Where the keys are fetched.
    #[must_use]
    pub fn keys(&self) -> &KeysPlace {
        &self.asked_for.keys
    }

    /// Whether whoever was proven by this one's rules is as good as proven by `other`'s.
    /// Services have a list of their own.
    #[must_use]
    pub fn proves_as_much_as(&self, other: &Self) -> bool {
        let (mine, theirs) = (&self.asked_for, &other.asked_for);
        mine.expectations == theirs.expectations && self.has_keys_of(other)
    }

    fn has_keys_of(&self, other: &Self) -> bool {
        self.asked_for.keys == other.asked_for.keys
            && self.trust == other.trust
            && layout(&self.asked_for) == layout(&other.asked_for)
    }
}

/// What `config` asks for, if it asks. What `previous` has found genuine is kept where
/// nothing has changed, and its keys where those of the same place are needed.
pub(super) fn build(
    config: &Config,
    previous: Option<&Arc<SignedIdentity>>,
) -> Result<Option<Arc<SignedIdentity>>, BuildError> {
    let Some(asked_for) = &config.gateway.trusted_proxy.assertion else {
        return Ok(None);
    };
    let trust = match &asked_for.ca_file {
        None => UpstreamTrust::PublicRoots,
        Some(path) => {
            let authorities = tls::certificates(path).and_then(|found| {
                let trust = UpstreamTrust::Authorities(found);
                // Malformed ones are found now, and not when keys are needed.
                tls::client_config(&trust, &path.display().to_string()).map(|_| trust)
            });
            authorities.map_err(|source| BuildError::Tls {
                key: "gateway.auth.trustedProxy.assertion.caFile".to_owned(),
                source,
            })?
        }
    };
    let built = |keys| SignedIdentity {
        verifier: Verifier::new(asked_for.expectations.clone(), keys),
        asked_for: asked_for.clone(),
        trust: trust.clone(),
    };
    let Some(previous) = previous else {
        return Ok(Some(Arc::new(built(keys_of(asked_for, &trust)))));
    };
    let next = built(previous.verifier.keys().clone());
    Ok(Some(match next.has_keys_of(previous) {
        true if next.asked_for.expectations == previous.asked_for.expectations => previous.clone(),
        true => Arc::new(next),
        false => Arc::new(built(keys_of(asked_for, &trust))),
    }))
}

fn layout(asked_for: &Assertion) -> Layout {
    match asked_for.expectations.audience {
        crate::assertion::Audience::OneOf(_) => Layout::Set,
        crate::assertion::Audience::Balancer { .. } => Layout::Each,
    }
}

fn keys_of(asked_for: &Assertion, trust: &UpstreamTrust) -> Arc<KeyStore> {
    let publisher = Publisher {
        place: asked_for.keys.clone(),
        trust: trust.clone(),
    };
    KeyStore::new(Box::new(publisher), layout(asked_for))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn keys_that_came_by_another_authority_are_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let put_another = || {
            let authority = rcgen::generate_simple_self_signed(["issuer".to_owned()]).unwrap();
            fs::write(&file, authority.cert.pem()).unwrap();
        };
        let text = format!(
            "[listen]\naddress = \"127.0.0.1:8443\"\n[upstream]\nurl = \"http://127.0.0.1:9\"\n\
             [gateway]\ntrustedProxies = [\"10.0.0.1\"]\n[gateway.auth]\nmode = \"trusted-proxy\"\n\
             [gateway.auth.trustedProxy]\nuserHeader = \"x-user\"\nallowUsers = [\"nick\"]\n\
             [gateway.auth.trustedProxy.assertion]\npreset = \"oidc\"\n\
             issuer = \"https://issuer.example.com\"\naudience = \"claw\"\n\
             keysUrl = \"https://issuer.example.com/keys\"\ncaFile = \"{}\"\n",
            file.display()
        );
        let config = crate::config::parse(&text).unwrap().config;
        let built = |previous| build(&config, previous).map(|built| built.unwrap());

        put_another();
        let first = built(None).unwrap();
        assert!(Arc::ptr_eq(&built(Some(&first)).unwrap(), &first));
        put_another();
        let next = built(Some(&first)).unwrap();
        assert!(!Arc::ptr_eq(
            next.verifier().keys(),
            first.verifier().keys()
        ));
        assert!(!first.proves_as_much_as(&next));
        // Without any it isn't asked any more, whatever was known before.
        fs::write(&file, "").unwrap();
        assert!(built(Some(&first)).is_err());
    }
}
