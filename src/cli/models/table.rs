//! Credentials as a table for people.

use super::super::output::{Style, one_line};
use crate::credentials::status::{CredentialStatus, State};
use crate::credentials::{UnixMillis, words};

const HEAD: [&str; 7] = [
    "PROVIDER",
    "CREDENTIAL",
    "KIND",
    "STATE",
    "EXPIRES",
    "LAST USED",
    "DETAIL",
];
/// The column that is coloured.
const STATE: usize = 3;

/// A line for each row, under a head.
pub(super) fn text(rows: &[CredentialStatus], now: UnixMillis, style: Style) -> String {
    let cells: Vec<[String; HEAD.len()]> = rows.iter().map(|row| cells(row, now)).collect();
    let width = |column: usize| {
        let widths = cells.iter().map(|cells| cells[column].chars().count());
        widths.chain([HEAD[column].len()]).max().unwrap_or_default()
    };
    let widths: [usize; HEAD.len()] = std::array::from_fn(width);
    let mut text = String::new();
    let mut line = |cells: &[String; HEAD.len()], paint: &dyn Fn(usize, String) -> String| {
        let padded = cells.iter().enumerate().map(|(column, cell)| {
            let width = widths[column];
            paint(column, format!("{cell:width$}"))
        });
        let padded: Vec<String> = padded.collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    };
    line(&HEAD.map(str::to_owned), &|_, cell| style.bold(cell));
    for (row, cells) in rows.iter().zip(&cells) {
        line(cells, &|column, cell| match (column, row.state) {
            (STATE, State::Ready) => style.green(cell),
            (STATE, State::CoolingDown | State::LeftOut) => style.dim(cell),
            (STATE, _) => style.red(cell),
            _ => cell,
        });
    }
    text
}

fn cells(row: &CredentialStatus, now: UnixMillis) -> [String; HEAD.len()] {
    let when = |at: Option<u64>| at.map(|at| words::relative(now, UnixMillis(at)));
    let provider = match &row.agent {
        Some(agent) => format!("{} (agent {agent})", row.provider),
        None => row.provider.clone(),
    };
    let state = match (row.state, row.cooldown_until) {
        (State::CoolingDown, Some(until)) => {
            let left = now.until(UnixMillis(until));
            format!("cooling down, {}", words::span(left))
        }
        (state, _) => state.as_str().replace('_', " "),
    };
    let expires = match (when(row.expires_at), row.renews_itself) {
        (Some(when), true) => format!("{when}, renews itself"),
        (Some(when), false) => when,
        (None, _) => "-".to_owned(),
    };
    let cells = [
        provider,
        row.name.clone(),
        row.kind.as_str().replace('_', " "),
        state,
        expires,
        when(row.last_used).unwrap_or_else(|| "-".to_owned()),
        row.detail.clone().unwrap_or_default(),
    ];
    cells.map(|cell| one_line(&cell))
}
