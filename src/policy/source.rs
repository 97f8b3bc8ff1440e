//! Who connects: the address in its canonical form and whether it is this host's
//! own, or the user that a Unix socket's peer runs as.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

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

/// Who connected. Shown as the address, or as `unix:UID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source(Origin);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Network {
        address: IpAddr,
        local: LocalInterface,
    },
    UnixPeer {
        uid: u32,
    },
}

impl Source {
    /// A source of this address; an IPv4-mapped one is read as IPv4.
    pub fn new(address: IpAddr, local: LocalInterface) -> Self {
        Self(Origin::Network {
            address: address.to_canonical(),
            local,
        })
    }

    /// The peer of a Unix socket: a process of this host that runs as `uid`, as the
    /// kernel says (`SO_PEERCRED`).
    pub fn unix_peer(uid: u32) -> Self {
        Self(Origin::UnixPeer { uid })
    }

    /// The address, never in IPv4-mapped form. None for a Unix peer.
    pub fn address(&self) -> Option<IpAddr> {
        match self.0 {
            Origin::Network { address, .. } => Some(address),
            Origin::UnixPeer { .. } => None,
        }
    }

    /// Where the source itself is: a Unix peer is on this host.
    pub fn place(&self) -> IpAddr {
        self.address().unwrap_or(Ipv4Addr::LOCALHOST.into())
    }

    /// The user that a Unix peer runs as.
    pub fn uid(&self) -> Option<u32> {
        match self.0 {
            Origin::Network { .. } => None,
            Origin::UnixPeer { uid } => Some(uid),
        }
    }

    /// Whether it is an address of this host other than loopback.
    pub fn local_interface(&self) -> LocalInterface {
        match self.0 {
            Origin::Network { address, local } if !address.is_loopback() => local,
            Origin::Network { .. } | Origin::UnixPeer { .. } => LocalInterface::No,
        }
    }

    /// Whether it is `127.0.0.0/8` or `::1`.
    pub fn is_loopback(&self) -> bool {
        self.address().is_some_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Origin::Network { address, .. } => address.fmt(f),
            Origin::UnixPeer { uid } => write!(f, "unix:{uid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_mapped_addresses_as_ipv4() {
        let source = Source::new("::ffff:127.0.0.1".parse().unwrap(), LocalInterface::Yes);
        assert_eq!(source.to_string(), "127.0.0.1");
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

    #[test]
    fn a_unix_peer_is_a_user_and_no_address() {
        let peer = Source::unix_peer(33);
        assert_eq!((peer.address(), peer.uid()), (None, Some(33)));
        assert_eq!(peer.to_string(), "unix:33");
        assert!(!peer.is_loopback() && peer.place().is_loopback());
        assert_eq!(peer.local_interface(), LocalInterface::No);
    }
}
