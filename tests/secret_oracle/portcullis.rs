//! Our side, the way a user goes: the block in a config, the reference at a key of
//! it, and then its value.

use std::collections::BTreeSet;
use std::ffi::OsString;

use portcullis::config::{self, Config, Problem};
use portcullis::secrets::{SecretInput, SecretRef};
use serde_json::{Value, json};

use super::case::{Asked, Case};
use super::outcome::{Outcome, Verdict};

/// Where references stand.
const SURFACE: &str = "admin.token";

pub(crate) fn judge(case: &Case) -> Verdict {
    let config = parse(&case.secrets, None).map_err(|problems| shown(&problems))?;
    let environment = |name: &str| case.environment.get(name).map(OsString::from);
    Ok(case
        .batches
        .iter()
        .map(|batch| {
            let admitted: Vec<_> = batch.iter().map(|asked| admit(case, asked)).collect();
            let references: BTreeSet<SecretRef> =
                admitted.iter().filter_map(|one| one.clone().ok()).collect();
            let resolved = config.secrets.resolve(&references, &environment);
            let outcome = |admitted: Result<SecretRef, Outcome>| match admitted {
                Err(settled) => settled,
                Ok(reference) => match &resolved[&reference] {
                    Ok(value) => Outcome::Value(value.expose().to_owned()),
                    Err(error) => Outcome::Code(error.code().to_owned()),
                },
            };
            admitted.into_iter().map(outcome).collect()
        })
        .collect())
}

/// The reference as the config has it, or what the config alone says: the secret
/// itself, the code that resolving would give, or that it is no reference at all.
fn admit(case: &Case, asked: &Asked) -> Result<SecretRef, Outcome> {
    match parse(&case.secrets, Some(&asked.reference)) {
        Ok(config) => match config.admin.token {
            Some(SecretInput::Ref(reference)) => Ok(reference),
            Some(SecretInput::Plain(secret)) => Err(Outcome::Value(secret.expose().to_owned())),
            None => Err(Outcome::Malformed),
        },
        Err(problems) => {
            let is_elsewhere = problems.iter().any(|one| !one.key.starts_with(SURFACE));
            assert!(!is_elsewhere, "{}: {}", case.name, shown(&problems));
            let code = problems.iter().find_map(|one| code_in(&one.message));
            Err(code.map_or(Outcome::Malformed, Outcome::Code))
        }
    }
}

fn code_in(message: &str) -> Option<String> {
    let (_, code) = message.strip_suffix(')')?.rsplit_once('(')?;
    code.starts_with("SECRET_").then(|| code.to_owned())
}

fn parse(secrets: &Value, token: Option<&Value>) -> Result<Config, Vec<Problem>> {
    let mut config = json!({
        "listen": {"address": "127.0.0.1:8443"},
        "upstream": {"url": "http://127.0.0.1:18789"},
        "gateway": {
            "trustedProxies": ["10.0.0.1"],
            "auth": {
                "mode": "trusted-proxy",
                "trustedProxy": {"userHeader": "x-forwarded-user", "allowUsers": ["nick@example.com"]},
            },
        },
        "secrets": secrets,
    });
    if let Some(token) = token {
        config["admin"] = json!({"token": token});
    }
    let text = toml::to_string(&config).unwrap();
    config::parse(&text).map(|parsed| parsed.config)
}

fn shown(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|one| format!("{}: {}", one.key, one.message))
        .collect();
    lines.join("; ")
}
