//! The walk over a parsed document: it gathers every problem and warning with
//! its place, so that one run of `check` shows them all.

use std::collections::BTreeSet;

use super::problem::{Problem, Warning};
use super::shape::Shape;
use toml::de::DeValue;

/// What the walk has found so far.
pub(super) struct Walk<'t> {
    lines: Lines<'t>,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
    purpose: Purpose,
}

/// Why the document is walked.
enum Purpose {
    /// To read it.
    Read,
    /// To learn which keys the readers ask for: every optional part is entered
    /// as if it were there.
    Learn(BTreeSet<String>),
}

/// Where something stands: its path as a person reads it, the pattern of that
/// path (`gateway.publicRoutes[].path`), and the byte it begins at.
#[derive(Debug, Clone)]
pub(super) struct Place {
    shown: String,
    /// `None` below values that are no sections, such as a secret's reference.
    pattern: Option<String>,
    /// The offset into the text.
    pub(super) at: usize,
}

impl<'t> Walk<'t> {
    /// A walk that reads `text`.
    pub(super) fn read(text: &'t str) -> Self {
        Self::new(text, Purpose::Read)
    }

    /// A walk that learns the keys.
    pub(super) fn learn() -> Self {
        Self::new("", Purpose::Learn(BTreeSet::new()))
    }

    fn new(text: &'t str, purpose: Purpose) -> Self {
        Self {
            lines: Lines::new(text),
            problems: Vec::new(),
            warnings: Vec::new(),
            purpose,
        }
    }

    /// Whether this walk only learns keys.
    pub(super) fn learns(&self) -> bool {
        matches!(self.purpose, Purpose::Learn(_))
    }

    /// Refuses the config for what stands at `place`.
    pub(super) fn refuse(&mut self, place: &Place, message: impl Into<String>) {
        let (line, column) = self.lines.position(place.at);
        self.problems.push(Problem {
            line,
            column,
            key: place.shown.clone(),
            message: message.into(),
        });
    }

    /// How many problems were found so far.
    pub(super) fn problem_count(&self) -> usize {
        self.problems.len()
    }

