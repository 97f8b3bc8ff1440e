//! HTTP/1.1 messages, read strictly: heads and body framing, without I/O.
//!
//! Every known smuggling attack lives on a difference between two readings of
//! one head, so there is one reading here and it refuses what RFC 9112 leaves
//! to the reader's leniency: bare LF, folded lines, two framings, odd
//! transfer codings. `httparse` splits the lines; this room holds the rules.

pub mod body;
pub mod field_line;
pub mod request;
pub mod response;
pub mod scan;

/// The version of an HTTP/1 message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: no keep-alive unless asked for, no chunked bodies.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// Whether the connection may carry another message after this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// The connection stays open.
    KeepAlive,
    /// The connection ends with this message.
    Close,
}

/// The comma-separated elements of a field value, trimmed, empty ones left out
/// (RFC 9110 section 5.6.1).
pub fn list_elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}
