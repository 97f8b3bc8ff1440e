//! Reloading: the configuration, its secrets and its TLS are built anew as one and
//! swapped at once, or nothing changes.

use super::assertion_keys;
use super::exposure::exposed;
use super::files::Files;
use super::lockdown;
use super::serving::{Serving, Trigger};
use crate::admin::{ReloadOutcome, ReloadProblem, ReloadRequest};
use crate::broker::Broker;
use crate::config::{self, Config, MAX_CONFIG_BYTES, Parsed, Problem};
use crate::confinement::Confinement;
use crate::proxy::FrontDoor;
use crate::regular_file;
use crate::secrets::Environment;
use crate::snapshot::{BuildError, Snapshot, watched_files};
use crate::telemetry::with_causes;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// How soon a change of files that failed is tried again, and how far that grows:
/// nobody may be there to ask for it, and a certificate ends all the same.
const FIRST_RETRY: Duration = Duration::from_secs(10);
const LAST_RETRY: Duration = Duration::from_secs(300);
/// How long building may take: commands have bounds of their own, a file system that
/// has gone has none.
const LONGEST: Duration = Duration::from_secs(600);
/// How long a look at the files may take that is needed here and now.
const LOOK: Duration = Duration::from_secs(5);

/// Builds and swaps.
pub(super) struct Reloader {
    pub(super) path: PathBuf,
    pub(super) environment: Environment<'static>,
    pub(super) confinement: Arc<Confinement>,
    pub(super) door: Arc<FrontDoor>,
    pub(super) broker: Option<Arc<Broker>>,
    pub(super) serving: Arc<Serving>,
    /// What the process began with.
    pub(super) started: Arc<Config>,
    /// What is in force.
    pub(super) current: Arc<Config>,
    /// What the files looked like before the last build read them.
    pub(super) files: Files,
    /// Whether files have changed since those that are served from.
    pub(super) has_unapplied_files: bool,
    /// A build that nobody waits for any more, and that may never end.
    pub(super) stuck: Option<JoinHandle<Attempt>>,
}

/// What came of building a configuration anew.
pub(super) struct Attempt {
    /// Those of the configuration in force and those of the new one.
    files: Files,
    /// The new one's.
    wanted: BTreeSet<PathBuf>,
    built: Result<Built, Failure>,
}

struct Built {
    config: Config,
    snapshot: Snapshot,
    restart_required: Vec<&'static str>,
}

#[derive(Default)]
struct Failure {
    problems: Vec<ReloadProblem>,
    /// References without a value.
    unresolved: usize,
}

impl Reloader {
    /// Reloads whenever it is asked to, for ever.
    pub(super) async fn run(mut self, mut requests: Receiver<ReloadRequest>, mut hangup: Signal) {
        let mut retry: Option<(Instant, Duration)> = None;
        loop {
            let (trigger, first) = tokio::select! {
                biased;
                Some(request) = requests.recv() => (Trigger::Request, Some(request)),
                Some(()) = hangup.recv() => (Trigger::Hangup, None),
                () = due(retry) => (Trigger::Retry, None),
                _ = self.files.changed() => (Trigger::Files, None),
            };
            // Whoever asks from here on wants a build that begins later.
            let mut waiting: Vec<ReloadRequest> = first.into_iter().collect();
            while let Ok(request) = requests.try_recv() {
                waiting.push(request);
            }
            let outcome = self.reload(&trigger).await;
            retry = match &outcome {
                Err(_) if self.has_unapplied_files => {
                    let last = retry.filter(|_| trigger == Trigger::Retry);
                    let pause = last.map_or(FIRST_RETRY, |(_, last)| (last * 2).min(LAST_RETRY));
                    Some((Instant::now() + pause, pause))
                }
                // Whoever asked for it is there, and reads what is wrong.
                Err(_) | Ok(_) => None,
            };
            for request in waiting {
                // Who has gone meanwhile finds the outcome in the status.
                let _ = request.answer.send(outcome.clone());
            }
        }
    }

    async fn reload(&mut self, trigger: &Trigger) -> ReloadOutcome {
        let (path, environment) = (self.path.clone(), self.environment);
        let confinement = self.confinement.clone();
        let (started, current) = (self.started.clone(), self.current.clone());
        let (files, held) = (self.files.clone(), self.door.snapshot());
        let serving = held.clone();
        self.serving.reloading();
        self.stuck.take_if(|stuck| stuck.is_finished());
        if self.stuck.is_some() {
            return self.given_up(trigger, "an earlier one still hangs: see the file systems");
        }
        let mut building = tokio::task::spawn_blocking(move || {
            let place = Place {
                path: &path,
                environment,
                confinement: &confinement,
            };
            attempt(&place, &started, &current, &files, &serving)
        });
        let Attempt {
            files,
            wanted,
            built,
        } = match timeout(LONGEST, &mut building).await {
            Ok(Ok(attempt)) => attempt,
            Ok(Err(_)) => {
                if let Ok(files) = timeout(LOOK, self.files.again()).await {
                    self.files = files;
                }
                return self.given_up(trigger, "it ended in a panic: see the log");
            }
            Err(_) => {
                self.stuck = Some(building);
                let message = format!("it did not end within {LONGEST:?}: see the file systems");
                return self.given_up(trigger, &message);
            }
        };
        self.has_unapplied_files |= files.differ_from(&self.files);
        self.files = files;
        match built {
            Ok(Built {
                config,
                snapshot,
                restart_required,
            }) => {
                if let Err(error) = assertion_keys::provide(&snapshot, Some(&held)).await {
                    let problem = ReloadProblem {
                        key: Some("gateway.auth.trustedProxy.assertion.keysUrl".to_owned()),
                        message: with_causes(&error),
                        ..ReloadProblem::default()
                    };
                    return self.serving.kept(trigger, vec![problem], 0);
                }
                self.has_unapplied_files = false;
                self.files = std::mem::take(&mut self.files).only(&wanted);
                self.current = Arc::new(config);
                let snapshot = Arc::new(snapshot);
                self.door.replace(snapshot.clone());
                if let Some(broker) = &self.broker {
                    broker.replace(snapshot.clone());
                }
                self.serving.replaced(trigger, &snapshot, restart_required)
            }
            Err(Failure {
                problems,
                unresolved,
            }) => self.serving.kept(trigger, problems, unresolved),
        }
    }

