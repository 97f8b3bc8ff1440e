//! The public keys of an issuer, as they are published: a JWK Set (RFC 7517 §5), or one
//! PEM document a key.

use super::algorithm::Algorithm;
use super::compact::base64url;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::Value;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

/// The most keys of a set that are kept: real ones have two or three.
const MOST_KEYS: usize = 64;
/// RFC 7518 §3.3.
const LEAST_RSA_BYTES: usize = 2048 / 8;

/// Keys to verify with.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    /// Another number for other keys.
    pub(super) generation: u64,
    /// Until when all of them are good, in seconds since the Unix epoch.
    pub(super) good_until: u64,
    pub(super) keys: Vec<Held>,
}

/// A key, and until when it is good without having been seen again.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) key: Key,
    pub(super) good_until: u64,
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) id: Box<str>,
    /// What it is for, where its publisher says so.
    algorithm: Option<Algorithm>,
    pub(super) material: Material,
}

/// What a key is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Material {
    /// Big-endian, without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// An uncompressed point (SEC 1 §2.3.3).
    P256(Vec<u8>),
    /// An uncompressed point (SEC 1 §2.3.3).
    P384(Vec<u8>),
    /// RFC 8032 §5.1.2.
    Ed25519(Vec<u8>),
}

/// Why a document holds no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not a JWK Set.
    #[error("it is no JSON object with an array `keys` (RFC 7517)")]
    NoSet,
    /// None that could verify anything.
    #[error(
        "none of its keys can verify: expected RSA of 2048 bits or more, P-256, P-384 or \
         Ed25519, each with a `kid`"
    )]
    NoneUsable,
    /// Not a PEM document with a public key.
    #[error("it is no PEM `PUBLIC KEY` of a kind that can verify")]
    NoPem,
}

#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

/// RFC 7517 §4, RFC 7518 §6, RFC 8037 §2.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// The keys of this id that fit an algorithm and are good at `now`: publishers may give
    /// one id to several (RFC 7517 §4.5).
    pub(super) fn fitting<'a>(
        &'a self,
        id: &'a str,
        algorithm: Algorithm,
        now: u64,
    ) -> impl Iterator<Item = &'a Key> {
        let good = self.keys.iter().filter(move |held| now < held.good_until);
        good.map(|held| &held.key).filter(move |key| {
            *key.id == *id
                && algorithm.fits(&key.material)
                && key.algorithm.is_none_or(|stated| stated == algorithm)
        })
    }

    /// How many are good at `now`.
    pub(super) fn good(&self, now: u64) -> usize {
        let good = self.keys.iter().filter(|held| now < held.good_until);
        good.count()
    }
}

/// The keys of a JWK Set that can verify. Others, for encryption, say, are passed over.
pub(super) fn parse_jwks(document: &[u8]) -> Result<Vec<Key>, KeySetError> {
    let Published { keys } = serde_json::from_slice(document).map_err(|_| KeySetError::NoSet)?;
    let objects = keys.into_iter().filter(Value::is_object);
    let usable = objects.filter_map(|key| {
        let jwk: Jwk = serde_json::from_value(key).ok()?;
        jwk.usable()
    });
    let usable: Vec<Key> = usable.take(MOST_KEYS).collect();
    match usable.is_empty() {
        true => Err(KeySetError::NoneUsable),
        false => Ok(usable),
    }
}

/// The key of a PEM document, under the id that it was asked for by.
pub(super) fn parse_pem(id: &str, document: &[u8]) -> Result<Key, KeySetError> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(document).map_err(|_| KeySetError::NoPem)?;
    let (_, info) = SubjectPublicKeyInfo::from_der(&der).map_err(|_| KeySetError::NoPem)?;
    let point = info.subject_public_key.data.as_ref();
    // All that AWS publishes are P-256: 0x04 and two coordinates.
    let material = match (point.first(), point.len()) {
        (Some(4), 65) => Material::P256(point.to_vec()),
        (Some(4), 97) => Material::P384(point.to_vec()),
        _ => return Err(KeySetError::NoPem),
    };
    Ok(Key {
        id: id.into(),
        algorithm: None,
        material,
    })
}

impl Jwk {
    fn usable(self) -> Option<Key> {
        let for_signatures = self.usage.as_ref().is_none_or(|usage| usage == "sig");
        let verifies = self
            .key_ops
            .as_ref()
            .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        let id = self.kid.clone().filter(|id| !id.is_empty())?;
        // An algorithm that isn't known here is one that it isn't for.
        let algorithm = match &self.alg {
            None => None,
            Some(name) => Some(Algorithm::named(name)?),
        };
        if !for_signatures || !verifies {
            return None;
        }
        Some(Key {
            id: id.into(),
            algorithm,
            material: self.material()?,
        })
    }

    fn material(&self) -> Option<Material> {
        let point = |length: usize| {
            let (x, y) = (base64url(self.x.as_ref()?)?, base64url(self.y.as_ref()?)?);
            let is_whole = x.len() == length && y.len() == length;
            is_whole.then(|| [&[4], x.as_slice(), y.as_slice()].concat())
        };
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let n = number(self.n.as_ref()?)?;
                let is_long = n.len() >= LEAST_RSA_BYTES;
                let e = number(self.e.as_ref()?)?;
                is_long.then_some(Material::Rsa { n, e })
            }
            ("EC", Some("P-256")) => point(32).map(Material::P256),
            ("EC", Some("P-384")) => point(48).map(Material::P384),
            ("OKP", Some("Ed25519")) => {
                let x = base64url(self.x.as_ref()?)?;
                (x.len() == 32).then_some(Material::Ed25519(x))
            }
            _ => None,
        }
    }
}

/// RFC 7518 §2 has no leading zeros; some publishers do.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = base64url(text)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Some(bytes[zeros..].to_vec())
}

#[cfg(test)]
mod tests;
