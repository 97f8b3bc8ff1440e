//! The request that is asked about: from flags, from a curl line, or from what was kept
//! of a denied one.

use crate::config::{ByteSize, Limits};
use crate::http1::field_line::split_field_line;
use crate::http1::request::{FieldList, HeadError, parse};
use crate::policy::{Field, LocalInterface, Request, Source, Upgrade};
use crate::proxy::respond::Problem;
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
    /// Reads it as the front door reads a request over HTTP/1.1.
    ///
    /// # Errors
    /// What the front door would answer before it asks any rule. The words are ours:
    /// nothing of the request is in them.
    pub(super) fn read(&mut self, limits: &Limits) -> Result<(), String> {
        let head = self.head()?;
        let mut fields = FieldList::default();
        let read = match ByteSize(head.len() as u64) > limits.max_header_bytes {
            true => Err(HeadError::TooLarge),
            false => parse(&head, limits.max_headers, &mut fields),
        };
        let read = read.map_err(|error| {
            let status = Problem::from(error).status();
            format!("the front door would answer {status} and ask no rule: {error}")
        })?;
        if read.upgrade == Upgrade::Websocket {
            self.upgrade = Upgrade::Websocket;
        }
        let (target, host) = (read.target.to_owned(), read.host.as_str().to_owned());
        (self.target, self.host) = (target, host);
        Ok(())
    }

    fn head(&self) -> Result<Vec<u8>, String> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let has_host = self.fields.iter().any(|(name, _)| is_host(name));
        if !has_host && !self.host.is_empty() {
            head.push_str(&format!("host: {}\r\n", self.host));
        }
        for (name, value) in &self.fields {
            if value.contains(['\r', '\n']) {
                return Err(format!("got a line's end in the value of `{name}`"));
            }
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        Ok(head.into_bytes())
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
}

fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host")
}

/// `name: value`, without the value's white space. An error repeats no value.
pub(super) fn split_header(text: &str) -> Result<(String, String), String> {
    match split_field_line(text) {
        Ok((name, value)) => Ok((name.to_owned(), value.to_owned())),
        Err(error) => Err(error.to_string()),
    }
}
