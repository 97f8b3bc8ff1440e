//! Secrets in the config: a SecretInput under any key, and `[secrets]`.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeValue;

use super::entry::Entry;
use super::section::{Section, list};
use super::shape::Shape;
use super::walk::Walk;
use crate::secrets::{
    EnvName, EnvProvider, ProviderName, Providers, SecretError, SecretInput, SecretRef,
    SecretSource,
};

const EXPECTED: &str =
    "a string, \"$NAME\", or { source = \"env\", provider = \"default\", id = \"NAME\" }";

/// Reads a SecretInput. Nothing of it is ever repeated in a message.
pub(super) fn read(
    entry: &Entry<'_>,
    walk: &mut Walk<'_>,
    providers: &Providers,
) -> Option<SecretInput> {
    let input = match entry.value()? {
        DeValue::String(text) => match SecretInput::parse(text, providers.default_env()) {
            Ok(input) => input,
            Err(error) => {
                entry.refuse(walk, Shape::Hidden, &format!("{EXPECTED}: {error}"));
                return None;
            }
        },
        DeValue::Table(_) => SecretInput::Ref(read_reference(entry, walk)?),
        _ => {
            entry.refuse(walk, Shape::Hidden, EXPECTED);
            return None;
        }
    };
    match &input {
        SecretInput::Plain(value) if value.expose().starts_with('$') => {
            walk.warn(
                entry.place(),
                "begins with `$` but is no \"$NAME\" in capitals, so it is taken literally",
            );
        }
        SecretInput::Plain(_) => {}
        SecretInput::Ref(reference) => {
            if let Err(error) = providers.admit(reference) {
                // The error names what was written, and that could be a secret
                // that slipped into the reference.
                let expected = match error {
                    SecretError::PolicyDenied { .. } => "a name of the provider's allowlist",
                    _ => "a provider of `secrets.providers`",
                };
                walk.refuse(
                    entry.place(),
                    format!("got another, expected {expected} ({})", error.code()),
                );
                return None;
            }
        }
    }
    Some(input)
}

/// Reads `{ source, provider, id }`: exactly these three, as at the gateway.
fn read_reference(entry: &Entry<'_>, walk: &mut Walk<'_>) -> Option<SecretRef> {
    let section = entry.section(walk).unlisted();
    let [source, provider, id] = section.fields(walk, ["source", "provider", "id"], &[]);
    let source_kind = source.needed(walk, &list(&SecretSource::NAMES)).choice(
        walk,
        &SecretSource::NAMES,
        &SecretSource::ALL,
    );
    let provider = provider.needed(walk, "a provider's name").parse(
        walk,
        Shape::Hidden,
        "a provider's name",
        |text| ProviderName::parse(text).map_err(|error| error.to_string()),
    );
    id.needed(walk, "an id");
    let kind = source_kind?;
    let checked = id.parse(walk, Shape::Hidden, "an id", |text| {
        kind.check_id(text).map_err(|error| error.to_string())
    });
    match kind {
        SecretSource::Env => {
            checked?;
            let name = id
                .text(walk, Shape::Hidden, "an id")
                .and_then(|text| EnvName::parse(text).ok())?;
            Some(SecretRef::Env {
                provider: provider?,
                name,
            })
        }
        SecretSource::File | SecretSource::Exec => {
            source.not_yet(walk, "secrets from files and commands");
            None
        }
    }
}

/// Reads `[secrets]`.
pub(super) fn read_providers(section: &Section<'_>, walk: &mut Walk<'_>) -> Providers {
    let [providers, defaults] = section.fields(walk, ["providers", "defaults"], &["resolution"]);
    let default_env = read_defaults(&defaults.section(walk), walk);
    let mut listed = BTreeMap::new();
    for (name, provider) in providers.section(walk).members(walk) {
        let provider_name = ProviderName::parse(&name);
        if let Err(error) = provider_name {
            walk.refuse(
                provider.place(),
                format!("got another name, expected a provider's name: {error}"),
            );
        }
        let provider = read_provider(&provider.section(walk), walk);
        if let (Ok(name), Some(provider)) = (provider_name, provider) {
            listed.insert(name, provider);
        }
    }
    Providers::new(listed, default_env)
}

fn read_defaults(section: &Section<'_>, walk: &mut Walk<'_>) -> ProviderName {
    let [env, file, exec] = section.fields(walk, ["env", "file", "exec"], &[]);
    file.not_yet(walk, "secrets from files");
    exec.not_yet(walk, "secrets from commands");
    env.parse(walk, Shape::Hidden, "a provider's name", |text| {
        ProviderName::parse(text).map_err(|error| error.to_string())
    })
    .unwrap_or_else(ProviderName::fallback)
}

fn read_provider(section: &Section<'_>, walk: &mut Walk<'_>) -> Option<EnvProvider> {
    let source = section
        .peek("source")
        .value()
        .and_then(|value| value.as_str())
        .and_then(SecretSource::parse);
    if let Some(SecretSource::File | SecretSource::Exec) = source {
        // Refused once for its source, not once more for each key that goes with it.
        section
            .peek("source")
            .not_yet(walk, "secrets from files and commands");
        return None;
    }
    let [source, allowlist] = section.fields(walk, ["source", "allowlist"], &[]);
    source.needed(walk, &list(&SecretSource::NAMES)).choice(
        walk,
        &SecretSource::NAMES,
        &SecretSource::ALL,
    )?;
    let expected = "an array of environment variables' names";
    let names = allowlist.items(walk, expected).map(|items| {
        items
            .iter()
            .filter_map(|item| {
                item.parse(
                    walk,
                    Shape::Hidden,
                    "an environment variable's name",
                    |text| EnvName::parse(text).map_err(|error| error.to_string()),
                )
            })
            .collect::<BTreeSet<_>>()
    });
    Some(EnvProvider::new(names))
}