    /// Whether something is wrong with the key that is shown so, or below it.
    pub(super) fn has_problem_at(&self, shown: &str) -> bool {
        self.problems.iter().any(|problem| {
            let rest = problem.key.strip_prefix(shown);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// Refuses a value: `got …, expected …`.
    pub(super) fn unexpected(
        &mut self,
        place: &Place,
        value: &DeValue<'_>,
        shape: Shape,
        expected: &str,
    ) {
        let got = shape.describe(value);
        self.refuse(place, format!("got {got}, expected {expected}"));
    }

    /// Lets something pass that its author should know of.
    pub(super) fn warn(&mut self, place: &Place, message: impl Into<String>) {
        let (line, column) = self.lines.position(place.at);
        self.warnings.push(Warning {
            line,
            column,
            key: place.shown.clone(),
            message: message.into(),
        });
    }

    /// Notes that a reader asks for the key at `place`.
    pub(super) fn note(&mut self, place: &Place) {
        if let (Purpose::Learn(keys), Some(pattern)) = (&mut self.purpose, &place.pattern) {
            keys.insert(pattern.clone());
        }
    }

    /// Takes a noted key back: it turned out to be a section of further keys.
    pub(super) fn unnote(&mut self, place: &Place) {
        if let (Purpose::Learn(keys), Some(pattern)) = (&mut self.purpose, &place.pattern) {
            keys.remove(pattern);
        }
    }

    /// All that was found, in the order of the text.
    pub(super) fn finish(mut self) -> (Vec<Problem>, Vec<Warning>) {
        self.problems
            .sort_by(|a, b| (a.line, a.column, &a.key).cmp(&(b.line, b.column, &b.key)));
        self.warnings
            .sort_by(|a, b| (a.line, a.column, &a.key).cmp(&(b.line, b.column, &b.key)));
        (self.problems, self.warnings)
    }

    /// The keys that were learnt, sorted.
    pub(super) fn learnt(self) -> Vec<String> {
        match self.purpose {
            Purpose::Learn(keys) => keys.into_iter().collect(),
            Purpose::Read => Vec::new(),
        }
    }
}

impl Place {
    /// The document itself.
    pub(super) fn root() -> Self {
        Self {
            shown: String::new(),
            pattern: Some(String::new()),
            at: 0,
        }
    }

    /// The path as a person reads it, empty for the document itself.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Somewhere in the text, under no key.
    pub(super) fn at(at: usize) -> Self {
        Self {
            shown: String::new(),
            pattern: None,
            at,
        }
    }

    /// A key that its section knows.
    pub(super) fn key(&self, name: &str, at: usize) -> Self {
        self.child(&segment(name), Some(name), at)
    }

    /// A key whose name is the user's own choice.
    pub(super) fn member(&self, name: &str, at: usize) -> Self {
        self.child(&segment(name), Some("*"), at)
    }

    /// A key that nobody knows: shown only where it looks like a key, since it
    /// could be a value that slipped.
    pub(super) fn stranger(&self, name: &str, at: usize) -> Self {
        let shown = if is_bare(name) && name.len() <= 40 {
            name
        } else {
            "\"…\""
        };
        self.child(shown, None, at)
    }

    /// An element of the array at this place.
    pub(super) fn element(&self, index: usize, at: usize) -> Self {
        Self {
            shown: format!("{}[{index}]", self.shown),
            pattern: self.pattern.as_ref().map(|pattern| format!("{pattern}[]")),
            at,
        }
    }

    /// The same place, its keys being no keys of the config's own.
    pub(super) fn unlisted(mut self) -> Self {
        self.pattern = None;
        self
    }

    fn child(&self, shown: &str, pattern: Option<&str>, at: usize) -> Self {
        Self {
            shown: join(&self.shown, shown),
            pattern: self
                .pattern
                .as_ref()
                .zip(pattern)
                .map(|(parent, name)| join(parent, name)),
            at,
        }
    }
}

/// Maps byte offsets to lines and columns.
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0)
            .chain(breaks.map(|(at, _)| at + 1))
            .collect();
        Self { text, starts }
    }

    /// The line and the column of an offset, both from 1, the column in characters.
    pub(super) fn position(&self, at: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= at);
        let start = self.starts[line - 1];
        let before = self.text.get(start..at).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}

fn is_bare(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// A key as it is written in TOML, shortened to `"…"` where it could garble a
/// terminal.
fn segment(name: &str) -> String {
    let harmless = |c: char| (c.is_ascii_graphic() && !"\"\\".contains(c)) || c.is_alphanumeric();
    if is_bare(name) && name.len() <= 64 {
        name.to_owned()
    } else if name.len() <= 128 && name.chars().all(harmless) {
        format!("\"{name}\"")
    } else {
        "\"…\"".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let lines = Lines::new("a = 1\nü = \"é\" # x\n\nlast");
        for (at, position) in [
            (0, (1, 1)),
            (4, (1, 5)),
            (6, (2, 1)),
            (11, (2, 5)),
            (20, (3, 1)),
            (21, (4, 1)),
            (25, (4, 5)),
            (99, (4, 1)),
        ] {
            assert_eq!(lines.position(at), position, "offset {at}");
        }
    }

    #[test]
    fn paths_read_as_toml_and_hide_what_is_no_key() {
        let root = Place::root();
        let ceilings = root.key("gateway", 0).key("scopeCeilings", 0);
        for (place, shown) in [
            (
                ceilings.member("nick@example.com", 0),
                "gateway.scopeCeilings.\"nick@example.com\"",
            ),
            (ceilings.member("*", 0), "gateway.scopeCeilings.\"*\""),
            (
                ceilings.member("\u{1b}[2J", 0),
                "gateway.scopeCeilings.\"…\"",
            ),
            (
                ceilings.element(2, 0).key("path", 0),
                "gateway.scopeCeilings[2].path",
            ),
            (root.stranger("listn", 0), "listn"),
            (root.stranger("hunter2 is my password", 0), "\"…\""),
        ] {
            assert_eq!(place.shown, shown);
        }
    }
}
