//! What the policy looks at in a request: borrowed text as it was received, so
//! that a decision copies nothing.

use std::fmt;

/// The most header fields of one request that the policy examines.
///
/// The engine answers 431 long before; a request that has more all the same is
/// refused, since a field that nobody classified must not reach the upstream.
pub const MAX_FIELDS: usize = 128;

/// One header field as received. Its `Debug` keeps the value to itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, in any case (HTTP/1) or in lower case (HTTP/2).
    pub name: &'a str,
    /// The value, without the line's own white space.
    pub value: &'a [u8],
}

/// Whether a request asks to leave HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// A plain request. Upgrades that the proxy doesn't do count as this.
    None,
    /// A WebSocket handshake (RFC 6455, or RFC 8441 over HTTP/2).
    Websocket,
}

/// One request as received. Its `Debug` shows neither query nor values.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method, upper or lower case as sent: methods are case-sensitive.
    pub method: &'a str,
    /// The target in origin form: path and query, byte for byte.
    pub target: &'a str,
    /// Whether it asks to become a WebSocket.
    pub upgrade: Upgrade,
    /// Every header field in the order received.
    pub fields: &'a [Field<'a>],
}

impl<'a> Request<'a> {
    /// The path as sent, without the query.
    pub fn path(&self) -> &'a str {
        match self.target.find('?') {
            Some(query) => &self.target[..query],
            None => self.target,
        }
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} bytes", self.name, self.value.len())
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path())
            .field("upgrade", &self.upgrade)
            .field("fields", &self.fields)
            .finish()
    }
}

/// Takes spaces and tabs off both ends (RFC 9110 §5.5: no other white space
/// belongs around a value, so none other is taken off).
pub fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(first) = value.iter().position(|byte| !blank(byte)) else {
        return &[];
    };
    let last = value.iter().rposition(|byte| !blank(byte)).unwrap_or(first);
    &value[first..=last]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trims_spaces_and_tabs_alone() {
        for (given, kept) in [
            (&b" \t a b\t "[..], &b"a b"[..]),
            (b"", b""),
            (b" \t ", b""),
            (b"\xc2\xa0a", b"\xc2\xa0a"),
            (b"\x0ba", b"\x0ba"),
        ] {
            assert_eq!(trim(given), kept);
        }
    }

    #[test]
    fn shows_no_secret_in_debug_output() {
        let fields = [Field {
            name: "authorization",
            value: b"hunter2",
        }];
        let request = Request {
            method: "GET",
            target: "/a?key=hunter2",
            upgrade: Upgrade::None,
            fields: &fields,
        };
        assert!(!format!("{request:?}").contains("hunter2"));
    }

    #[test]
    fn leaves_the_query_out_of_the_path() {
        let request = |target| Request {
            method: "GET",
            target,
            upgrade: Upgrade::None,
            fields: &[],
        };
        assert_eq!(request("/a/b?c=/d?e").path(), "/a/b");
        assert_eq!(request("/a").path(), "/a");
    }
}
