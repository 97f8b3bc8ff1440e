//! Secrets in `openclaw.json`: a reference comes along, plaintext never.

use serde_json::Value;

use crate::secrets::{ProviderName, SecretInput, SecretSource};

const PLAINTEXT: &str = "a plaintext secret: put it behind a reference such as \"$NAME\" or { \
                         source, provider, id }, and change it where others could read it";
const NO_SECRET: &str = "got neither a string nor a reference";
const NO_REFERENCE: &str = "got no reference: it has exactly source, provider and id, each in the \
                            form that the gateway asks for";
const STORE: &str = "a secret of the gateway's own store, which Portcullis can't read: put it into \
                     the environment, a file, or behind a command";

/// The reference that stands where a secret belongs, or why none comes along.
pub(super) fn read(value: &Value) -> Result<toml::Value, &'static str> {
    match value {
        // Which provider a shorthand means is for the reader of the result to know.
        Value::String(text) => match SecretInput::parse(text, &ProviderName::fallback()) {
            Ok(SecretInput::Ref(_)) => Ok(text.trim().into()),
            Ok(SecretInput::Plain(_)) => Err(PLAINTEXT),
            Err(_) => Err(NO_REFERENCE),
        },
        Value::Object(members) => {
            let part = |key: &str| members.get(key).and_then(Value::as_str);
            let (Some(source), Some(provider), Some(id), 3) =
                (part("source"), part("provider"), part("id"), members.len())
            else {
                return Err(NO_REFERENCE);
            };
            if source == "store" {
                return Err(STORE);
            }
            let kind = SecretSource::parse(source).ok_or(NO_REFERENCE)?;
            // The grammar of a file's id allows nearly anything.
            if ProviderName::parse(provider).is_err()
                || kind.parse_id(id).is_err()
                || id.chars().any(char::is_control)
            {
                return Err(NO_REFERENCE);
            }
            let parts = [("source", source), ("provider", provider), ("id", id)];
            let parts = parts.map(|(key, part)| (key.to_owned(), part.into()));
            Ok(toml::Value::Table(toml::Table::from_iter(parts)))
        }
        _ => Err(NO_SECRET),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_come_along_and_nothing_else_does() {
        for (value, kept) in [
            (json!("$TOKEN"), Ok("\"$TOKEN\"")),
            (json!(" ${TOKEN} "), Ok("\"${TOKEN}\"")),
            (
                json!({ "source": "env", "provider": "default", "id": "TOKEN" }),
                Ok("{ id = \"TOKEN\", provider = \"default\", source = \"env\" }"),
            ),
            (
                json!({ "source": "file", "provider": "f", "id": "/a/b" }),
                Ok("{ id = \"/a/b\", provider = \"f\", source = \"file\" }"),
            ),
            (json!("sk-plain"), Err(PLAINTEXT)),
            (json!("$ecret"), Err(PLAINTEXT)),
            (json!("pre${TOKEN}"), Err(PLAINTEXT)),
            (json!(""), Err(NO_REFERENCE)),
            (json!("${token}"), Err(NO_REFERENCE)),
            (json!("secretref-env:TOKEN"), Err(NO_REFERENCE)),
            (
                json!({ "source": "store", "provider": "default", "id": "TOKEN" }),
                Err(STORE),
            ),
            (
                json!({ "source": "env", "provider": "default", "id": "sk-plain" }),
                Err(NO_REFERENCE),
            ),
            (
                json!({ "source": "env", "provider": "No", "id": "TOKEN" }),
                Err(NO_REFERENCE),
            ),
            (json!({ "source": "env", "id": "TOKEN" }), Err(NO_REFERENCE)),
            (
                json!({ "source": "file", "provider": "f", "id": "/\u{1b}" }),
                Err(NO_REFERENCE),
            ),
            (
                json!({ "source": "env", "provider": "default", "id": "TOKEN", "value": "sk" }),
                Err(NO_REFERENCE),
            ),
            (json!(["$TOKEN"]), Err(NO_SECRET)),
            (json!(7), Err(NO_SECRET)),
        ] {
            let read = read(&value).map(|kept| kept.to_string());
            assert_eq!(read, kept.map(str::to_owned), "{value}");
        }
    }
}
