//! `[admin]`: the listener for operators, and the one for probes.

use std::net::{Ipv4Addr, SocketAddr};

use super::listen::read_address;
use super::secret;
use super::section::Section;
use super::walk::{Place, Walk};
use crate::secrets::{Providers, SecretInput};

/// The listener for operators, and the one for probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Default `127.0.0.1:9180`. Off loopback only together with `token`.
    pub address: SocketAddr,
    /// Where livez, readyz and metrics alone are answered.
    pub probe_address: Option<SocketAddr>,
    /// What callers must show as a bearer token.
    pub token: Option<SecretInput>,
}

/// `[admin]` with the places of its addresses.
pub(super) struct Read {
    pub(super) admin: Admin,
    pub(super) places: Vec<(SocketAddr, Place)>,
}

const DEFAULT_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9180);

pub(super) fn read(section: &Section<'_>, walk: &mut Walk<'_>, providers: &Providers) -> Read {
    let [address_entry, probe_entry, token_entry] =
        section.fields(walk, ["address", "probeAddress", "token"], &[]);
    let address = read_address(&address_entry, walk).unwrap_or(DEFAULT_ADDRESS);
    let probe_address = read_address(&probe_entry, walk);
    let token = secret::read(&token_entry, walk, providers);
    if !address.ip().to_canonical().is_loopback() && !token_entry.is_present() {
        walk.refuse(
            address_entry.place(),
            format!(
                "got `{address}` without a token, expected `admin.token` too, or a loopback address"
            ),
        );
    }
    let mut places = vec![(address, address_entry.place().clone())];
    places.extend(probe_address.map(|address| (address, probe_entry.place().clone())));
    Read {
        admin: Admin {
            address,
            probe_address,
            token,
        },
        places,
    }
}
