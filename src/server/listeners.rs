//! The sockets that the process listens on.

use super::ServerError;
use crate::config::{Config, ListenAddress};
use crate::listener::{self, Listener, Redirect, SocketFile};
use serde::{Serialize, Serializer};
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Every listener, bound.
pub(super) struct Listeners {
    pub(super) front: Vec<Listener>,
    pub(super) redirect: Option<(Redirect, TcpListener)>,
    pub(super) admin: TcpListener,
    pub(super) probe: Option<TcpListener>,
    pub(super) models: Option<TcpListener>,
}

/// Where each listener is: what port 0 became.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Addresses {
    #[serde(serialize_with = "as_written")]
    pub(super) front: Vec<ListenAddress>,
    pub(super) redirect: Option<SocketAddr>,
    pub(super) admin: SocketAddr,
    pub(super) probe: Option<SocketAddr>,
    pub(super) models: Option<SocketAddr>,
    /// The Unix sockets; shown are those that somebody has removed or replaced.
    #[serde(rename = "displaced", serialize_with = "displaced")]
    pub(super) sockets: Vec<SocketFile>,
}

impl Listeners {
    /// Binds them all, or none.
    pub(super) fn bind(config: &Config) -> Result<Self, ServerError> {
        let front = config.listen.addresses.iter();
        let front = front.map(bind_front).collect::<Result<Vec<_>, _>>()?;
        let port = |listener: &Listener| match listener {
            Listener::Tcp(tcp) => Some(address(tcp).port()),
            Listener::Unix(_) => None,
        };
        let tls_port = front.iter().find_map(port);
        let redirect = match config.listen.redirect_http.zip(tls_port) {
            Some((at, tls_port)) => {
                let listener = bind(at, "listen.redirectHttp")?;
                let own_port = address(&listener).port();
                Some((Redirect { own_port, tls_port }, listener))
            }
            None => None,
        };
        let probe = config.admin.probe_address;
        Ok(Self {
            front,
            redirect,
            admin: bind(config.admin.address, "admin.address")?,
            probe: probe
                .map(|address| bind(address, "admin.probeAddress"))
                .transpose()?,
            models: config
                .models
                .listen
                .map(|address| bind(address, "models.listen"))
                .transpose()?,
        })
    }

    pub(super) fn addresses(&self) -> Addresses {
        Addresses {
            front: self.front.iter().map(front_address).collect(),
            redirect: self
                .redirect
                .as_ref()
                .map(|(_, listener)| address(listener)),
            admin: address(&self.admin),
            probe: self.probe.as_ref().map(address),
            models: self.models.as_ref().map(address),
            sockets: self
                .front
                .iter()
                .filter_map(Listener::socket_file)
                .cloned()
                .collect(),
        }
    }
}

fn bind_front(address: &ListenAddress) -> Result<Listener, ServerError> {
    Listener::bind(address).map_err(|source| ServerError::Bind {
        address: address.clone(),
        key: "listen.address",
        source,
    })
}

fn bind(address: SocketAddr, key: &'static str) -> Result<TcpListener, ServerError> {
    listener::bind(address).map_err(|source| ServerError::Bind {
        address: ListenAddress::Tcp(address),
        key,
        source,
    })
}

fn front_address(listener: &Listener) -> ListenAddress {
    listener.address().expect("a bound socket has an address")
}

fn as_written<S: Serializer>(
    addresses: &[ListenAddress],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(addresses.iter().map(ToString::to_string))
}

fn displaced<S: Serializer>(sockets: &[SocketFile], serializer: S) -> Result<S::Ok, S::Error> {
    let displaced = sockets.iter().filter(|socket| !socket.is_in_place());
    serializer.collect_seq(displaced.map(|socket| socket.path().display().to_string()))
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener
        .local_addr()
        .expect("a bound socket has an address")
}
