//! The PROXY protocol, versions 1 and 2: the line or block with which a load
//! balancer says whose connection it passes on (HAProxy's `proxy-protocol.txt`).
//!
//! The reading is ours because it decides who a source is: everything beyond what a
//! balancer of TCP connections sends is refused, and not one byte behind the header
//! is taken from the socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncRead, AsyncReadExt};

const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The shortest header of either version: `PROXY UNKNOWN` and its line end.
const SHORTEST: usize = 15;
/// The shortest line that names two IPv6 addresses; two IPv4 ones need more.
const SHORTEST_ADDRESSES: usize = 22;
/// The longest line of version 1, as the specification has it.
const V1_LONGEST: usize = 107;
/// Signature, version and command, family, length.
const V2_FIXED: usize = 16;
/// What version 2 may carry: addresses and whatever a balancer adds of its own.
const V2_LONGEST: usize = 4096;

const VERSION_2: u8 = 0x20;
const COMMAND_LOCAL: u8 = 0x0;
const COMMAND_PROXY: u8 = 0x1;
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// Why a connection has no source that could be believed.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The balancer sent something else.
    #[error("the connection does not begin with a PROXY header")]
    Absent,
    /// A header that the specification does not know, or that could be read twice.
    #[error("the PROXY header is malformed: {0}")]
    Malformed(&'static str),
    /// `LOCAL` or `UNKNOWN`: the balancer speaks for itself or for nobody.
    #[error("the PROXY header names no source ({0})")]
    NoSource(&'static str),
    /// The connection broke or ended within the header.
    #[error("the connection ended within the PROXY header")]
    Ended(#[source] io::Error),
}

use HeaderError::{Absent, Malformed, NoSource};

/// Whether `bytes` begin with a PROXY header of either version.
pub fn announces(bytes: &[u8]) -> bool {
    bytes.starts_with(V1) || bytes.starts_with(V2)
}

/// Whether `bytes` are a beginning of version 2's signature, and not the whole of it.
pub fn may_announce(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len() < V2.len() && V2.starts_with(bytes)
}

/// Takes the header off a connection and gives the source in it.
///
/// # Errors
/// [`HeaderError`]; nothing may be made of the connection then.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<SocketAddr, HeaderError> {
    let mut header = Vec::with_capacity(V1_LONGEST);
    loop {
        match parse(&header)? {
            Progress::Whole(source) => return Ok(source),
            Progress::AtLeast(length) => {
                let filled = header.len();
                header.resize(length, 0);
                match stream.read(&mut header[filled..]).await {
                    Ok(0) => return Err(HeaderError::Ended(io::ErrorKind::UnexpectedEof.into())),
                    Ok(count) => header.truncate(filled + count),
                    Err(error) => return Err(HeaderError::Ended(error)),
                }
            }
        }
    }
}

/// How far a header has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is whole, and names this source.
    Whole(SocketAddr),
    /// It is at least this long, and longer than what there is.
    AtLeast(usize),
}

/// Reads what there is of a header; it must not be longer than the header.
///
/// # Errors
/// [`HeaderError`] as soon as no further byte could make it right.
pub fn parse(header: &[u8]) -> Result<Progress, HeaderError> {
    let begins = |with: &[u8]| {
        let common = header.len().min(with.len());
        header[..common] == with[..common]
    };
    if begins(V2) && !header.is_empty() {
        parse_v2(header)
    } else if begins(V1) {
        parse_v1(header)
    } else {
        Err(Absent)
    }
}

