//! The reading of the upstream's answer (RFC 9112 sections 4 and 6.3).

use super::body::Framing;
use super::request::{FieldList, parse_length};
use super::{Persistence, Version, list_elements};
use crate::policy::{Field, MAX_FIELDS};
use std::mem::MaybeUninit;

/// The head of an answer.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'a> {
    /// The status code, 100 to 599.
    pub status: u16,
    /// The reason phrase, for HTTP/1.1 clients.
    pub reason: &'a str,
    /// Where the body ends.
    pub framing: Framing,
    /// Whether the upstream keeps the connection.
    pub persistence: Persistence,
    /// `Sec-WebSocket-Accept`, where exactly one came, with `Upgrade: websocket`
    /// and `Connection: upgrade`.
    pub websocket_accept: Option<&'a [u8]>,
}

/// The answer can't be read with certainty, so it is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's answer is malformed: {0}")]
pub struct ResponseError(pub &'static str);

/// What the request was decides where its answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// `HEAD`: an answer without a body, whatever its fields say.
    Head,
    /// Every other method.
    Other,
}

/// Reads a whole head: `head` ends with its empty line.
///
/// # Errors
/// [`ResponseError`] where the head is broken or its framing has two readings.
pub fn parse<'a>(
    head: &'a [u8],
    kind: RequestKind,
    fields: &mut FieldList<'a>,
) -> Result<ResponseHead<'a>, ResponseError> {
    let mut slots = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    match httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        head,
        &mut slots,
    ) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(ResponseError("too many fields")),
        _ => return Err(ResponseError("no valid head")),
    }
    for header in response.headers.iter() {
        fields.push(Field {
            name: header.name,
            value: header.value,
        });
    }
    let status = response.code.unwrap_or_default();
    if !(100..600).contains(&status) {
        return Err(ResponseError("the status is outside 100 to 599"));
    }
    let version = if response.version == Some(0) {
        Version::Http10
    } else {
        Version::Http11
    };
    let notes = Notes::of(fields.as_slice())?;
    Ok(ResponseHead {
        status,
        reason: response.reason.unwrap_or(""),
        framing: notes.framing(status, kind)?,
        persistence: match version {
            Version::Http11 if !notes.close => Persistence::KeepAlive,
            _ => Persistence::Close,
        },
        websocket_accept: notes
            .websocket_accept
            .filter(|_| notes.upgrade_websocket && notes.connection_upgrade),
    })
}

#[derive(Default)]
struct Notes<'a> {
    content_length: Option<u64>,
    chunked: bool,
    close: bool,
    connection_upgrade: bool,
    upgrade_websocket: bool,
    websocket_accept: Option<&'a [u8]>,
}

impl<'a> Notes<'a> {
    fn of(fields: &[Field<'a>]) -> Result<Self, ResponseError> {
        let mut notes = Self::default();
        for &Field { name, value } in fields {
            match name.len() {
                7 if name.eq_ignore_ascii_case("upgrade") => {
                    notes.upgrade_websocket = value.trim_ascii().eq_ignore_ascii_case(b"websocket");
                }
                10 if name.eq_ignore_ascii_case("connection") => {
                    for token in list_elements(value) {
                        notes.close |= token.eq_ignore_ascii_case(b"close");
                        notes.connection_upgrade |= token.eq_ignore_ascii_case(b"upgrade");
                    }
                }
                14 if name.eq_ignore_ascii_case("content-length") => {
                    let length =
                        parse_length(value).ok_or(ResponseError("a bad Content-Length"))?;
                    if notes.content_length.replace(length).is_some() {
                        return Err(ResponseError("two Content-Length fields"));
                    }
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    let is_chunked = value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                    if !is_chunked || std::mem::replace(&mut notes.chunked, true) {
                        return Err(ResponseError("a transfer coding other than chunked"));
                    }
                }
                20 if name.eq_ignore_ascii_case("sec-websocket-accept") => {
                    let earlier = notes.websocket_accept.replace(value.trim_ascii());
                    if earlier.is_some() {
                        return Err(ResponseError("two Sec-WebSocket-Accept fields"));
                    }
                }
                _ => {}
            }
        }
        Ok(notes)
    }

    fn framing(&self, status: u16, kind: RequestKind) -> Result<Framing, ResponseError> {
        if self.chunked && self.content_length.is_some() {
            return Err(ResponseError("both Transfer-Encoding and Content-Length"));
        }
        if kind == RequestKind::Head || status < 200 || matches!(status, 204 | 304) {
            return Ok(Framing::Empty);
        }
        Ok(match (self.chunked, self.content_length) {
            (true, _) => Framing::Chunked,
            (false, Some(0)) => Framing::Empty,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::UntilClose,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(text: &str, kind: RequestKind) -> Result<Framing, ResponseError> {
        parse(text.as_bytes(), kind, &mut FieldList::default()).map(|head| head.framing)
    }

    #[test]
    fn the_body_ends_where_rfc_9112_section_6_3_says() {
        let other = RequestKind::Other;
        let cases = [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                other,
                Framing::Length(5),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                other,
                Framing::Empty,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                RequestKind::Head,
                Framing::Empty,
            ),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
                other,
                Framing::Empty,
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", other, Framing::Empty),
            ("HTTP/1.1 100 Continue\r\n\r\n", other, Framing::Empty),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                other,
                Framing::Chunked,
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", other, Framing::UntilClose),
        ];
        for (head, kind, expected) in cases {
            assert_eq!(framing(head, kind), Ok(expected), "{head:?}");
        }
    }

    #[test]
    fn refuses_an_answer_with_two_readings() {
        for head in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 999 Odd\r\n\r\n",
            "HTTQ/1.1 200 OK\r\n\r\n",
        ] {
            assert!(framing(head, RequestKind::Other).is_err(), "{head:?}");
        }
    }

    #[test]
    fn a_switch_to_websocket_needs_all_three_fields() {
        let accept = |fields: &str| {
            let head = format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n");
            parse(
                head.as_bytes(),
                RequestKind::Other,
                &mut FieldList::default(),
            )
            .unwrap()
            .websocket_accept
            .map(<[u8]>::to_vec)
        };
        let (upgrade, connection, key) = (
            "Upgrade: websocket\r\n",
            "Connection: Upgrade\r\n",
            "Sec-WebSocket-Accept: k\r\n",
        );
        assert_eq!(
            accept(&[upgrade, connection, key].concat()),
            Some(b"k".to_vec())
        );
        for two in [[upgrade, connection], [upgrade, key], [connection, key]] {
            assert_eq!(accept(&two.concat()), None);
        }
    }
}
