//! The request that is asked about: from flags, from a curl line, or from what was kept
//! of a denied one.

use crate::authority::Authority;
use crate::http1::field_line::split_field_line;
use crate::http1::request::{asks_for_websocket, check_line};
use crate::policy::{Field, LocalInterface, Request, Source, Upgrade};
use std::net::IpAddr;

/// A request, and what is needed to write the upstream's head for it.
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) host: String,
    pub(super) upgrade: Upgrade,
    pub(super) fields: Vec<(String, String)>,
    /// Each of the values may be shown: of those that might be secrets none is there.
    pub(super) is_open: bool,
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin {
    Address(IpAddr),
    UnixPeer(u32),
}

impl Origin {
    /// `IP` or `unix:UID`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let origin = match text.strip_prefix("unix:") {
            Some(uid) => uid.parse().ok().map(Self::UnixPeer),
            None => text.parse().ok().map(Self::Address),
        };
        origin.ok_or_else(|| "expected an IP address, or `unix:` and a user's number".to_owned())
    }

    pub(super) fn source(self, local: LocalInterface) -> Source {
        match self {
            Self::Address(address) => Source::new(address, local),
            Self::UnixPeer(uid) => Source::unix_peer(uid),
        }
    }
}

impl Asked {
    /// Adds fields that come behind the others; a `Host` among them is the host.
    pub(super) fn add(&mut self, fields: impl IntoIterator<Item = (String, String)>) {
        self.fields.extend(fields);
        let host = self
            .fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("host"));
        if let Some((_, host)) = host {
            self.host.clone_from(host);
        }
    }

    /// What would be answered with 400 before the policy sees it.
    pub(super) fn check(&self) -> Result<(), String> {
        if Authority::parse(self.host.as_bytes()).is_none() {
            return Err("the host is not one host and port".to_owned());
        }
        // The words are ours: neither method nor path is in them.
        check_line(&self.method, &self.target).map_err(|error| error.to_string())
    }

    pub(super) fn fields(&self) -> Vec<Field<'_>> {
        let fields = self.fields.iter();
        fields
            .map(|(name, value)| Field {
                name,
                value: value.as_bytes(),
            })
            .collect()
    }

    pub(super) fn request<'a>(&'a self, fields: &'a [Field<'a>]) -> Request<'a> {
        Request {
            method: &self.method,
            target: &self.target,
            upgrade: self.upgrade,
            fields,
        }
    }

    /// Whether its fields are a WebSocket handshake's.
    pub(super) fn asks_for_websocket(&self) -> bool {
        asks_for_websocket(&self.fields())
    }
}

/// `name: value`, without the value's white space. An error repeats no value.
pub(super) fn split_header(text: &str) -> Result<(String, String), String> {
    match split_field_line(text) {
        Ok((name, value)) => Ok((name.to_owned(), value.to_owned())),
        Err(error) => Err(error.to_string()),
    }
}
