//! Where programs listen for TCP, as the kernel's tables tell it (`proc_net_tcp`).

use super::super::look::Look;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// `TCP_LISTEN` of the kernel's `tcp_states.h`.
const LISTEN: &str = "0A";

/// Every address that is listened on in this network namespace.
pub(super) fn listening() -> Look<Vec<SocketAddr>> {
    let read = || -> io::Result<Vec<SocketAddr>> {
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
fn parse(table: &str) -> Vec<SocketAddr> {
    let sockets = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (local, state) = (fields.nth(1)?, fields.nth(1)?);
        (state == LISTEN).then(|| address(local)).flatten()
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
             \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n\
             \x20  1: 00000000:4965 00000000:0000 0A 00000000:00000000\n\
             \x20  2: 0100007F:4965 0100007F:8000 01 00000000:00000000\n\
             \x20  3: 0100:4965 00000000:0000 0A\n\
             \x20  4: short\n";
        let expected = ["127.0.0.1:8080", "0.0.0.0:18789"].map(|text| text.parse().unwrap());
        assert_eq!(parse(table), expected);
        let table = "head\n 0: 00000000000000000000000001000000:1F90 0:0 0A\n\
                     1: B80D0120000000000000000001000000:0050 0:0 0A\n";
        let expected = ["[::1]:8080", "[2001:db8::1]:80"].map(|text| text.parse().unwrap());
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
            assert!(listening().seen().unwrap().contains(&own), "{own}");
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
