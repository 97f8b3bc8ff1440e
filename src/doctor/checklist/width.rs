//! How wide a network may be before it holds more than a handful of proxies.

use super::super::finding::Severity;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Blocks that are nobody's in the Internet: RFC 1918, 3927 and 6598.
const PRIVATE_V4: [(Ipv4Addr, u8); 5] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
];
/// RFC 4193 and link-local.
const PRIVATE_V6: [(Ipv6Addr, u8); 2] = [
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
];
const LOOPBACK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8);

/// Why a network is too wide, and how bad that is; `None` where it isn't.
pub(in crate::doctor) fn excess(net: IpNet) -> Option<(Severity, &'static str)> {
    let (prefix, widest, hopeless) = match net {
        // Loopback has a rule of its own.
        IpNet::V4(v4) if LOOPBACK.contains(&v4) => return None,
        IpNet::V4(v4) => (v4.prefix_len(), 16, 8),
        IpNet::V6(v6) => (v6.prefix_len(), 48, 16),
    };
    match block(net) {
        Some(block) if block == prefix => Some((Severity::Warning, "a whole private block")),
        Some(_) if prefix < widest => Some((Severity::Warning, "a large part of a private block")),
        Some(_) => None,
        None if prefix <= hopeless => Some((Severity::Critical, "a large part of the Internet")),
        None if prefix < widest => Some((Severity::Warning, "a part of the Internet")),
        None => None,
    }
}

/// The prefix of the private block that a network lies in.
fn block(net: IpNet) -> Option<u8> {
    match net {
        IpNet::V4(net) => PRIVATE_V4
            .iter()
            .find(|(address, prefix)| Ipv4Net::new_assert(*address, *prefix).contains(&net))
            .map(|(_, prefix)| *prefix),
        IpNet::V6(net) => PRIVATE_V6
            .iter()
            .find(|(address, prefix)| Ipv6Net::new_assert(*address, *prefix).contains(&net))
            .map(|(_, prefix)| *prefix),
    }
}

/// Whether a network holds an address of loopback.
pub(super) fn holds_loopback(net: IpNet) -> bool {
    match net {
        IpNet::V4(net) => LOOPBACK.contains(&net) || net.contains(&LOOPBACK.trunc()),
        IpNet::V6(net) => net.contains(&Ipv6Addr::LOCALHOST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_judged_by_what_it_could_hold() {
        use Severity::{Critical, Warning};
        for (net, severity) in [
            ("0.0.0.0/0", Some(Critical)),
            ("8.0.0.0/8", Some(Critical)),
            ("104.16.0.0/13", Some(Warning)),
            ("203.0.0.0/16", None),
            ("203.0.113.7/32", None),
            ("10.0.0.0/8", Some(Warning)),
            ("8.0.0.0/6", Some(Critical)),
            ("10.64.0.0/15", Some(Warning)),
            ("10.64.0.0/16", None),
            ("172.16.0.0/12", Some(Warning)),
            ("172.17.0.0/16", None),
            ("192.168.0.0/16", Some(Warning)),
            ("192.168.1.0/24", None),
            ("100.64.0.0/10", Some(Warning)),
            ("127.0.0.0/8", None),
            ("127.0.0.1/32", None),
            ("::/0", Some(Critical)),
            ("2000::/3", Some(Critical)),
            ("2001:db8::/32", Some(Warning)),
            ("2001:db8::/48", None),
            ("fc00::/7", Some(Warning)),
            ("fd00::/8", Some(Warning)),
            ("fd00:1:2::/48", None),
            ("fe80::/10", Some(Warning)),
            ("::1/128", None),
        ] {
            let found = excess(net.parse().unwrap()).map(|(severity, _)| severity);
            assert_eq!(found, severity, "{net}");
        }
    }

    #[test]
    fn loopback_is_seen_in_every_network_that_holds_it() {
        for (net, holds) in [
            ("127.0.0.1/32", true),
            ("127.9.0.0/16", true),
            ("0.0.0.0/0", true),
            ("126.0.0.0/7", true),
            ("::/0", true),
            ("::1/128", true),
            ("10.0.0.0/8", false),
            ("::2/128", false),
        ] {
            assert_eq!(holds_loopback(net.parse().unwrap()), holds, "{net}");
        }
    }
}
