//! What a resolver command is asked and what it answers: the gateway's protocol,
//! version 1. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::super::document::Document;
use super::super::{ExecId, ProviderName, SecretError, SecretId, SecretRef, SecretValue};
use super::{Answers, ExecError};

const VERSION: u32 = 1;
/// The largest request, in bytes: the gateway's own limit.
const MAX_REQUEST_BYTES: usize = 256 * 1024;

/// What is wrong with an answer. Nothing of it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerProblem {
    /// Nothing, or white space alone.
    #[error("is empty")]
    Empty,
    /// It can't be a secret.
    #[error("is not valid UTF-8")]
    NotUtf8,
    /// Not JSON, and a plain value does not count here.
    #[error("is not JSON (with `jsonOnly = false` and one id per provider, plain output counts)")]
    NotJson,
    /// JSON, but not the protocol's.
    #[error("is JSON, but no object")]
    NotObject,
    /// Another version, or none.
    #[error("is not of `protocolVersion` 1")]
    Version,
    /// There are no values.
    #[error("has no object `values`")]
    NoValues,
}

/// The request for `ids`.
pub(super) fn request(
    provider: &ProviderName,
    ids: &BTreeSet<ExecId>,
) -> Result<Vec<u8>, ExecError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Request<'a> {
        protocol_version: u32,
        provider: &'a str,
        ids: Vec<&'a str>,
    }
    let request = Request {
        protocol_version: VERSION,
        provider: provider.as_str(),
        ids: ids.iter().map(ExecId::as_str).collect(),
    };
    let bytes = serde_json::to_vec(&request).expect("strings and numbers are JSON");
    match bytes.len() {
        got if got > MAX_REQUEST_BYTES => Err(ExecError::RequestTooLarge {
            got,
            most: MAX_REQUEST_BYTES,
        }),
        _ => Ok(bytes),
    }
}

/// Reads an answer: each id's own value or error, or what is wrong with the whole.
pub(crate) fn answers(
    provider: &ProviderName,
    ids: &BTreeSet<ExecId>,
    output: &[u8],
    json_only: bool,
) -> Result<Answers, AnswerProblem> {
    let text = std::str::from_utf8(output).map_err(|_| AnswerProblem::NotUtf8)?;
    let text = super::super::trim(text);
    if text.is_empty() {
        return Err(AnswerProblem::Empty);
    }
    let only = match ids.first() {
        Some(id) if !json_only && ids.len() == 1 => Some(id),
        _ => None,
    };
    let plain = |id: &ExecId, value: &str| {
        let value = usable(provider, id, value);
        Ok(BTreeMap::from([(id.clone(), value)]))
    };
    match (Document::parse(text), only) {
        (Some(Document::Object(answer)), _) => read(provider, ids, &answer),
        (Some(Document::Text(value)), Some(id)) => plain(id, &value),
        // JSON that can't be held (too deep, half a surrogate pair) is no plain text.
        (None, Some(_)) if text.starts_with(['{', '[', '"']) && is_json(text) => {
            Err(AnswerProblem::NotObject)
        }
        // Digits alone are a secret, too.
        (Some(Document::Number(_)) | None, Some(id)) => plain(id, text),
        (Some(_), _) => Err(AnswerProblem::NotObject),
        (None, None) => Err(AnswerProblem::NotJson),
    }
}

