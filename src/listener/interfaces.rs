//! This host's own addresses: whoever connects from one of them is a process on
//! this host or in this pod, whatever `trustedProxies` says of the address.

use crate::policy::LocalInterface;
use nix::ifaddrs::getifaddrs;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a reading stands. Addresses change seldom; a connection that comes
/// from the very address it goes to is recognised without it.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// Reads the interfaces when needed, at most once a second.
#[derive(Debug, Default)]
pub struct Interfaces {
    reading: Mutex<Option<Reading>>,
}

#[derive(Debug)]
struct Reading {
    at: Instant,
    /// None where the interfaces could not be read.
    addresses: Option<HashSet<IpAddr>>,
}

impl Interfaces {
    /// Whether `source` is an address of this host. Loopback is not looked up: it
    /// has a rule of its own.
    pub fn whose(&self, source: IpAddr, local: Option<SocketAddr>) -> LocalInterface {
        let source = source.to_canonical();
        if source.is_loopback() {
            return LocalInterface::No;
        }
        if local.is_some_and(|local| local.ip().to_canonical() == source) {
            return LocalInterface::Yes;
        }
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let stale = reading
            .as_ref()
            .is_none_or(|reading| reading.at.elapsed() > FRESH_FOR);
        if stale {
            *reading = Some(Reading {
                at: Instant::now(),
                addresses: read(),
            });
        }
        match reading
            .as_ref()
            .and_then(|reading| reading.addresses.as_ref())
        {
            Some(addresses) if addresses.contains(&source) => LocalInterface::Yes,
            Some(_) => LocalInterface::No,
            None => LocalInterface::Unknown,
        }
    }
}

fn read() -> Option<HashSet<IpAddr>> {
    let interfaces = getifaddrs()
        .inspect_err(|error| tracing::warn!(error.detail = %error, "the interfaces can't be read"))
        .ok()?;
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    Some(addresses.map(|address| address.to_canonical()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_to_and_from_one_address_is_local() {
        let interfaces = Interfaces::default();
        let ip: IpAddr = "203.0.113.9".parse().unwrap();
        assert_eq!(
            interfaces.whose(ip, Some((ip, 80).into())),
            LocalInterface::Yes
        );
        assert_eq!(interfaces.whose(ip, None), LocalInterface::No);
    }

    #[test]
    fn every_address_that_the_system_lists_is_local() {
        let interfaces = Interfaces::default();
        for address in read()
            .unwrap()
            .into_iter()
            .filter(|address| !address.is_loopback())
        {
            assert_eq!(
                interfaces.whose(address, None),
                LocalInterface::Yes,
                "{address}"
            );
        }
    }
}
