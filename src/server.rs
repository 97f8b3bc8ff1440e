//! The composition root: a configuration becomes listeners, doors and an orderly end.

mod drain;
mod signals;
mod status;

pub use signals::{StopSignals, stop_signals};

use crate::admin::{
    self, AdminState, AllowedHosts, Condition, Health, Kind, Token, TokenError, UpstreamProbe,
};
use crate::config::Config;
use crate::drain::DrainControl;
use crate::listener::{self, Redirect, Shared};
use crate::policy::Code;
use crate::proxy::FrontDoor;
use crate::secrets::Environment;
use crate::snapshot::{BuildError, Snapshot};
use crate::telemetry::metrics::Metrics;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// How often the upstream's reachability is looked at, for `/readyz` to report.
const PROBE_EVERY: Duration = Duration::from_secs(10);
/// How soon again while it can't be reached: whoever starts it looks there next.
const PROBE_AGAIN: Duration = Duration::from_secs(1);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The configuration is valid, but what it names isn't: files, secrets.
    #[error("the configuration can't be put to use")]
    Config(Vec<BuildError>),
    /// `admin.token` is no token.
    #[error("admin.token: {0}")]
    Token(#[source] TokenError),
    /// An address can't be listened on.
    #[error("can't listen on {address} (`{key}`)")]
    Bind {
        /// The address.
        address: SocketAddr,
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

/// A runtime with a worker for each processor that this process may use.
///
/// # Errors
/// [`ServerError::System`] where the system refuses.
pub fn runtime() -> Result<tokio::runtime::Runtime, ServerError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("portcullis")
        .build()
        .map_err(|source| ServerError::System {
            what: "start the runtime",
            source,
        })
}

/// Everything bound and built, nothing served yet.
pub struct Server {
    front: Vec<TcpListener>,
    redirect: Option<(Redirect, TcpListener)>,
    admin: TcpListener,
    probe: Option<TcpListener>,
    shared: Arc<Shared>,
    admin_state: Arc<AdminState>,
    health: Arc<Health>,
    control: DrainControl,
    max_connections: usize,
    grace: Duration,
}

impl Server {
    /// Builds all that can fail, and binds every listener. `commit` is told by
    /// the metrics and the status.
    ///
    /// # Errors
    /// [`ServerError`]; nothing is left bound.
    pub async fn bind(
        config: &Config,
        environment: Environment<'_>,
        commit: &'static str,
    ) -> Result<Self, ServerError> {
        let snapshot = Snapshot::build(config, environment).map_err(ServerError::Config)?;
        let snapshot = Arc::new(snapshot);
        signals::raise_descriptor_limit(config.limits.max_connections);
        let mut front = Vec::new();
        for &address in &config.listen.addresses {
            front.push(bind(address, "listen.address")?);
        }
        let redirect = match config.listen.redirect_http {
            Some(address) => {
                let listener = bind(address, "listen.redirectHttp")?;
                let redirect = Redirect {
                    own_port: port(&listener),
                    tls_port: port(&front[0]),
                };
                Some((redirect, listener))
            }
            None => None,
        };
        let admin = bind(config.admin.address, "admin.address")?;
        let probe = config
            .admin
            .probe_address
            .map(|address| bind(address, "admin.probeAddress"))
            .transpose()?;

        let codes: Vec<&'static str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), commit, &codes));
        metrics.config_loaded(status::GENERATION, SystemTime::now());
        if let Some(expiry) = snapshot.certificate_expiry {
            metrics.certificate_expiry(expiry);
        }
        let (control, drain) = crate::drain::channel();
        let door = Arc::new(FrontDoor::new(
            snapshot.clone(),
            metrics.clone(),
            drain.clone(),
        ));
        let health = Arc::new(Health::default());
        // A snapshot exists only with all of its secrets.
        health.met(Condition::SecretsResolved);
        let facts = status::Facts {
            commit,
            began: SystemTime::now(),
            began_instant: Instant::now(),
            listeners: status::Listeners {
                front: front.iter().map(address).collect(),
                redirect: redirect.as_ref().map(|(_, listener)| address(listener)),
                admin: address(&admin),
                probe: probe.as_ref().map(address),
            },
            secrets: snapshot.secrets.clone(),
            health: health.clone(),
            metrics: metrics.clone(),
        };
        let token = snapshot
            .admin_token
            .as_ref()
            .map(|token| Token::new(token.expose()));
        let admin_state = Arc::new(AdminState {
            metrics: metrics.clone(),
            health: health.clone(),
            status: Box::new(move || facts.render()),
            token: token.transpose().map_err(ServerError::Token)?,
            allowed_hosts: AllowedHosts::for_listener(address(&admin)),
        });
        let max_connections = config.limits.max_connections;
        let shared = Arc::new(Shared {
            door,
            slots: Arc::new(Semaphore::new(max_connections)),
            metrics,
            drain,
        });
        Ok(Self {
            front,
            redirect,
            admin,
            probe,
            shared,
            admin_state,
            health,
            control,
            max_connections,
            grace: config.limits.shutdown_grace,
        })
    }

    /// Serves until the first stop signal, then lets what is under way end.
    ///
    /// # Errors
    /// None today; the signature leaves room for a listener that dies.
    pub async fn run(self, mut stop: StopSignals) -> Result<(), ServerError> {
        let admin_address = self.admin_address();
        let (stop_admin, admin_stopped) = watch::channel(false);
        let admin = tokio::spawn(admin::serve(
            self.admin,
            self.admin_state.clone(),
            Kind::Admin,
            admin_stopped.clone(),
        ));
        let probe = self.probe.map(|listener| {
            tokio::spawn(admin::serve(
                listener,
                self.admin_state.clone(),
                Kind::Probe,
                admin_stopped,
            ))
        });
        tracing::info!(listener.name = "admin", listener.address = %admin_address, "listening");
        let mut accepting = Vec::new();
        for listener in self.front {
            tracing::info!(listener.name = "front", listener.address = %address(&listener), "listening");
            accepting.push(tokio::spawn(listener::run(listener, self.shared.clone())));
        }
        if let Some((redirect, listener)) = self.redirect {
            tracing::info!(listener.name = "redirect", listener.address = %address(&listener), "listening");
            tokio::spawn(redirect.run(listener, self.shared.drain.clone()));
        }
        let background = [
            tokio::spawn(close_idle(self.shared.door.clone())),
            tokio::spawn(watch_upstream(
                self.shared.door.clone(),
                self.health.clone(),
            )),
        ];
        self.health.met(Condition::ListenersBound);
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "serving");

        let signal = stop.first().await;
        tracing::info!(signal, grace_ms = self.grace.as_millis() as u64, "draining");
        self.health.drain();
        let drained = drain::run(
            &self.control,
            accepting,
            &self.shared.slots,
            self.max_connections,
            &self.shared.metrics,
            self.grace,
        );
        tokio::select! {
            () = drained => tracing::info!("stopped"),
            signal = stop.again() => tracing::warn!(signal, "stopped at once"),
        }
        for task in background {
            task.abort();
        }
        // Nobody is left to ask; whoever still does gets a closed connection.
        let _ = stop_admin.send(true);
        let _ = tokio::time::timeout(Duration::from_secs(1), admin).await;
        if let Some(probe) = probe {
            probe.abort();
        }
        Ok(())
    }

    /// Where the front door listens: what port 0 became.
    pub fn front_addresses(&self) -> Vec<SocketAddr> {
        self.front.iter().map(address).collect()
    }

    /// Where the admin listener is.
    pub fn admin_address(&self) -> SocketAddr {
        address(&self.admin)
    }
}

