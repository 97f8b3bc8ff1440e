//! Networks as sorted disjoint ranges: a million of them cost one binary search.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A set of IPv4 and IPv6 networks. Cheap to clone; an empty set contains nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedNets {
    v4: Arc<Ranges<u32>>,
    v6: Arc<Ranges<u128>>,
}

/// Which entry of a list of networks is wrong, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct NetError {
    /// The entry's place in the list, from 0.
    pub index: usize,
    /// What is wrong with it.
    #[source]
    pub problem: NetProblem,
}

/// Why a text is no network to trust.
///
/// A text that doesn't look like an address is described, not repeated: it may
/// be a secret that was put in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetProblem {
    /// Neither a four-part decimal IPv4 address, an IPv6 address, nor a CIDR.
    #[error("{got} is not an IP address or CIDR")]
    NotNet {
        /// The text, shown safely.
        got: String,
    },
    /// An address inside a network where the network's own was meant.
    #[error("`{got}` has host bits set, write `{corrected}`")]
    HostBits {
        /// The CIDR as written.
        got: String,
        /// The network it lies in.
        corrected: IpNet,
    },
    /// An IPv6 zone (RFC 4007): a property of this host, not of the network.
    #[error("`{address}` comes with a zone, write it without the `%` and what follows")]
    Zone {
        /// The address before the zone.
        address: String,
    },
    /// An IPv4-mapped network wider than IPv4 itself.
    #[error("`{got}` is wider than all of IPv4, write a prefix of 96 or more, or the IPv4 network")]
    MappedTooWide {
        /// The CIDR as written.
        got: String,
    },
}

impl TrustedNets {
    /// Reads IP addresses and CIDRs; gives every wrong entry, not only the first.
    ///
    /// IPv4-mapped forms (`::ffff:10.0.0.0/104`) mean their IPv4 network.
    ///
    /// # Errors
    /// Every entry that is no network, with its place.
    pub fn parse<S: AsRef<str>>(
        entries: impl IntoIterator<Item = S>,
    ) -> Result<Self, Vec<NetError>> {
        let (mut v4, mut v6, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for (index, entry) in entries.into_iter().enumerate() {
            match parse_net(entry.as_ref().trim()) {
                Ok(IpNet::V4(net)) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                Ok(IpNet::V6(net)) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
                Err(problem) => errors.push(NetError { index, problem }),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            v4: Arc::new(Ranges::new(v4)),
            v6: Arc::new(Ranges::new(v6)),
        })
    }

    /// Whether the address lies in one of the networks. IPv4-mapped addresses
    /// are read as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.find(v4.to_bits()).is_some(),
            IpAddr::V6(v6) => self.v6.find(v6.to_bits()).is_some(),
        }
    }

    /// The widest of the networks that the address lies in, to explain a decision.
    pub fn matching(&self, address: IpAddr) -> Option<IpNet> {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.find(v4.to_bits()).map(|(first, last)| {
                let prefix = (first ^ last).leading_zeros() as u8;
                IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from_bits(first), prefix))
            }),
            IpAddr::V6(v6) => self.v6.find(v6.to_bits()).map(|(first, last)| {
                let prefix = (first ^ last).leading_zeros() as u8;
                IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from_bits(first), prefix))
            }),
        }
    }

    /// The networks, without those that lie in another one.
    pub fn iter(&self) -> impl Iterator<Item = IpNet> {
        let firsts = |v4: &u32| IpAddr::V4(Ipv4Addr::from_bits(*v4));
        let v4 = self.v4.firsts.iter().map(firsts);
        let firsts = |v6: &u128| IpAddr::V6(Ipv6Addr::from_bits(*v6));
        let v6 = self.v6.firsts.iter().map(firsts);
        v4.chain(v6).filter_map(|address| self.matching(address))
    }

    /// Whether all of IPv4 or all of IPv6 is trusted, be it in pieces: worth a
    /// loud warning.
    pub fn covers_everything(&self) -> bool {
        self.v4.covers(u32::MAX, |last| last.checked_add(1))
            || self.v6.covers(u128::MAX, |last| last.checked_add(1))
    }

    /// Whether there is no network at all.
    pub fn is_empty(&self) -> bool {
        self.v4.firsts.is_empty() && self.v6.firsts.is_empty()
    }
}

/// The first and last address of each network, apart from each other so that a
/// search touches the firsts alone. Networks are nested or disjoint, never
/// half over each other: with the nested ones gone, each range still is one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ranges<T> {
    firsts: Box<[T]>,
    lasts: Box<[T]>,
}

impl<T: Ord + Copy + Default> Ranges<T> {
    fn new(mut nets: Vec<(T, T)>) -> Self {
        nets.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        let mut widest: Option<T> = None;
        nets.retain(|&(_, last)| {
            let kept = widest.is_none_or(|widest| last > widest);
            if kept {
                widest = Some(last);
            }
            kept
        });
        let (firsts, lasts): (Vec<T>, Vec<T>) = nets.into_iter().unzip();
        Self {
            firsts: firsts.into(),
            lasts: lasts.into(),
        }
    }

