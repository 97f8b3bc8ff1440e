//! Which address a request began at: `x-forwarded-for` walked from the right.

use std::net::{IpAddr, Ipv6Addr};

use crate::policy::{TrustedNets, trim};

/// The client: the first address from the right that is neither loopback nor a
/// trusted hop. `None` where there is none, or where an entry that is no
/// address comes first: what stands left of it was written by nobody we know.
///
/// `values` are those of every `x-forwarded-for` field, the last one first;
/// together they are one list (RFC 9110 §5.3).
pub(super) fn client<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    trusted: &TrustedNets,
) -> Option<IpAddr> {
    for entry in values.flat_map(|value| value.rsplit(|&byte| byte == b',')) {
        let address = parse_hop(trim(entry))?;
        if !address.is_loopback() && !trusted.contains(address) {
            return Some(address);
        }
    }
    None
}

/// Reads `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]` and
/// `[2001:db8::1]:80`. A zone is taken off, IPv4-mapped forms become IPv4.
fn parse_hop(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry).ok()?;
    let address = if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        if !port.is_empty() {
            parse_port(port.strip_prefix(':')?)?;
        }
        IpAddr::V6(parse_v6(address)?)
    } else if let Some((address, port)) =
        text.split_once(':').filter(|(_, port)| !port.contains(':'))
    {
        parse_port(port)?;
        IpAddr::V4(address.parse().ok()?)
    } else if text.contains(':') {
        IpAddr::V6(parse_v6(text)?)
    } else {
        IpAddr::V4(text.parse().ok()?)
    };
    Some(address.to_canonical())
}

fn parse_v6(text: &str) -> Option<Ipv6Addr> {
    let address = match text.split_once('%') {
        Some((_, "")) => return None,
        Some((address, _)) => address,
        None => text,
    };
    address.parse().ok()
}

/// A port in digits, 0 to 65535.
fn parse_port(digits: &str) -> Option<u16> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn walk(values: &[&str]) -> Option<String> {
        let trusted = TrustedNets::parse(["10.0.0.0/8", "2001:db8:a::/48"]).unwrap();
        client(values.iter().rev().map(|value| value.as_bytes()), &trusted)
            .map(|address| address.to_string())
    }

    #[test]
    fn finds_the_first_stranger_from_the_right() {
        for (values, expected) in [
            (&["203.0.113.7"][..], Some("203.0.113.7")),
            (&["198.51.100.1, 203.0.113.7"], Some("203.0.113.7")),
            (&["203.0.113.7,10.0.0.1 ,\t127.0.0.1"], Some("203.0.113.7")),
            (
                &["198.51.100.1", "203.0.113.7, 10.0.0.1"],
                Some("203.0.113.7"),
            ),
            (&["203.0.113.7", "10.0.0.1", "::1"], Some("203.0.113.7")),
            (
                &["203.0.113.7, ::ffff:10.0.0.1, ::ffff:127.0.0.1"],
                Some("203.0.113.7"),
            ),
            (&["203.0.113.7:4711"], Some("203.0.113.7")),
            (&["[2001:db8::7]:4711, 2001:db8:a::1"], Some("2001:db8::7")),
            (&["[2001:db8::7]"], Some("2001:db8::7")),
            (&["2001:db8::7"], Some("2001:db8::7")),
            (&["::ffff:203.0.113.7"], Some("203.0.113.7")),
            (&["fe80::1%eth0"], Some("fe80::1")),
            (&["127.0.0.1"], None),
            (&["10.0.0.1, 10.0.0.2"], None),
            (&[""], None),
            (&[], None),
        ] {
            assert_eq!(walk(values).as_deref(), expected, "{values:?}");
        }
    }

    #[test]
    fn stops_at_an_entry_that_is_no_address() {
        for entry in [
            "unknown",
            "_hidden",
            "",
            "10.1",
            "010.0.0.1",
            "10.0.0.1:",
            "10.0.0.1:99999",
            "10.0.0.1:+1",
            "[::1",
            "[::1]x",
            "[10.0.0.1]",
            "::1]:80",
            "\"10.0.0.1\"",
            "10.0.0.1 10.0.0.1",
            "for=10.0.0.1",
            "fe80::1%",
            "é",
        ] {
            assert_eq!(
                walk(&[&format!("203.0.113.7, {entry}, 10.0.0.1")]),
                None,
                "{entry}"
            );
            assert_eq!(
                walk(&[&format!("{entry}, 203.0.113.7")]).as_deref(),
                Some("203.0.113.7"),
                "{entry}"
            );
        }
    }

    proptest! {
        #[test]
        fn never_gives_a_loopback_or_trusted_address(
            values in prop::collection::vec("([0-9a-f.:\\[\\]% ,]|10\\.0\\.0\\.1|127\\.0\\.0\\.1|::1|192\\.0\\.2\\.1){0,12}", 0..4),
        ) {
            let trusted = TrustedNets::parse(["10.0.0.0/8"]).unwrap();
            if let Some(address) = client(values.iter().map(|value| value.as_bytes()), &trusted) {
                prop_assert!(!address.is_loopback() && !trusted.contains(address));
            }
        }

        #[test]
        fn never_panics_on_any_bytes(value in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = client(std::iter::once(&value[..]), &TrustedNets::default());
        }
    }
}
