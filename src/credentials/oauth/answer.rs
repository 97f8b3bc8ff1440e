//! What comes back from a login: a code with our state, by the browser or by hand.

use super::super::profile::is_sendable;
use crate::secrets::SecretValue;
use url::{Url, form_urlencoded};

/// The longest code, in bytes.
const MAX_CODE_BYTES: usize = 4096;

/// Why what came back is no code. The messages never repeat it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Nothing.
    #[error("got nothing, expected the redirect URL or the code")]
    Blank,
    /// There is no code in it, or more than one.
    #[error("got no code, expected the whole redirect URL, `code#state` or the code alone")]
    NoCode,
    /// No state, or another login's: someone may be putting their login in the place of
    /// the user's (RFC 6749 section 10.12).
    #[error("its state is not that of this login: start again, and use the newest URL alone")]
    WrongState,
    /// The provider, or the user there, said no.
    #[error("the provider refused the login: `{0}`")]
    Denied(String),
}

pub(super) fn read_query(query: &str, state: &SecretValue) -> Result<SecretValue, AnswerError> {
    let parameters: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    let one = |wanted: &str| {
        let mut found = parameters.iter().filter(|(name, _)| name == wanted);
        let first = found.next().map(|(_, value)| value.as_ref());
        // RFC 6749 section 3.1: none comes twice.
        first.filter(|_| found.next().is_none())
    };
    let got = one("state");
    if let Some(error) = one("error") {
        // Some servers leave the state out of errors; another one's is no answer to us.
        return match got {
            Some(got) => check(got, state).and(Err(AnswerError::Denied(cleaned(error)))),
            None => Err(AnswerError::Denied(cleaned(error))),
        };
    }
    let code = one("code").ok_or(AnswerError::NoCode)?;
    check(got.unwrap_or_default(), state)?;
    read_code(code)
}

pub(super) fn read_pasted(line: &str, state: &SecretValue) -> Result<SecretValue, AnswerError> {
    let line = line.trim();
    if line.is_empty() {
        return Err(AnswerError::Blank);
    }
    if line.contains("://") {
        let url = Url::parse(line).map_err(|_| AnswerError::NoCode)?;
        let query = url.query().ok_or(AnswerError::NoCode)?;
        return read_query(query, state);
    }
    let is_query = ["?", "code=", "state=", "error="];
    if is_query.iter().any(|start| line.starts_with(start)) {
        return read_query(line.trim_start_matches('?'), state);
    }
    match line.split_once('#') {
        Some((code, got)) => {
            check(got, state)?;
            read_code(code)
        }
        None => read_code(line),
    }
}

fn check(got: &str, state: &SecretValue) -> Result<(), AnswerError> {
    if SecretValue::concat(&[got]) == *state {
        Ok(())
    } else {
        Err(AnswerError::WrongState)
    }
}

fn read_code(code: &str) -> Result<SecretValue, AnswerError> {
    if code.len() <= MAX_CODE_BYTES && is_sendable(code) {
        Ok(SecretValue::concat(&[code]))
    } else {
        Err(AnswerError::NoCode)
    }
}

/// An error code of others, which may hold anything, such as `access_denied`.
pub(super) fn cleaned(code: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    match code {
        code if (1..=64).contains(&code.len()) && code.chars().all(is_plain) => code.to_owned(),
        _ => "unreadable".to_owned(),
    }
}