    fn find(&self, address: T) -> Option<(T, T)> {
        let index = self
            .firsts
            .partition_point(|&first| first <= address)
            .checked_sub(1)?;
        (address <= self.lasts[index]).then(|| (self.firsts[index], self.lasts[index]))
    }

    fn covers(&self, end: T, next: impl Fn(T) -> Option<T>) -> bool {
        let mut expected = T::default();
        for (&first, &last) in self.firsts.iter().zip(&self.lasts) {
            if first != expected {
                return false;
            }
            match next(last) {
                Some(next) => expected = next,
                None => return last == end,
            }
        }
        false
    }
}

fn parse_net(text: &str) -> Result<IpNet, NetProblem> {
    let not_net = || NetProblem::NotNet { got: shown(text) };
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    if let Some((address, _)) = address.split_once('%') {
        return Err(match address.parse::<Ipv6Addr>() {
            Ok(address) => NetProblem::Zone {
                address: address.to_string(),
            },
            Err(_) => not_net(),
        });
    }
    let address: IpAddr = address.parse().map_err(|_| not_net())?;
    let widest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => widest,
        Some(digits) => parse_prefix(digits)
            .filter(|&prefix| prefix <= widest)
            .ok_or_else(not_net)?,
    };
    let (address, prefix) = match (address, address.to_canonical()) {
        (IpAddr::V6(_), mapped @ IpAddr::V4(_)) => match prefix.checked_sub(96) {
            Some(prefix) => (mapped, prefix),
            None => {
                return Err(NetProblem::MappedTooWide {
                    got: text.to_owned(),
                });
            }
        },
        (address, _) => (address, prefix),
    };
    let net = IpNet::new(address, prefix).map_err(|_| not_net())?;
    if net.trunc() != net {
        return Err(NetProblem::HostBits {
            got: text.to_owned(),
            corrected: net.trunc(),
        });
    }
    Ok(net)
}

