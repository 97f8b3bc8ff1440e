//! `openclaw.json` in, TOML out: the keys that both programs share, and the name
//! of everything else.
//!
//! A secret never crosses: references are kept, plaintext is named by its key and
//! left where it is. A rule that keeps people out and can't be read is written
//! as one that [`super::parse`] refuses, so that nothing opens unseen.

mod access;
mod document;
mod gateway;
mod models;
mod object;
mod page;
mod providers;
mod reference;

use super::problem::{Problem, Warning};
use object::{LeftOuts, Object};
use page::Page;

/// What became of an `openclaw.json`.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The config, with comments on what to look at and on what was left out.
    pub toml: String,
    /// The keys that didn't come along.
    pub left_out: Vec<LeftOut>,
    /// What [`super::parse`] still refuses `toml` for. Where a key is missing, the place
    /// is that of the line to fill in.
    pub problems: Vec<Problem>,
    /// What it lets pass with a warning.
    pub warnings: Vec<Warning>,
}

/// A key that didn't come along. Never holds its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The key's path in `openclaw.json`; odd names are shortened to `"…"`.
    pub key: String,
    /// Why, and what to do about it.
    pub reason: &'static str,
}

/// Why there is nothing to import. Never repeats the text, which may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The text is no JSON5.
    #[error("{line}:{column}: not valid JSON5: {message}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What was met or expected.
        message: String,
    },
    /// Something else than a config.
    #[error("1:1: got {got}, expected an object")]
    NotObject {
        /// What the text is.
        got: &'static str,
    },
}

/// Reads the text of an `openclaw.json` and writes what Portcullis shares with it.
///
/// Pure: `$include` is not followed, `${NAME}` not replaced, no secret resolved.
///
/// # Errors
/// [`ImportError`].
pub fn import_openclaw(text: &str) -> Result<Imported, ImportError> {
    let mut root = Object::root(document::read(text)?);
    let mut out = LeftOuts::default();
    let mut page = Page::default();

    let mut secrets = root.object("secrets", &mut out);
    let mut models = root.object("models", &mut out);
    let mut auth = root.object("auth", &mut out);
    gateway::import(&mut root, &mut page, &mut out);
    providers::import(&mut secrets, &mut page, &mut out);
    models::import(&mut models, &mut auth, &mut page, &mut out);
    for (rest, reasons) in [
        (secrets, &[][..]),
        (models, &[]),
        (auth, &[]),
        (root, &[("env", ENVIRONMENT)]),
    ] {
        rest.leave_rest(reasons, &mut out);
    }

    let left_out = out.sorted();
    let toml = page.render(&left_out);
    let (problems, warnings) = match super::parse(&toml) {
        Ok(parsed) => (Vec::new(), parsed.warnings),
        Err(mut problems) => {
            for problem in &mut problems {
                point_to_example(problem, &toml);
            }
            problems.sort_by_key(|problem| (problem.line, problem.column));
            (problems, Vec::new())
        }
    };
    Ok(Imported {
        toml,
        left_out,
        problems,
        warnings,
    })
}

/// What stands in an `openclaw.json`, or in a file that it includes: nothing is
/// included or replaced. Of a key that comes twice the last counts, as at the gateway.
///
/// # Errors
/// [`ImportError::Syntax`].
pub fn read_openclaw(text: &str) -> Result<serde_json::Value, ImportError> {
    document::read_any(text)
}

/// A key that a table lacks stands below the table's line, commented out.
fn point_to_example(problem: &mut Problem, toml: &str) {
    let key = problem.key.rsplit('.').next().unwrap_or_default();
    let example = format!("#{key} = ");
    let table = (problem.line + 1..).zip(toml.lines().skip(problem.line));
    let mut rest = table.take_while(|(_, line)| !line.starts_with('[') && !line.starts_with("#["));
    if let Some((line, _)) = rest.find(|(_, line)| line.starts_with(&example)) {
        problem.line = line;
        problem.column = 2;
    }
}

const ENVIRONMENT: &str = "its variables may be secrets; Portcullis reads its own environment, so \
                           set there what a reference names";

#[cfg(test)]
mod tests;
