//! `[secrets]`: the providers that references name.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::entry::Entry;
use super::section::{Section, list};
use super::shape::Shape;
use super::walk::Walk;
use crate::secrets::{
    Custody, EnvName, EnvProvider, ExecId, ExecProvider, FileMode, FileProvider, Provider,
    ProviderName, Providers, SecretId, SecretSource,
};

/// The gateway's own bounds.
const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 1..=120_000;
const MAX_BYTES: std::ops::RangeInclusive<u64> = 1..=20 * 1024 * 1024;
const MAX_ALLOWED: usize = 256;
const MAX_ARGS: usize = 128;
/// In UTF-16 units, as JavaScript counts.
const MAX_ARG_LENGTH: usize = 1024;
const MAX_PASSED: usize = 128;
const MAX_TRUSTED_DIRS: usize = 64;
/// As many as a provider is asked for at a time.
const MAX_PROFILE_IDS: usize = 512;

const ENV_NAME: &str = "an environment variable's name";

/// Reads `[secrets]`.
pub(super) fn read(section: &Section<'_>, walk: &mut Walk<'_>) -> Providers {
    let [providers, defaults] = section.fields(
        walk,
        ["providers", "defaults"],
        &["egressProxy", "resolution"],
    );
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

/// `file` and `exec` are the gateway's defaults for its own dialogs: a reference
/// always names its provider.
fn read_defaults(section: &Section<'_>, walk: &mut Walk<'_>) -> ProviderName {
    let defaults = section.fields(walk, ["env", "file", "exec"], &["store"]);
    let [_, file, exec] = &defaults;
    for idle in [file, exec] {
        if idle.is_present() {
            walk.warn(
                idle.place(),
                "means nothing here: a reference always names its provider",
            );
        }
    }
    let [env, _, _] = defaults.map(|entry| {
        entry.parse(walk, Shape::Hidden, "a provider's name", |text| {
            ProviderName::parse(text).map_err(|error| error.to_string())
        })
    });
    env.unwrap_or_else(ProviderName::fallback)
}

fn read_provider(section: &Section<'_>, walk: &mut Walk<'_>) -> Option<Provider> {
    if walk.learns() {
        read_env(section, walk);
        read_file(section, walk);
        return read_exec(section, walk).map(Provider::Exec);
    }
    let source = section
        .peek("source")
        .needed(walk, &list(&SecretSource::NAMES))
        .choice(walk, &SecretSource::NAMES, &SecretSource::ALL)?;
    match source {
        SecretSource::Env => Some(Provider::Env(read_env(section, walk))),
        SecretSource::File => read_file(section, walk).map(Provider::File),
        SecretSource::Exec => read_exec(section, walk).map(Provider::Exec),
    }
}

fn read_env(section: &Section<'_>, walk: &mut Walk<'_>) -> EnvProvider {
    let [_, allowlist] = section.fields(walk, ["source", "allowlist"], &[]);
    let names = read_names(&allowlist, walk, MAX_ALLOWED);
    EnvProvider::new(names.map(|names| names.into_iter().collect()))
}

fn read_file(section: &Section<'_>, walk: &mut Walk<'_>) -> Option<FileProvider> {
    let [_, path, mode, timeout, max_bytes, mounted] = section.fields(
        walk,
        [
            "source",
            "path",
            "mode",
            "timeoutMs",
            "maxBytes",
            "mountedVolume",
        ],
        &[],
    );
    let modes = [FileMode::Json, FileMode::SingleValue];
    let mode = mode.choice(walk, &["json", "singleValue"], &modes);
    let timeout = read_millis(&timeout, walk);
    let max_bytes = max_bytes.integer(walk, MAX_BYTES);
    let custody = match mounted.boolean(walk) {
        Some(true) => Custody::MountedVolume,
        Some(false) | None => Custody::Own,
    };
    let path_entry = path;
    let path = path_entry.needed(walk, "a file's path").path(walk);
    if path.as_ref().is_some_and(|path| names_a_home(path)) {
        path_entry.refuse(
            walk,
            Shape::Hidden,
            "a path, `~/` in front for the home folder alone",
        );
    }
    Some(FileProvider {
        path: path?,
        mode: mode.unwrap_or(FileMode::Json),
        custody,
        timeout: timeout.unwrap_or(FileProvider::DEFAULT_TIMEOUT),
        max_bytes: max_bytes.unwrap_or(FileProvider::DEFAULT_MAX_BYTES),
    })
}

fn read_exec(section: &Section<'_>, walk: &mut Walk<'_>) -> Option<ExecProvider> {
    let [
        _,
        command,
        args,
        env,
        pass_env,
        json_only,
        allow_symlink,
        trusted_dirs,
        profile_ids,
        timeout,
        no_output_timeout,
        max_output,
    ] = section.fields(
        walk,
        [
            "source",
            "command",
            "args",
            "env",
            "passEnv",
            "jsonOnly",
            "allowSymlinkCommand",
            "trustedDirs",
            "profileIds",
            "timeoutMs",
            "noOutputTimeoutMs",
            "maxOutputBytes",
        ],
        &[],
    );
    let path = read_absolute(command.needed(walk, "an absolute path"), walk);
    let args = read_args(&args, walk);
    let env = read_variables(&env, walk);
    let pass_env = read_names(&pass_env, walk, MAX_PASSED).unwrap_or_default();
    let json_only = json_only.boolean(walk).unwrap_or(true);
    let allow_symlink_command = allow_symlink.boolean(walk).unwrap_or(false);
    let dirs = read_list(
        &trusted_dirs,
        walk,
        "an array of absolute paths",
        MAX_TRUSTED_DIRS,
    );
    let dirs: Vec<PathBuf> = dirs
        .unwrap_or_default()
        .iter()
        .filter_map(|item| read_absolute(item, walk))
        .collect();
    let profile_ids = read_list(&profile_ids, walk, "an array of ids", MAX_PROFILE_IDS);
    let profile_ids = profile_ids.unwrap_or_default();
    let profile_ids = profile_ids.iter().filter_map(|item| read_id(item, walk));
    let profile_ids = profile_ids.collect();
    let timeout = read_millis(&timeout, walk).unwrap_or(ExecProvider::DEFAULT_TIMEOUT);
    let silence = read_millis(&no_output_timeout, walk).unwrap_or(timeout);
    if silence > timeout {
        walk.warn(
            no_output_timeout.place(),
            "is longer than `timeoutMs`, which ends the command before",
        );
    }
    let max_output = max_output.integer(walk, MAX_BYTES);
    if allow_symlink_command && dirs.is_empty() {
        walk.refuse(
            allow_symlink.place(),
            "got `true` alone, expected `trustedDirs` too: the folders of the link and of its target",
        );
    }
    Some(ExecProvider {
        command: path?,
        args,
        pass_env,
        env,
        json_only,
        allow_symlink_command,
        trusted_dirs: dirs,
        profile_ids,
        timeout,
        no_output_timeout: silence,
        max_output_bytes: max_output.map_or(ExecProvider::DEFAULT_MAX_OUTPUT_BYTES, |bytes| {
            usize::try_from(bytes).unwrap_or(usize::MAX)
        }),
    })
}

/// `~nick/…`, which only a shell understands.
fn names_a_home(path: &std::path::Path) -> bool {
    let first = path.iter().next().and_then(|first| first.to_str());
    first.is_some_and(|first| first.starts_with('~') && first != "~")
}

fn read_millis(entry: &Entry<'_>, walk: &mut Walk<'_>) -> Option<Duration> {
    entry.integer(walk, TIMEOUT_MS).map(Duration::from_millis)
}

fn read_absolute(entry: &Entry<'_>, walk: &mut Walk<'_>) -> Option<PathBuf> {
    entry.parse(walk, Shape::Hidden, "an absolute path", |text| {
        if text.starts_with('/') && !text.contains(char::is_control) {
            Ok(PathBuf::from(text))
        } else {
            Err(String::new())
        }
    })
}

fn read_id(entry: &Entry<'_>, walk: &mut Walk<'_>) -> Option<ExecId> {
    entry.parse(
        walk,
        Shape::Hidden,
        "an id of an exec reference",
        |text| match SecretSource::Exec.parse_id(text) {
            Ok(SecretId::Exec(id)) => Ok(id),
            _ => Err(String::new()),
        },
    )
}

/// The elements of an array that isn't too long.
fn read_list<'a>(
    entry: &Entry<'a>,
    walk: &mut Walk<'_>,
    expected: &str,
    most: usize,
) -> Option<Vec<Entry<'a>>> {
    let items = entry.items(walk, expected)?;
    if items.len() > most {
        let got = items.len();
        walk.refuse(
            entry.place(),
            format!("got {got} elements, expected at most {most}"),
        );
    }
    Some(items)
}