fn bind(address: SocketAddr, key: &'static str) -> Result<TcpListener, ServerError> {
    listener::bind(address).map_err(|source| ServerError::Bind {
        address,
        key,
        source,
    })
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener
        .local_addr()
        .expect("a bound socket has an address")
}

fn port(listener: &TcpListener) -> u16 {
    address(listener).port()
}

async fn close_idle(door: Arc<FrontDoor>) {
    door.snapshot().upstream.close_idle().await;
}

/// Reports whether the gateway can be reached. A fact, never a condition: with
/// the gateway away a restart of Portcullis would help nobody.
async fn watch_upstream(door: Arc<FrontDoor>, health: Arc<Health>) {
    let mut was_reachable = None;
    loop {
        let probed = door.snapshot().upstream.probe().await;
        let is_reachable = probed.is_ok();
        if was_reachable != Some(is_reachable) {
            match &probed {
                Ok(()) => tracing::info!("the upstream is reachable"),
                Err(error) => {
                    tracing::warn!(error.detail = %error, "the upstream is not reachable")
                }
            }
            was_reachable = Some(is_reachable);
        }
        let result = probed.map_err(|error| error.to_string());
        health.upstream_probed(UpstreamProbe {
            at: Instant::now(),
            result,
        });
        tokio::time::sleep(if is_reachable {
            PROBE_EVERY
        } else {
            PROBE_AGAIN
        })
        .await;
    }
}
