//! Ports for programs that must be told where to listen.

use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

/// An address of 127.0.0.1 whose port no one else is given for the next minute.
///
/// A port that was merely found free is the next one's who asks the kernel for any. This one is left
/// with a connection in TIME-WAIT (RFC 9293, section 3.3.2), and while that lasts, Linux gives it to
/// none of those; a server, which asks for this port and sets `SO_REUSEADDR`, gets it.
pub(crate) fn reserve() -> SocketAddr {
    hold(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
}

/// A port that is reserved on 127.0.0.1 and, where the machine has it, on `::1`.
pub(crate) fn reserve_on_both() -> u16 {
    loop {
        let port = reserve().port();
        match TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
            Ok(listener) => return hold(listener).port(),
            Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => return port,
            Err(_) => {}
        }
    }
}

/// Leaves a connection of the listener in TIME-WAIT: its own end is closed first.
fn hold(listener: TcpListener) -> SocketAddr {
    let address = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    drop(listener.accept().unwrap());
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    address
}

#[test]
fn a_reserved_port_is_given_to_who_asks_for_it_alone() {
    let reserved: Vec<_> = (0..100).map(|_| reserve()).collect();
    // Each has about one chance in a hundred to be given one of them, were they merely free.
    for _ in 0..2_000 {
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!reserved.contains(&other.local_addr().unwrap()));
    }
    for address in reserved {
        assert!(TcpStream::connect(address).is_err(), "{address}");
        TcpListener::bind(address).unwrap();
    }
}
