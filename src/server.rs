//! The composition root: a configuration becomes listeners, doors and an orderly end.

mod assertion_keys;
mod drain;
mod exposure;
mod files;
mod listeners;
mod lockdown;
mod process;
mod reload;
mod serving;
mod signals;
mod status;

pub use exposure::{exposed, exposed_secrets, unkept_commands};
pub use lockdown::{lock_down, tell};
pub use process::{seal, workers};
pub use signals::{StopSignals, dismissed, outlive_signals, stop_signals};

use crate::admin::{self, AdminState, Condition, Health, Kind, ReloadRequest, UpstreamProbe};
use crate::broker::Broker;
use crate::config::{Config, ListenAddress};
use crate::confinement::Confinement;
use crate::drain::{DrainControl, Phase};
use crate::listener::{self, Shared};
use crate::local_caller::AllowedHosts;
use crate::policy::Code;
use crate::proxy::FrontDoor;
use crate::secrets::Environment;
use crate::snapshot::{BuildError, Snapshot, watched_files};
use crate::telemetry::metrics::Metrics;
use files::Files;
use listeners::{Addresses, Listeners};
use reload::Reloader;
use serving::Serving;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::signal::unix::Signal;
use tokio::sync::{Semaphore, mpsc, watch};

/// How often the upstream's reachability is looked at, for `/readyz` to report.
const PROBE_EVERY: Duration = Duration::from_secs(10);
/// How soon again while it can't be reached: whoever starts it looks there next.
const PROBE_AGAIN: Duration = Duration::from_secs(1);
/// How often the orphans of a container are reaped.
const REAP_EVERY: Duration = Duration::from_secs(10);
/// How often idle connections to the upstream are looked through.
const CLOSE_IDLE_EVERY: Duration = Duration::from_millis(500);

/// How often the rates of users and clients are looked through.
const FORGET_IDLE_EVERY: Duration = Duration::from_secs(60);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The configuration is valid, but what it names isn't: files, secrets.
    #[error("the configuration can't be put to use")]
    Config(Vec<BuildError>),
    /// An address can't be listened on.
    #[error("can't listen on {address} (`{key}`)")]
    Bind {
        /// The address.
        address: ListenAddress,
        /// The config key that names it.
        key: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The system refuses threads, signals or the like.
    #[error("can't {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// A runtime with so many workers.
///
/// # Errors
/// [`ServerError::System`] where the system refuses.
pub fn runtime(workers: usize) -> Result<tokio::runtime::Runtime, ServerError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .thread_name("portcullis")
        .build()
        .map_err(|source| ServerError::System {
            what: "start the runtime",
            source,
        })
}

/// What a server serves, and where more of it comes from.
pub struct Origin {
    /// The configuration to begin with.
    pub config: Config,
    /// The file that it came from, to be read again; none: there is no reloading.
    pub path: Option<PathBuf>,
    /// Where `env` secrets come from.
    pub environment: Environment<'static>,
    /// What holds this process.
    pub confinement: Arc<Confinement>,
    /// The build's commit, told by the metrics and the status.
    pub commit: &'static str,
}

/// Everything bound and built, nothing served yet.
pub struct Server {
    listeners: Listeners,
    addresses: Addresses,
    shared: Arc<Shared>,
    admin_state: Arc<AdminState>,
    health: Arc<Health>,
    control: DrainControl,
    max_connections: usize,
    broker: Option<Arc<Broker>>,
    reloading: Option<Reloading>,
    hangup: Signal,
}

/// Who reloads, and who asks for it.
type Reloading = (Reloader, mpsc::Receiver<ReloadRequest>);