    /// An attempt without an outcome.
    fn given_up(&mut self, trigger: &Trigger, message: &str) -> ReloadOutcome {
        // Nobody knows what it had read.
        self.has_unapplied_files = true;
        let problem = ReloadProblem {
            message: format!("building the configuration: {message}"),
            ..ReloadProblem::default()
        };
        self.serving.kept(trigger, vec![problem], 0)
    }
}

async fn due(retry: Option<(Instant, Duration)>) {
    match retry {
        Some((at, _)) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Where a configuration is built.
struct Place<'a> {
    path: &'a Path,
    environment: Environment<'a>,
    confinement: &'a Confinement,
}

fn attempt(
    place: &Place<'_>,
    started: &Config,
    current: &Config,
    files: &Files,
    serving: &Snapshot,
) -> Attempt {
    let read = read(place);
    let wanted = read
        .as_ref()
        .map(|config| watched_files(config, place.environment))
        .unwrap_or_default();
    // Looked at before they are read: what changes in between is seen as changed.
    let files = match &read {
        // A file that only the configuration in force uses still matters if the new
        // one is refused, and no more if it isn't.
        Ok(_) => Files::look(files.paths().chain(wanted.iter().cloned())),
        Err(_) => Files::look(files.paths()),
    };
    lockdown::warn_of_lost_name_files(place.confinement);
    let built = read.and_then(|config| build(config, place, started, current, serving));
    Attempt {
        files,
        wanted,
        built,
    }
}

fn read(place: &Place<'_>) -> Result<Config, Failure> {
    let path = place.path;
    let located = |problem: &Problem| ReloadProblem {
        file: Some(path.to_owned()),
        line: Some(problem.line),
        column: Some(problem.column),
        key: (!problem.key.is_empty()).then(|| problem.key.clone()),
        message: problem.message.clone(),
        ..ReloadProblem::default()
    };
    let failed = |problems| Failure {
        problems,
        unresolved: 0,
    };
    let text = regular_file::read_to_string(path, MAX_CONFIG_BYTES).map_err(|error| {
        failed(vec![ReloadProblem {
            file: Some(path.to_owned()),
            message: error.to_string(),
            remedy: lockdown::remedy(place.confinement, &error),
            ..ReloadProblem::default()
        }])
    })?;
    match config::parse(&text) {
        Ok(Parsed { config, warnings }) => {
            for warning in &warnings {
                tracing::warn!(config.warning = %warning.with_file(path), "the configuration has a warning");
            }
            Ok(config)
        }
        Err(problems) => Err(failed(problems.iter().map(located).collect())),
    }
}

fn build(
    config: Config,
    place: &Place<'_>,
    started: &Config,
    current: &Config,
    serving: &Snapshot,
) -> Result<Built, Failure> {
    let &Place {
        path,
        environment,
        confinement,
    } = place;
    let changes = current.changes(started, &config);
    let mut problems: Vec<ReloadProblem> = changes
        .refused
        .iter()
        .map(|refusal| ReloadProblem {
            file: Some(path.to_owned()),
            key: Some(refusal.key.to_owned()),
            message: refusal.to_string(),
            ..ReloadProblem::default()
        })
        .collect();
    let mut given_up = lockdown::given_up(confinement, &config, path, environment);
    if confinement.is_asked_for() {
        let exposed = exposed(&config, path, environment);
        given_up.extend(exposed.iter().map(|error| failed_build(error, path)));
    }
    if !given_up.is_empty() {
        // What can't be read would only be called forbidden, whatever forbids it; and a
        // command that may not be trusted is not run.
        problems.extend(given_up);
        return Err(Failure {
            problems,
            unresolved: 0,
        });
    }
    match Snapshot::build(&config, environment, Some(serving)) {
        Ok(snapshot) if problems.is_empty() => Ok(Built {
            config,
            snapshot,
            restart_required: changes.restart_required,
        }),
        Ok(_) => Err(Failure {
            problems,
            unresolved: 0,
        }),
        Err(errors) => {
            problems.extend(errors.iter().map(|error| failed_build(error, path)));
            let unresolved = errors.iter().filter(|error| error.code().is_some()).count();
            Err(Failure {
                problems,
                unresolved,
            })
        }
    }
}

fn failed_build(error: &BuildError, path: &Path) -> ReloadProblem {
    ReloadProblem {
        file: Some(path.to_owned()),
        key: Some(error.key().to_owned()),
        code: error.code(),
        message: with_causes(error),
        remedy: error.remedy(),
        ..ReloadProblem::default()
    }
}
