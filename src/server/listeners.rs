//! The sockets that the process listens on.

use super::ServerError;
use crate::config::Config;
use crate::listener::{self, Redirect};
use serde::Serialize;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Every listener, bound.
pub(super) struct Listeners {
    pub(super) front: Vec<TcpListener>,
    pub(super) redirect: Option<(Redirect, TcpListener)>,
    pub(super) admin: TcpListener,
    pub(super) probe: Option<TcpListener>,
    pub(super) models: Option<TcpListener>,
}

/// Where each listener is: what port 0 became.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Addresses {
    pub(super) front: Vec<SocketAddr>,
    pub(super) redirect: Option<SocketAddr>,
    pub(super) admin: SocketAddr,
    pub(super) probe: Option<SocketAddr>,
    pub(super) models: Option<SocketAddr>,
}

impl Listeners {
    /// Binds them all, or none.
    pub(super) fn bind(config: &Config) -> Result<Self, ServerError> {
        let front = config.listen.addresses.iter();
        let front = front
            .map(|&address| bind(address, "listen.address"))
            .collect::<Result<Vec<_>, _>>()?;
        let redirect = match config.listen.redirect_http {
            Some(at) => {
                let listener = bind(at, "listen.redirectHttp")?;
                let redirect = Redirect {
                    own_port: address(&listener).port(),
                    tls_port: address(&front[0]).port(),
                };
                Some((redirect, listener))
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
            front: self.front.iter().map(address).collect(),
            redirect: self
                .redirect
                .as_ref()
                .map(|(_, listener)| address(listener)),
            admin: address(&self.admin),
            probe: self.probe.as_ref().map(address),
            models: self.models.as_ref().map(address),
        }
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
