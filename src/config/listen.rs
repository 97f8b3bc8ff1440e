//! `[listen]`: where sources connect to.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::Config;
use super::entry::Entry;
use super::gateway::read_nets;
use super::section::Section;
use super::shape::Shape;
use super::upstream_url::parse_socket_path;
use super::walk::{Place, Walk};
use crate::policy::TrustedNets;

/// Where sources connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The front door's addresses: at least one, none twice.
    pub addresses: Vec<ListenAddress>,
    /// Which users' processes may send requests in through a Unix socket. Not empty
    /// where there is one.
    pub unix_peer_uids: Vec<u32>,
    /// Where plain HTTP is answered with a redirect to https, and nothing else.
    pub redirect_http: Option<SocketAddr>,
    /// The load balancers that begin their connections with a PROXY header. Default
    /// none.
    pub proxy_protocol_from: TrustedNets,
}

/// One of the front door's addresses. Shown as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// `unix:/path`.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listen {
    /// The front door's addresses of TCP.
    pub fn tcp_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.addresses.iter().filter_map(|address| match address {
            ListenAddress::Tcp(address) => Some(*address),
            ListenAddress::Unix(_) => None,
        })
    }

    /// The front door's Unix sockets.
    pub fn sockets(&self) -> impl Iterator<Item = &Path> {
        self.addresses.iter().filter_map(|address| match address {
            ListenAddress::Tcp(_) => None,
            ListenAddress::Unix(path) => Some(path.as_path()),
        })
    }
}

impl Config {
    /// Every address of TCP at which something is served.
    pub fn tcp_listeners(&self) -> impl Iterator<Item = SocketAddr> {
        let others = [
            self.listen.redirect_http,
            Some(self.admin.address),
            self.admin.probe_address,
            self.models.listen,
        ];
        let front = self.listen.tcp_addresses();
        front.chain(others.into_iter().flatten())
    }
}

/// `[listen]` with the places that problems seen later need.
pub(super) struct Read {
    pub(super) listen: Listen,
    /// Each address of TCP.
    pub(super) tcp: Vec<(SocketAddr, Place)>,
    /// `redirectHttp`, where there is one.
    pub(super) redirect_http: Option<(SocketAddr, Place)>,
}

const ADDRESSES: &str =
    "an address and port such as \"0.0.0.0:8443\", \"unix:/PATH\", or an array of them";
const LISTEN_ADDRESS: &str = "an IP address and port such as \"0.0.0.0:8443\", or \"unix:/PATH\"";
const ADDRESS: &str = "an IP address and port such as \"0.0.0.0:8443\"";
const BALANCERS: &str = "an array of the load balancers' IP addresses and CIDRs";
/// user_namespaces(7): who has no number here.
pub const OVERFLOW_UID: u32 = 65_534;
const UIDS: &str = "an array of users' numbers (uids)";

pub(super) fn read(section: &Section<'_>, walk: &mut Walk<'_>) -> Option<Read> {
    let [address, unix_peer_uids, redirect_http, proxy_protocol_from] = section.fields(
        walk,
        [
            "address",
            "unixPeerUids",
            "redirectHttp",
            "proxyProtocolFrom",
        ],
        &[],
    );
    address.needed(walk, ADDRESSES);
    let mut addresses = Vec::new();
    let mut tcp = Vec::new();
    for entry in entries(&address, walk) {
        match read_listen_address(&entry, walk) {
            Some(ListenAddress::Tcp(address)) => {
                tcp.push((address, entry.place().clone()));
                addresses.push(ListenAddress::Tcp(address));
            }
            Some(unix) if addresses.contains(&unix) => {
                walk.refuse(
                    entry.place(),
                    format!("got `{unix}` twice, expected an address of its own"),
                );
            }
            Some(unix) => {
                warn_of_shared_folder(&unix, &entry, walk);
                addresses.push(unix);
            }
            None => {}
        }
    }
    let has_unix = addresses.len() > tcp.len();
    let unix_peer_uids = read_uids(&unix_peer_uids, has_unix, walk);
    let at = redirect_http.place().clone();
    let redirect_http = read_address(&redirect_http, walk);
    let listen = Listen {
        unix_peer_uids,
        redirect_http,
        proxy_protocol_from: read_balancers(&proxy_protocol_from, walk),
        addresses,
    };
    (!listen.addresses.is_empty()).then_some(Read {
        listen,
        tcp,
        redirect_http: redirect_http.map(|address| (address, at)),
    })
}

