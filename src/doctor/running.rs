//! What the running process says of itself at its admin listener, where that is not as
//! its operator wants it.

use super::facts::Facts;
use super::finding::{Finding, Place, Severity};
use super::finding_id::FindingId;
use crate::config::Config;
use crate::telemetry::NotReady;
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

const ASSERTION: &str = "gateway.auth.trustedProxy.assertion";
const ADMIN: &str = "admin.address";

/// What a running process says of itself. Another version may say less.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// Its number; none: it doesn't say.
    #[serde(default)]
    pub pid: Option<u32>,
    generation: u64,
    #[serde(default)]
    degraded: bool,
    #[serde(default)]
    last_reload: Option<Reload>,
    #[serde(default)]
    restart_required: Vec<String>,
    #[serde(default)]
    not_ready_because: Vec<String>,
    #[serde(default)]
    confinement: Option<Confinement>,
    #[serde(default)]
    assertion: Option<Keys>,
    #[serde(default)]
    listeners: Option<Listeners>,
}

#[derive(Debug, Clone, Deserialize)]
struct Listeners {
    #[serde(default)]
    displaced: Vec<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
struct Reload {
    #[serde(default)]
    problems: Vec<Problem>,
}

#[derive(Debug, Clone, Deserialize)]
struct Problem {
    #[serde(default)]
    key: Option<String>,
    message: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Confinement {
    no_new_privs: bool,
    landlock: String,
    #[serde(default)]
    capabilities: Option<String>,
    seccomp: String,
    #[serde(default)]
    exec_helper: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
struct Keys {
    #[serde(default)]
    error: Option<String>,
}

impl Running {
    /// Reads the body of `/status`; none where it is something else.
    #[must_use]
    pub fn read(status: Value) -> Option<Self> {
        serde_json::from_value(status).ok()
    }
}

/// What is wrong with the running process, by its own account.
#[must_use]
pub fn check_running(config: &Config, facts: &Facts, running: &Running) -> Vec<Finding> {
    let finding = |(id, severity, key, evidence, remedy): Told| Finding {
        id,
        severity,
        evidence,
        remedy,
        place: match (key, running.pid) {
            (Some(key), _) => facts.at_key(&key),
            (None, Some(pid)) => Place::file(&PathBuf::from(format!("/proc/{pid}"))),
            (None, None) => facts.at_key(ADMIN),
        },
    };
    let told = [
        reload(running),
        restart(running),
        lockdown(running),
        helper(config, running),
        keys(running),
    ];
    let sockets = running.listeners.iter().flat_map(|it| &it.displaced);
    let sockets = sockets.map(|path| displaced(facts, path, "it has been removed or replaced"));
    let told = told.into_iter().flatten().map(finding);
    told.chain(sockets).collect()
}

/// That a Unix socket isn't the one that the running process listens at.
pub(super) fn displaced(facts: &Facts, path: &Path, how: &str) -> Finding {
    let path = path.display();
    Finding::at(
        facts.at_key("listen.address"),
        FindingId::SocketDisplaced,
        Severity::Critical,
        format!(
            "the running process is not reached at unix:{path}: {how}; whoever put another there \
             is sent what is meant for Portcullis, sessions and all"
        ),
        format!(
            "find out who did it, let nobody else write the folder of {path}, and restart \
             Portcullis"
        ),
    )
}

/// That the running process can't be asked, and `why`.
#[must_use]
pub fn unanswered(facts: &Facts, why: &str) -> Finding {
    Finding {
        id: FindingId::NotExamined,
        severity: Severity::Info,
        evidence: format!("what the running process says of itself could not be asked: {why}"),
        remedy: "run this command with the service's environment, beside the service; its \
                 `/status` tells the same"
            .to_owned(),
        place: facts.at_key(ADMIN),
    }
}

/// A finding but for its place: the kind, how bad, the key (none: it is the process'), the
/// evidence, the remedy.
type Told = (FindingId, Severity, Option<String>, String, String);

fn reload(running: &Running) -> Option<Told> {
    if !running.degraded {
        return None;
    }
    let problem = running
        .last_reload
        .as_ref()
        .and_then(|it| it.problems.first());
    let why = problem.map_or_else(String::new, |problem| match &problem.key {
        Some(key) => format!(" ({key}: {})", problem.message),
        None => format!(" ({})", problem.message),
    });
    let key = problem.and_then(|problem| problem.key.clone());
    Some((
        FindingId::ReloadFailed,
        Severity::Warning,
        key,
        format!(
            "the last reload failed{why}: configuration {} is served on, and not what is read \
             here",
            running.generation
        ),
        "mend it, then `portcullis secrets reload`, which tells all that is wrong".to_owned(),
    ))
}

fn restart(running: &Running) -> Option<Told> {
    let first = running.restart_required.first()?;
    Some((
        FindingId::RestartRequired,
        Severity::Warning,
        Some(first.clone()),
        format!(
            "the running process keeps the old value of {}",
            running.restart_required.join(", ")
        ),
        "restart Portcullis".to_owned(),
    ))
}

impl Confinement {
    /// The strengths that it tells of, by the names that people read.
    fn strengths(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let parts = [
            ("Landlock", Some(&self.landlock)),
            ("capabilities", self.capabilities.as_ref()),
            ("seccomp", Some(&self.seccomp)),
        ];
        parts
            .into_iter()
            .filter_map(|(name, strength)| Some((name, strength?.as_str())))
    }

    fn is_whole(&self) -> bool {
        let is_whole = |(_, strength): (_, &str)| strength.starts_with("enforced");
        self.no_new_privs && self.strengths().all(is_whole)
    }

    /// Whether a part is missing as a whole.
    fn lacks_a_part(&self) -> bool {
        !self.no_new_privs || self.strengths().any(is_off)
    }

    fn is_nothing(&self) -> bool {
        !self.no_new_privs && self.strengths().all(is_off)
    }
}

fn is_off((_, strength): (&str, &str)) -> bool {
    strength.starts_with("off")
}

fn lockdown(running: &Running) -> Option<Told> {
    let confinement = running.confinement.as_ref()?;
    if confinement.is_whole() {
        return None;
    }
    const DANGER: &str = "whoever breaks into it can do";
    let (severity, evidence, remedy) = if confinement.is_nothing() {
        (
            Severity::Warning,
            format!("the running process is not locked down: {DANGER} all that its user may"),
            "start it without --no-lockdown",
        )
    } else {
        let severity = match confinement.lacks_a_part() {
            true => Severity::Warning,
            false => Severity::Info,
        };
        let privileges = match confinement.no_new_privs {
            true => "given up",
            false => "kept",
        };
        let strengths = confinement
            .strengths()
            .map(|(name, strength)| format!("; {name}: {strength}"));
        (
            severity,
            format!(
                "the running process is locked down less than it could be (new privileges: \
                 {privileges}{}): {DANGER} more",
                strengths.collect::<String>()
            ),
            "a newer kernel has what is missing; in a container, its profile must let it",
        )
    };
    let remedy = remedy.to_owned();
    Some((FindingId::LockdownOff, severity, None, evidence, remedy))
}

/// Without a lock-down there is none, and none is needed.
fn helper(config: &Config, running: &Running) -> Option<Told> {
    let confinement = running.confinement.as_ref()?;
    if confinement.exec_helper != Some(false) || confinement.is_nothing() {
        return None;
    }
    let (severity, key) = match config.secrets.first_command() {
        Some(name) => (
            Severity::Warning,
            Some(format!("secrets.providers.{name}.command")),
        ),
        // Only a reload could bring a command that needs it.
        None => (Severity::Info, None),
    };
    Some((
        FindingId::ExecHelperGone,
        severity,
        key,
        "the helper process that runs commands has ended: no secret of an exec provider can be \
         had, and a reload fails"
            .to_owned(),
        "restart Portcullis; who ended it is in the system's log".to_owned(),
    ))
}

fn keys(running: &Running) -> Option<Told> {
    let error = running.assertion.as_ref()?.error.as_deref();
    let mut reasons = running.not_ready_because.iter();
    let has_none = reasons.any(|reason| reason == NotReady::AssertionKeysMissing.as_str());
    let why = |error: Option<&str>| error.map_or_else(String::new, |it| format!(" ({it})"));
    let (severity, evidence) = match (has_none, error) {
        (true, error) => (
            Severity::Critical,
            format!(
                "the running process has no key to verify assertions by{}: nobody gets in",
                why(error)
            ),
        ),
        (false, Some(_)) => (
            Severity::Warning,
            format!(
                "the last fetch of the keys that verify assertions failed{}: nobody gets in once \
                 those at hand have ended",
                why(error)
            ),
        ),
        (false, None) => return None,
    };
    Some((
        FindingId::AssertionKeysMissing,
        severity,
        Some(format!("{ASSERTION}.keysUrl")),
        evidence,
        "see that the issuer's keys can be fetched from this host (name, firewall, caFile); it \
         is tried again by itself"
            .to_owned(),
    ))
}

#[cfg(test)]
mod tests;
