//! `upstream.url`: where the gateway is.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

/// Where the gateway is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamUrl {
    /// `http://host[:port]` or `https://host[:port]`.
    Tcp {
        /// The host.
        host: UpstreamHost,
        /// The port, 80 or 443 where none is written.
        port: u16,
        /// Whether it is `https`.
        tls: bool,
    },
    /// `unix:/path`.
    Unix(PathBuf),
}

/// The host of an `http` or `https` upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamHost {
    /// An address.
    Ip(IpAddr),
    /// A DNS name in lower case, to be resolved while running.
    Dns(String),
}

impl UpstreamUrl {
    /// Reads a URL; the error says what is wrong and doesn't repeat it, and is
    /// empty where the text is no such URL at all.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(path) = text.strip_prefix("unix:") {
            return parse_socket_path(path).map(Self::Unix);
        }
        let (scheme, rest) = text.split_once("://").ok_or("")?;
        let tls = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(""),
        };
        let (authority, after) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("no user or password may stand in it, see `upstream.credential`");
        }
        if !matches!(after, "" | "/") {
            return Err("no path, query or fragment may stand in it");
        }
        let (host, port) = split_port(authority)?;
        Ok(Self::Tcp {
            host: UpstreamHost::parse(host)?,
            port: match port {
                Some(port) => parse_port(port).ok_or("the port must be from 1 to 65535")?,
                None if tls => 443,
                None => 80,
            },
            tls,
        })
    }

    /// Whether requests leave this host unencrypted.
    #[must_use]
    pub fn is_plain_to_another_host(&self) -> bool {
        match self {
            Self::Unix(_) | Self::Tcp { tls: true, .. } => false,
            Self::Tcp {
                host: UpstreamHost::Ip(ip),
                ..
            } => !ip.to_canonical().is_loopback(),
            Self::Tcp {
                host: UpstreamHost::Dns(name),
                ..
            } => name != "localhost",
        }
    }
}

impl UpstreamHost {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner
                .strip_suffix(']')
                .and_then(|inner| inner.parse::<Ipv6Addr>().ok());
            return match address {
                Some(address) => Ok(Self::Ip(IpAddr::V6(address))),
                None => Err("no IPv6 address stands between the brackets"),
            };
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        if is_dns_name(text) {
            Ok(Self::Dns(text.to_ascii_lowercase()))
        } else {
            Err("the host is neither an IP address nor a DNS name")
        }
    }
}

/// The path of a Unix socket, which the system holds in 108 bytes, the last a NUL.
pub(super) fn parse_socket_path(path: &str) -> Result<PathBuf, &'static str> {
    match path {
        path if path.starts_with("//") => Err("write unix:/PATH, without `//`"),
        path if path.contains('\0') || !path.starts_with('/') || path.ends_with('/') => {
            Err("the socket's path must be absolute")
        }
        path if path.len() > 107 => Err("the socket's path must be at most 107 bytes long"),
        path => Ok(PathBuf::from(path)),
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    let end_of_host = authority.find(']').map_or(0, |at| at + 1);
    match authority[end_of_host..].split_once(':') {
        Some((_, port)) if port.contains(':') => Err("an IPv6 address needs brackets"),
        Some((_, port)) => Ok((&authority[..authority.len() - port.len() - 1], Some(port))),
        None => Ok((authority, None)),
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| plain && *port != 0)
}

/// RFC 1123 names, and `_`, which container networks use. A last label of
/// digits would be an IPv4 address in a form that readers disagree about.
fn is_dns_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let numeric = |label: &str| {
        label.bytes().all(|byte| byte.is_ascii_digit())
            || label.to_ascii_lowercase().starts_with("0x")
    };
    text.len() <= 253
        && text.split('.').all(label)
        && text.rsplit('.').next().is_some_and(|last| !numeric(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16, tls: bool) -> UpstreamUrl {
        let host = match host.parse() {
            Ok(ip) => UpstreamHost::Ip(ip),
            Err(_) => UpstreamHost::Dns(host.into()),
        };
        UpstreamUrl::Tcp { host, port, tls }
    }

    #[test]
    fn reads_urls_of_the_gateway() {
        for (text, url) in [
            ("http://127.0.0.1:18789", tcp("127.0.0.1", 18789, false)),
            ("http://127.0.0.1:18789/", tcp("127.0.0.1", 18789, false)),
            ("http://gateway", tcp("gateway", 80, false)),
            (
                "https://Gateway.example.com",
                tcp("gateway.example.com", 443, true),
            ),
            ("https://[::1]:8443", tcp("::1", 8443, true)),
            ("https://[::1]", tcp("::1", 443, true)),
            (
                "http://openclaw_gateway:1",
                tcp("openclaw_gateway", 1, false),
            ),
            (
                "unix:/run/openclaw.sock",
                UpstreamUrl::Unix("/run/openclaw.sock".into()),
            ),
        ] {
            assert_eq!(UpstreamUrl::parse(text), Ok(url), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "127.0.0.1:18789",
            "ftp://host",
            "HTTP://host",
            "http:/host",
            "http://",
            "https://",
            "http://:80",
            "http://host:",
            "http://host:0",
            "http://host:65536",
            "http://host:+80",
            "http://host:80:80",
            "http://user:pass@host",
            "http://host/path",
            "http://host?query",
            "http://host#fragment",
            "http://::1",
            "http://[::1",
            "http://[::1]x:80",
            "http://[fe80::1%eth0]",
            "http://127.1",
            "http://0x7f000001",
            "http://1.2.3.256",
            "http://-host",
            "http://a..b",
            "http://host.",
            "http://ho st",
            "http://hôst",
            "unix:run/x",
            "unix:",
            "unix:/",
            "unix:///run/x",
        ] {
            assert!(UpstreamUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn knows_when_requests_leave_the_host_in_the_clear() {
        for (text, leaves) in [
            ("http://127.0.0.1", false),
            ("http://[::1]", false),
            ("http://localhost", false),
            ("unix:/run/x", false),
            ("https://10.0.0.1", false),
            ("http://10.0.0.1", true),
            ("http://gateway", true),
        ] {
            assert_eq!(
                UpstreamUrl::parse(text).unwrap().is_plain_to_another_host(),
                leaves,
                "{text}"
            );
        }
    }
}
