//! Networks to trust, one a line: what is read is what `ipnet` reads, no more.
#![no_main]

use ipnet::IpNet;
use libfuzzer_sys::fuzz_target;
use portcullis::policy::{NetProblem, TrustedNets};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fuzz_target!(|text: &str| {
    let lines: Vec<&str> = text.lines().take(64).collect();
    let read: Vec<Option<IpNet>> = lines.iter().map(|line| read_alone(line)).collect();

    let good: Vec<&str> = lines
        .iter()
        .zip(&read)
        .filter_map(|(line, net)| net.map(|_| *line))
        .collect();
    let nets: Vec<IpNet> = read.iter().copied().flatten().collect();
    let all = TrustedNets::parse(&good).expect("each was read alone");
    assert_eq!(all.is_empty(), nets.is_empty());

    // One bad entry refuses the whole list, and each is named by its place.
    let bad: Vec<usize> = (0..lines.len()).filter(|&at| read[at].is_none()).collect();
    match TrustedNets::parse(&lines) {
        Ok(_) => assert!(bad.is_empty()),
        Err(errors) => assert!(errors.iter().map(|error| error.index).eq(bad)),
    }

    let probes = nets.iter().flat_map(|net| around(*net));
    let named = lines.iter().filter_map(|line| line.parse().ok());
    for address in probes.chain(named) {
        let canonical = address.to_canonical();
        let expected = nets.iter().any(|net| net.contains(&canonical));
        assert_eq!(all.contains(address), expected, "{address} in {nets:?}");
        let matching = all.matching(address);
        assert_eq!(matching.is_some(), expected);
        if let Some(net) = matching {
            assert!(net.contains(&canonical) && nets.contains(&net), "{net}");
        }
    }

    if all.covers_everything() {
        let corners: [[IpAddr; 2]; 2] = [
            [Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into()],
            [
                Ipv6Addr::UNSPECIFIED.into(),
                Ipv6Addr::from_bits(u128::MAX).into(),
            ],
        ];
        assert!(
            corners
                .iter()
                .any(|both| both.iter().all(|one| all.contains(*one)))
        );
    }
});

/// The network that one entry means, as far as it is one; checked against `ipnet`.
fn read_alone(entry: &str) -> Option<IpNet> {
    let oracle = oracle(entry.trim());
    match TrustedNets::parse([entry]) {
        Ok(set) => {
            let net = oracle.unwrap_or_else(|| panic!("`{entry}` is no network"));
            for end in [net.network(), net.broadcast()] {
                // Of `::/80` the last address is an IPv4 one, and so none of it.
                let inside = net.contains(&end.to_canonical());
                assert_eq!(set.matching(end), inside.then_some(net), "{entry}");
            }
            let again = TrustedNets::parse([net.to_string()]);
            assert_eq!(again.as_ref(), Ok(&set), "{entry}");
            Some(net)
        }
        Err(errors) => {
            assert_eq!(oracle, None, "`{entry}` is a network");
            if let NetProblem::HostBits { corrected, .. } = &errors[0].problem {
                assert!(TrustedNets::parse([corrected.to_string()]).is_ok());
            }
            // A secret in the wrong place isn't repeated.
            assert!(errors[0].to_string().len() < 200, "{}", errors[0]);
            None
        }
    }
}

/// What `ipnet` and the standard library make of it, less what is refused on purpose.
fn oracle(entry: &str) -> Option<IpNet> {
    let net = match entry.split_once('/') {
        Some((_, prefix)) if !is_plain(prefix) => return None,
        // Not `ipnet`'s own reading of the address, which lets leading zeros pass.
        Some((address, prefix)) => IpNet::new(address.parse().ok()?, prefix.parse().ok()?).ok()?,
        None => IpNet::from(entry.parse::<IpAddr>().ok()?),
    };
    let net = match (net, net.addr().to_canonical()) {
        (IpNet::V6(_), IpAddr::V4(address)) => {
            IpNet::new(address.into(), net.prefix_len().checked_sub(96)?).ok()?
        }
        _ => net,
    };
    (net.trunc() == net).then_some(net)
}

fn is_plain(prefix: &str) -> bool {
    prefix == "0" || !prefix.starts_with(['0', '+'])
}

/// Both ends of a network, and their neighbours outside.
fn around(net: IpNet) -> Vec<IpAddr> {
    let (first, last) = (net.network(), net.broadcast());
    let mut found = vec![first, last];
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            let (below, above) = (
                first.to_bits().checked_sub(1),
                last.to_bits().checked_add(1),
            );
            let outside = [below, above].into_iter().flatten();
            found.extend(outside.map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))));
            found.push(IpAddr::V6(first.to_ipv6_mapped()));
            found.push(IpAddr::V6(last.to_ipv6_compatible()));
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            let (below, above) = (
                first.to_bits().checked_sub(1),
                last.to_bits().checked_add(1),
            );
            let outside = [below, above].into_iter().flatten();
            found.extend(outside.map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))));
        }
        _ => unreachable!("both ends are of one family"),
    }
    found
}
