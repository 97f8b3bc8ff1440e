//! `[models.providers.*]`: where a provider is, how it takes its credential, and its
//! pool of keys.

use std::path::PathBuf;

use super::super::credential::CredentialFormat;
use super::super::entry::Entry;
use super::super::secret;
use super::super::section::{Section, list};
use super::super::shape::Shape;
use super::super::walk::Walk;
use crate::base_url::BaseUrl;
use crate::credentials::provider::{Dialect, KnownProvider, OAuthSettings, known};
use crate::policy::FieldName;
use crate::secrets::{Providers, SecretInput};

/// A model provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelProvider {
    /// Whether it is served, and its credentials used. Default true.
    pub enabled: bool,
    /// Whether the config has it: a known provider is there without.
    pub is_configured: bool,
    /// What stands in front of every request's path. Never none while the back door is
    /// on.
    pub base_url: Option<BaseUrl>,
    /// Who may vouch for it, instead of the public web's authorities.
    pub ca_file: Option<PathBuf>,
    /// How its API speaks.
    pub dialect: Dialect,
    /// The header of its credential.
    pub auth_header: FieldName,
    /// The header's value.
    pub auth_format: CredentialFormat,
    /// The only key (`apiKey`).
    pub api_key: Option<SecretInput>,
    /// Further keys (`apiKeys`), in the order of the config.
    pub api_keys: Vec<SecretInput>,
    /// Its login, where it has one: then it has no keys.
    pub login: Option<OAuthSettings>,
}

const BASE_URL: &str = "https://HOST[:PORT][/PATH], or http://";
const NO_KEYS: &str =
    "expected none: this provider takes logins alone, see `portcullis models auth login`";

impl ModelProvider {
    /// A known provider as it is without a word in the config.
    pub(super) fn known(known: &KnownProvider) -> Self {
        let header = FieldName::parse_credential(known.header).expect("the table's is legal");
        Self {
            enabled: true,
            is_configured: false,
            base_url: Some(BaseUrl::parse(known.base_url).expect("the table's is legal")),
            ca_file: None,
            dialect: known.dialect,
            auth_format: CredentialFormat::parse(known.format).expect("the table's is legal"),
            auth_header: header,
            api_key: None,
            api_keys: Vec::new(),
            login: known.login.map(|login| login.settings()),
        }
    }
}

/// Reads `[models.providers.NAME]`. A known provider needs no key of it, another a
/// `baseUrl` where the back door is on.
pub(super) fn read(
    name: &str,
    section: &Section<'_>,
    back_door_is_on: bool,
    walk: &mut Walk<'_>,
    providers: &Providers,
) -> ModelProvider {
    let [
        enabled,
        base_url_entry,
        ca_file,
        api,
        api_key,
        api_keys,
        auth_header,
        auth_format,
        oauth,
    ] = section.fields(
        walk,
        [
            "enabled",
            "baseUrl",
            "caFile",
            "api",
            "apiKey",
            "apiKeys",
            "authHeader",
            "authFormat",
            "oauth",
        ],
        &["models"],
    );
    let known = known(name).map(ModelProvider::known);
    if known.is_none() && back_door_is_on {
        base_url_entry.needed(walk, BASE_URL);
    }
    let base_url = read_url(&base_url_entry, BASE_URL, walk);
    let dialect = api.choice(walk, &Dialect::APIS, &Dialect::OF_APIS);
    let header = auth_header.convert(walk, "a header's name", FieldName::parse_credential);
    let format = auth_format.parse(
        walk,
        Shape::Hidden,
        "a header's value with `{secret}` in it once",
        CredentialFormat::parse,
    );
    let keys = api_keys
        .items(walk, "an array of secrets")
        .unwrap_or_default();
    let login = known.as_ref().and_then(|known| known.login.clone());
    let login = read_login(&oauth, login, walk);
    for entry in [&api_key, &api_keys] {
        if login.is_some() && entry.is_present() {
            walk.refuse(entry.place(), format!("got keys, {NO_KEYS}"));
        }
    }
    let api_key = secret::read(&api_key, walk, providers);
    let api_keys = keys
        .iter()
        .filter_map(|key| secret::read(key, walk, providers))
        .collect();
    let enabled = enabled.boolean(walk).unwrap_or(true);
    let ca_file = ca_file.path(walk);
    let known_url = known.as_ref().and_then(|known| known.base_url.clone());
    let default_dialect = known
        .as_ref()
        .map_or(Dialect::OpenAi, |known| known.dialect);
    let (auth_header, auth_format) = match (header, known) {
        (Some(header), _) => {
            let default = CredentialFormat::default_for(&header);
            (header, format.unwrap_or(default))
        }
        (None, Some(known)) => (known.auth_header, format.unwrap_or(known.auth_format)),
        (None, None) => {
            let name = match dialect.unwrap_or(default_dialect) {
                Dialect::Anthropic => "x-api-key",
                Dialect::Google => "x-goog-api-key",
                Dialect::OpenAi => "authorization",
            };
            let header = FieldName::parse_credential(name).expect("a literal that is legal");
            let default = CredentialFormat::default_for(&header);
            (header, format.unwrap_or(default))
        }
    };
    ModelProvider {
        enabled,
        is_configured: true,
        base_url: base_url.or(known_url),
        ca_file,
        dialect: dialect.unwrap_or(default_dialect),
        auth_header,
        auth_format,
        api_key,
        api_keys,
        login,
    }
}

/// Reads `[models.providers.NAME.oauth]` over what is known of the provider's login.
fn read_login(
    entry: &Entry<'_>,
    known: Option<OAuthSettings>,
    walk: &mut Walk<'_>,
) -> Option<OAuthSettings> {
    let [authorize_url, token_url, client_id, scopes] = entry.section(walk).fields(
        walk,
        ["authorizeUrl", "tokenUrl", "clientId", "scopes"],
        &[],
    );
    let authorize_url = read_url(&authorize_url, BASE_URL, walk);
    let token_url = read_url(&token_url, BASE_URL, walk);
    let client_id = client_id.parse(walk, Shape::Hidden, "a client's id", |text| {
        match text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Err(String::new()),
            false => Ok(text.to_owned()),
        }
    });
    let expected = "an array of scopes";
    let scopes = scopes.items(walk, expected).map(|items| {
        let scope = |item: &Entry<'_>| item.text(walk, Shape::Hidden, "a scope").map(str::to_owned);
        items.iter().filter_map(scope).collect()
    });
    let Some(known) = known else {
        entry.refuse(
            walk,
            Shape::Hidden,
            &format!("none: only {} has a login", list(&["openai-codex"])),
        );
        return None;
    };
    Some(OAuthSettings {
        authorize_url: authorize_url.unwrap_or(known.authorize_url),
        token_url: token_url.unwrap_or(known.token_url),
        client_id: client_id.unwrap_or(known.client_id),
        scopes: scopes.unwrap_or(known.scopes),
        extra: known.extra,
    })
}

fn read_url(entry: &Entry<'_>, expected: &str, walk: &mut Walk<'_>) -> Option<BaseUrl> {
    let url = entry.parse(walk, Shape::Hidden, expected, |text| {
        BaseUrl::parse(text).map_err(|error| error.to_string())
    })?;
    if url.is_plain_to_another_host() {
        walk.warn(
            entry.place(),
            "credentials leave this host unencrypted: anyone on the way can read them; use https",
        );
    }
    Some(url)
}
