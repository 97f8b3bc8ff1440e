//! `[listen]`: where sources connect to.

use std::net::{IpAddr, SocketAddr};

use toml::de::DeValue;

use super::entry::Entry;
use super::section::Section;
use super::shape::Shape;
use super::walk::{Place, Walk};

/// Where sources connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The front door's addresses: at least one, none twice.
    pub addresses: Vec<SocketAddr>,
    /// Where plain HTTP is answered with a redirect to https, and nothing else.
    pub redirect_http: Option<SocketAddr>,
}

/// `[listen]` with the places that problems seen later need.
pub(super) struct Read {
    pub(super) listen: Listen,
    /// The place of each address, then of `redirectHttp` where there is one.
    pub(super) places: Vec<Place>,
}

const ADDRESSES: &str = "an address and port such as \"0.0.0.0:8443\", or an array of them";
const ADDRESS: &str = "an IP address and port such as \"0.0.0.0:8443\"";

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
    unix_peer_uids.not_yet(walk, "listening on Unix sockets");
    if proxy_protocol_from
        .items(walk, "an array of CIDRs")
        .is_some_and(|items| !items.is_empty())
    {
        proxy_protocol_from.not_yet(walk, "the PROXY protocol");
    }

    address.needed(walk, ADDRESSES);
    let mut listen = Listen {
        addresses: Vec::new(),
        redirect_http: None,
    };
    let mut places = Vec::new();
    for entry in entries(&address, walk) {
        if let Some(address) = read_address(&entry, walk) {
            listen.addresses.push(address);
            places.push(entry.place().clone());
        }
    }
    listen.redirect_http = read_address(&redirect_http, walk);
    if listen.redirect_http.is_some() {
        places.push(redirect_http.place().clone());
    }
    (!listen.addresses.is_empty()).then_some(Read { listen, places })
}

/// A socket address under any key; a Unix socket is for a later version.
pub(super) fn read_address(entry: &Entry<'_>, walk: &mut Walk<'_>) -> Option<SocketAddr> {
    if entry
        .value()
        .and_then(DeValue::as_str)
        .is_some_and(|text| text.starts_with("unix:"))
    {
        entry.not_yet(walk, "listening on Unix sockets");
        return None;
    }
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