fn read(
    provider: &ProviderName,
    ids: &BTreeSet<ExecId>,
    answer: &BTreeMap<String, Document>,
) -> Result<Answers, AnswerProblem> {
    let version = answer.get("protocolVersion");
    if !matches!(version, Some(Document::Number(number)) if *number == f64::from(VERSION)) {
        return Err(AnswerProblem::Version);
    }
    let values = answer
        .get("values")
        .and_then(Document::as_object)
        .ok_or(AnswerProblem::NoValues)?;
    let errors = answer.get("errors").and_then(Document::as_object);
    let for_id = |id: &ExecId| {
        let missing = || SecretError::NotGiven {
            reference: reference(provider, id),
        };
        // An error beats a value, and of its words only this code is believed.
        if let Some(error) = errors.and_then(|errors| errors.get(id.as_str())) {
            let code = error.as_object().and_then(|error| error.get("code"));
            return match code.and_then(Document::as_text) {
                Some("NOT_FOUND") => Err(missing()),
                _ => Err(SecretError::Refused {
                    reference: reference(provider, id),
                }),
            };
        }
        match values.get(id.as_str()) {
            Some(Document::Text(value)) => usable(provider, id, value),
            Some(other) => Err(SecretError::NoSecret {
                reference: reference(provider, id),
                got: other.kind(),
            }),
            None => Err(missing()),
        }
    };
    Ok(ids.iter().map(|id| (id.clone(), for_id(id))).collect())
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn usable(provider: &ProviderName, id: &ExecId, value: &str) -> Result<SecretValue, SecretError> {
    super::super::usable(&reference(provider, id), value)
}

fn reference(provider: &ProviderName, id: &ExecId) -> SecretRef {
    SecretRef {
        provider: provider.clone(),
        id: SecretId::Exec(id.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::SecretSource;
    use super::*;
    use proptest::prelude::*;

    fn ids(ids: &[&str]) -> BTreeSet<ExecId> {
        ids.iter()
            .map(|id| match SecretSource::Exec.parse_id(id).unwrap() {
                SecretId::Exec(id) => id,
                _ => unreachable!("the grammar of commands gives ids of commands"),
            })
            .collect()
    }

    /// Each id's value, or its code.
    fn read(asked: &[&str], output: &str, json_only: bool) -> Result<Vec<String>, AnswerProblem> {
        let provider = ProviderName::parse("vault").unwrap();
        let answers = answers(&provider, &ids(asked), output.as_bytes(), json_only)?;
        Ok(answers
            .into_values()
            .map(|answer| match answer {
                Ok(value) => value.expose().to_owned(),
                Err(error) => error.code().to_owned(),
            })
            .collect())
    }

    #[test]
    fn asks_for_all_ids_at_once() {
        let provider = ProviderName::parse("vault").unwrap();
        let request = request(&provider, &ids(&["b", "a/b"])).unwrap();
        assert_eq!(
            String::from_utf8(request).unwrap(),
            r#"{"protocolVersion":1,"provider":"vault","ids":["a/b","b"]}"#
        );
    }

    #[test]
    fn a_request_is_bounded() {
        let provider = ProviderName::parse("vault").unwrap();
        let names: Vec<String> = (0..1100).map(|n| format!("{n:0>250}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(request(&provider, &ids(&names[..1000])).is_ok());
        assert!(request(&provider, &ids(&names)).is_err());
    }

    #[test]
    fn each_id_has_its_own_answer() {
        let output = r#"{"protocolVersion":1,"values":{"a":"A","b":"B","n":5,"blank":" "},
            "errors":{"b":{"code":"NOT_FOUND","message":"B"},"c":{"code":"EVIL"},"d":7}}"#;
        assert_eq!(
            read(&["a", "b", "blank", "c", "d", "e", "n"], output, true).unwrap(),
            [
                "A",
                "SECRET_REF_NOT_FOUND",
                "SECRET_REF_PROVIDER_CONTRACT",
                "SECRET_REF_PROVIDER_ERROR",
                "SECRET_REF_PROVIDER_ERROR",
                "SECRET_REF_NOT_FOUND",
                "SECRET_REF_PROVIDER_CONTRACT",
            ]
        );
    }

    #[test]
    fn an_answer_that_is_none_is_named() {
        use AnswerProblem::*;
        for (output, problem) in [
            ("", Empty),
            (" \n", Empty),
            ("s3cret", NotJson),
            ("[]", NotObject),
            ("\"s3cret\"", NotObject),
            ("5", NotObject),
            ("{}", Version),
            (r#"{"protocolVersion":2,"values":{}}"#, Version),
            (r#"{"protocolVersion":"1","values":{}}"#, Version),
            (r#"{"protocolVersion":1}"#, NoValues),
            (r#"{"protocolVersion":1,"values":[]}"#, NoValues),
        ] {
            assert_eq!(read(&["a"], output, true), Err(problem), "{output}");
        }
        let provider = ProviderName::parse("vault").unwrap();
        let not_utf8 = answers(&provider, &ids(&["a"]), &[0xff], false);
        assert_eq!(not_utf8.unwrap_err(), NotUtf8);
    }

    #[test]
    fn plain_output_counts_for_one_id_where_it_may() {
        for (output, value) in [
            ("s3cret\n", "s3cret"),
            ("  two words \r\n", "two words"),
            ("\"quoted\"", "quoted"),
            ("12345678", "12345678"),
            (r#"{"protocolVersion":1,"values":{"a":"A"}}"#, "A"),
        ] {
            assert_eq!(read(&["a"], output, false).unwrap(), [value], "{output}");
        }
        assert_eq!(
            read(&["a"], "{\"a\":1}", false),
            Err(AnswerProblem::Version)
        );
        assert_eq!(
            read(&["a", "b"], "s3cret", false),
            Err(AnswerProblem::NotJson)
        );
        assert_eq!(read(&["a"], "[1]", false), Err(AnswerProblem::NotObject));
    }

    proptest! {
        #[test]
        fn any_output_is_read_without_a_panic(output in any::<Vec<u8>>(), json_only: bool) {
            let provider = ProviderName::parse("vault").unwrap();
            let _ = answers(&provider, &ids(&["a", "b"]), &output, json_only);
            let _ = answers(&provider, &ids(&["a"]), &output, json_only);
        }

        #[test]
        fn what_a_command_gives_is_what_is_taken(value in "[a-zA-Z0-9\"\\\\é ]{1,40}x") {
            let output = serde_json::json!({"protocolVersion": 1, "values": {"a": value}});
            prop_assert_eq!(read(&["a"], &output.to_string(), true).unwrap(), [value]);
        }
    }
}
