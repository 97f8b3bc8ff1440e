//! The TOML that an import prints: sections of keys and comments. Keys and values
//! are written by TOML's own serialiser.

use toml::{Table, Value};

use super::LeftOut;

/// The columns that comments keep to.
const WIDTH: usize = 90;

/// The sections, in the order in which they are printed.
#[derive(Default)]
pub(super) struct Page(Vec<Section>);

/// A table with comments.
pub(super) struct Section {
    path: Vec<String>,
    is_required: bool,
    lines: Vec<Line>,
}

const COMMENTED_OUT: &str = "To set a key below, uncomment the line above, too.";

enum Line {
    Note(&'static str),
    Example(&'static str),
    Pair(String, Value),
}

impl Page {
    /// Adds a section, unless there is nothing in it.
    pub(super) fn add(&mut self, section: Section) {
        if !section.is_empty() {
            self.0.push(section);
        }
    }

    /// The whole text, with what was left out at its end.
    pub(super) fn render(&self, left_out: &[LeftOut]) -> String {
        let mut text = String::new();
        note(
            &mut text,
            "Imported from openclaw.json: the keys that both programs share. Read every comment; \
             lines that begin with `#` and no space are keys and tables to fill in. Then run \
             `portcullis check`.",
        );
        for section in &self.0 {
            text.push('\n');
            section.render(&mut text);
        }
        if !left_out.is_empty() {
            text.push('\n');
            note(
                &mut text,
                "Left out of this file, with the reasons; no value of them is shown.",
            );
            for LeftOut { key, reason } in left_out {
                note(&mut text, &format!("- {key}: {reason}"));
            }
        }
        text
    }
}

impl Section {
    /// An empty section; it shows once there is something in it.
    pub(super) fn new<'p>(path: impl IntoIterator<Item = &'p str>) -> Self {
        Self {
            path: path.into_iter().map(str::to_owned).collect(),
            is_required: false,
            lines: Vec::new(),
        }
    }

    /// Likewise, of a table that must be there: it is never commented out.
    pub(super) fn required<'p>(path: impl IntoIterator<Item = &'p str>) -> Self {
        Self {
            is_required: true,
            ..Self::new(path)
        }
    }

    /// Comments on the sections that come next, under no table.
    pub(super) fn remark(text: &'static str) -> Self {
        let mut section = Self::new([]);
        section.note(text);
        section
    }

    /// Whether there is nothing in it yet.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// A comment on what comes next.
    pub(super) fn note(&mut self, text: &'static str) {
        self.lines.push(Line::Note(text));
    }

    /// A key that is to be filled in: a line of TOML, commented out.
    pub(super) fn example(&mut self, line: &'static str) {
        self.lines.push(Line::Example(line));
    }

    /// A key and its value.
    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.lines.push(Line::Pair(key.to_owned(), value.into()));
    }

    /// Likewise, where there is a value.
    pub(super) fn set_some(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    fn render(&self, text: &mut String) {
        let header = |inner: Table, name: &String| one(name, Value::Table(inner));
        // Without a key of its own it would claim to be there, and be incomplete.
        let is_set =
            self.is_required || self.lines.iter().any(|line| matches!(line, Line::Pair(..)));
        if !is_set && !self.path.is_empty() {
            text.push('#');
        }
        text.push_str(&written(&self.path.iter().rev().fold(Table::new(), header)));
        if !is_set && !self.path.is_empty() {
            note(text, COMMENTED_OUT);
        }
        for line in &self.lines {
            match line {
                Line::Note(words) => note(text, words),
                Line::Example(example) => {
                    text.push('#');
                    text.push_str(example);
                    text.push('\n');
                }
                Line::Pair(key, value) => pair(text, key, value),
            }
        }
    }
}

/// A value's own form is inline, while a table in a document becomes a section:
/// so a key is written by the document, its value by itself.
fn pair(text: &mut String, key: &str, value: &Value) {
    let line = written(&one(key, Value::Boolean(true)));
    let key = line
        .trim_end()
        .strip_suffix("true")
        .expect("a key's line ends in its value");
    text.push_str(key);
    text.push_str(&value.to_string());
    text.push('\n');
}

fn one(key: &str, value: Value) -> Table {
    Table::from_iter([(key.to_owned(), value)])
}

fn written(table: &Table) -> String {
    toml::to_string(table).expect("tables and booleans have a form in TOML")
}

/// A comment, broken at spaces.
fn note(text: &mut String, words: &str) {
    let indent = if words.starts_with("- ") {
        "#   "
    } else {
        "# "
    };
    let mut line = "# ".to_owned();
    for word in words.split(' ') {
        let is_begun = line.len() > indent.len();
        if is_begun && line.chars().count() + word.chars().count() > WIDTH {
            text.push_str(line.trim_end());
            text.push('\n');
            line = indent.to_owned();
        }
        line.push_str(word);
        line.push(' ');
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_set_is_read_back() {
        for odd in [
            "plain",
            "",
            "a b",
            "nick@example.com",
            "it's",
            "say \"x\" \\ y",
            "'\"",
            "é\u{7f}\u{1}\n\t",
            "[x]",
            "# no",
            "true",
        ] {
            let reference = one(
                odd,
                Value::Array(vec![odd.into(), one("id", odd.into()).into()]),
            );
            let mut section = Section::new(["a", odd]);
            section.note("note");
            section.set(odd, reference.clone());
            let mut page = Page::default();
            page.add(section);
            let read: Table = toml::from_str(&page.render(&[])).unwrap();
            assert_eq!(read["a"][odd][odd], Value::Table(reference), "{odd:?}");
        }
    }

    #[test]
    fn tables_in_values_stay_inline_and_empty_sections_away() {
        let mut section = Section::new(["models", "providers", "x.y"]);
        section.set("apiKey", one("id", "A".into()));
        let mut page = Page::default();
        page.add(Section::new(["empty"]));
        page.add(section);
        let text = page.render(&[]);
        assert!(
            text.ends_with("\n[models.providers.\"x.y\"]\napiKey = { id = \"A\" }\n"),
            "{text}"
        );
    }

    #[test]
    fn a_table_without_a_key_is_commented_out_unless_it_is_required() {
        let mut page = Page::default();
        for mut section in [Section::new(["a"]), Section::required(["b"])] {
            section.example("c = 1");
            page.add(section);
        }
        page.add(Section::remark("of what follows"));
        let text = page.render(&[]);
        let expected =
            format!("\n#[a]\n# {COMMENTED_OUT}\n#c = 1\n\n[b]\n#c = 1\n\n# of what follows\n");
        assert!(text.ends_with(&expected), "{text}");
    }

    #[test]
    fn comments_are_broken_at_spaces() {
        let mut text = String::new();
        note(&mut text, &format!("- {}", "word ".repeat(30)));
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.lines().nth(1).unwrap().starts_with("#   word"));
        assert!(text.lines().all(|line| line.len() <= WIDTH));
    }
}
