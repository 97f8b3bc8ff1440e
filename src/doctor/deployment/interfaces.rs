//! The addresses that the host's interfaces have.

use super::super::look::Look;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use std::net::{SocketAddr, SocketAddrV6};

/// Every address of an interface that is up, once, with port 0; loopback left out.
pub(super) fn addresses() -> Look<Vec<SocketAddr>> {
    let interfaces = match getifaddrs() {
        Ok(interfaces) => interfaces,
        Err(error) => return Look::Hidden(error.to_string()),
    };
    let up = interfaces.filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP));
    let addresses = up.filter_map(|interface| {
        let storage = interface.address?;
        let v4 = storage.as_sockaddr_in();
        let v4 = v4.map(|v4| SocketAddr::from((v4.ip(), 0)));
        // Of a link-local address the interface is a part.
        let v6 = storage.as_sockaddr_in6();
        let v6 = v6.map(|v6| SocketAddrV6::new(v6.ip(), 0, 0, v6.scope_id()).into());
        v4.or(v6)
    });
    let mut addresses: Vec<_> = addresses
        .filter(|address| !address.ip().to_canonical().is_loopback())
        .collect();
    addresses.sort();
    addresses.dedup();
    Look::Seen(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn every_address_is_one_that_can_be_bound() {
        let addresses = addresses();
        let addresses = addresses.seen().unwrap();
        for address in addresses {
            assert!(!address.ip().is_loopback());
            UdpSocket::bind(address).unwrap();
        }
    }
}
