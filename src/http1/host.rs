//! The syntax of `Host` and of authorities: a name or address and a port,
//! nothing else (RFC 9110 section 7.2, RFC 3986 section 3.2.2).

/// Whether `value` is one `host` or `host:port`, without userinfo.
///
/// Registered names are letters, digits, `-`, `_` and `.`: percent-escapes and
/// sub-delimiters are legal in RFC 3986 and useless in a `Host`.
pub fn is_valid(value: &str) -> bool {
    let (host, port) = split_port(value);
    let host_is_valid = match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok()),
        None => {
            !host.is_empty()
                && host.len() <= 253
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        }
    };
    host_is_valid && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|_| is_digits(port)))
}

/// `host:port` parted; brackets of an IPv6 address stay.
pub fn split_port(value: &str) -> (&str, Option<&str>) {
    let after_address = value.rfind(']').map_or(0, |at| at + 1);
    match value[after_address..].find(':') {
        Some(colon) => (
            &value[..after_address + colon],
            Some(&value[after_address + colon + 1..]),
        ),
        None => (value, None),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_names_addresses_and_ports() {
        for good in [
            "a",
            "claw.example.com",
            "a_b:8443",
            "10.0.0.1:80",
            "[::1]",
            "[::1]:443",
        ] {
            assert!(is_valid(good), "{good}");
        }
    }

    #[test]
    fn refuses_what_is_more_than_one_host_and_one_port() {
        for bad in [
            "", ":80", "a:", "a:+80", "a:99999", "a b", "u@a", "a/b", "a,b", "[::1", "::1",
            "[::1]x", "a%2fb", "a:80:80", "é",
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
