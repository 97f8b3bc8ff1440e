//! What must stand in an assertion. Pure: the clock is passed in.

use super::algorithm::Algorithm;
use super::compact::{Compact, Header};
use super::{LEEWAY, MAX_SHOWN};
use crate::policy::AssertionFault::{self, Invalid};
use crate::policy::{Claimed, Mismatch, printable};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The claim of a service token (Cloudflare Access).
pub const SERVICE_CLAIM: &str = "common_name";

/// What an assertion must be, whoever it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectations {
    /// How it may be signed. Empty: not at all.
    pub algorithms: Vec<Algorithm>,
    /// Who must have issued it (`iss`), to the letter.
    pub issuer: String,
    /// For whom it must be.
    pub audience: Audience,
    /// The claim that names the user.
    pub claim: String,
}

/// For whom an assertion must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// `aud` names one of these (RFC 7519 §4.1.3).
    OneOf(Vec<String>),
    /// AWS's load balancers name no audience: the header says which of them signed, and
    /// for which client at the identity provider.
    /// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-authenticate-users.html>
    Balancer {
        /// The load balancer's ARN.
        signer: String,
        /// The client's id.
        client: String,
    },
}

/// Whom an assertion is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Subject {
    User(Box<str>),
    Service(Box<str>),
}

type Claims = Map<String, Value>;

impl Expectations {
    /// Whether tokens come in AWS's padded base64.
    pub(super) fn is_padded(&self) -> bool {
        matches!(self.audience, Audience::Balancer { .. })
    }

    /// The algorithm that a header names, if it may be used.
    pub(super) fn algorithm(&self, header: &Header) -> Result<Algorithm, Mismatch> {
        let named = Algorithm::named(&header.alg);
        named
            .filter(|named| self.algorithms.contains(named))
            .ok_or_else(|| {
                let allowed: Vec<_> = self.algorithms.iter().map(|one| one.as_str()).collect();
                Mismatch::new(
                    format!("algorithm `{}`", printable(&header.alg, MAX_SHOWN)),
                    allowed.join(" or "),
                )
            })
    }

    /// Whom a token is about and when it ends (in seconds since the Unix epoch), if all
    /// that it says is right at `now`. Whether it is genuine is another question.
    pub(super) fn judge(
        &self,
        token: &Compact<'_>,
        now: u64,
    ) -> Result<(Subject, u64), AssertionFault> {
        let claims = token.claims().map_err(Invalid)?;
        let ends = self.check(token.header(), &claims, now)?;
        let subject = Subject::of(&claims, &self.claim).map_err(Invalid)?;
        Ok((subject, ends))
    }

    /// Checks all that must be right at `now`, and says when it ends.
    fn check(&self, header: &Header, claims: &Claims, now: u64) -> Result<u64, AssertionFault> {
        self.check_parties(header, claims).map_err(Invalid)?;
        let in_header = match &self.audience {
            Audience::Balancer { .. } => header.exp.as_ref(),
            Audience::OneOf(_) => None,
        };
        check_times(claims, in_header, now)
    }

    fn check_parties(&self, header: &Header, claims: &Claims) -> Result<(), Mismatch> {
        let issuer = claims.get("iss");
        match &self.audience {
            Audience::OneOf(audiences) => {
                same("`iss`", issuer, &self.issuer)?;
                check_audience(claims.get("aud"), audiences)
            }
            Audience::Balancer { signer, client } => {
                same_text("`signer`", header.signer.as_deref(), signer)?;
                same_text("`client`", header.client.as_deref(), client)?;
                same_text("`iss`", header.iss.as_deref(), &self.issuer)?;
                match issuer {
                    None => Ok(()),
                    Some(_) => same("`iss` of the claims", issuer, &self.issuer),
                }
            }
        }
    }
}

fn same(what: &str, got: Option<&Value>, expected: &str) -> Result<(), Mismatch> {
    match got {
        Some(Value::String(got)) => same_text(what, Some(got), expected),
        Some(_) => Err(Mismatch::new(
            format!("{what} that is no string"),
            format!("`{expected}`"),
        )),
        None => same_text(what, None, expected),
    }
}

