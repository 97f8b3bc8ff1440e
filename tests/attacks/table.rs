//! The README's table: who passes what.

use crate::corpus::Row;
use crate::round::Outcome;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const BEGIN: &str = "<!-- attacks:begin -->\n";
const END: &str = "<!-- attacks:end -->";

/// A line of the table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Class {
    title: String,
    pub(crate) rows: Vec<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    class: Vec<Class>,
}

/// The lines as they lie in the repository.
pub(crate) fn classes() -> Vec<Class> {
    let text = std::fs::read_to_string(path("tests/attacks/classes.toml")).unwrap();
    toml::from_str::<File>(&text).unwrap().class
}

/// A front end and how its rows ended.
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) outcomes: Vec<Outcome>,
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The table and what fails, in Markdown.
pub(crate) fn render(columns: &[Column], corpus: &[(String, Row)]) -> String {
    let mut text = String::from("| | attack |");
    for column in columns {
        let _ = write!(text, " {} |", column.name);
    }
    text.push_str("\n|---|---|");
    text.push_str(&"---|".repeat(columns.len()));
    text.push('\n');
    for class in classes() {
        let numbers: Vec<String> = class.rows.iter().map(u16::to_string).collect();
        let _ = write!(text, "| {} | {} |", numbers.join(", "), class.title);
        let shown = corpus
            .iter()
            .filter(|(_, row)| class.rows.contains(&row.row))
            .map(|(_, row)| row.shown_by.len())
            .sum();
        for (at, column) in columns.iter().enumerate() {
            let _ = write!(text, " {} |", cell(column, &class, at == 0, shown));
        }
        text.push('\n');
    }
    for column in columns {
        let failed = failed(column);
        if failed.is_empty() {
            let _ = write!(text, "\n{} fails nothing.\n", column.name);
            continue;
        }
        let each = failed
            .iter()
            .map(|(class, titles)| format!("({class}) {}", titles.join("; ")));
        let each: Vec<String> = each.collect();
        text.push('\n');
        wrap(
            &format!("{} fails: {}.", column.name, each.join("; ")),
            &mut text,
        );
    }
    text
}

/// Lines of the README's width.
fn wrap(paragraph: &str, text: &mut String) {
    let mut width = 0;
    for word in paragraph.split(' ') {
        let length = word.chars().count();
        if width + length > 110 {
            text.push('\n');
            width = 0;
        } else if width > 0 {
            text.push(' ');
        }
        text.push_str(word);
        width += length + 1;
    }
    text.push('\n');
}

fn cell(column: &Column, class: &Class, is_ours: bool, shown: usize) -> String {
    let asked: Vec<_> = column
        .outcomes
        .iter()
        .filter(|outcome| class.rows.contains(&outcome.row.row))
        .filter_map(|outcome| outcome.deviations.as_ref())
        .collect();
    let passed = asked.iter().filter(|found| found.is_empty()).count();
    let tests = match (is_ours, shown) {
        (true, 1) => "1 test".to_owned(),
        (true, 2..) => format!("{shown} tests"),
        _ => String::new(),
    };
    match (asked.len(), tests.as_str()) {
        (0, "") => "–".to_owned(),
        (0, tests) => tests.to_owned(),
        (count, "") => format!("{passed}/{count}"),
        (count, tests) => format!("{passed}/{count}, {tests}"),
    }
}

/// The titles of what a front end fails, by number.
fn failed(column: &Column) -> BTreeMap<u16, Vec<String>> {
    let mut failed: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for outcome in &column.outcomes {
        if outcome
            .deviations
            .as_ref()
            .is_some_and(|found| !found.is_empty())
        {
            let titles = failed.entry(outcome.row.row).or_default();
            if !titles.contains(&outcome.row.title) {
                titles.push(outcome.row.title.clone());
            }
        }
    }
    failed
}

/// Puts the table between its marks in the README.
pub(crate) fn write(table: &str) {
    let readme = path("README.md");
    let text = std::fs::read_to_string(&readme).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the README has its mark");
    let (_, after) = rest.split_once(END).expect("and the other one");
    std::fs::write(readme, format!("{before}{BEGIN}\n{table}\n{END}{after}")).unwrap();
}
