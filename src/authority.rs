//! A host with or without a port, as `Host`, `:authority` and `x-forwarded-host`
//! carry it (RFC 9110 section 7.2): the one reading of it in this house.

use std::net::Ipv6Addr;

/// The longest host name (RFC 1035 §2.3.4), in bytes.
const MAX_NAME_BYTES: usize = 255;

/// A valid `host[:port]`, kept as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'a> {
    text: &'a str,
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads a name, an IPv4 address or a bracketed IPv6 one, with or without a
    /// port; nothing else, and so no list, path or userinfo.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let text = str::from_utf8(value).ok()?;
        let (host, port) = match text.rfind(':') {
            Some(colon) if !text.ends_with(']') => {
                (&text[..colon], Some(parse_port(&text[colon + 1..])?))
            }
            _ => (text, None),
        };
        let valid = match host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => is_name(host),
        };
        valid.then_some(Self { text, host, port })
    }

    /// The whole as written.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// The name or address, an IPv6 one in its brackets.
    pub fn host(&self) -> &'a str {
        self.host
    }

    /// The port, where one is written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

fn is_name(host: &str) -> bool {
    host.len() <= MAX_NAME_BYTES
        && host.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// A port in digits, 1 to 65535, without leading zeros.
fn parse_port(digits: &str) -> Option<u16> {
    let plain = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_host_with_or_without_a_port() {
        for (text, port) in [
            ("claw.example.com", None),
            ("claw.example.com:8443", Some(8443)),
            ("192.0.2.1:80", Some(80)),
            ("[2001:db8::1]", None),
            ("[2001:db8::1]:8443", Some(8443)),
            ("my_host", None),
        ] {
            let authority = Authority::parse(text.as_bytes()).unwrap();
            assert_eq!((authority.as_str(), authority.port()), (text, port));
            let written = port.map_or(String::new(), |port| format!(":{port}"));
            assert_eq!(format!("{}{written}", authority.host()), text);
        }
    }

    #[test]
    fn refuses_what_is_not_one_host() {
        for text in [
            "",
            "evil.com, real",
            "evil.com/x",
            "user@evil.com",
            "evil.com\r\nx: y",
            "evil .com",
            ":80",
            "a:",
            "a:0",
            "a:080",
            "a:+80",
            "a:65536",
            "a:b:80",
            "2001:db8::1",
            "[2001:db8::1",
            "[x]",
            "[::1]x",
            "[::1]:",
            "é.com",
            "evil.com#",
            "evil.com?x",
            "evil.com\\x",
            "-a",
            ".",
            "[]",
            "[",
        ] {
            assert_eq!(Authority::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Authority::parse(&[b'a'; 256]), None);
        assert_eq!(Authority::parse(b"\xff"), None);
    }
}
