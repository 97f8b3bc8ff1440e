//! Real keys of each kind that signs assertions, and tokens by them, good and bad.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

/// A key that can sign.
pub(crate) enum Signer {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl Signer {
    /// Another P-256 key at each call.
    pub(crate) fn p256() -> Self {
        Self::ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    /// Another P-384 key at each call.
    pub(crate) fn p384() -> Self {
        Self::ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self::Ecdsa(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap())
    }

    /// Another Ed25519 key at each call.
    pub(crate) fn ed25519() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    /// The same RSA key of 2048 bits at each call.
    pub(crate) fn rsa() -> Self {
        let pem = include_bytes!("../../src/assertion/tests/rsa.pem");
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).unwrap();
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
        Self::Rsa(Box::new(key))
    }

    /// Signs as a header's `alg` says, if the key can, else as the key would.
    fn sign(&self, algorithm: &str, signed: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ecdsa(key) => key.sign(&random, signed).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(signed).as_ref().to_vec(),
            Self::Rsa(key) => {
                let padding: &dyn RsaEncoding = match algorithm {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(padding, &random, signed, &mut signature).unwrap();
                signature
            }
        }
    }

    /// The public half as a JWK.
    pub(crate) fn jwk(&self, id: &str) -> Value {
        match self {
            Self::Ecdsa(key) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "kid": id, "crv": curve, "x": part(x), "y": part(y)})
            }
            Self::Ed25519(key) => {
                let x = part(key.public_key().as_ref());
                json!({"kty": "OKP", "kid": id, "crv": "Ed25519", "x": x})
            }
            Self::Rsa(key) => {
                let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "kid": id, "n": part(&public.n), "e": part(&public.e)})
            }
        }
    }

    /// The public half as a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), but of P-256
    /// and of RSA with 2048 bits alone.
    pub(crate) fn der(&self) -> Vec<u8> {
        let (head, key): (&[u8], &[u8]) = match self {
            Self::Ecdsa(key) => (
                b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\
                  \x3d\x03\x01\x07\x03\x42\x00",
                key.public_key().as_ref(),
            ),
            Self::Rsa(key) => (
                b"\x30\x82\x01\x22\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\
                  \x03\x82\x01\x0f\x00",
                key.public().as_ref(),
            ),
            Self::Ed25519(_) => unreachable!("nobody asks for it"),
        };
        [head, key].concat()
    }

    /// The same as PEM.
    pub(crate) fn pem(&self) -> String {
        let text = STANDARD.encode(self.der());
        let lines: Vec<&str> = (0..text.len())
            .step_by(64)
            .map(|at| &text[at..text.len().min(at + 64)])
            .collect();
        let lines = lines.join("\n");
        format!("-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n")
    }

    /// A token with this header and these claims.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), &claims.to_string())
    }

    /// The same of texts, which may be no JSON.
    pub(crate) fn token_of(&self, header: &str, claims: &str) -> String {
        let signed = unsigned(header, claims);
        let signature = self.sign(&algorithm(header), signed.as_bytes());
        format!("{signed}.{}", part(&signature))
    }

    /// A token as AWS's load balancers write it.
    pub(crate) fn padded_token(&self, header: &Value, claims: &Value) -> String {
        let encode = |text: String| URL_SAFE.encode(text);
        let (header, claims) = (encode(header.to_string()), encode(claims.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = self.sign("ES256", signed.as_bytes());
        format!("{signed}.{}", URL_SAFE.encode(signature))
    }
}

fn algorithm(header: &str) -> String {
    let header: Value = serde_json::from_str(header).unwrap_or_default();
    header["alg"].as_str().unwrap_or_default().to_owned()
}

/// Bytes as RFC 7515 section 2 writes them.
pub(crate) fn part(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token's first two parts.
pub(crate) fn unsigned(header: &str, claims: &str) -> String {
    format!("{}.{}", part(header.as_bytes()), part(claims.as_bytes()))
}

/// A token signed with a shared secret: `alg` says by which hash.
pub(crate) fn hmac_token(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let algorithm = match header["alg"].as_str() {
        Some("HS384") => ring::hmac::HMAC_SHA384,
        Some("HS512") => ring::hmac::HMAC_SHA512,
        _ => ring::hmac::HMAC_SHA256,
    };
    let signed = unsigned(&header.to_string(), &claims.to_string());
    let key = ring::hmac::Key::new(algorithm, secret);
    let tag = ring::hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", part(tag.as_ref()))
}
