//! A provider's pool of API keys: from where, and in which order.

use super::fingerprint;
use crate::secrets::{SecretValue, Variables};

/// A key of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolKey {
    /// The key.
    pub value: SecretValue,
    /// What stands for it in status, logs and the sink.
    pub fingerprint: String,
    /// Where it came from: a config key or a variable's name.
    pub origin: String,
}

/// The names of a provider's variables.
struct Names {
    live: String,
    list: String,
    single: String,
    prefix: String,
}

impl Names {
    fn of(provider: &str) -> Self {
        let name = variable_name(provider);
        Self {
            live: format!("OPENCLAW_LIVE_{name}_KEY"),
            list: format!("{name}_API_KEYS"),
            single: format!("{name}_API_KEY"),
            prefix: format!("{name}_API_KEY_"),
        }
    }
}

/// How variables call a provider: `openai-codex` is `OPENAI_CODEX` there. Two providers
/// of one such name would share their keys.
#[must_use]
pub fn variable_name(provider: &str) -> String {
    let fold = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    };
    provider.chars().map(fold).collect()
}

impl PoolKey {
    fn new(value: SecretValue, origin: String) -> Self {
        Self {
            fingerprint: fingerprint(&value),
            value,
            origin,
        }
    }
}

/// The pool of `provider`: `OPENCLAW_LIVE_<PROVIDER>_KEY` alone where it is set; else
/// the `configured` keys, then those of `<PROVIDER>_API_KEYS` (split at white space, `,`
/// and `;`), `<PROVIDER>_API_KEY` and `<PROVIDER>_API_KEY_*` by their names. Of keys that
/// are the same the first counts. Of `variables` the first that has a name counts; blank
/// values count as missing.
#[must_use]
pub fn collect(
    provider: &str,
    configured: Vec<(String, SecretValue)>,
    variables: &[&dyn Variables],
) -> Vec<PoolKey> {
    let names = Names::of(provider);
    let value = |name: &str| {
        let found = variables.iter().find_map(|source| source.value(name))?;
        // What is no text is no key that a header could hold.
        let value = SecretValue::new(found.into_string().ok()?);
        let trimmed = value.expose().trim();
        (!trimmed.is_empty()).then(|| SecretValue::concat(&[trimmed]))
    };
    if let Some(live) = value(&names.live) {
        return vec![PoolKey::new(live, names.live)];
    }
    let mut keys: Vec<PoolKey> = Vec::new();
    let mut add = |value: SecretValue, origin: &str| {
        if keys.iter().all(|known| known.value != value) {
            keys.push(PoolKey::new(value, origin.to_owned()));
        }
    };
    for (origin, key) in configured {
        add(key, &origin);
    }
    if let Some(list) = value(&names.list) {
        let is_between = |c: char| c.is_whitespace() || c == ',' || c == ';';
        let parts = list.expose().split(is_between);
        for (index, part) in parts.filter(|part| !part.is_empty()).enumerate() {
            add(
                SecretValue::concat(&[part]),
                &format!("{}[{index}]", names.list),
            );
        }
    }
    if let Some(single) = value(&names.single) {
        add(single, &names.single);
    }
    let mut further: Vec<String> = variables
        .iter()
        .flat_map(|source| source.names())
        .filter(|name| name.len() > names.prefix.len() && name.starts_with(&names.prefix))
        .collect();
    further.sort();
    further.dedup();
    for name in further {
        if let Some(key) = value(&name) {
            add(key, &name);
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    struct Fixed(&'static [(&'static str, &'static str)]);

    impl Variables for Fixed {
        fn value(&self, name: &str) -> Option<OsString> {
            let found = self.0.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        }

        fn names(&self) -> Vec<String> {
            self.0.iter().map(|(name, _)| (*name).to_owned()).collect()
        }
    }

    fn keys(provider: &str, configured: &[&str], variables: &[&dyn Variables]) -> Vec<String> {
        let configured = configured.iter().map(|key| {
            let value = SecretValue::concat(&[key]);
            ("config".to_owned(), value)
        });
        let pool = collect(provider, configured.collect(), variables);
        let told = |key: &PoolKey| format!("{} {}", key.value.expose(), key.origin);
        pool.iter().map(told).collect()
    }

    #[test]
    fn takes_sources_in_their_order_and_each_key_once() {
        let environment = Fixed(&[
            ("OPENAI_API_KEY_2", "e"),
            ("OPENAI_API_KEY_10", "d"),
            ("OPENAI_API_KEY_", "never"),
            ("OPENAI_API_KEYS", " b,c;\tb ;; a\n"),
            ("OPENAI_API_KEY", "c2"),
            ("OPENAI_API_KEYRING", "never"),
            ("OPENAI_API_KEY_BLANK", "  "),
            ("GROQ_API_KEY", "never"),
        ]);
        assert_eq!(
            keys("openai", &["a", "b", "a"], &[&environment]),
            [
                "a config",
                "b config",
                "c OPENAI_API_KEYS[1]",
                "c2 OPENAI_API_KEY",
                "d OPENAI_API_KEY_10",
                "e OPENAI_API_KEY_2",
            ]
        );
    }

    #[test]
    fn a_live_key_stands_alone_unless_it_is_blank() {
        let file = Fixed(&[("OPENCLAW_LIVE_MY_AI_KEY", "live"), ("MY_AI_API_KEY", "b")]);
        assert_eq!(
            keys("my.ai", &["a"], &[&Fixed(&[]), &file]),
            ["live OPENCLAW_LIVE_MY_AI_KEY"]
        );
        let blank = Fixed(&[("OPENCLAW_LIVE_MY_AI_KEY", " ")]);
        assert_eq!(
            keys("my.ai", &["a"], &[&blank, &file]),
            ["a config", "b MY_AI_API_KEY"]
        );
    }

    #[test]
    fn the_environment_goes_before_the_file() {
        let environment = Fixed(&[("XAI_API_KEY", "one")]);
        let file = Fixed(&[("XAI_API_KEY", "two"), ("XAI_API_KEY_A", "three")]);
        assert_eq!(
            keys("xai", &[], &[&environment, &file]),
            ["one XAI_API_KEY", "three XAI_API_KEY_A"]
        );
    }
}
