//! `secrets`: where the gateway's secrets come from.

use toml::Value;

use super::object::{LeftOuts, Object};
use super::page::{Page, Section};
use crate::secrets::{EnvName, ProviderName, SecretSource, secrets_in_arguments};

const HOME: &str = "`~` is the home of the user that Portcullis runs as, which must own the file \
                    and be alone in reading it.";
const COMMAND_ENV: &str = "Its env did not come along, since its values may be secrets: set the \
                           variables in Portcullis' own environment and name them in passEnv.";

const NAME: &str = "its name is none that a reference can hold";
const SOURCE: &str = "its source is none of env, file and exec";
const STORE: &str = "the gateway's own store, which Portcullis can't read: move its secrets into \
                     the environment, a file, or behind a command";
const PLUGIN: &str = "a plugin of the gateway's gives its secrets: name the command behind it";
const VARIABLE: &str = "got no environment variable's name: capitals, digits and `_`";
const MODE: &str = "got neither \"json\" nor \"singleValue\"";
const ARGS: &str = "an argument of its command could not be read, and without it the command would \
                    be another";
const ARG_SECRET: &str = "an argument of its command looks like a secret, which every user can read while the \
                          command runs: let the command read it from a file, or from a variable \
                          named in passEnv";
const DIRS: &str = "no entry of its trustedDirs could be read, and without them it would be \
                    trusted with more";
const DEFAULT: &str = "got no provider's name";
const INSECURE: &str = "there is no way round the checks of a path here";
const ENV: &str = "its values may be secrets: set the variables in Portcullis' environment and \
                   name them in passEnv";

/// Everything below `secrets`, but for what is not known there.
pub(super) fn import(secrets: &mut Object, page: &mut Page, out: &mut LeftOuts) {
    let mut defaults = secrets.object("defaults", out);
    let mut section = Section::new(["secrets", "defaults"]);
    for source in SecretSource::NAMES {
        match defaults.text(source, out) {
            Some(name) if ProviderName::parse(&name).is_ok() => section.set(source, name),
            Some(_) => out.add(&defaults.at(source), DEFAULT),
            None => {}
        }
    }
    page.add(section);
    defaults.leave_rest(&[("store", STORE)], out);

    let mut providers = secrets.object("providers", out);
    for (name, provider) in providers.named_objects(out) {
        if let Some(section) = import_provider(&name, provider, out) {
            page.add(section);
        }
    }
}

fn import_provider(name: &str, mut provider: Object, out: &mut LeftOuts) -> Option<Section> {
    let whole = |reason| (None, reason);
    let source = provider.source();
    let kind = source.as_deref().and_then(SecretSource::parse);
    let (kind, reason) = match (kind, source.as_deref()) {
        _ if ProviderName::parse(name).is_err() => whole(NAME),
        (_, Some("store")) => whole(STORE),
        (Some(SecretSource::Exec), _) if provider.has("pluginIntegration") => whole(PLUGIN),
        (kind, _) => (kind, SOURCE),
    };
    let Some(kind) = kind else {
        provider.leave(reason, out);
        return None;
    };
    let mut section = Section::new(["secrets", "providers", name]);
    section.set_some("source", provider.text("source", out));
    let done = match kind {
        SecretSource::Env => {
            // An allowlist of nothing allows nothing, so what can't be read may go.
            section.set_some("allowlist", variables(&mut provider, "allowlist", out));
            Ok(())
        }
        SecretSource::File => {
            file(&mut provider, &mut section, out);
            Ok(())
        }
        SecretSource::Exec => command(&mut provider, &mut section, out),
    };
    if let Err(reason) = done {
        provider.leave(reason, out);
        return None;
    }
    provider.leave_rest(&[("env", ENV), ("allowInsecurePath", INSECURE)], out);
    Some(section)
}

fn file(provider: &mut Object, section: &mut Section, out: &mut LeftOuts) {
    let path = provider.text("path", out);
    match path {
        Some(path) => {
            if path.starts_with('~') {
                section.note(HOME);
            }
            section.set("path", path);
        }
        None => section.example("path = \"/etc/portcullis/secrets.json\""),
    }
    match provider.text("mode", out) {
        Some(mode) if ["json", "singleValue"].contains(&mode.as_str()) => section.set("mode", mode),
        Some(_) => out.add(&provider.at("mode"), MODE),
        None => {}
    }
    for key in ["timeoutMs", "maxBytes"] {
        section.set_some(key, provider.count(key, out));
    }
}

/// Fails where the command would be another than at the gateway, or less confined.
fn command(
    provider: &mut Object,
    section: &mut Section,
    out: &mut LeftOuts,
) -> Result<(), &'static str> {
    match provider.text("command", out) {
        Some(command) => section.set("command", command),
        None => section.example("command = \"/usr/local/bin/resolver\""),
    }
    if let Some(args) = provider.texts("args", out) {
        let args: Option<Vec<String>> = args.into_iter().map(|(_, arg)| arg).collect();
        let args = args.ok_or(ARGS)?;
        if !secrets_in_arguments(&args).is_empty() {
            return Err(ARG_SECRET);
        }
        section.set("args", args);
    }
    if provider.has("env") {
        section.note(COMMAND_ENV);
    }
    section.set_some("passEnv", variables(provider, "passEnv", out));
    if let Some(items) = provider.texts("trustedDirs", out) {
        let were_any = !items.is_empty();
        let dirs: Vec<String> = items.into_iter().filter_map(|(_, dir)| dir).collect();
        if were_any && dirs.is_empty() {
            return Err(DIRS);
        }
        section.set("trustedDirs", dirs);
    }
    for key in ["allowSymlinkCommand", "jsonOnly"] {
        section.set_some(key, provider.flag(key, out));
    }
    for key in ["timeoutMs", "noOutputTimeoutMs", "maxOutputBytes"] {
        section.set_some(key, provider.count(key, out));
    }
    Ok(())
}

/// An array of environment variables' names, without those that are none.
fn variables(provider: &mut Object, key: &str, out: &mut LeftOuts) -> Option<Value> {
    let mut names = Vec::new();
    for (place, name) in provider.texts(key, out)? {
        match name {
            Some(name) if EnvName::parse(&name).is_ok() => names.push(name),
            Some(_) => out.add(&place, VARIABLE),
            None => {}
        }
    }
    Some(names.into())
}
