//! The strict reading of a request head (RFC 9112 sections 3, 5 and 6).

use super::body::Framing;
use super::{Persistence, Version, list_elements};
use crate::authority::Authority;
use crate::policy::{Field, MAX_FIELDS, Upgrade};
use std::mem::MaybeUninit;

/// The fields of one message, on the stack, borrowing the connection's buffer.
#[derive(Debug)]
pub struct FieldList<'a> {
    fields: [Field<'a>; MAX_FIELDS],
    len: usize,
}

impl Default for FieldList<'_> {
    fn default() -> Self {
        Self {
            fields: [Field {
                name: "",
                value: b"",
            }; MAX_FIELDS],
            len: 0,
        }
    }
}

impl<'a> FieldList<'a> {
    /// The fields in the order in which they came.
    pub fn as_slice(&self) -> &[Field<'a>] {
        &self.fields[..self.len]
    }

    /// Adds a field; `false` when there is no room for it.
    pub fn push(&mut self, field: Field<'a>) -> bool {
        let Some(slot) = self.fields.get_mut(self.len) else {
            return false;
        };
        *slot = field;
        self.len += 1;
        true
    }
}

/// A request head whose meaning is beyond doubt.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The method, as it came (methods are case-sensitive).
    pub method: &'a str,
    /// Path and query as they came, byte for byte; absolute-form is reduced to this.
    pub target: &'a str,
    /// The one `Host`, its syntax checked.
    pub host: Authority<'a>,
    /// The protocol version.
    pub version: Version,
    /// Where the body ends.
    pub framing: Framing,
    /// Whether the client wants the connection kept.
    pub persistence: Persistence,
    /// A WebSocket handshake, whole and valid, or none.
    pub upgrade: Upgrade,
    /// `Sec-WebSocket-Key` of a handshake.
    pub websocket_key: Option<&'a [u8]>,
    /// `Expect: 100-continue` was sent.
    pub expects_continue: bool,
}

/// Why a request head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Something that has two readings, or none. The text says what, for the log.
    #[error("{0}")]
    Malformed(&'static str),
    /// More bytes than allowed.
    #[error("the head is longer than `limits.maxHeaderBytes`")]
    TooLarge,
    /// More fields than allowed.
    #[error("the head has more fields than `limits.maxHeaders`")]
    TooManyFields,
    /// `TRACE`, `TRACK`, `CONNECT`.
    #[error("the method is not served")]
    MethodNotAllowed,
    /// An `Expect` other than `100-continue`.
    #[error("the expectation can't be met")]
    ExpectationFailed,
}

use HeadError::Malformed;

/// Reads a whole head: `head` ends with its empty line.
///
/// # Errors
/// [`HeadError`]; the connection is at no certain point afterwards and must be
/// closed.
pub fn parse<'a>(
    head: &'a [u8],
    max_fields: usize,
    fields: &mut FieldList<'a>,
) -> Result<RequestHead<'a>, HeadError> {
    let mut slots = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let max_fields = max_fields.min(MAX_FIELDS);
    match request.parse_with_uninit_headers(head, &mut slots[..max_fields]) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Ok(_) => return Err(Malformed("the head does not end with its empty line")),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooManyFields),
        Err(error) => return Err(Malformed(reason(error))),
    }
    for header in request.headers.iter() {
        fields.push(Field {
            name: header.name,
            value: header.value,
        });
    }
    let version = match request.version {
        Some(0) => Version::Http10,
        _ => Version::Http11,
    };
    // Before anything else: a CONNECT has a target of its own form.
    check_method(request.method.unwrap_or(""))?;
    let line = Line {
        method: request.method.unwrap_or(""),
        target: request.path.unwrap_or(""),
    };
    Survey::of(fields.as_slice())?.conclude(line, version)
}

fn reason(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "a field name holds what no token may",
        httparse::Error::HeaderValue => "a field value holds a control character",
        httparse::Error::NewLine => "a line does not end in CRLF",
        httparse::Error::Status | httparse::Error::Token => "the request line is malformed",
        httparse::Error::Version => "the HTTP version is not 1.0 or 1.1",
        httparse::Error::TooManyHeaders => "there are too many fields",
    }
}