fn read_names(entry: &Entry<'_>, walk: &mut Walk<'_>, most: usize) -> Option<Vec<EnvName>> {
    let items = read_list(
        entry,
        walk,
        "an array of environment variables' names",
        most,
    )?;
    let names = items.iter().filter_map(|item| {
        item.parse(walk, Shape::Hidden, ENV_NAME, |text| {
            EnvName::parse(text).map_err(|error| error.to_string())
        })
    });
    Some(names.collect())
}

fn read_args(entry: &Entry<'_>, walk: &mut Walk<'_>) -> Vec<String> {
    let items = read_list(entry, walk, "an array of strings", MAX_ARGS).unwrap_or_default();
    let expected = format!("a string of at most {MAX_ARG_LENGTH} characters, without NUL");
    let args = items.iter().filter_map(|item| {
        item.parse(walk, Shape::Hidden, &expected, |text| {
            if text.encode_utf16().count() <= MAX_ARG_LENGTH && !text.contains('\0') {
                Ok(text.to_owned())
            } else {
                Err(String::new())
            }
        })
    });
    args.collect()
}

/// A table of strings, its names being the user's own.
fn read_variables(entry: &Entry<'_>, walk: &mut Walk<'_>) -> BTreeMap<String, String> {
    if walk.learns() {
        return BTreeMap::new();
    }
    let section = entry.section(walk).unlisted();
    let mut variables = BTreeMap::new();
    for (name, value) in section.members(walk) {
        let text = value.parse(
            walk,
            Shape::Hidden,
            "a string without NUL",
            |text| match text.contains('\0') {
                true => Err(String::new()),
                false => Ok(text.to_owned()),
            },
        );
        if name.is_empty() || name.contains(['=', '\0']) {
            walk.refuse(
                value.place(),
                format!("got another name, expected {ENV_NAME}"),
            );
        } else if let Some(text) = text {
            variables.insert(name, text);
        }
    }
    variables
}
