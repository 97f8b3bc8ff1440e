//! `portcullis doctor`: the security checklist, as findings.

mod attack;
mod report;
mod running;

use super::config_file::{Loaded, load_or_complain};
use super::output::{self, Style};
use super::surroundings::Surroundings;
use super::{ConfigPath, EXIT_FAILURE, EXIT_USAGE, interruptible, models};
use crate::authority::Authority;
use crate::credentials::UnixMillis;
use crate::doctor::{
    Deployment, Finding, OpenClaw, Severity, check_deployment, check_model_credentials,
    check_openclaw, check_token_sinks, worst_first,
};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

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
    /// The gateway's configuration: hold it against Portcullis' own
    #[arg(long, value_name = "FILE")]
    openclaw: Option<PathBuf>,
    /// A host name that browsers use; may be repeated
    #[arg(long = "host", value_name = "NAME", requires = "openclaw", value_parser = parse_host)]
    hosts: Vec<String>,
    #[command(flatten)]
    attack: attack::Arguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// A folder of systemd units to look in instead of the system's own; may be repeated
    #[arg(long, value_name = "DIR", hide = true)]
    units: Vec<PathBuf>,
}

/// A host as it stands in an origin; a port that isn't 443 belongs to it.
fn parse_host(text: &str) -> Result<String, String> {
    match Authority::parse(text.as_bytes()) {
        Some(_) => Ok(text.to_ascii_lowercase()),
        None => Err("expected a host name, with a port unless it is 443".to_owned()),
    }
}

pub(super) fn run(arguments: Arguments) -> ExitCode {
    interruptible::run(move || examine(&arguments))
}

fn examine(arguments: &Arguments) -> ExitCode {
    let attack = &arguments.attack;
    if attack.is_alone() {
        return match attack.run_alone(&arguments.config) {
            Ok(findings) => tell(findings, None, arguments),
            Err(code) => code,
        };
    }
    let loaded = match load_or_complain(&arguments.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let openclaw = match arguments
        .openclaw
        .as_deref()
        .map(OpenClaw::read)
        .transpose()
    {
        Ok(openclaw) => openclaw,
        Err(error) => {
            output::complain(format_args!("portcullis: --openclaw: {error}"));
            return EXIT_USAGE.into();
        }
    };
    // What each part finds, in no order.
    let mut findings = surroundings(&loaded, openclaw.as_ref(), arguments);
    match attack.run_beside(&loaded) {
        Ok(found) => findings.extend(found),
        Err(code) => return code,
    }
    tell(findings, Some(&loaded.path), arguments)
}

/// Prints the findings, the worst first. Without a configuration they are of the attacked
/// address alone.
fn tell(findings: Vec<Finding>, config: Option<&Path>, arguments: &Arguments) -> ExitCode {
    let findings = worst_first(findings);
    let worst = findings.first().map(|finding| finding.severity);
    let written = if arguments.json {
        output::json(report::json(&findings, config))
    } else {
        output::raw(report::text(&findings, Style::for_stdout()).as_bytes())
    };
    let code = match worst {
        Some(Severity::Critical) => EXIT_FAILURE.into(),
        Some(Severity::Warning | Severity::Info) | None => ExitCode::SUCCESS,
    };
    output::finish(written, code)
}

/// The secrets, the start, the deployment, the credentials and the gateway's side of it.
fn surroundings(
    loaded: &Loaded,
    openclaw: Option<&OpenClaw>,
    arguments: &Arguments,
) -> Vec<Finding> {
    let mut surroundings = Surroundings::gather(loaded, &arguments.units);
    let mut deployment = Deployment::gather(&loaded.config, &loaded.path);
    let mut findings = running::examine(loaded, &surroundings.facts, &mut deployment);
    // One that answers may be one that was not seen before.
    surroundings.facts.learn(&deployment.processes);
    findings.extend(surroundings.audit(loaded));
    findings.extend(surroundings.refusals(loaded, &deployment));
    findings.extend(surroundings.exposures(loaded));
    let (config, facts) = (&loaded.config, &surroundings.facts);
    findings.extend(check_deployment(config, facts, &deployment));
    let is_certain = deployment.has_answered || facts.is_service();
    findings.extend(model_credentials(loaded, is_certain));
    if let Some(openclaw) = openclaw {
        let hosts = &arguments.hosts;
        findings.extend(check_openclaw(config, facts, &deployment, openclaw, hosts));
    }
    findings
}

fn model_credentials(loaded: &Loaded, is_certain: bool) -> Vec<Finding> {
    let (rows, problems) = models::known_credentials(loaded);
    let now = UnixMillis::now();
    let mut findings = check_model_credentials(&rows, &loaded.path, now, SOON);
    findings.extend(check_token_sinks(&problems, &loaded.path, is_certain));
    findings
}
