//! How much one party may have at a time, and how often it may come again.

mod crowd;
mod rate;

pub use crowd::{Crowd, Place};
pub use rate::Rate;

use std::net::{IpAddr, Ipv6Addr};

/// What one party is likely to hold: an IPv4 address, or the /64 of an IPv6 one.
pub fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}
