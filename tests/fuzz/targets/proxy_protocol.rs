//! A connection that begins with a PROXY header: the same source however its bytes
//! come, the one that the header names, and not one byte taken from behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::proxy_protocol::{HeaderError, Progress, announces, parse, read};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, ReadBuf};

fuzz_target!(|bytes: &[u8]| {
    let at_once = outcome(bytes, usize::MAX);
    for step in [1, 2, 7, 19] {
        let in_steps = outcome(bytes, step);
        match (&at_once, &in_steps) {
            (Ok(one), Ok(other)) => assert_eq!(one, other),
            (Err(_), Err(_)) => {}
            _ => panic!("{at_once:?} at once, {in_steps:?} in steps of {step}"),
        }
    }
    if let Ok((source, length)) = at_once {
        let header = &bytes[..length];
        assert!(announces(header));
        assert_eq!(named(header), Some(source), "{}", header.escape_ascii());
        // It is whole nowhere sooner, and no longer header is the same one.
        for end in 0..length {
            assert!(
                !matches!(parse(&bytes[..end]), Ok(Progress::Whole(_))),
                "whole at {end}"
            );
        }
        if length < bytes.len() {
            assert!(!matches!(parse(&bytes[..=length]), Ok(Progress::Whole(_))));
        }
    }
});

/// The source, and how much of the stream it took to know it.
fn outcome(bytes: &[u8], step: usize) -> Result<(SocketAddr, usize), HeaderError> {
    let mut stream = Stream { left: bytes, step };
    let source = {
        let future = pin!(read(&mut stream));
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(source) => source,
            Poll::Pending => unreachable!("the stream never waits"),
        }
    };
    source.map(|source| (source, bytes.len() - stream.left.len()))
}

/// A stream that gives a few bytes at a time.
struct Stream<'a> {
    left: &'a [u8],
    step: usize,
}

impl AsyncRead for Stream<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self.step.min(buffer.remaining()).min(self.left.len());
        let (now, later) = self.left.split_at(length);
        buffer.put_slice(now);
        self.left = later;
        Poll::Ready(Ok(()))
    }
}

/// What the specification says that a header names, read from its end rather than on
/// the way.
fn named(header: &[u8]) -> Option<SocketAddr> {
    if let Some(rest) = header.strip_prefix(b"\r\n\r\n\0\r\nQUIT\n") {
        let [0x21, family, high, low, body @ ..] = rest else {
            return None;
        };
        let length = usize::from(*high) << 8 | usize::from(*low);
        let (address, port_at): (IpAddr, usize) = match family {
            0x11 => (Ipv4Addr::from(*body.first_chunk::<4>()?).into(), 8),
            0x21 => (Ipv6Addr::from(*body.first_chunk::<16>()?).into(), 32),
            _ => return None,
        };
        let port = u16::from_be_bytes([*body.get(port_at)?, *body.get(port_at + 1)?]);
        return (length == body.len()).then(|| SocketAddr::new(address, port));
    }
    let line = std::str::from_utf8(header).ok()?.strip_suffix("\r\n")?;
    let [b"PROXY", protocol, source, destination, port, other] =
        *line.split(' ').map(str::as_bytes).collect::<Vec<_>>()
    else {
        return None;
    };
    let text = |word: &'_ [u8]| String::from_utf8(word.to_vec()).expect("it was text");
    let (source, destination): (IpAddr, IpAddr) =
        (text(source).parse().ok()?, text(destination).parse().ok()?);
    // A number that is written in one way.
    let number = |word: &'_ [u8]| {
        let number: u16 = text(word).parse().ok()?;
        (number.to_string().as_bytes() == word).then_some(number)
    };
    number(other)?;
    let is_v4 = protocol == b"TCP4" && source.is_ipv4() && destination.is_ipv4();
    let is_v6 = protocol == b"TCP6" && source.is_ipv6() && destination.is_ipv6();
    let port = number(port)?;
    ((is_v4 || is_v6) && line.len() <= 105).then(|| SocketAddr::new(source, port))
}
