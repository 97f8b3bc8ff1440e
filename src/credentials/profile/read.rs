//! Reads a profile as the sink has it, which is OpenClaw's form.

use super::super::provider::CODEX;
use super::super::provider::is_provider_name;
use super::super::{UnixMillis, fingerprint};
use super::{
    Entry, ExternalLogin, ExternalProgram, Held, Login, OAuthTokens, Profile, ProfileId,
    ProfileIdError, RefreshAttempt,
};
use crate::secrets::{ProviderName, RefError, SecretInput, SecretRef, SecretSource, SecretValue};
use serde_json::{Map, Value};
use std::path::PathBuf;

type Members = Map<String, Value>;

/// Why what stands in the sink is no profile. It never repeats a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProfileProblem {
    /// Its name is none.
    #[error(transparent)]
    Id(#[from] ProfileIdError),
    /// It isn't an object.
    #[error("it is no JSON object")]
    NotAnObject,
    /// Another `type`.
    #[error("its `type` is none of api_key, token, oauth")]
    Kind,
    /// No provider, or none that could be in a path.
    #[error("its `provider` is missing or no provider's name")]
    Provider,
    /// A member that must be there isn't, or is of another kind.
    #[error("its `{0}` is missing or malformed")]
    Member(&'static str),
    /// A secret is blank, or could stand in no header.
    #[error("its `{0}` holds no secret: it is blank, or holds white space or other than ASCII")]
    Secret(&'static str),
    /// A value and a reference.
    #[error("it has both `{0}` and `{1}`")]
    Both(&'static str, &'static str),
    /// A reference that is none.
    #[error("its `{0}` is no reference: {1}")]
    Ref(&'static str, #[source] RefError),
    /// A provider that takes logins alone.
    #[error("`{CODEX}` takes OAuth logins, got an API key: name its provider `openai`")]
    KeyForLogins,
    /// A login of a program that we don't know, or for another provider than its own.
    #[error("its `managedBy` is no program whose logins for this provider can be read")]
    ManagedBy,
}

/// Reads what stands under the name `id`.
pub(in crate::credentials) fn read(id: &str, value: &Value) -> Entry {
    match profile(id, value) {
        Ok(profile) => Entry::Usable(profile),
        Err(why) => Entry::Unusable {
            id: id.to_owned(),
            why,
        },
    }
}

fn profile(id: &str, value: &Value) -> Result<Profile, ProfileProblem> {
    let id = ProfileId::parse(id)?;
    let members = value.as_object().ok_or(ProfileProblem::NotAnObject)?;
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let provider = text("provider")
        .filter(|provider| is_provider_name(provider))
        .ok_or(ProfileProblem::Provider)?;
    let login = match (text("type"), members.get("managedBy")) {
        (Some("token"), Some(program)) => external(members, provider, program)?,
        (Some("api_key"), _) if provider == CODEX => return Err(ProfileProblem::KeyForLogins),
        (Some("api_key"), _) => Login::ApiKey(held(members, "key", "keyRef")?),
        (Some("token"), None) => Login::Token {
            token: held(members, "token", "tokenRef")?,
            expires: match members.get("expires") {
                None | Some(Value::Null) => None,
                Some(expires) => Some(millis(expires).ok_or(ProfileProblem::Member("expires"))?),
            },
        },
        (Some("oauth"), _) => Login::OAuth(tokens(members)?),
        _ => return Err(ProfileProblem::Kind),
    };
    Ok(Profile {
        id,
        provider: provider.to_owned(),
        login,
        email: text("email").map(str::to_owned),
    })
}

fn external(members: &Members, provider: &str, program: &Value) -> Result<Login, ProfileProblem> {
    let program = program
        .as_str()
        .and_then(ExternalProgram::parse)
        .filter(|program| program.provider() == provider)
        .ok_or(ProfileProblem::ManagedBy)?;
    let file = members.get("file").and_then(Value::as_str);
    let file = file
        .map(PathBuf::from)
        .filter(|file| file.is_absolute())
        .ok_or(ProfileProblem::Member("file"))?;
    Ok(Login::External(ExternalLogin { program, file }))
}

fn held(
    members: &Members,
    value: &'static str,
    reference: &'static str,
) -> Result<Held, ProfileProblem> {
    let present = |name| members.get(name).filter(|member| !member.is_null());
    match (present(value), present(reference)) {
        (Some(_), Some(_)) => Err(ProfileProblem::Both(value, reference)),
        (None, None) => Err(ProfileProblem::Member(value)),
        (Some(object @ Value::Object(_)), None) => secret_ref(object, value).map(Held::Ref),
        (None, Some(found)) => match found {
            Value::String(text) => match input(text, reference)? {
                Held::Value(_) => Err(ProfileProblem::Member(reference)),
                found => Ok(found),
            },
            object => secret_ref(object, reference).map(Held::Ref),
        },
        (Some(Value::String(text)), None) => input(text, value),
        (Some(_), None) => Err(ProfileProblem::Member(value)),
    }
}

/// A secret, or `$NAME`.
fn input(text: &str, name: &'static str) -> Result<Held, ProfileProblem> {
    match SecretInput::parse(text, &ProviderName::fallback()) {
        Ok(SecretInput::Ref(reference)) => Ok(Held::Ref(reference)),
        Ok(SecretInput::Plain(_)) => match sendable(text) {
            Some(secret) => Ok(Held::Value(secret)),
            None => Err(ProfileProblem::Secret(name)),
        },
        Err(RefError::Blank) => Err(ProfileProblem::Secret(name)),
        Err(error) => Err(ProfileProblem::Ref(name, error)),
    }
}

fn secret_ref(value: &Value, name: &'static str) -> Result<SecretRef, ProfileProblem> {
    let malformed = ProfileProblem::Member(name);
    let members = value.as_object().ok_or(malformed)?;
    let text = |member: &str| members.get(member).and_then(Value::as_str);
    let (Some(source), Some(provider), Some(id), 3) =
        (text("source"), text("provider"), text("id"), members.len())
    else {
        return Err(malformed);
    };
    let source = SecretSource::parse(source).ok_or(malformed)?;
    let at = |error| ProfileProblem::Ref(name, error);
    Ok(SecretRef {
        provider: ProviderName::parse(provider).map_err(at)?,
        id: source.parse_id(id).map_err(at)?,
    })
}

fn tokens(members: &Members) -> Result<OAuthTokens, ProfileProblem> {
    let secret = |name: &'static str| match members.get(name) {
        None => Err(ProfileProblem::Member(name)),
        Some(value) => secret_text(value).map_err(|()| ProfileProblem::Secret(name)),
    };
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let refresh = match members.get("refresh") {
        None | Some(Value::Null) => None,
        // OpenClaw writes a blank one where there is none.
        Some(Value::String(text)) if text.trim().is_empty() => None,
        Some(_) => Some(secret("refresh")?),
    };
    let attempt = members.get("refreshAttempt").map(|attempt| RefreshAttempt {
        of: text(attempt.get("of")).unwrap_or_default(),
        at: attempt.get("at").and_then(millis).unwrap_or(UnixMillis(0)),
    });
    Ok(OAuthTokens {
        access: secret("access")?,
        expires: members
            .get("expires")
            .and_then(millis)
            .ok_or(ProfileProblem::Member("expires"))?,
        obtained: members.get("obtained").and_then(millis),
        account_id: text(members.get("accountId")).filter(|id| is_sendable(id)),
        needs_login: refused(members, refresh.as_ref()),
        attempt,
        refresh,
    })
}

/// The code of a refusal, if it was of the refresh token that is here: another one may
/// have been put in by hand.
fn refused(members: &Members, refresh: Option<&SecretValue>) -> Option<String> {
    let refusal = members.get("needsLogin")?;
    let of = refusal.get("of").and_then(Value::as_str);
    let is_of_this = match (of, refresh) {
        (Some(of), Some(refresh)) => of == fingerprint(refresh),
        (None, _) | (_, None) => true,
    };
    let code = refusal.get("code").and_then(Value::as_str);
    is_of_this.then(|| code.unwrap_or("unknown").to_owned())
}

/// A string that can be sent as a credential, white space around it taken off.
pub(in crate::credentials) fn secret_text(value: &Value) -> Result<SecretValue, ()> {
    value.as_str().and_then(sendable).ok_or(())
}

fn sendable(text: &str) -> Option<SecretValue> {
    let text = text.trim();
    is_sendable(text).then(|| SecretValue::concat(&[text]))
}

/// Whether it can stand in a header as one word.
pub(in crate::credentials) fn is_sendable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A count of milliseconds; JavaScript may write it with a fraction.
pub(in crate::credentials) fn millis(value: &Value) -> Option<UnixMillis> {
    let whole = value.as_u64();
    let millis = whole.or_else(|| {
        let number = value.as_f64()?;
        (number >= 0.0).then_some(number as u64)
    });
    millis.map(UnixMillis)
}

#[cfg(test)]
mod tests;
