//! Secrets in the config: a SecretInput under any key.

use toml::de::DeValue;

use super::entry::Entry;
use super::section::list;
use super::shape::Shape;
use super::walk::Walk;
use crate::secrets::{
    ProviderName, Providers, SecretError, SecretInput, SecretRef, SecretSource, looks_like_variable,
};

const EXPECTED: &str =
    "a string, \"$NAME\", or { source = \"env|file|exec\", provider = \"default\", id = \"…\" }";

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
        SecretInput::Plain(value) if looks_like_variable(value.expose()) => {
            walk.warn(
                entry.place(),
                "looks like a variable's name and is taken literally: for the variable, write `$` in front",
            );
        }
        SecretInput::Plain(_) => {}
        SecretInput::Ref(reference) => {
            if let Err(error) = providers.admit(reference) {
                // A provider that is there, and refused itself, is said enough of.
                let named = format!("secrets.providers.{}", reference.provider);
                if !walk.has_problem_at(&named) {
                    walk.refuse(entry.place(), refusal(&error, providers));
                }
                return None;
            }
        }
    }
    Some(input)
}

/// The error's own words name what was written, and that could be a secret that
/// slipped into the reference.
fn refusal(error: &SecretError, providers: &Providers) -> String {
    let expected = match error {
        SecretError::PolicyDenied { .. } => "a name of the provider's allowlist".to_owned(),
        SecretError::SourceMismatch { asked, .. } => format!("a provider of source `{asked}`"),
        SecretError::WrongId { expected, .. } => (*expected).to_owned(),
        _ => {
            let names: Vec<&str> = providers.listed().map(|(name, _)| name.as_str()).collect();
            match names.is_empty() {
                true => "a provider of `secrets.providers`".to_owned(),
                false => format!("a provider of `secrets.providers`: {}", list(&names)),
            }
        }
    };
    format!("got another, expected {expected} ({})", error.code())
}

/// Reads `{ source, provider, id }`: exactly these three, as at the gateway.
fn read_reference(entry: &Entry<'_>, walk: &mut Walk<'_>) -> Option<SecretRef> {
    let section = entry.section(walk).unlisted();
    let [source, provider, id] = section.fields(walk, ["source", "provider", "id"], &[]);
    let source = source.needed(walk, &list(&SecretSource::NAMES)).choice(
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
    let source = source?;
    let id = id.parse(walk, Shape::Hidden, "an id", |text| {
        source.parse_id(text).map_err(|error| error.to_string())
    });
    Some(SecretRef {
        provider: provider?,
        id: id?,
    })
}
