//! The audit of secrets: plaintext where it shouldn't be, files that are open to
//! others, and references without a value.

use super::assignment::shown;
use super::custody::{self, FileFacts, not_examined};
use super::facts::Facts;
use super::finding::{Finding, Place, Severity, worst_first};
use super::finding_id::FindingId;
use super::guard::Guard;
use super::holder::Holder;
use super::look::Look;
use super::unit_environment;
use crate::config::{Activity, Config, Surface};
use crate::secrets::{
    Provider, SecretInput, looks_like_variable, names_credential, secrets_in_arguments,
};

/// A reference that is in use and has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// The config's key.
    pub key: String,
    /// The reference: `env:default:TOKEN`.
    pub reference: String,
    /// The variable that would hold it, where it is one.
    pub variable: Option<String>,
    /// The code of the error.
    pub code: &'static str,
    /// What was got and what was expected.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// Whose it is, where it wasn't read since it isn't this user's.
    pub owner: Option<u32>,
}

/// Every finding on the config's secrets, the worst first.
#[must_use]
pub fn audit_secrets(config: &Config, facts: &Facts, unresolved: &[Unresolved]) -> Vec<Finding> {
    let mut findings = plaintext(config, facts);
    let guard = match findings.is_empty() {
        true => Guard::Config,
        false => Guard::ConfigWithSecrets,
    };
    findings.extend(config_file(facts, guard));
    let guarded = facts.guarded.iter();
    findings.extend(guarded.flat_map(|file| {
        let line = facts.line_of(file);
        custody::check(file, line, facts.holder)
    }));
    findings.extend(unit_environment::check(config, &facts.units, facts.holder));
    findings.extend(
        unresolved
            .iter()
            .map(|unresolved| without_value(unresolved, facts)),
    );
    worst_first(findings)
}

fn plaintext(config: &Config, facts: &Facts) -> Vec<Finding> {
    let mut findings = on_surfaces(config, facts);
    findings.extend(in_variables(config, facts));
    findings.extend(in_arguments(config, facts));
    findings
}

/// A secret in the config, which is as bad as the file is open.
fn in_plain(facts: &Facts, evidence: String, remedy: String, place: Place) -> Finding {
    const READ: u32 = 0o044;
    let severity = match facts.config_file.seen() {
        Some(FileFacts { mode, .. }) if mode & READ != 0 => Severity::Critical,
        _ => Severity::Warning,
    };
    Finding {
        id: FindingId::PlaintextFound,
        severity,
        evidence,
        remedy,
        place,
    }
}

fn on_surfaces(config: &Config, facts: &Facts) -> Vec<Finding> {
    let surfaces = config.surfaces().into_iter();
    let found = surfaces.filter_map(|surface| {
        let Surface {
            key,
            input,
            activity,
        } = surface;
        let use_of_it = match activity {
            Activity::Active => String::new(),
            Activity::Inactive(reason) => format!(", though nothing uses it: {reason}"),
        };
        let SecretInput::Plain(secret) = input else {
            return None;
        };
        let remedy = if looks_like_variable(secret.expose()) {
            "if it is the name of the variable that holds the secret, write `$` before it, \
             otherwise "
        } else {
            ""
        };
        Some(in_plain(
            facts,
            format!("the secret stands in the config itself{use_of_it}"),
            format!(
                "{remedy}put it into a file, the environment or a password store, write \"$NAME\" \
                 or {{ source, provider, id }} here, and replace it if others have seen this file"
            ),
            facts.at_key(&key),
        ))
    });
    found.collect()
}

/// Variables that are set for commands.
fn in_variables(config: &Config, facts: &Facts) -> Vec<Finding> {
    let found = config.secrets.listed().flat_map(|(provider, listed)| {
        let set = match listed {
            Provider::Exec(exec) => Some(&exec.env),
            Provider::Env(_) | Provider::File(_) => None,
        };
        let set = set.into_iter().flatten();
        let secret = set.filter(|(name, value)| names_credential(name) && !value.trim().is_empty());
        secret.map(move |(name, _)| {
            let table = format!("secrets.providers.{provider}.env");
            let key = format!("{table}.{name}");
            let place = facts.at_key_as(&key, if shown(name).is_some() { &key } else { &table });
            in_plain(
                facts,
                "a variable whose name is that of a credential is set in the config itself"
                    .to_owned(),
                format!(
                    "set it in the environment that Portcullis is started with, and name it in \
                     `secrets.providers.{provider}.passEnv` instead"
                ),
                place,
            )
        })
    });
    found.collect()
}

fn in_arguments(config: &Config, facts: &Facts) -> Vec<Finding> {
    let found = config.secrets.listed().flat_map(|(provider, listed)| {
        let arguments = match listed {
            Provider::Exec(exec) => exec.args.as_slice(),
            Provider::Env(_) | Provider::File(_) => &[],
        };
        let found = secrets_in_arguments(arguments).into_iter();
        found.map(move |(index, sign)| Finding {
            id: FindingId::PlaintextFound,
            // Whatever the config's mode.
            severity: Severity::Critical,
            evidence: format!(
                "an argument of the command looks like a secret ({}), and all users can read a \
                 running command's arguments",
                sign.as_str()
            ),
            remedy: format!(
                "let the command read it from a file, or from a variable named in \
                 `secrets.providers.{provider}.passEnv`, and replace it"
            ),
            place: facts.at_key(&format!("secrets.providers.{provider}.args[{index}]")),
        })
    });
    found.collect()
}

/// On the config's own file.
fn config_file(facts: &Facts, guard: Guard) -> Vec<Finding> {
    let place = Place::file(&facts.config_path);
    let what = match guard {
        Guard::ConfigWithSecrets => "the config holds secrets in plain text, and",
        _ => "the config",
    };
    match &facts.config_file {
        Look::Missing => Vec::new(),
        Look::Hidden(reason) => vec![not_examined(place, "the config's file", reason)],
        Look::Seen(file) => custody::breaches(&facts.config_path, *file, guard, facts.holder)
            .into_iter()
            .map(|breach| breach.finding(what, place.clone()))
            .collect(),
    }
}

fn without_value(unresolved: &Unresolved, facts: &Facts) -> Finding {
    let Unresolved {
        key,
        reference,
        variable,
        code,
        message,
        remedy,
        owner,
    } = unresolved;
    let is_of_service = |owner: u32| owner != facts.user && facts.holder.may_be(owner);
    if let Some(owner) = owner.filter(|owner| is_of_service(*owner)) {
        let whose = match facts.holder {
            Holder::Service(_) => format!("user {owner}'s, as whom Portcullis runs"),
            _ => format!("user {owner}'s, and nothing shows whether Portcullis runs as that user"),
        };
        return Finding {
            id: FindingId::NotExamined,
            severity: Severity::Info,
            evidence: format!("{reference} was not resolved: what holds it is {whose}"),
            remedy: "run this command as the service's user".to_owned(),
            place: facts.at_key(key),
        };
    }
    let setter = variable
        .as_ref()
        .and_then(|name| unit_environment::setter(&facts.units, name));
    Finding {
        id: FindingId::RefUnresolved,
        severity: Severity::Critical,
        evidence: format!("{reference}: {message} ({code})"),
        remedy: match setter {
            Some(path) => format!(
                "{} sets it for the service: run this with the same environment",
                path.display()
            ),
            None => remedy.clone(),
        },
        place: facts.at_key(key),
    }
}

#[cfg(test)]
mod tests;
