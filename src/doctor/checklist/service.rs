//! The process that serves: its user and its limits.

use super::super::deployment::ServiceProcess;
use super::super::finding::{Finding, Place, Severity};
use super::super::finding_id::FindingId;
use super::super::units::Fragment;
use super::{Ground, listed};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const ROOT: u32 = 0;
/// What systemd lets a service open that sets nothing (systemd.exec(5)).
const SYSTEMD_OPEN_FILES: u64 = 524_288;

pub(super) fn check(ground: &Ground<'_>) -> Vec<Finding> {
    let mut findings = root(ground);
    findings.extend(cores(ground));
    findings.extend(open_files(ground));
    findings.extend(unclear(ground));
    findings
}

/// The fragments of each unit.
fn units<'a>(ground: &Ground<'a>) -> BTreeMap<&'a str, Vec<&'a Fragment>> {
    let mut units: BTreeMap<&str, Vec<&Fragment>> = BTreeMap::new();
    for fragment in &ground.facts.units.fragments {
        units.entry(&fragment.unit).or_default().push(fragment);
    }
    units
}

fn place(process: &ServiceProcess) -> Place {
    Place::file(&PathBuf::from(format!("/proc/{}", process.pid)))
}

fn root(ground: &Ground<'_>) -> Vec<Finding> {
    const DANGER: &str = "whoever breaks into it owns the host";
    let finding = |severity, evidence: String, remedy: &str, place| Finding {
        id: FindingId::RunsAsRoot,
        severity,
        evidence,
        remedy: remedy.to_owned(),
        place,
    };
    let processes = ground.deployment.processes.as_slice();
    let units = units(ground);
    let mut findings = Vec::new();
    for process in processes.iter().filter(|process| process.user == ROOT) {
        findings.push(finding(
            Severity::Warning,
            format!(
                "process {} serves this config as root: {DANGER}",
                process.pid
            ),
            "start it as a user of its own: `User=` and `DynamicUser=yes` in a systemd unit, \
             `USER` in an image, `runAsNonRoot` in a pod",
            place(process),
        ));
    }
    for (unit, fragments) in &units {
        if let Some(path) = runs_as_root(fragments) {
            findings.push(finding(
                Severity::Warning,
                format!("{unit} runs it as root: {DANGER}"),
                "write `DynamicUser=yes` and `User=portcullis` into its [Service] section, then \
                 `systemctl daemon-reload` and restart it",
                Place::file(path),
            ));
        }
    }
    if processes.is_empty() && units.is_empty() && ground.facts.user == ROOT {
        findings.push(finding(
            Severity::Info,
            "this is run as root, and no unit or process shows as whom Portcullis itself is \
             started"
                .to_owned(),
            "start Portcullis as a user of its own, and run this as that user",
            Place::file(&ground.facts.config_path),
        ));
    }
    findings
}

/// The file to change, where no part of a unit names another user.
fn runs_as_root<'a>(fragments: &[&'a Fragment]) -> Option<&'a Path> {
    let is_root = |user: &str| ["", "root", "0"].contains(&user);
    let names_other = |fragment: &&Fragment| {
        let unit = &fragment.content;
        match unit.user.as_deref() {
            Some(user) => !is_root(user),
            None => unit.has_dynamic_user == Some(true),
        }
    };
    let names_root = |fragment: &&&Fragment| fragment.content.user.as_deref().is_some_and(is_root);
    let named = fragments.iter().find(names_root);
    match named {
        Some(fragment) => Some(&fragment.path),
        None if fragments.iter().any(names_other) => None,
        None => fragments.first().map(|fragment| fragment.path.as_path()),
    }
}

/// Portcullis turns them off for itself, and closes its memory, unless it is told not to;
/// that may also be forbidden where it is confined.
fn cores(ground: &Ground<'_>) -> Vec<Finding> {
    let processes = ground.deployment.processes.iter();
    let evidence = |process: &ServiceProcess| {
        let pid = process.pid;
        match (
            process.core_bytes.is_some_and(|it| it > 0),
            process.is_unsealed,
        ) {
            (true, _) => Some(format!(
                "process {pid} may write a core file: it would hold requests and secrets"
            )),
            (false, true) => Some(format!(
                "process {pid} was started with --allow-core-dumps: other processes of its user \
                 can read its memory, which holds requests and secrets"
            )),
            (false, false) => None,
        }
    };
    let finding = |process: &ServiceProcess| {
        Some(Finding {
            id: FindingId::CoreDumpsOn,
            severity: Severity::Warning,
            evidence: evidence(process)?,
            remedy: if process.is_unsealed {
                "start it without --allow-core-dumps".to_owned()
            } else {
                "start it with no core files: `LimitCORE=0` in a systemd unit, `ulimit -c 0` in a \
                 shell"
                    .to_owned()
            },
            place: place(process),
        })
    };
    processes.filter_map(finding).collect()
}

/// Whoever has closed its memory to others shows its environment and its folder to root
/// alone, and there the config may be named.
fn unclear(ground: &Ground<'_>) -> Option<Finding> {
    let unclear = ground.deployment.unclear_processes.as_slice();
    let (noun, verb) = match unclear {
        [] => return None,
        [_] => ("process", "runs"),
        _ => ("processes", "run"),
    };
    Some(Finding {
        id: FindingId::NotExamined,
        severity: Severity::Info,
        evidence: format!(
            "{noun} {} {verb} Portcullis, and whether with this config is not shown here: it is \
             named by $PORTCULLIS_CONFIG, or by the folder that it was started in",
            listed(unclear)
        ),
        remedy: "run this command as root, or start Portcullis with `--config` and the whole path"
            .to_owned(),
        place: Place::file(&ground.facts.config_path),
    })
}

fn open_files(ground: &Ground<'_>) -> Option<Finding> {
    let needed = ground.config.limits.descriptors();
    let processes = ground.deployment.processes.iter();
    let of_processes = processes.filter_map(|process| process.open_files).min();
    let of_units = || {
        let units = units(ground).into_values();
        let limits = units.map(|fragments| {
            let mut set = fragments.iter().rev();
            let set = set.find_map(|fragment| fragment.content.open_files);
            set.unwrap_or(SYSTEMD_OPEN_FILES)
        });
        limits.min()
    };
    let (severity, allowed, whom) = match of_processes.or_else(of_units) {
        Some(allowed) => (Severity::Warning, allowed, "the service"),
        // The service may be started otherwise.
        None => (Severity::Info, ground.deployment.open_files?, "this shell"),
    };
    (allowed < needed).then(|| {
        ground.finding(
            FindingId::OpenFilesFew,
            severity,
            "limits.maxConnections",
            format!(
                "{whom} may open {allowed} files, and limits.maxConnections with \
                 limits.maxRequestsInFlight need {needed}: fewer connections are taken"
            ),
            format!(
                "allow {needed} files (`LimitNOFILE={needed}` in a systemd unit, `ulimit -n {needed}` \
                 in a shell), or lower limits.maxConnections"
            ),
        )
    })
}
