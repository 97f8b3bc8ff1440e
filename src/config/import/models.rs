//! `models.providers` and `auth.order`: the back door's part.

use serde_json::Value;

use super::object::{LeftOuts, Object, items};
use super::page::{Page, Section};
use super::reference;

const NOT_SERVED: &str = "Without `models.listen` the back door is off: the keys of [models] and [auth] are \
                          checked, and do nothing.";
const NO_KEY: &str = "Its key did not come along. Put it where a reference can name it:";

const OWN_ADDRESS: &str = "If this is Portcullis' own back door, take it out: the provider's own address is \
                           known, or stood here before.";

const APIS: [&str; 11] = [
    "openai-completions",
    "openai-responses",
    "openai-chatgpt-responses",
    "anthropic-messages",
    "google-generative-ai",
    "google-vertex",
    "github-copilot",
    "bedrock-converse-stream",
    "ollama",
    "pi-messages",
    "azure-openai-responses",
];
const SHARED: [&str; 5] = ["enabled", "baseUrl", "api", "apiKey", "apiKeys"];

const API: &str = "got no API that the gateway knows";
const BASE_URL: &str = "got no http or https URL, or one with a user, a query or a fragment, which \
                        may be secrets";
const ELSEWHERE: &str = "its baseUrl did not come along, and without it its key would go to another \
                         host";
const KEYS: &str = "got something else than an array of references";
const NOTHING: &str = "the gateway's own: nothing of it concerns credentials";
const HEADERS: &str = "the gateway's own, and its values may be secrets";
const AUTH_HEADER: &str = "the gateway's switch; the key of this name here is a header's name";

/// Everything below `models` and `auth`, but for what is not known there.
pub(super) fn import(models: &mut Object, auth: &mut Object, page: &mut Page, out: &mut LeftOuts) {
    let mut sections = Vec::new();
    for (name, provider) in models.object("providers", out).named_objects(out) {
        if SHARED.iter().any(|key| provider.has(key)) {
            sections.extend(import_provider(&name, provider, out));
        } else {
            provider.leave(NOTHING, out);
        }
    }
    if sections.iter().any(|section| !section.is_empty()) {
        page.add(Section::remark(NOT_SERVED));
    }
    for section in sections {
        page.add(section);
    }

    let mut section = Section::new(["auth", "order"]);
    for (provider, place, profiles) in auth.object("order", out).named(out) {
        let profiles: Vec<String> = items(&place, profiles, out)
            .into_iter()
            .filter_map(|(_, profile)| profile)
            .collect();
        if !profiles.is_empty() {
            section.set(&provider, profiles);
        }
    }
    page.add(section);
}

fn import_provider(name: &str, mut provider: Object, out: &mut LeftOuts) -> Option<Section> {
    let mut section = Section::new(["models", "providers", name]);
    if provider.has("enabled") {
        // What can't be read might have said no.
        let enabled = provider.flag("enabled", out).unwrap_or(false);
        section.set("enabled", enabled);
    }
    if provider.has("baseUrl") {
        match provider.text("baseUrl", out) {
            Some(url) if is_bare_url(&url) => {
                if is_local(&url) {
                    section.note(OWN_ADDRESS);
                }
                section.set("baseUrl", url);
            }
            unusable => {
                if unusable.is_some() {
                    out.add(&provider.at("baseUrl"), BASE_URL);
                }
                provider.leave(ELSEWHERE, out);
                return None;
            }
        }
    }
    match provider.text("api", out) {
        Some(api) if APIS.contains(&api.as_str()) => section.set("api", api),
        Some(_) => out.add(&provider.at("api"), API),
        None => {}
    }
    let asked = provider.has("apiKey") || provider.has("apiKeys");
    let key = provider.take("apiKey").and_then(|key| {
        reference::read(&key)
            .map_err(|reason| out.add(&provider.at("apiKey"), reason))
            .ok()
    });
    let keys = keys(&mut provider, out);
    if asked && key.is_none() && keys.is_empty() {
        section.note(NO_KEY);
        section.example("apiKey = \"$NAME_OF_A_VARIABLE\"");
    }
    section.set_some("apiKey", key);
    if !keys.is_empty() {
        section.set("apiKeys", keys);
    }
    provider.leave_rest(
        &[
            ("headers", HEADERS),
            ("request", HEADERS),
            ("params", HEADERS),
            ("authHeader", AUTH_HEADER),
        ],
        out,
    );
    Some(section)
}

fn keys(provider: &mut Object, out: &mut LeftOuts) -> Vec<toml::Value> {
    let place = provider.at("apiKeys");
    let keys = match provider.take("apiKeys") {
        Some(Value::Array(keys)) => keys,
        Some(_) => {
            out.add(&place, KEYS);
            return Vec::new();
        }
        None => return Vec::new(),
    };
    let mut kept = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        match reference::read(key) {
            Ok(reference) => kept.push(reference),
            Err(reason) => out.add(&place.element(index, 0), reason),
        }
    }
    kept
}

fn is_local(url: &str) -> bool {
    ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"]
        .iter()
        .any(|start| url.starts_with(start))
}

fn is_bare_url(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['@', '?', '#', ' ', '\\']))
}
