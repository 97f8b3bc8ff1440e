//! How much one party may have at a time, and how often it may come again.

mod crowd;
mod places;
mod rate;

pub use crowd::{Crowd, Place};
pub use places::{Places, Taken};
pub use rate::Rate;

use std::net::{IpAddr, Ipv6Addr};

/// Who counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Party {
    /// Whoever has these addresses.
    Network(IpAddr),
    /// A user of this host, by its number.
    User(u32),
}

impl Party {
    /// The party that has this address.
    pub fn at(address: IpAddr) -> Self {
        Self::Network(household(address))
    }
}

/// What one party is likely to hold: an IPv4 address, or the /64 of an IPv6 one.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_party_and_an_ipv4_address_another() {
        let at = |text: &str| Party::at(text.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("198.51.100.7"), at("::ffff:198.51.100.7"));
        assert_ne!(at("198.51.100.7"), at("198.51.100.8"));
    }
}