/// Checks what HTTP/1.1 and HTTP/2 requests have in common: the method, and the
/// characters of the target (RFC 3986 section 2, less `#`, which never is sent).
///
/// # Errors
/// As [`parse`].
pub fn check_line(method: &str, target: &str) -> Result<(), HeadError> {
    check_method(method)?;
    if !target
        .bytes()
        .all(|byte| matches!(byte, b'!'..=b'~') && byte != b'#')
    {
        return Err(Malformed(
            "the request target holds a character that no target may",
        ));
    }
    if !target.starts_with('/') {
        return Err(Malformed("the request target is no absolute path"));
    }
    let path = target.split('?').next().unwrap_or_default();
    if memchr::memmem::find(path.as_bytes(), b"%00").is_some() {
        return Err(Malformed("the path holds an escaped NUL"));
    }
    Ok(())
}

/// Checks the value of `Expect` (RFC 9110 section 10.1.1).
///
/// # Errors
/// [`HeadError::ExpectationFailed`] for anything but `100-continue`.
pub fn check_expect(value: &[u8]) -> Result<(), HeadError> {
    if value.trim_ascii().eq_ignore_ascii_case(b"100-continue") {
        Ok(())
    } else {
        Err(HeadError::ExpectationFailed)
    }
}

fn check_method(method: &str) -> Result<(), HeadError> {
    let is_refused = ["CONNECT", "TRACE", "TRACK"]
        .iter()
        .any(|refused| method.eq_ignore_ascii_case(refused));
    if is_refused {
        Err(HeadError::MethodNotAllowed)
    } else {
        Ok(())
    }
}

struct Line<'a> {
    method: &'a str,
    target: &'a str,
}

/// What the framing and connection fields say, each at most once.
#[derive(Default)]
struct Survey<'a> {
    host: Option<&'a [u8]>,
    content_length: Option<u64>,
    transfer_encoding: bool,
    authorization: Option<()>,
    close: bool,
    keep_alive: bool,
    connection_upgrade: bool,
    upgrade_websocket: bool,
    expects_continue: bool,
    websocket_key: Option<&'a [u8]>,
    websocket_version: Option<&'a [u8]>,
}