fn parse_v1(header: &[u8]) -> Result<Progress, HeaderError> {
    let Some(line) = header.strip_suffix(b"\r\n") else {
        let least = if header.starts_with(b"PROXY TCP") {
            SHORTEST_ADDRESSES
        } else {
            SHORTEST
        };
        // A line end is two bytes, of which one may be there.
        let open = if header.ends_with(b"\r") { 1 } else { 2 };
        return match least.max(header.len() + open) {
            _ if header.contains(&b'\n') => Err(Malformed("a line feed without its return")),
            length if length > V1_LONGEST => Err(Malformed("the line is too long")),
            length => Ok(Progress::AtLeast(length)),
        };
    };
    let line = std::str::from_utf8(line).map_err(|_| Malformed("it is not ASCII"))?;
    if line.contains(['\r', '\n']) {
        return Err(Malformed("it is more than one line"));
    }
    let mut words = line.split(' ').skip(1);
    let mut next = || words.next();
    let (source, destination) = match next() {
        Some("TCP4") => (next().and_then(v4), next().and_then(v4)),
        Some("TCP6") => (next().and_then(v6), next().and_then(v6)),
        Some("UNKNOWN") => return Err(NoSource("UNKNOWN")),
        _ => return Err(Malformed("its protocol is neither TCP4 nor TCP6")),
    };
    let ports = (next().and_then(port), next().and_then(port));
    match (source, destination, ports, next()) {
        (Some(address), Some(_), (Some(port), Some(_)), None) => {
            Ok(Progress::Whole(SocketAddr::new(address, port)))
        }
        _ => Err(Malformed("it is not two addresses and two ports")),
    }
}

fn v4(text: &str) -> Option<IpAddr> {
    text.parse().ok().map(IpAddr::V4)
}

fn v6(text: &str) -> Option<IpAddr> {
    text.parse().ok().map(IpAddr::V6)
}

fn port(text: &str) -> Option<u16> {
    let is_plain = text == "0" || !text.starts_with('0');
    (is_plain && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn parse_v2(header: &[u8]) -> Result<Progress, HeaderError> {
    let Some((fixed, rest)) = header.split_first_chunk::<V2_FIXED>() else {
        // The shortest of version 1, while it could still be one.
        let least = if header.len() < SHORTEST {
            SHORTEST
        } else {
            V2_FIXED
        };
        return Ok(Progress::AtLeast(least));
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    match command.checked_sub(VERSION_2) {
        Some(COMMAND_PROXY) => {}
        Some(COMMAND_LOCAL) => return Err(NoSource("LOCAL")),
        _ => return Err(Malformed("its version or command is unknown")),
    }
    let addresses = match family {
        TCP_OVER_IPV4 => 12,
        TCP_OVER_IPV6 => 36,
        UNSPECIFIED => return Err(NoSource("UNSPEC")),
        _ => return Err(Malformed("it is not about TCP over IPv4 or IPv6")),
    };
    if length < addresses {
        return Err(Malformed("it is too short for its addresses"));
    }
    if length > V2_LONGEST {
        return Err(Malformed("it is too long"));
    }
    match rest.len() {
        filled if filled < length => return Ok(Progress::AtLeast(V2_FIXED + length)),
        filled if filled > length => return Err(Malformed("it is longer than it says")),
        _ => {}
    }
    let (addresses, additions) = rest.split_at(addresses);
    check_additions(additions)?;
    let (address, port) = match *addresses {
        [a, b, c, d, _, _, _, _, high, low, _, _] => {
            (Ipv4Addr::new(a, b, c, d).into(), [high, low])
        }
        _ => {
            let (source, ports) = (addresses.first_chunk::<16>(), addresses.last_chunk::<4>());
            let (Some(source), Some(&[high, low, ..])) = (source, ports) else {
                return Err(Malformed("it is too short for its addresses"));
            };
            (Ipv6Addr::from(*source).into(), [high, low])
        }
    };
    Ok(Progress::Whole(SocketAddr::new(
        address,
        u16::from_be_bytes(port),
    )))
}

/// The additions (TLVs) are passed over, if they fill their place exactly.
fn check_additions(mut additions: &[u8]) -> Result<(), HeaderError> {
    while let [_, high, low, rest @ ..] = additions {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        additions = rest
            .get(length..)
            .ok_or(Malformed("an addition is longer than the header"))?;
    }
    if additions.is_empty() {
        Ok(())
    } else {
        Err(Malformed("an addition is cut off"))
    }
}

#[cfg(test)]
mod tests;