impl Server {
    /// Builds all that can fail, and then binds every listener.
    ///
    /// # Errors
    /// [`ServerError`]; nothing is left bound.
    pub async fn bind(origin: Origin) -> Result<Self, ServerError> {
        let Origin {
            config,
            path,
            environment,
            confinement,
            commit,
        } = origin;
        // Before all that takes time, for without a handler it kills.
        let hangup = signals::hangup()?;
        let config = Arc::new(config);
        let to_build = config.clone();
        let building = tokio::task::spawn_blocking(move || {
            // Looked at before they are read: what changes in between is seen as changed.
            let files = Files::look(watched_files(&to_build, environment));
            let snapshot = Snapshot::build(&to_build, environment, None);
            snapshot.map(|snapshot| (files, Arc::new(snapshot)))
        });
        let built = building.await.map_err(|panic| ServerError::System {
            what: "build the configuration",
            source: io::Error::other(panic),
        })?;
        let (files, snapshot) = built.map_err(ServerError::Config)?;
        // Where they can't be had nobody is let in, and the state says so.
        let _ = assertion_keys::provide(&snapshot, None).await;
        let room = process::room(&config.limits);
        let max_connections = room.connections;
        let listeners = Listeners::bind(&config)?;
        let addresses = listeners.addresses();

        let codes: Vec<&'static str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), commit, &codes));
        let serving = Arc::new(Serving::new(&snapshot, metrics.clone()));
        let (control, drain) = crate::drain::channel();
        let broker = addresses.models.map(|_| {
            Broker::new(
                snapshot.clone(),
                environment,
                metrics.clone(),
                drain.clone(),
            )
        });
        let health = Arc::new(Health::default());
        assertion_keys::look(&snapshot, &health, &metrics);
        let door = FrontDoor::new(snapshot, metrics.clone(), drain.clone(), room.requests);
        let door = Arc::new(door);
        // A snapshot exists only with all of its secrets.
        health.met(Condition::SecretsResolved);
        let facts = status::Facts {
            commit,
            door: door.clone(),
            began: SystemTime::now(),
            began_instant: Instant::now(),
            listeners: addresses.clone(),
            serving: serving.clone(),
            health: health.clone(),
            metrics: metrics.clone(),
            broker: broker.clone(),
            confinement: confinement.clone(),
        };
        let (queue, requests) = mpsc::channel(admin::MAX_WAITING);
        let reloading = path.map(|path| {
            let reloader = Reloader {
                path,
                environment,
                confinement,
                door: door.clone(),
                broker: broker.clone(),
                serving,
                started: config.clone(),
                current: config,
                files,
                has_unapplied_files: false,
                stuck: None,
            };
            (reloader, requests)
        });
        let token_of = door.clone();
        let admin_state = Arc::new(AdminState {
            metrics: metrics.clone(),
            health: health.clone(),
            status: Box::new(move || facts.render()),
            token: Box::new(move || token_of.snapshot().admin_token.clone()),
            denials: door.denials(),
            probe: door.probe(),
            reload: reloading.is_some().then_some(queue),
            allowed_hosts: AllowedHosts::for_listener(addresses.admin),
        });
        let shared = Arc::new(Shared {
            door,
            slots: Arc::new(Semaphore::new(max_connections)),
            strangers: Arc::new(Semaphore::new(max_connections.div_ceil(2))),
            crowd: Arc::default(),
            metrics,
            drain,
        });
        Ok(Self {
            listeners,
            addresses,
            shared,
            admin_state,
            health,
            control,
            max_connections,
            broker,
            reloading,
            hangup,
        })
    }