/// What a process may make in a folder it may also remove there, whoever takes it over.
fn warn_of_shared_folder(address: &ListenAddress, entry: &Entry<'_>, walk: &mut Walk<'_>) {
    let ListenAddress::Unix(path) = address else {
        return;
    };
    let folder = path
        .parent()
        .filter(|folder| folder.components().count() <= 2);
    if let Some(folder) = folder {
        walk.warn(
            entry.place(),
            format!(
                "whoever breaks into this process can remove every file in `{}`: give the socket \
                 a folder of its own, such as /run/portcullis",
                folder.display()
            ),
        );
    }
}

fn read_uids(entry: &Entry<'_>, has_unix: bool, walk: &mut Walk<'_>) -> Vec<u32> {
    let mut uids = Vec::new();
    let problems = walk.problem_count();
    for item in entry.items(walk, UIDS).unwrap_or_default() {
        let uid = item.integer(walk, 0..=u64::from(u32::MAX) - 1);
        uids.extend(uid.and_then(|uid| u32::try_from(uid).ok()));
    }
    if uids.contains(&OVERFLOW_UID) {
        walk.warn(
            entry.place(),
            "65534 is also what every user looks like that this user namespace does not know",
        );
    }
    match (has_unix, entry.is_present()) {
        (true, is_present) if uids.is_empty() && problems == walk.problem_count() => {
            let got = if is_present {
                "an empty array"
            } else {
                "nothing"
            };
            walk.refuse(
                entry.place(),
                format!("got {got}, expected {UIDS}: who may connect to the Unix socket"),
            );
        }
        (false, true) => walk.warn(
            entry.place(),
            "has no effect: no `unix:` address is listened on",
        ),
        _ => {}
    }
    uids
}

/// Unlike `trustedProxies` this may be empty: then nobody speaks for others.
fn read_balancers(entry: &Entry<'_>, walk: &mut Walk<'_>) -> TrustedNets {
    if matches!(entry.value(), Some(DeValue::Array(items)) if items.is_empty()) {
        return TrustedNets::default();
    }
    let nets = read_nets(entry, walk, BALANCERS).unwrap_or_default();
    if nets.covers_everything() {
        walk.warn(
            entry.place(),
            "EVERY ADDRESS MAY NAME ANY SOURCE: whoever reaches the listener passes for a trusted \
             proxy; list the load balancers alone",
        );
    }
    nets
}

fn read_listen_address(entry: &Entry<'_>, walk: &mut Walk<'_>) -> Option<ListenAddress> {
    entry.parse(walk, Shape::Address, LISTEN_ADDRESS, |text| {
        match text.strip_prefix("unix:") {
            Some(path) => parse_socket_path(path)
                .map(ListenAddress::Unix)
                .map_err(str::to_owned),
            None => text
                .parse()
                .map(ListenAddress::Tcp)
                .map_err(|_| String::new()),
        }
    })
}

/// A socket address under any key.
pub(super) fn read_address(entry: &Entry<'_>, walk: &mut Walk<'_>) -> Option<SocketAddr> {
    entry.parse(walk, Shape::Address, ADDRESS, |text| {
        text.parse().map_err(|_| String::new())
    })
}

/// Refuses an address that another listener holds already; the first of the two
/// stays unblamed. Port 0 is any free port, so it never clashes.
pub(super) fn refuse_clashes(listeners: &[(SocketAddr, Place)], walk: &mut Walk<'_>) {
    for (index, (address, place)) in listeners.iter().enumerate() {
        let earlier = listeners[..index]
            .iter()
            .find(|(other, _)| clash(*address, *other));
        if let Some((other, _)) = earlier {
            walk.refuse(
                place,
                format!(
                    "got `{address}`, expected an address of its own: `{other}` is in use above"
                ),
            );
        }
    }
}

fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let (ip, other_ip): (IpAddr, IpAddr) = (one.ip(), other.ip());
    let overlap = ip == other_ip
        || (ip.is_ipv4() == other_ip.is_ipv4()
            && (ip.is_unspecified() || other_ip.is_unspecified()));
    one.port() == other.port() && one.port() != 0 && overlap
}

fn entries<'a>(address: &Entry<'a>, walk: &mut Walk<'_>) -> Vec<Entry<'a>> {
    match address.value() {
        None => Vec::new(),
        Some(DeValue::Array(items)) if !items.is_empty() => {
            address.items(walk, ADDRESSES).unwrap_or_default()
        }
        Some(value @ DeValue::String(_)) => vec![Entry::of(address.place().clone(), value)],
        Some(_) => {
            address.refuse(walk, Shape::Hidden, ADDRESSES);
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_clash_where_both_could_not_be_bound() {
        for (one, other, clashes) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::]:80", "[::1]:80", true),
            ("[::]:80", "127.0.0.1:80", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            assert_eq!(
                clash(one.parse().unwrap(), other.parse().unwrap()),
                clashes,
                "{one} {other}"
            );
        }
    }
}
