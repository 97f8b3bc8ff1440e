//! `[models]` and `[auth]`: the credentials of model providers.

use std::collections::BTreeMap;

use super::entry::Entry;
use super::secret;
use super::section::Section;
use super::shape::Shape;
use super::walk::Walk;
use crate::secrets::{Providers, SecretInput};

/// The credentials of model providers. Nothing uses them while the back door is
/// off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Models {
    /// What callers of the back door must show.
    pub client_token: Option<SecretInput>,
    /// The providers by name.
    pub providers: BTreeMap<String, ModelProvider>,
}

/// A model provider's credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelProvider {
    /// Default true.
    pub enabled: bool,
    /// The only key (`apiKey`).
    pub api_key: Option<SecretInput>,
    /// Further keys (`apiKeys`), in the order of the config.
    pub api_keys: Vec<SecretInput>,
}

const NOT_SERVED: &str =
    "the back door is not served yet: what stands here is checked, and neither resolved nor used";
const BASE_URL: &str = "https://HOST[:PORT][/PATH], or http://";

/// Reads `[models]`.
pub(super) fn read(entry: &Entry<'_>, walk: &mut Walk<'_>, providers: &Providers) -> Models {
    if entry.is_present() {
        walk.warn(entry.place(), NOT_SERVED);
    }
    let [
        listen,
        state_dir,
        client_token,
        max_replay_bytes,
        env_file,
        models,
    ] = entry.section(walk).fields(
        walk,
        [
            "listen",
            "stateDir",
            "clientToken",
            "maxReplayBytes",
            "envFile",
            "providers",
        ],
        &["mode"],
    );
    for entry in [listen, state_dir, max_replay_bytes, env_file] {
        entry.not_yet(walk, "the back door");
    }
    let client_token = secret::read(&client_token, walk, providers);
    let mut listed = BTreeMap::new();
    for (name, provider) in models.section(walk).members(walk) {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_name) {
            walk.refuse(
                provider.place(),
                "got another name, expected 1 to 64 of letters, digits, `.`, `_` and `-`",
            );
        }
        let provider = read_provider(&provider.section(walk), walk, providers);
        listed.insert(name, provider);
    }
    Models {
        client_token,
        providers: listed,
    }
}

fn read_provider(
    section: &Section<'_>,
    walk: &mut Walk<'_>,
    providers: &Providers,
) -> ModelProvider {
    let [
        enabled,
        base_url,
        api,
        api_key,
        api_keys,
        auth_header,
        auth_format,
    ] = section.fields(
        walk,
        [
            "enabled",
            "baseUrl",
            "api",
            "apiKey",
            "apiKeys",
            "authHeader",
            "authFormat",
        ],
        &["models"],
    );
    base_url.parse(walk, Shape::Hidden, BASE_URL, |text| {
        let rest = ["https://", "http://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        match rest {
            Some(rest) if !rest.is_empty() && !rest.contains(['@', ' ', '?', '#']) => Ok(()),
            _ => Err(String::new()),
        }
    });
    for word in [api, auth_header, auth_format] {
        word.text(walk, Shape::Hidden, "a string");
    }
    let expected = "an array of secrets";
    let keys = api_keys.items(walk, expected).unwrap_or_default();
    ModelProvider {
        enabled: enabled.boolean(walk).unwrap_or(true),
        api_key: secret::read(&api_key, walk, providers),
        api_keys: keys
            .iter()
            .filter_map(|key| secret::read(key, walk, providers))
            .collect(),
    }
}

/// Reads `[auth]`: the order of profiles for each provider, for its form alone.
pub(super) fn read_auth(section: &Section<'_>, walk: &mut Walk<'_>) {
    if section.is_present() {
        walk.warn(section.place(), NOT_SERVED);
    }
    let [order] = section.fields(walk, ["order"], &["profiles"]);
    let expected = "an array of profiles' ids such as `anthropic:work`";
    for (_, profiles) in order.section(walk).members(walk) {
        walk.note(profiles.place());
        for profile in profiles.items(walk, expected).unwrap_or_default() {
            profile.text(
                walk,
                Shape::Hidden,
                "a profile's id such as `anthropic:work`",
            );
        }
    }
}
