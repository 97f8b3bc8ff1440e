//! The way to the gateway: tried as Portcullis would take it, and past it.

use super::super::custody::FileFacts;
use super::super::look::Look;
use crate::config::{UpstreamHost, UpstreamUrl};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// For a connection. Whoever drops packets is waited for so long.
const PATIENCE: Duration = Duration::from_secs(2);

/// What came of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was taken.
    Taken,
    /// It was not, for this reason.
    Failed(String),
}

/// An address that `upstream.url` leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The address.
    pub address: SocketAddr,
    /// The address from which Portcullis comes there, where the system knows one.
    pub source: Option<IpAddr>,
    /// What came of connecting.
    pub answer: Answer,
}

/// The way to the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gateway {
    /// By TCP.
    Tcp {
        /// Where `upstream.url` leads to.
        targets: Vec<Target>,
        /// Why its name leads nowhere.
        unresolved: Option<String>,
        /// The same port at the host's own addresses, none of which is loopback or
        /// one of Portcullis' own listeners.
        past: Vec<(SocketAddr, Answer)>,
    },
    /// By a Unix socket.
    Unix {
        /// What the socket is like.
        socket: Look<FileFacts>,
        /// What came of connecting.
        answer: Answer,
    },
}

impl Gateway {
    /// The addresses of TCP at which it answers; all of them, where it does at none.
    /// `localhost` is two addresses, and mostly listens at one.
    #[must_use]
    pub fn answering(&self) -> Vec<&Target> {
        let targets = match self {
            Self::Tcp { targets, .. } => targets.as_slice(),
            Self::Unix { .. } => &[],
        };
        let answers = |target: &&Target| target.answer == Answer::Taken;
        match targets.iter().any(|target| answers(&target)) {
            true => targets.iter().filter(answers).collect(),
            false => targets.iter().collect(),
        }
    }

    /// Tries it. `addresses` are the host's own, `listeners` those of Portcullis.
    pub(super) fn gather(
        url: &UpstreamUrl,
        addresses: &[SocketAddr],
        listeners: &[SocketAddr],
    ) -> Self {
        match url {
            UpstreamUrl::Unix(path) => Self::Unix {
                socket: socket(path),
                answer: UnixStream::connect(path).into(),
            },
            UpstreamUrl::Tcp { host, port, .. } => tcp(host, *port, addresses, listeners),
        }
    }
}

fn socket(path: &Path) -> Look<FileFacts> {
    match Look::from(path.metadata()) {
        Look::Seen(facts) if facts.file_type().is_socket() => Look::Seen(FileFacts::from(&facts)),
        Look::Seen(_) => Look::Hidden("it is not a socket".to_owned()),
        Look::Missing => Look::Missing,
        Look::Hidden(reason) => Look::Hidden(reason),
    }
}

