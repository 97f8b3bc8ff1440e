//! Where programs listen for TCP, as the kernel's tables tell it (`proc_net_tcp`).

use super::super::look::Look;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// `TCP_LISTEN` of the kernel's `tcp_states.h`.
const LISTEN: &str = "0A";

/// A socket that listens for TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListeningSocket {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whose it is, where the table tells.
    pub user: Option<u32>,
}

impl ListeningSocket {
    /// Whether it gets what is sent to `target`.
    pub(in crate::doctor) fn takes(self, target: SocketAddr) -> bool {
        let (own, ip) = (self.address.ip().to_canonical(), target.ip().to_canonical());
        // `::` takes IPv4 as well.
        let is_any = own.is_unspecified() && (own.is_ipv6() || ip.is_ipv4());
        self.address.port() == target.port() && (own == ip || is_any)
    }
}

/// Every socket that listens in this network namespace.
pub(super) fn listening() -> Look<Vec<ListeningSocket>> {
    let read = || -> io::Result<Vec<ListeningSocket>> {
        let mut found = Vec::new();
        let [v4, v6] = TABLES.map(fs::read_to_string);
        found.extend(parse(&v4?));
        match v6 {
            Ok(v6) => found.extend(parse(&v6)),
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(found)
    };
    read().into()
}

/// The listening sockets of a table; a line that isn't as expected is passed over.
fn parse(table: &str) -> Vec<ListeningSocket> {
    let sockets = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (local, state) = (fields.nth(1)?, fields.nth(1)?);
        if state != LISTEN {
            return None;
        }
        // After the queues, the timer and the retransmissions.
        let user = fields.nth(3).and_then(|user| user.parse().ok());
        let address = address(local)?;
        Some(ListeningSocket { address, user })
    });
    sockets.collect()
}

/// `0100007F:1F90`: the address as words in the host's byte order, the port as a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let word = address.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(word, 16).ok().map(u32::to_ne_bytes)
    };
    let ip: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: Vec<u8> = words.concat();
            Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()
        }
        _ => return None,
    };
    Some((ip, port).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::TcpListener;

    #[test]
    #[cfg(target_endian = "little")]
    fn listening_sockets_are_read_and_no_others() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
             \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 65534 0 7\n\
             \x20  1: 00000000:4965 00000000:0000 0A 00000000:00000000\n\
             \x20  2: 0100007F:4965 0100007F:8000 01 00000000:00000000\n\
             \x20  3: 0100:4965 00000000:0000 0A\n\
             \x20  4: short\n";
        let socket = |address: &str, user| ListeningSocket {
            address: address.parse().unwrap(),
            user,
        };
        let expected = [
            socket("127.0.0.1:8080", Some(65534)),
            socket("0.0.0.0:18789", None),
        ];
        assert_eq!(parse(table), expected);
        let table = "head\n 0: 00000000000000000000000001000000:1F90 0:0 0A\n\
                     1: B80D0120000000000000000001000000:0050 0:0 0A\n";
        let expected = ["[::1]:8080", "[2001:db8::1]:80"].map(|text| socket(text, None));
        assert_eq!(parse(table), expected);
    }

    #[test]
    fn a_listener_of_this_process_is_among_them() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                assert!(address.starts_with('['), "{address}");
                continue;
            };
            let own = listener.local_addr().unwrap();
            let socket = ListeningSocket {
                address: own,
                user: Some(nix::unistd::geteuid().as_raw()),
            };
            assert!(listening().seen().unwrap().contains(&socket), "{own}");
        }
    }

    #[test]
    fn a_socket_takes_what_is_sent_to_its_address_and_port() {
        for (own, target, takes) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "127.0.0.2:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("[::]:80", "127.0.0.1:80", true),
            ("[::]:80", "[::1]:80", true),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
        ] {
            let socket = ListeningSocket {
                address: own.parse().unwrap(),
                user: None,
            };
            assert_eq!(
                socket.takes(target.parse().unwrap()),
                takes,
                "{own} {target}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_table_is_read_to_its_end(table in "(?s).*", line in "[0-9A-F: ]{0,60}") {
            parse(&table);
            parse(&format!("head\n{line}"));
        }
    }
}
