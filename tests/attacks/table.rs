//! The README's table: who passes what.

use crate::corpus::Row;
use crate::round::Outcome;
use crate::shown_by::Ran;
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

/// The table and what fails, in Markdown; `ran` has what came of the tests that rows name.
pub(crate) fn render(
    columns: &[Column],
    corpus: &[(String, Row)],
    ran: &BTreeMap<String, Ran>,
) -> String {
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
        let shown: Vec<Ran> = corpus
            .iter()
            .filter(|(_, row)| class.rows.contains(&row.row))
            .flat_map(|(_, row)| row.shown_by.iter().map(|name| ran[name]))
            .collect();
        for (at, column) in columns.iter().enumerate() {
            let shown = if at == 0 { &shown[..] } else { &[] };
            let _ = write!(text, " {} |", cell(column, &class, shown));
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

pub(crate) fn cell(column: &Column, class: &Class, shown: &[Ran]) -> String {
    let asked: Vec<_> = column
        .outcomes
        .iter()
        .filter(|outcome| class.rows.contains(&outcome.row.row))
        .filter_map(|outcome| outcome.deviations.as_ref())
        .collect();
    let passed = asked.iter().filter(|found| found.is_empty()).count();
    let count = |ran| shown.iter().filter(|other| **other == ran).count();
    let mut parts = Vec::new();
    if !asked.is_empty() {
        parts.push(format!("{passed}/{}", asked.len()));
    }
    match count(Ran::Passed) {
        0 => {}
        1 => parts.push("1 test".to_owned()),
        tests => parts.push(format!("{tests} tests")),
    }
    match count(Ran::Skipped) {
        0 => {}
        tests => parts.push(format!("{tests} not run here")),
    }
    if parts.is_empty() {
        parts.push("–".to_owned());
    }
    parts.join(", ")
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
