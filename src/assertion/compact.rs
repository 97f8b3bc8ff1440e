//! The compact serialisation of a signed token (RFC 7515 §3.1): `header.claims.signature`.

use super::MAX_SHOWN;
use crate::policy::{Mismatch, printable};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// The longest token, in bytes: what a request's head may hold has room for no more.
const MOST_BYTES: usize = 16 << 10;

/// What a part must be that isn't.
const AS_BASE64URL: &str = "each part in it, as RFC 7515 has it";

/// RFC 7515 §2: without padding, and with nothing in the bits that are left over.
const PLAIN: GeneralPurpose = engine(DecodePaddingMode::RequireNone);
/// AWS's load balancers pad.
const PADDED: GeneralPurpose = engine(DecodePaddingMode::RequireCanonical);

const fn engine(padding: DecodePaddingMode) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(padding);
    GeneralPurpose::new(&URL_SAFE, config)
}

/// A token taken apart; nothing of it is verified.
pub(super) struct Compact<'a> {
    header: Header,
    claims: Vec<u8>,
    signature: Vec<u8>,
    signed: &'a [u8],
}

/// The protected header: of its members those that matter here. `jku`, `jwk`, `x5u` and
/// `x5c` would let a token bring its own key, and are not looked at.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub(super) alg: String,
    kid: Option<String>,
    typ: Option<String>,
    /// Whether it names extensions, whatever it says of them.
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
    /// AWS: the load balancer.
    pub(super) signer: Option<String>,
    /// AWS: the client at the identity provider.
    pub(super) client: Option<String>,
    /// AWS: the identity provider.
    pub(super) iss: Option<String>,
    /// AWS: when it ends.
    pub(super) exp: Option<Value>,
}

impl<'a> Compact<'a> {
    /// Takes a token apart.
    pub(super) fn parse(token: &'a [u8], is_padded: bool) -> Result<Self, Mismatch> {
        if token.len() > MOST_BYTES {
            return Err(Mismatch::new(
                format!("{} bytes", token.len()),
                format!("a token of at most {MOST_BYTES}"),
            ));
        }
        let parts: Vec<&[u8]> = token.splitn(6, |byte| *byte == b'.').collect();
        let [header, claims, signature] = parts[..] else {
            return Err(match parts.len() {
                5 => Mismatch::new("the 5 parts of an encrypted token", "a signed one"),
                count => Mismatch::new(format!("{count} parts"), "header, claims and signature"),
            });
        };
        let engine = if is_padded { &PADDED } else { &PLAIN };
        let decode = |part: &[u8], name: &str| {
            engine
                .decode(part)
                .map_err(|_| Mismatch::new(format!("{name} not in base64url"), AS_BASE64URL))
        };
        let signed = &token[..header.len() + 1 + claims.len()];
        let header = decode(header, "a header")?;
        let header = read_header(&header).ok_or_else(|| {
            Mismatch::new(
                "a header that can't be read",
                "a JSON object with `alg`, each member once",
            )
        })?;
        header.check()?;
        Ok(Self {
            header,
            claims: decode(claims, "claims")?,
            signature: decode(signature, "a signature")?,
            signed,
        })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// What the signature is over.
    pub(super) fn signed(&self) -> &'a [u8] {
        self.signed
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The claims, each name once (RFC 7519 §4).
    pub(super) fn claims(&self) -> Result<Map<String, Value>, Mismatch> {
        read_members(&self.claims).ok_or_else(|| {
            Mismatch::new(
                "claims that can't be read",
                "a JSON object with each name once",
            )
        })
    }
}

/// The members that are passed over count as well: none may come twice (RFC 7515 §4).
fn read_header(bytes: &[u8]) -> Option<Header> {
    serde_json::from_value(Value::Object(read_members(bytes)?)).ok()
}

fn read_members(bytes: &[u8]) -> Option<Map<String, Value>> {
    let members: Members = serde_json::from_slice(bytes).ok()?;
    Some(members.0)
}

impl Header {
    fn check(&self) -> Result<(), Mismatch> {
        // RFC 7515 §4.1.11: whoever doesn't understand one of these must refuse.
        if self.crit {
            return Err(Mismatch::new("`crit` in its header", "no extensions"));
        }
        let is_jwt = self.typ.as_ref().is_none_or(|typ| {
            let typ = typ.to_ascii_lowercase();
            matches!(typ.trim_start_matches("application/"), "jwt" | "at+jwt")
        });
        match is_jwt {
            true => Ok(()),
            false => {
                let typ = self.typ.as_deref().unwrap_or_default();
                Err(Mismatch::new(
                    format!("type `{}`", printable(typ, MAX_SHOWN)),
                    "`JWT`",
                ))
            }
        }
    }

    /// The id of its key.
    pub(super) fn key_id(&self) -> Result<&str, Mismatch> {
        match self.kid.as_deref() {
            None | Some("") => Err(Mismatch::new("no `kid` in its header", "its key's id")),
            Some(id) => Ok(id),
        }
    }
}

fn is_there<'de, D: Deserializer<'de>>(member: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(member).map(|_| true)
}

/// An object whose names are all different.
struct Members(Map<String, Value>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Distinct)
    }
}

struct Distinct;

impl<'de> Visitor<'de> for Distinct {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Members, A::Error> {
        let mut members = Map::new();
        while let Some((name, value)) = entries.next_entry::<String, Value>()? {
            if members.insert(name, value).is_some() {
                return Err(serde::de::Error::custom("a name comes twice"));
            }
        }
        Ok(Members(members))
    }
}

/// Bytes as RFC 7515 §2 writes them.
pub(super) fn base64url(text: &str) -> Option<Vec<u8>> {
    PLAIN.decode(text).ok()
}