impl<'a> Survey<'a> {
    fn of(fields: &[Field<'a>]) -> Result<Self, HeadError> {
        let mut survey = Self::default();
        for field in fields {
            survey.note(field)?;
        }
        Ok(survey)
    }

    fn note(&mut self, field: &Field<'a>) -> Result<(), HeadError> {
        let (name, value) = (field.name, field.value);
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        // The length first: it tells most fields from all of these at once.
        match name.len() {
            4 if is("host") => once(&mut self.host, value, "`Host` comes more than once")?,
            6 if is("expect") => {
                check_expect(value)?;
                self.expects_continue = true;
            }
            7 if is("upgrade") => {
                self.upgrade_websocket |= list_elements(value)
                    .any(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
            }
            10 if is("connection") => {
                for token in list_elements(value) {
                    self.close |= token.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                    self.connection_upgrade |= token.eq_ignore_ascii_case(b"upgrade");
                }
            }
            13 if is("authorization") => {
                once(
                    &mut self.authorization,
                    (),
                    "`Authorization` comes more than once",
                )?;
            }
            14 if is("content-length") => {
                let length = parse_length(value)
                    .ok_or(Malformed("`Content-Length` is not one decimal number"))?;
                once(
                    &mut self.content_length,
                    length,
                    "`Content-Length` comes more than once",
                )?;
            }
            17 if is("transfer-encoding") => {
                let chunked = value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                if !chunked || std::mem::replace(&mut self.transfer_encoding, true) {
                    return Err(Malformed(
                        "`Transfer-Encoding` is not exactly `chunked`, once",
                    ));
                }
            }
            17 if is("sec-websocket-key") => {
                once(
                    &mut self.websocket_key,
                    value,
                    "`Sec-WebSocket-Key` comes more than once",
                )?;
            }
            21 if is("sec-websocket-version") => {
                once(
                    &mut self.websocket_version,
                    value,
                    "`Sec-WebSocket-Version` comes more than once",
                )?;
            }
            _ => {}
        }
        Ok(())
    }

    fn conclude(self, line: Line<'a>, version: Version) -> Result<RequestHead<'a>, HeadError> {
        let host = self
            .host
            .and_then(|value| Authority::parse(value.trim_ascii()))
            .ok_or(Malformed("`Host` is absent or not one host and port"))?;
        let target = origin_form(line.target, host.as_str())?;
        check_line(line.method, target)?;
        let framing = match (self.transfer_encoding, self.content_length) {
            (true, Some(_)) => {
                return Err(Malformed(
                    "`Transfer-Encoding` and `Content-Length` come together",
                ));
            }
            (true, None) if version == Version::Http10 => {
                return Err(Malformed("`Transfer-Encoding` comes with HTTP/1.0"));
            }
            (true, None) => Framing::Chunked,
            (false, Some(0) | None) => Framing::Empty,
            (false, Some(length)) => Framing::Length(length),
        };
        let persistence = match version {
            Version::Http11 if !self.close => Persistence::KeepAlive,
            Version::Http10 if self.keep_alive && !self.close => Persistence::KeepAlive,
            _ => Persistence::Close,
        };
        let wants_websocket = version == Version::Http11 && self.asks_for_websocket();
        let mut head = RequestHead {
            method: line.method,
            target,
            host,
            version,
            framing,
            persistence,
            upgrade: Upgrade::None,
            websocket_key: None,
            expects_continue: self.expects_continue,
        };
        if wants_websocket {
            head.websocket_key = Some(self.check_websocket(&head)?);
            head.upgrade = Upgrade::Websocket;
        }
        Ok(head)
    }

    fn asks_for_websocket(&self) -> bool {
        self.upgrade_websocket && self.connection_upgrade
    }

    /// RFC 6455 section 4.2.1; a body would be read as frames (nghttpx).
    fn check_websocket(&self, head: &RequestHead<'a>) -> Result<&'a [u8], HeadError> {
        if head.method != "GET" {
            return Err(Malformed("a WebSocket handshake is not a GET"));
        }
        if head.framing != Framing::Empty || self.content_length.is_some() {
            return Err(Malformed("a WebSocket handshake announces a body"));
        }
        if self.websocket_version.map(<[u8]>::trim_ascii) != Some(b"13") {
            return Err(Malformed("`Sec-WebSocket-Version` is not 13"));
        }
        self.websocket_key
            .map(<[u8]>::trim_ascii)
            .filter(|key| key.len() == 24 && key.is_ascii())
            .ok_or(Malformed("`Sec-WebSocket-Key` is not 16 bytes in base64"))
    }
}

fn once<T>(slot: &mut Option<T>, value: T, complaint: &'static str) -> Result<(), HeadError> {
    match slot.replace(value) {
        Some(_) => Err(Malformed(complaint)),
        None => Ok(()),
    }
}

/// A `Content-Length`: digits alone, no sign, no list, no white space but around it.
pub fn parse_length(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0_u64, |length, byte| {
        byte.is_ascii_digit()
            .then(|| length * 10 + u64::from(byte - b'0'))
    })
}

/// RFC 9112 section 3.2.2 lets the authority of an absolute-form target win
/// over `Host`; two that differ are two readings, and refused.
fn origin_form<'a>(target: &'a str, host: &str) -> Result<&'a str, HeadError> {
    if target.starts_with('/') {
        return Ok(target);
    }
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| {
            let (start, rest) = target.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        })
        .ok_or(Malformed(
            "the request target is neither a path nor an absolute URI",
        ))?;
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    if !authority.eq_ignore_ascii_case(host) {
        return Err(Malformed(
            "the host of the request target differs from `Host`",
        ));
    }
    Ok(path)
}

#[cfg(test)]
mod tests;