fn tcp(
    host: &UpstreamHost,
    port: u16,
    addresses: &[SocketAddr],
    listeners: &[SocketAddr],
) -> Gateway {
    let (found, unresolved) = match resolve(host, port) {
        Ok(found) => (found, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let is_here = |target: &SocketAddr| {
        let ip = target.ip().to_canonical();
        ip.is_loopback() || addresses.iter().any(|own| own.ip().to_canonical() == ip)
    };
    let past: Vec<SocketAddr> = match found.iter().any(is_here) {
        true => addresses
            .iter()
            .map(|own| with_port(*own, port))
            .filter(|address| !listeners.contains(address))
            .collect(),
        false => Vec::new(),
    };
    let (answers, past) = thread::scope(|scope| {
        let ask = |address: SocketAddr| scope.spawn(move || connect(address));
        let asked: Vec<_> = found.iter().copied().map(ask).collect();
        let past: Vec<_> = past.into_iter().map(|it| (it, ask(it))).collect();
        let answers: Vec<Answer> = asked.into_iter().map(joined).collect();
        let past: Vec<_> = past
            .into_iter()
            .map(|(it, ask)| (it, joined(ask)))
            .collect();
        (answers, past)
    });
    let targets = found.into_iter().zip(answers);
    Gateway::Tcp {
        targets: targets
            .map(|(address, answer)| Target {
                address,
                source: source(address),
                answer,
            })
            .collect(),
        unresolved,
        past,
    }
}

fn joined(asked: thread::ScopedJoinHandle<'_, Answer>) -> Answer {
    let answer = asked.join();
    answer.unwrap_or_else(|_| Answer::Failed("it could not be tried".to_owned()))
}

fn resolve(host: &UpstreamHost, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut found = match host {
        UpstreamHost::Ip(ip) => vec![(*ip, port).into()],
        UpstreamHost::Dns(name) => (name.as_str(), port).to_socket_addrs()?.collect(),
    };
    found.sort();
    found.dedup();
    Ok(found)
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

fn connect(address: SocketAddr) -> Answer {
    TcpStream::connect_timeout(&address, PATIENCE).into()
}

/// The system chooses the source when a datagram socket is connected; nothing is sent.
fn source(target: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match target {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(target).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

impl<T> From<io::Result<T>> for Answer {
    fn from(result: io::Result<T>) -> Self {
        match result {
            Ok(_) => Self::Taken,
            Err(error) => Self::Failed(match error.kind() {
                io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                    format!("no answer within {} s", PATIENCE.as_secs())
                }
                io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
                _ => error.to_string(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    fn gather(host: &str, port: u16, addresses: &[SocketAddr], own: &[SocketAddr]) -> Gateway {
        let host = match host.parse() {
            Ok(ip) => UpstreamHost::Ip(ip),
            Err(_) => UpstreamHost::Dns(host.to_owned()),
        };
        let url = UpstreamUrl::Tcp {
            host,
            port,
            tls: false,
        };
        Gateway::gather(&url, addresses, own)
    }

    #[test]
    fn it_is_tried_where_it_is_and_at_the_other_addresses() {
        let gateway = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = gateway.local_addr().unwrap().port();
        // Two more addresses of this host stand in for those of its interfaces.
        let others: [SocketAddr; 2] = ["127.0.0.2:0", "127.0.0.3:0"].map(|it| it.parse().unwrap());
        let exposed = TcpListener::bind(("127.0.0.3", port)).unwrap();
        let Gateway::Tcp {
            targets,
            unresolved,
            past,
        } = gather("127.0.0.1", port, &others, &[])
        else {
            panic!("not TCP");
        };
        assert_eq!(unresolved, None);
        assert_eq!(targets.len(), 1);
        assert_eq!(targets[0].answer, Answer::Taken);
        assert_eq!(targets[0].source, Some("127.0.0.1".parse().unwrap()));
        let refused = Answer::Failed("connection refused".to_owned());
        let third = exposed.local_addr().unwrap();
        let second = with_port(others[0], port);
        assert_eq!(past, [(second, refused), (third, Answer::Taken)]);
        let Gateway::Tcp { past, .. } = gather("127.0.0.1", port, &others, &[third]) else {
            panic!("not TCP");
        };
        assert!(past.iter().all(|(address, _)| *address == second));
    }

    #[test]
    fn a_name_without_an_address_is_said_to_have_none() {
        let Gateway::Tcp {
            targets,
            unresolved,
            ..
        } = gather("gateway.invalid", 1, &[], &[])
        else {
            panic!("not TCP");
        };
        assert!(targets.is_empty() && unresolved.is_some());
    }

    #[test]
    fn a_socket_is_looked_at_and_tried() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.sock");
        let gather = || Gateway::gather(&UpstreamUrl::Unix(path.clone()), &[], &[]);
        let Gateway::Unix { socket, answer } = gather() else {
            panic!("not a socket");
        };
        assert_eq!(socket, Look::Missing);
        assert_ne!(answer, Answer::Taken);
        let _listener = UnixListener::bind(&path).unwrap();
        let Gateway::Unix { socket, answer } = gather() else {
            panic!("not a socket");
        };
        assert!(socket.seen().is_some());
        assert_eq!(answer, Answer::Taken);
    }
}
