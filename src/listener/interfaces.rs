//! This host's own addresses: whoever connects from one of them is a process on
//! this host or in this pod, whatever `trustedProxies` says of the address.

use crate::policy::LocalInterface;
use nix::ifaddrs::getifaddrs;
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

/// Whether sockets may be bound to addresses that are not this host's: then
/// binding proves nothing.
const NONLOCAL_BIND: [&str; 2] = [
    "/proc/sys/net/ipv4/ip_nonlocal_bind",
    "/proc/sys/net/ipv6/ip_nonlocal_bind",
];

/// Whether `source`, connected to `local`, is an address of this host. Loopback
/// is not looked up: it has a rule of its own.
///
/// The kernel is asked by binding a socket to the address, once a connection. A
/// list of the interfaces alone would lag behind, and would miss the addresses of
/// a local route (`ip route add local … dev lo`), which any process may use.
pub(super) fn whose(source: SocketAddr, local: Option<SocketAddr>) -> LocalInterface {
    let address = source.ip().to_canonical();
    if address.is_loopback() {
        return LocalInterface::No;
    }
    if local.is_some_and(|local| local.ip().to_canonical() == address) {
        return LocalInterface::Yes;
    }
    let mut any_port = source;
    any_port.set_ip(address);
    any_port.set_port(0);
    match UdpSocket::bind(any_port) {
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => LocalInterface::No,
        Err(error) => {
            tracing::warn!(error.detail = %error, "whether a source is local can't be told");
            LocalInterface::Unknown
        }
        Ok(_) => match (is_listed(address), binds_anywhere()) {
            (Some(true), _) | (_, Some(false)) => LocalInterface::Yes,
            (Some(false), Some(true)) => LocalInterface::No,
            (None, _) | (_, None) => LocalInterface::Unknown,
        },
    }
}

/// Whether an interface has `address`; none where they can't be read.
fn is_listed(address: IpAddr) -> Option<bool> {
    let mut interfaces = getifaddrs().ok()?;
    Some(interfaces.any(|interface| {
        interface.address.is_some_and(|storage| {
            let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            let v6 = storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()));
            v4.or(v6)
                .is_some_and(|listed| listed.to_canonical() == address)
        })
    }))
}

/// The settings' files, held open: a process that has locked itself down opens none of
/// `/proc` any more.
static HELD: OnceLock<[Option<File>; 2]> = OnceLock::new();

/// Opens what has to be read later, too.
pub fn hold_settings() {
    HELD.get_or_init(|| NONLOCAL_BIND.map(|path| File::open(path).ok()));
}

/// A setting as it is now.
fn read(file: &File) -> Option<String> {
    let mut text = [0; 32];
    let length = file.read_at(&mut text, 0).ok()?;
    Some(String::from_utf8_lossy(&text[..length]).into_owned())
}

/// What the system says of binding to foreign addresses; none where it doesn't.
fn binds_anywhere() -> Option<bool> {
    let settings = match HELD.get() {
        Some(held) => [&held[0], &held[1]].map(|file| file.as_ref().and_then(read)),
        None => NONLOCAL_BIND.map(|path| std::fs::read_to_string(path).ok()),
    };
    let is_set = |text: &String| text.trim() != "0";
    match settings {
        [None, None] => None,
        [v4, v6] => Some(v4.as_ref().is_some_and(is_set) || v6.as_ref().is_some_and(is_set)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: IpAddr) -> SocketAddr {
        SocketAddr::new(address, 40_000)
    }

    #[test]
    fn a_connection_to_and_from_one_address_is_local() {
        // RFC 5737: nobody's address.
        let ip: IpAddr = "203.0.113.9".parse().unwrap();
        assert_eq!(whose(at(ip), Some((ip, 80).into())), LocalInterface::Yes);
        assert_eq!(whose(at(ip), None), LocalInterface::No);
    }

    #[test]
    fn every_address_that_an_interface_has_is_local() {
        for interface in getifaddrs().unwrap() {
            let v4 = interface
                .address
                .and_then(|storage| Some(storage.as_sockaddr_in()?.ip()));
            if let Some(ip) = v4.map(IpAddr::V4).filter(|ip| !ip.is_loopback()) {
                assert_eq!(whose(at(ip), None), LocalInterface::Yes, "{ip}");
                let IpAddr::V4(v4) = ip else { continue };
                assert_eq!(
                    whose(at(v4.to_ipv6_mapped().into()), None),
                    LocalInterface::Yes
                );
            }
        }
    }

    #[test]
    fn loopback_is_left_to_its_own_rule() {
        for ip in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(whose(at(ip.parse().unwrap()), None), LocalInterface::No);
        }
    }
}
