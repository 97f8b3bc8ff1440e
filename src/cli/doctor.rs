//! `portcullis doctor`: the security checklist, as findings.

mod report;

use super::config_file::{Loaded, load_or_complain};
use super::output::{self, Style};
use super::surroundings::Surroundings;
use super::{ConfigPath, EXIT_FAILURE, interruptible, models};
use crate::credentials::UnixMillis;
use crate::doctor::{
    Deployment, Finding, Severity, check_deployment, check_model_credentials, check_token_sinks,
};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// A credential that ends within this is a finding.
const SOON: Duration = Duration::from_secs(24 * 60 * 60);

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 no critical finding, 1 otherwise, 2 bad configuration or usage."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// A folder of systemd units to look in instead of the system's own; may be repeated
    #[arg(long, value_name = "DIR", hide = true)]
    units: Vec<PathBuf>,
}

pub(super) fn run(arguments: Arguments) -> ExitCode {
    interruptible::run(move || examine(&arguments))
}

fn examine(arguments: &Arguments) -> ExitCode {
    let loaded = match load_or_complain(&arguments.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    // What each part finds, in no order.
    let mut findings = surroundings(&loaded, arguments);
    findings.extend(model_credentials(&loaded));
    tell(findings, &loaded, arguments)
}

/// Prints the findings, the worst first.
fn tell(mut findings: Vec<Finding>, loaded: &Loaded, arguments: &Arguments) -> ExitCode {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let worst = findings.first().map(|finding| finding.severity);
    let written = if arguments.json {
        output::line(report::json(&findings, &loaded.path))
    } else {
        output::raw(report::text(&findings, Style::for_stdout()).as_bytes())
    };
    let code = match worst {
        Some(Severity::Critical) => EXIT_FAILURE.into(),
        Some(Severity::Warning | Severity::Info) | None => ExitCode::SUCCESS,
    };
    output::finish(written, code)
}

/// The secrets, the start and the deployment.
fn surroundings(loaded: &Loaded, arguments: &Arguments) -> Vec<Finding> {
    let surroundings = Surroundings::gather(loaded, &arguments.units);
    let deployment = Deployment::gather(&loaded.config, &loaded.path);
    let mut findings = surroundings.audit(loaded);
    findings.extend(surroundings.refusals(loaded));
    let facts = &surroundings.facts;
    findings.extend(check_deployment(&loaded.config, facts, &deployment));
    findings
}

fn model_credentials(loaded: &Loaded) -> Vec<Finding> {
    let (rows, problems) = models::known_credentials(loaded);
    let now = UnixMillis::of(SystemTime::now());
    let mut findings = check_model_credentials(&rows, &loaded.path, now, SOON);
    findings.extend(check_token_sinks(&problems, &loaded.path));
    findings
}
