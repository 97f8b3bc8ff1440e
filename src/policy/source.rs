//! Who connects: the address in its canonical form, and whether it is this
//! host's own.

use std::net::IpAddr;

/// Whether an address is one of this host's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalInterface {
    /// It belongs to another host.
    No,
    /// It is one of this host's.
    Yes,
    /// The interfaces couldn't be read; counts as one of this host's.
    Unknown,
}

/// The address that connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    address: IpAddr,
    local: LocalInterface,
}

impl Source {
    /// A source of this address; an IPv4-mapped one is read as IPv4.
    pub fn new(address: IpAddr, local: LocalInterface) -> Self {
        Self {
            address: address.to_canonical(),
            local,
        }
    }

    /// The address, never in IPv4-mapped form.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether it is an address of this host other than loopback.
    pub fn local_interface(&self) -> LocalInterface {
        if self.is_loopback() {
            LocalInterface::No
        } else {
            self.local
        }
    }

    /// Whether it is `127.0.0.0/8` or `::1`.
    pub fn is_loopback(&self) -> bool {
        self.address.is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_mapped_addresses_as_ipv4() {
        let source = Source::new("::ffff:127.0.0.1".parse().unwrap(), LocalInterface::Yes);
        assert_eq!(source.address(), "127.0.0.1".parse::<IpAddr>().unwrap());
        assert!(source.is_loopback());
    }

    #[test]
    fn tells_loopback_from_other_addresses_of_the_host() {
        let loopback = Source::new("::1".parse().unwrap(), LocalInterface::Yes);
        assert_eq!(loopback.local_interface(), LocalInterface::No);
        let own = Source::new("10.0.0.5".parse().unwrap(), LocalInterface::Yes);
        assert_eq!(
            (own.local_interface(), own.is_loopback()),
            (LocalInterface::Yes, false)
        );
    }
}
