//! Looks at how Portcullis is deployed: the host's sockets and addresses, the way to
//! the gateway, the running process, the certificate and the list of users.

mod certificate;
mod front_socket;
mod gateway;
mod interfaces;
mod processes;
mod sockets;

pub use certificate::{Certificate, Key};
pub use front_socket::FrontSocket;
pub use gateway::{Answer, Gateway, Target};
pub use processes::{ServiceProcess, service_processes};
pub use sockets::ListeningSocket;

use super::above::{above, with_way};
use super::custody::{FileFacts, GuardedFile};
use super::guard::{Below, Guard};
use super::look::Look;
use crate::config::{Config, UsersError};
use crate::policy::AllowUsers;
use crate::unix_time::unix_seconds;
use nix::sys::resource::{Resource, getrlimit};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::SystemTime;

/// How Portcullis is deployed.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// Seconds since the Unix epoch.
    pub now: i64,
    /// The host's addresses, loopback left out.
    pub addresses: Look<Vec<SocketAddr>>,
    /// Where programs of this host listen for TCP.
    pub listening: Look<Vec<ListeningSocket>>,
    /// The way to the gateway.
    pub gateway: Gateway,
    /// The running processes that serve this config.
    pub processes: Vec<ServiceProcess>,
    /// Processes of Portcullis of which the system doesn't show what they serve.
    pub unclear_processes: Vec<u32>,
    /// Files that may be opened here, at most.
    pub open_files: Option<u64>,
    /// The front door's chain, leaf first; empty: it speaks no TLS, or the chain can't
    /// be read.
    pub chain: Vec<Certificate>,
    /// Who may pass; an error says why that can't be told.
    pub users: Result<AllowUsers, UsersUnread>,
    /// The Unix sockets of the front door.
    pub sockets: Vec<FrontSocket>,
    /// Whether the running process answers, and so tells of its sockets itself.
    pub has_answered: bool,
    /// Files beside the secrets that decide who may pass, or who gets what is sent, and what
    /// leads to them.
    pub rule_files: Vec<GuardedFile>,
}

/// Why it can't be told who may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsersUnread {
    /// What is wrong with the file of users.
    pub reason: String,
    /// Whether this user may not read it, so that nothing is known of it.
    pub is_denied: bool,
}

impl Deployment {
    /// Looks at everything. It connects to the gateway, and to its port at each of the
    /// host's own addresses; to nothing else.
    #[must_use]
    pub fn gather(config: &Config, config_path: &Path) -> Self {
        let addresses = interfaces::addresses();
        let tls = config.gateway.tls.as_ref();
        let processes = processes::serving(config_path);
        let users = config.gateway.trusted_proxy.allow_users.users();
        Self {
            now: unix_seconds(SystemTime::now()) as i64,
            gateway: Gateway::gather(
                &config.upstream.url,
                addresses.seen().map_or(&[], Vec::as_slice),
                &config.tcp_listeners().collect::<Vec<_>>(),
            ),
            addresses,
            listening: sockets::listening(),
            processes: processes.serving,
            unclear_processes: processes.unclear,
            open_files: getrlimit(Resource::RLIMIT_NOFILE)
                .ok()
                .map(|(_, hard)| hard),
            chain: tls.map_or_else(Vec::new, |tls| certificate::read_chain(&tls.cert_path)),
            users: users.map_err(UsersUnread::from),
            sockets: config.listen.sockets().map(FrontSocket::of).collect(),
            has_answered: false,
            rule_files: rule_files(config),
        }
    }

    /// Takes up the process which answers for this config at its admin listener.
    pub fn recognise(&mut self, pid: u32) {
        self.unclear_processes.retain(|unclear| *unclear != pid);
        if self.processes.iter().all(|known| known.pid != pid) {
            self.processes.extend(processes::of(pid));
        }
    }

    /// Whether any address that the gateway's name has is this host's.
    #[must_use]
    pub fn may_have_gateway(&self) -> bool {
        match &self.gateway {
            Gateway::Unix { .. } => true,
            Gateway::Tcp { targets, .. } => targets.iter().any(|target| self.is_own_target(target)),
        }
    }

    /// Whether every address that the gateway's name has is this host's, and it has one.
    #[must_use]
    pub fn surely_has_gateway(&self) -> bool {
        match &self.gateway {
            Gateway::Unix { .. } => true,
            Gateway::Tcp { targets, .. } => {
                !targets.is_empty() && targets.iter().all(|target| self.is_own_target(target))
            }
        }
    }

    /// Whether an address of TCP at which the gateway answers is this host's; where it
    /// answers at none, whether any of its addresses is.
    #[must_use]
    pub fn sees_gateway_answer(&self) -> bool {
        let targets = self.gateway.answering();
        targets.iter().any(|target| self.is_own_target(target))
    }

    /// Whose the gateway is, as far as it is on this host and that is shown.
    #[must_use]
    pub fn gateway_users(&self) -> BTreeSet<u32> {
        if let Gateway::Unix { socket, .. } = &self.gateway {
            return socket
                .seen()
                .map(|socket| socket.owner)
                .into_iter()
                .collect();
        }
        let listening = self.listening.seen().map_or(&[][..], Vec::as_slice);
        let targets = self.gateway.answering().into_iter();
        let here = targets.filter(|target| self.is_own_target(target));
        let taking = here.flat_map(|target| {
            let sockets = listening.iter();
            sockets.filter(|socket| socket.takes(target.address))
        });
        taking.filter_map(|socket| socket.user).collect()
    }

    fn is_own_target(&self, target: &Target) -> bool {
        self.is_own(target.address.ip())
    }

    /// Whether an address is one of this host's, loopback included.
    #[must_use]
    pub fn is_own(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let own = self.addresses.seen().map_or(&[][..], Vec::as_slice);
        let mut own = own.iter().map(|own| own.ip().to_canonical());
        address.is_loopback() || own.any(|own| own == address)
    }
}

impl From<UsersError> for UsersUnread {
    fn from(error: UsersError) -> Self {
        match error {
            UsersError::Unreadable { source, .. } => Self {
                is_denied: source.kind() == ErrorKind::PermissionDenied,
                reason: source.to_string(),
            },
            UsersError::Malformed { source, .. } => Self {
                is_denied: false,
                reason: source.to_string(),
            },
        }
    }
}

fn rule_files(config: &Config) -> Vec<GuardedFile> {
    let named = config.named_files().into_iter();
    let rules = named.filter(|file| !file.role.is_secret());
    let rules = rules.map(GuardedFile::from);
    let mut files: Vec<_> = rules.flat_map(with_way).collect();
    files.extend(config.listen.sockets().flat_map(|path| {
        above(&GuardedFile {
            what: "the Unix socket".into(),
            key: Some("listen.address".to_owned()),
            path: path.to_owned(),
            guard: Guard::Above(Below::Socket),
            facts: Look::Missing,
        })
    }));
    let folders = config.models.sinks();
    files.extend(folders.filter_map(|(key, folder)| {
        let facts = Look::from(folder.metadata()).map(|facts| FileFacts::from(&facts));
        // There is none before the first login.
        (facts != Look::Missing).then(|| GuardedFile {
            what: "the folder of logins".into(),
            key: Some(key),
            path: folder.to_owned(),
            guard: Guard::Above(Below::Logins),
            facts,
        })
    }));
    files
}
