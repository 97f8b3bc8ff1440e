//! A credential as it goes out: which headers, and what they look like.

use super::credential_key::{CredentialKey, Mark};
use super::outgoing::BETA;
use crate::credentials::provider::{ACCOUNT_HEADER, ANTHROPIC_LOGIN};
use crate::credentials::{Dialect, ProfileId};
use crate::secrets::SecretValue;
use crate::snapshot::Provider;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};

/// What a request with a login's token must say at Anthropic.
const ANTHROPIC_LOGIN_BETA: HeaderValue = HeaderValue::from_static("oauth-2025-04-20");

/// A credential, ready to be put on.
pub(super) struct Candidate {
    /// What its state is kept by.
    pub(super) key: CredentialKey,
    /// What its secret is known by.
    pub(super) mark: Mark,
    /// Its name in the log: a profile's, or a key's fingerprint.
    pub(super) name: String,
    /// Its headers.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// The profile, where it is one that has an order and a history.
    pub(super) profile: Option<ProfileId>,
    /// The token that a refresh would replace.
    pub(super) access: Option<SecretValue>,
}

/// The headers of a credential.
type Headers = Vec<(HeaderName, HeaderValue)>;

/// A key in the provider's own header; a setup-token among the keys is a login's token
/// all the same.
pub(super) fn api_key(provider: &Provider, key: &SecretValue) -> Result<Headers, String> {
    if is_login_token(provider, key) {
        return bearer(provider, key, None);
    }
    let value = provider
        .header_value(key)
        .map_err(|error| error.to_string())?;
    Ok(vec![(provider.header.clone(), value)])
}

/// Whether a key is a token of a Claude login.
pub(super) fn is_login_token(provider: &Provider, key: &SecretValue) -> bool {
    provider.dialect == Dialect::Anthropic && key.expose().starts_with(ANTHROPIC_LOGIN)
}

/// A token as a bearer (RFC 6750 section 2.1), with what the provider wants beside it.
pub(super) fn bearer(
    provider: &Provider,
    token: &SecretValue,
    account: Option<&str>,
) -> Result<Headers, String> {
    let unfit = |_| "its token can't be sent in a header".to_owned();
    let whole = SecretValue::concat(&["Bearer ", token.expose()]);
    let mut value = HeaderValue::from_bytes(whole.expose_bytes()).map_err(unfit)?;
    value.set_sensitive(true);
    let mut headers = vec![(AUTHORIZATION, value)];
    if provider.dialect == Dialect::Anthropic {
        headers.push((BETA, ANTHROPIC_LOGIN_BETA));
    }
    if let (Some(account), Some(_)) = (account, &provider.login) {
        let value = HeaderValue::from_str(account).map_err(unfit)?;
        headers.push((HeaderName::from_static(ACCOUNT_HEADER), value));
    }
    Ok(headers)
}