fn same_text(what: &str, got: Option<&str>, expected: &str) -> Result<(), Mismatch> {
    match got {
        Some(got) if got == expected => Ok(()),
        Some(got) => Err(Mismatch::new(
            format!("{what} `{}`", printable(got, MAX_SHOWN)),
            format!("`{expected}`"),
        )),
        None => Err(Mismatch::new(format!("no {what}"), format!("`{expected}`"))),
    }
}

/// One of `expected` must be named, alone or in an array of strings.
fn check_audience(got: Option<&Value>, expected: &[String]) -> Result<(), Mismatch> {
    let other = |got: Cow<'static, str>| {
        let wanted = expected.join("` or `");
        Err(Mismatch::new(got, format!("`{wanted}`")))
    };
    let named: Vec<&str> = match got {
        None => return other("no `aud`".into()),
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) if several.iter().all(Value::is_string) => {
            several.iter().filter_map(Value::as_str).collect()
        }
        Some(_) => {
            return other("`aud` that is neither a string nor an array of strings".into());
        }
    };
    match named.iter().any(|one| expected.iter().any(|it| it == one)) {
        true => Ok(()),
        false => {
            let named = named.join("`, `").replace('`', "");
            other(format!("`aud` `{}`", printable(&named, MAX_SHOWN)).into())
        }
    }
}

/// `exp` must be there, and is returned; `nbf` and `iat`, where they are, must not lie
/// ahead.
fn check_times(
    claims: &Claims,
    in_header: Option<&Value>,
    now: u64,
) -> Result<u64, AssertionFault> {
    let ends = [claims.get("exp"), in_header].into_iter().flatten();
    let ends: Result<Vec<u64>, _> = ends.map(|end| date("exp", end)).collect();
    let Some(ends) = ends?.into_iter().min() else {
        return Err(Invalid(Mismatch::new("no `exp`", "a time")));
    };
    if now >= ends.saturating_add(LEEWAY) {
        return Err(AssertionFault::Expired(now - ends));
    }
    for name in ["nbf", "iat"] {
        let Some(begins) = claims.get(name) else {
            continue;
        };
        let begins = date(name, begins)?;
        if begins > now.saturating_add(LEEWAY) {
            return Err(Invalid(Mismatch::new(
                format!("`{name}` {} s ahead", begins - now),
                "a time that has come (are both clocks right?)",
            )));
        }
    }
    Ok(ends)
}

/// A NumericDate (RFC 7519 §2) in whole seconds. Anything else is refused, not passed
/// over: a time of another type would be no bound at all.
fn date(name: &str, value: &Value) -> Result<u64, AssertionFault> {
    let whole = value.as_u64();
    // A fraction ends the second before: `exp` no later than it says.
    let fraction = value.as_f64().filter(|seconds| *seconds >= 0.0);
    whole
        .or(fraction.map(|seconds| seconds as u64))
        .ok_or_else(|| {
            Invalid(Mismatch::new(
                format!("`{name}` that is no time"),
                "seconds",
            ))
        })
}

impl Subject {
    pub(super) fn claimed(&self) -> Claimed<'_> {
        match self {
            Self::User(user) => Claimed::User(user),
            Self::Service(service) => Claimed::Service(service),
        }
    }

    /// The user that `claim` names, or the service.
    pub(super) fn of(claims: &Claims, claim: &str) -> Result<Self, Mismatch> {
        let named = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(Mismatch::new(
                format!("`{name}` that is no string"),
                "a name",
            )),
        };
        match (named(claim)?, named(SERVICE_CLAIM)?) {
            (Some(_), _) if claim == "email" && is_unverified(claims) => Err(Mismatch::new(
                "`email_verified` false",
                "a verified address",
            )),
            (Some(user), _) => Ok(Self::User(user.into())),
            (None, Some(service)) => Ok(Self::Service(service.into())),
            (None, None) => Err(Mismatch::new(format!("no `{claim}`"), "the user")),
        }
    }
}

/// Whether the issuer says that it hasn't verified the address (OpenID Connect Core §5.1).
/// Amazon Cognito writes the boolean as a string.
fn is_unverified(claims: &Claims) -> bool {
    match claims.get("email_verified") {
        None | Some(Value::Bool(true)) => false,
        Some(Value::String(text)) => text != "true",
        Some(_) => true,
    }
}

#[cfg(test)]
mod tests;