/// One to three digits without a sign or a leading zero.
fn parse_prefix(digits: &str) -> Option<u8> {
    let plain = digits == "0" || !digits.starts_with('0');
    (plain && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

fn shown(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_hexdigit() || b".:/".contains(&byte);
    if !text.is_empty() && text.len() <= 50 && text.bytes().all(plain) {
        format!("`{text}`")
    } else {
        format!("a string of {} characters", text.chars().count())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nets(entries: &[&str]) -> TrustedNets {
        TrustedNets::parse(entries).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn contains_addresses_of_its_networks_alone() {
        let nets = nets(&[
            "10.0.0.1",
            "172.17.0.0/16",
            "172.17.3.0/24",
            "2001:db8::/32",
            "::ffff:192.0.2.0/120",
        ]);
        for (address, contained) in [
            ("10.0.0.1", true),
            ("10.0.0.0", false),
            ("10.0.0.2", false),
            ("::ffff:10.0.0.1", true),
            ("::10.0.0.1", false),
            ("172.17.0.0", true),
            ("172.17.255.255", true),
            ("172.18.0.0", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::", false),
            ("192.0.2.255", true),
            ("192.0.3.0", false),
        ] {
            assert_eq!(nets.contains(ip(address)), contained, "{address}");
        }
    }

    #[test]
    fn names_the_widest_network_that_matches() {
        let nets = nets(&[
            "172.17.3.0/24",
            "172.17.0.0/16",
            "2001:db8::/32",
            "10.0.0.1",
        ]);
        assert_eq!(
            nets.matching(ip("172.17.3.9")),
            Some("172.17.0.0/16".parse().unwrap())
        );
        assert_eq!(
            nets.matching(ip("::ffff:10.0.0.1")),
            Some("10.0.0.1/32".parse().unwrap())
        );
        assert_eq!(
            nets.matching(ip("2001:db8::1")),
            Some("2001:db8::/32".parse().unwrap())
        );
        assert_eq!(nets.matching(ip("10.0.0.2")), None);
    }

    #[test]
    fn lists_the_networks_that_count() {
        let nets = nets(&[
            "172.17.3.0/24",
            "2001:db8::/32",
            "172.17.0.0/16",
            "10.0.0.1",
        ]);
        let listed: Vec<_> = nets.iter().map(|net| net.to_string()).collect();
        assert_eq!(listed, ["10.0.0.1/32", "172.17.0.0/16", "2001:db8::/32"]);
    }

    #[test]
    fn says_what_is_wrong_with_an_entry_and_how_to_write_it() {
        for (entry, message) in [
            (
                "10.0.0.1/8",
                "`10.0.0.1/8` has host bits set, write `10.0.0.0/8`",
            ),
            (
                "2001:db8::1/32",
                "`2001:db8::1/32` has host bits set, write `2001:db8::/32`",
            ),
            (
                "::ffff:10.0.0.1/104",
                "`::ffff:10.0.0.1/104` has host bits set, write `10.0.0.0/8`",
            ),
            ("10.0.0.0/33", "`10.0.0.0/33` is not an IP address or CIDR"),
            (
                "10.0.0.0/+8",
                "a string of 11 characters is not an IP address or CIDR",
            ),
            ("10.0.0.0/08", "`10.0.0.0/08` is not an IP address or CIDR"),
            ("10.0.0.0/", "`10.0.0.0/` is not an IP address or CIDR"),
            ("010.0.0.1", "`010.0.0.1` is not an IP address or CIDR"),
            ("10.1", "`10.1` is not an IP address or CIDR"),
            ("167772161", "`167772161` is not an IP address or CIDR"),
            (
                "0x0a000001",
                "a string of 10 characters is not an IP address or CIDR",
            ),
            (
                "hunter2!",
                "a string of 8 characters is not an IP address or CIDR",
            ),
            ("", "a string of 0 characters is not an IP address or CIDR"),
            (
                "fe80::1%eth0",
                "`fe80::1` comes with a zone, write it without the `%` and what follows",
            ),
            (
                "fe80::%1/64",
                "`fe80::` comes with a zone, write it without the `%` and what follows",
            ),
            (
                "::ffff:0:0/90",
                "`::ffff:0:0/90` is wider than all of IPv4, write a prefix of 96 or more, or the IPv4 network",
            ),
        ] {
            let errors = TrustedNets::parse([entry]).unwrap_err();
            assert_eq!(errors[0].to_string(), message);
        }
    }

    #[test]
    fn gathers_every_wrong_entry_with_its_place() {
        let errors = TrustedNets::parse(["nope", "10.0.0.1", "10.0.0.0/99"]).unwrap_err();
        assert_eq!(
            errors.iter().map(|error| error.index).collect::<Vec<_>>(),
            [0, 2]
        );
    }

    #[test]
    fn knows_when_it_trusts_everybody() {
        for (entries, everything) in [
            (&["0.0.0.0/0"][..], true),
            (&["::/0"], true),
            (&["::ffff:0:0/96"], true),
            (&["0.0.0.0/1", "128.0.0.0/1"], true),
            (&["::/1", "8000::/1", "10.0.0.1"], true),
            (&["0.0.0.0/1", "128.0.0.0/2"], false),
            (&["0.0.0.0/1", "129.0.0.0/8"], false),
            (&["255.255.255.255"], false),
            (&[], false),
        ] {
            assert_eq!(nets(entries).covers_everything(), everything, "{entries:?}");
        }
    }

    #[test]
    fn empty_set_contains_nothing() {
        let none = nets(&[]);
        assert!(none.is_empty() && !none.contains(ip("0.0.0.0")) && !none.contains(ip("::")));
    }

    proptest! {
        #[test]
        fn agrees_with_a_scan_of_every_network(
            v4 in prop::collection::vec((any::<u32>(), 0u8..=32), 0..40),
            v6 in prop::collection::vec((any::<u128>(), 0u8..=128), 0..40),
            probes in prop::collection::vec((any::<prop::sample::Index>(), any::<u128>()), 1..40),
        ) {
            let mut scan: Vec<IpNet> = Vec::new();
            scan.extend(v4.iter().map(|&(a, p)| IpNet::new(Ipv4Addr::from_bits(a).into(), p).unwrap().trunc()));
            scan.extend(v6.iter().map(|&(a, p)| IpNet::new(Ipv6Addr::from_bits(a).into(), p).unwrap().trunc())
                .filter(|net| net.addr().to_canonical().is_ipv6()));
            let set = TrustedNets::parse(scan.iter().map(ToString::to_string)).unwrap();
            for (index, random) in probes {
                let mut near = vec![Ipv6Addr::from_bits(random).into(), Ipv4Addr::from_bits(random as u32).into()];
                if !scan.is_empty() {
                    let net = index.get(&scan);
                    near.extend([net.network(), net.broadcast()]);
                    near.extend(match net.broadcast() {
                        IpAddr::V4(last) => last.to_bits().checked_add(1).map(|a| IpAddr::from(Ipv4Addr::from_bits(a))),
                        IpAddr::V6(last) => last.to_bits().checked_add(1).map(|a| IpAddr::from(Ipv6Addr::from_bits(a))),
                    });
                }
                for address in near {
                    let canonical = address.to_canonical();
                    let expected = scan.iter().any(|net| net.contains(&canonical));
                    prop_assert_eq!(set.contains(address), expected, "{}", address);
                    prop_assert_eq!(set.matching(address).is_some(), expected);
                    if let Some(net) = set.matching(address) {
                        prop_assert!(scan.contains(&net));
                    }
                }
            }
        }

        #[test]
        fn never_panics_on_any_text(text in ".{0,60}") {
            let _ = TrustedNets::parse([text]);
        }
    }
}
