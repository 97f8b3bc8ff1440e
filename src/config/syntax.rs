//! TOML's own mistakes, located like every other problem.

use toml::Spanned;
use toml::de::DeTable;

use super::walk::{Place, Walk};

/// Parses the text, or records why it is no TOML.
///
/// A key that comes twice leaves a document that can be walked on, so that its
/// other problems show in the same run; any other mistake doesn't.
pub(super) fn parse<'t>(text: &'t str, walk: &mut Walk<'_>) -> Option<Spanned<DeTable<'t>>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut walkable = true;
    let mut last_line = None;
    for error in &errors {
        let at = error
            .span()
            .map_or(text.len(), |span| span.start)
            .min(text.len());
        let line = text.as_bytes()[..at]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        walkable &= error.message() == DUPLICATE;
        // One slip makes several complaints on its line; the first tells it best.
        if last_line.replace(line) != Some(line) {
            walk.refuse(&Place::at(at), describe(error.message()));
        }
    }
    walkable.then_some(document)
}

const DUPLICATE: &str = "duplicate key";

/// The parser's messages name what it expected, never what it read.
fn describe(message: &str) -> String {
    if message == DUPLICATE {
        "got a key or table that is there already, expected it once".to_owned()
    } else {
        format!("not valid TOML: {message}")
    }
}