    /// Serves until the first stop signal, then lets what is under way end.
    ///
    /// # Errors
    /// None today; the signature leaves room for a listener that dies.
    pub async fn run(self, mut stop: StopSignals) -> Result<(), ServerError> {
        let Listeners {
            front,
            redirect,
            admin,
            probe,
            models,
        } = self.listeners;
        let (stop_admin, admin_stopped) = watch::channel(false);
        let admin = tokio::spawn(admin::serve(
            admin,
            self.admin_state.clone(),
            Kind::Admin,
            admin_stopped.clone(),
        ));
        let probe = probe.map(|listener| {
            tokio::spawn(admin::serve(
                listener,
                self.admin_state.clone(),
                Kind::Probe,
                admin_stopped,
            ))
        });
        let listening = |name: &'static str, address: &dyn std::fmt::Display| {
            tracing::info!(listener.name = name, listener.address = %address, "listening");
        };
        listening("admin", &self.addresses.admin);
        let mut accepting = Vec::new();
        for (listener, address) in front.into_iter().zip(&self.addresses.front) {
            listening("front", address);
            accepting.push(tokio::spawn(listener::run(listener, self.shared.clone())));
        }
        if let Some(((redirect, listener), address)) = redirect.zip(self.addresses.redirect) {
            listening("redirect", &address);
            tokio::spawn(redirect.run(listener, self.shared.drain.clone()));
        }
        let mut background = vec![
            tokio::spawn(close_idle(self.shared.door.clone())),
            tokio::spawn(forget_idle(self.shared.door.clone())),
            tokio::spawn(inherit()),
            tokio::spawn(assertion_keys::watch(
                self.shared.door.clone(),
                self.health.clone(),
                self.shared.metrics.clone(),
            )),
            tokio::spawn(watch_upstream(
                self.shared.door.clone(),
                self.health.clone(),
            )),
            match self.reloading {
                Some((reloader, requests)) => tokio::spawn(reloader.run(requests, self.hangup)),
                None => tokio::spawn(ignore(self.hangup)),
            },
        ];
        if let Some(((broker, listener), address)) =
            self.broker.clone().zip(models).zip(self.addresses.models)
        {
            background.push(tokio::spawn(broker.clone().keep()));
            listening("models", &address);
            accepting.push(tokio::spawn(broker.serve(listener)));
        }
        self.health.met(Condition::ListenersBound);
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "serving");

        let signal = stop.first().await;
        let grace = self.shared.door.snapshot().limits.shutdown_grace;
        self.control.advance(Phase::Draining);
        self.health.drain();
        tracing::info!(signal, grace_ms = grace.as_millis() as u64, "draining");
        let drained = drain::run(
            &self.control,
            accepting,
            &self.shared.slots,
            self.max_connections,
            &self.shared.metrics,
            grace,
        );
        tokio::select! {
            () = drained => tracing::info!("stopped"),
            signal = stop.again() => tracing::warn!(signal, "stopped at once"),
        }
        for task in background {
            task.abort();
        }
        if let Some(broker) = self.broker {
            // A refresh that is cut off may lose the login.
            tokio::select! {
                () = broker.settle() => {}
                signal = stop.again() => tracing::warn!(signal, "stopped at once"),
            }
        }
        // Nobody is left to ask; whoever still does gets a closed connection.
        let _ = stop_admin.send(true);
        let _ = tokio::time::timeout(Duration::from_secs(1), admin).await;
        if let Some(probe) = probe {
            probe.abort();
        }
        Ok(())
    }

    /// Where the front door listens on TCP: what port 0 became.
    pub fn front_addresses(&self) -> Vec<SocketAddr> {
        let addresses = self.addresses.front.iter();
        let tcp = addresses.filter_map(|address| match address {
            ListenAddress::Tcp(address) => Some(*address),
            ListenAddress::Unix(_) => None,
        });
        tcp.collect()
    }

    /// Where the admin listener is.
    pub fn admin_address(&self) -> SocketAddr {
        self.addresses.admin
    }
}

/// Closes the upstream's connections that have been idle too long, for ever.
async fn close_idle(door: Arc<FrontDoor>) {
    let mut ticks = tokio::time::interval(CLOSE_IDLE_EVERY);
    loop {
        ticks.tick().await;
        door.snapshot().upstream.close_expired();
    }
}

/// Forgets who has sent no request for long, for ever.
async fn forget_idle(door: Arc<FrontDoor>) {
    loop {
        tokio::time::sleep(FORGET_IDLE_EVERY).await;
        door.snapshot().rates.forget_idle();
    }
}

/// Reaps what a container's first process inherits, for ever.
async fn inherit() {
    loop {
        tokio::time::sleep(REAP_EVERY).await;
        crate::secrets::reap_orphans();
    }
}

/// There is nothing to be read again.
async fn ignore(mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        tracing::warn!("SIGHUP: this process has no configuration file to read again");
    }
}

/// Reports whether the gateway can be reached. A fact, never a condition: with
/// the gateway away a restart of Portcullis would help nobody.
async fn watch_upstream(door: Arc<FrontDoor>, health: Arc<Health>) {
    let mut was_reachable = None;
    loop {
        let probed = door.snapshot().upstream.probe().await;
        let is_reachable = probed.is_ok();
        // Known before it is logged: whoever read the line may ask `/readyz` next.
        health.upstream_probed(UpstreamProbe {
            at: Instant::now(),
            result: probed.as_ref().map_err(ToString::to_string).copied(),
        });
        if was_reachable != Some(is_reachable) {
            match &probed {
                Ok(()) => tracing::info!("the upstream is reachable"),
                Err(error) => {
                    tracing::warn!(error.detail = %error, "the upstream is not reachable")
                }
            }
            was_reachable = Some(is_reachable);
        }
        tokio::time::sleep(if is_reachable {
            PROBE_EVERY
        } else {
            PROBE_AGAIN
        })
        .await;
    }
}
