//! `portcullis secrets audit`: plaintext where it shouldn't be, and references
//! without a value.

use super::super::ConfigPath;
use super::super::config_file::load_or_complain;
use super::super::output::{self, Style};
use super::super::surroundings::Surroundings;
use crate::doctor::{Finding, FindingId, Tally, service_processes};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// With `--check`: something is to be mended.
const EXIT_FINDINGS: u8 = 1;
/// With `--check`: a reference that is in use has no value.
const EXIT_UNRESOLVED: u8 = 2;

/// Arguments of `secrets audit`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    /// Exit with 1 for findings of severity warning or critical, with 2 for references
    /// without a value
    #[arg(long)]
    check: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// A folder of systemd units to look in instead of the system's own; may be repeated
    #[arg(long, value_name = "DIR", hide = true)]
    units: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let loaded = match load_or_complain(&arguments.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let mut surroundings = Surroundings::gather(&loaded, &arguments.units);
    surroundings.facts.learn(&service_processes(&loaded.path));
    let findings = surroundings.audit(&loaded);
    let written = if arguments.json {
        output::json(json!({
            "ok": Tally::of(&findings).is_good(),
            "file": loaded.path.display().to_string(),
            "findings": findings,
        }))
    } else {
        output::raw(text(&findings, Style::for_stdout()).as_bytes())
    };
    let code = if arguments.check {
        verdict(&findings)
    } else {
        0
    };
    output::finish(written, code.into())
}

fn verdict(findings: &[Finding]) -> u8 {
    let mut ids = findings.iter().map(|finding| finding.id);
    if ids.any(|id| id == FindingId::RefUnresolved) {
        EXIT_UNRESOLVED
    } else if !Tally::of(findings).is_good() {
        EXIT_FINDINGS
    } else {
        0
    }
}

fn text(findings: &[Finding], style: Style) -> String {
    let mut text = String::new();
    for finding in findings {
        let Finding {
            id,
            severity,
            evidence,
            remedy,
            place,
        } = finding;
        let severity = style.severity(*severity);
        let rest = output::one_line(&format!("{id} {place}: {evidence}; do: {remedy}"));
        text.push_str(&format!("{severity} {rest}\n"));
    }
    let Tally {
        critical,
        warning,
        info,
    } = Tally::of(findings);
    let total = findings.len();
    let noun = if total == 1 { "finding" } else { "findings" };
    text.push_str(&format!(
        "{total} {noun}: {critical} critical, {warning} warning, {info} info\n"
    ));
    text
}
