//! Where a message body ends: decoding and encoding of HTTP/1.1 framing
//! (RFC 9112 sections 6 and 7), strict and without I/O.

/// How the length of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    Empty,
    /// `Content-Length`, in bytes, more than zero.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Until the connection closes: answers alone.
    UntilClose,
}

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The chunked coding is not what RFC 9112 section 7.1 says, to the letter.
    #[error("the chunked body is malformed")]
    Malformed,
    /// Trailers or chunk extensions beyond their bound.
    #[error("the chunked body has too long trailers or extensions")]
    TooLong,
}

/// Chunk extensions mean nothing here; a bound keeps them from being a channel.
const MAX_EXTENSION_BYTES: u16 = 256;
/// Trailers are dropped; a bound keeps a body from never ending.
const MAX_TRAILER_BYTES: u16 = 8 * 1024;

/// Reads a body out of the bytes of a connection.
#[derive(Debug)]
pub struct Decoder {
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    UntilClose,
    Size { value: u64, digits: u8 },
    Extension { value: u64, seen: u16 },
    SizeLineFeed { value: u64 },
    Data(u64),
    DataReturn,
    DataLineFeed,
    Trailer { line: u16, seen: u16 },
    TrailerLineFeed { line: u16, seen: u16 },
    Done,
}

impl Decoder {
    /// A decoder at the first byte after a head.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Empty | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size {
                value: 0,
                digits: 0,
            },
            Framing::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Whether the body's last byte has been read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the end of the connection is the end of this body.
    pub fn ends_with_connection(&self) -> bool {
        self.state == State::UntilClose
    }

    /// The most bytes that may be read without running into the next message,
    /// where that is known.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// Takes the next piece of content off the front of `input`.
    ///
    /// `None` when `input` is used up or the body is done; what follows the
    /// body is left in `input`.
    ///
    /// # Errors
    /// [`BodyError`] where the chunked coding is broken; the connection can't
    /// be used any further.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, BodyError> {
        loop {
            let Some(&byte) = input.first() else {
                return Ok(None);
            };
            match self.state {
                State::Done => return Ok(None),
                State::UntilClose => return Ok(Some(std::mem::take(input))),
                State::Length(left) => {
                    let piece = take(input, left);
                    let left = left - piece.len() as u64;
                    self.state = if left == 0 {
                        State::Done
                    } else {
                        State::Length(left)
                    };
                    return Ok(Some(piece));
                }
                State::Data(left) => {
                    let piece = take(input, left);
                    let left = left - piece.len() as u64;
                    self.state = if left == 0 {
                        State::DataReturn
                    } else {
                        State::Data(left)
                    };
                    return Ok(Some(piece));
                }
                _ => {
                    self.state = self.state.step(byte)?;
                    *input = &input[1..];
                }
            }
        }
    }
}

impl State {
    /// One byte of the chunked coding outside chunk data.
    fn step(self, byte: u8) -> Result<Self, BodyError> {
        match (self, byte) {
            (Self::Size { value, digits }, b'\r') if digits > 0 => Ok(Self::SizeLineFeed { value }),
            (Self::Size { value, digits }, b';') if digits > 0 => {
                Ok(Self::Extension { value, seen: 0 })
            }
            // Fifteen digits are beyond any body and can't overflow.
            (Self::Size { value, digits }, _) if digits < 15 => (byte as char)
                .to_digit(16)
                .map(|digit| Self::Size {
                    value: value * 16 + u64::from(digit),
                    digits: digits + 1,
                })
                .ok_or(BodyError::Malformed),
            (Self::Extension { value, .. }, b'\r') => Ok(Self::SizeLineFeed { value }),
            (
                Self::Extension {
                    seen: MAX_EXTENSION_BYTES,
                    ..
                },
                _,
            ) => Err(BodyError::TooLong),
            (Self::Extension { value, seen }, b'\t' | b' '..=b'~') => Ok(Self::Extension {
                value,
                seen: seen + 1,
            }),
            (Self::SizeLineFeed { value: 0 }, b'\n') => Ok(Self::Trailer { line: 0, seen: 0 }),
            (Self::SizeLineFeed { value }, b'\n') => Ok(Self::Data(value)),
            (Self::DataReturn, b'\r') => Ok(Self::DataLineFeed),
            (Self::DataLineFeed, b'\n') => Ok(Self::Size {
                value: 0,
                digits: 0,
            }),
            (Self::Trailer { line, seen }, b'\r') => Ok(Self::TrailerLineFeed { line, seen }),
            (
                Self::Trailer {
                    seen: MAX_TRAILER_BYTES,
                    ..
                },
                _,
            ) => Err(BodyError::TooLong),
            (Self::Trailer { line, seen }, b'\t' | b' '..=b'~' | 0x80..) => Ok(Self::Trailer {
                line: line + 1,
                seen: seen + 1,
            }),
            (Self::TrailerLineFeed { line: 0, .. }, b'\n') => Ok(Self::Done),
            (Self::TrailerLineFeed { seen, .. }, b'\n') => Ok(Self::Trailer { line: 0, seen }),
            _ => Err(BodyError::Malformed),
        }
    }
}

fn take<'a>(input: &mut &'a [u8], at_most: u64) -> &'a [u8] {
    let length = usize::try_from(at_most)
        .unwrap_or(usize::MAX)
        .min(input.len());
    let (piece, rest) = input.split_at(length);
    *input = rest;
    piece
}

/// Writes one piece of content as a chunk. An empty piece writes nothing: an
/// empty chunk would end the body.
pub fn write_chunk(piece: &[u8], out: &mut Vec<u8>) {
    if piece.is_empty() {
        return;
    }
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0_u8; 16];
    let mut at = digits.len();
    let mut rest = piece.len();
    while rest > 0 {
        at -= 1;
        digits[at] = HEX[rest % 16];
        rest /= 16;
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(piece);
    out.extend_from_slice(b"\r\n");
}

/// The end of a chunked body, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(framing: Framing, mut input: &[u8]) -> Result<(Vec<u8>, bool, Vec<u8>), BodyError> {
        let mut decoder = Decoder::new(framing);
        let mut content = Vec::new();
        while let Some(piece) = decoder.next(&mut input)? {
            content.extend_from_slice(piece);
        }
        Ok((content, decoder.is_done(), input.to_vec()))
    }

    #[test]
    fn a_length_ends_where_it_says_and_leaves_the_next_message() {
        let got = decode(Framing::Length(3), b"abcGET /").unwrap();
        assert_eq!(got, (b"abc".to_vec(), true, b"GET /".to_vec()));
    }

    #[test]
    fn chunks_are_joined_and_trailers_and_extensions_dropped() {
        let got = decode(
            Framing::Chunked,
            b"3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nx-forwarded-user: admin\r\n\r\nGET",
        );
        assert_eq!(got, Ok((b"abcd".to_vec(), true, b"GET".to_vec())));
    }

    #[test]
    fn refuses_every_leniency_of_the_chunked_coding() {
        for bad in [
            &b"3\nabc\r\n0\r\n\r\n"[..],
            b"3\r\nabcd\r\n",
            b"3\r\nabc\n0\r\n\r\n",
            b"3 \r\nabc\r\n",
            b" 3\r\nabc\r\n",
            b"+3\r\nabc\r\n",
            b"0x3\r\nabc\r\n",
            b"-1\r\n",
            b"\r\n",
            b";a\r\n",
            b"1000000000000000\r\n",
            b"3;a\nabc",
            b"3;\x00\r\n",
            b"0\r\n\n",
            b"0\r\na: b\n\r\n",
        ] {
            assert_eq!(
                decode(Framing::Chunked, bad),
                Err(BodyError::Malformed),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn bounds_extensions_and_trailers() {
        let extension = [b"1;".as_slice(), &[b'a'; 300]].concat();
        assert_eq!(
            decode(Framing::Chunked, &extension),
            Err(BodyError::TooLong)
        );
        let trailers = [b"0\r\n".as_slice(), &b"a: b\r\n".repeat(2500)].concat();
        assert_eq!(decode(Framing::Chunked, &trailers), Err(BodyError::TooLong));
    }

    proptest! {
        #[test]
        fn what_is_written_in_chunks_is_read_back_however_it_is_split(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..600), 0..6),
            splits in proptest::collection::vec(1usize..50, 1..40),
        ) {
            let mut wire = Vec::new();
            for piece in &pieces {
                write_chunk(piece, &mut wire);
            }
            wire.extend_from_slice(LAST_CHUNK);
            let mut decoder = Decoder::new(Framing::Chunked);
            let (mut content, mut rest, mut sizes) = (Vec::new(), &wire[..], splits.iter().cycle());
            while !rest.is_empty() {
                let size = (*sizes.next().unwrap()).min(rest.len());
                let (mut part, after) = rest.split_at(size);
                rest = after;
                while let Some(piece) = decoder.next(&mut part).unwrap() {
                    content.extend_from_slice(piece);
                }
            }
            prop_assert!(decoder.is_done());
            prop_assert_eq!(content, pieces.concat());
        }

        #[test]
        fn never_panics_and_never_reads_past_the_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(Framing::Chunked, &bytes);
            let (content, _, rest) = decode(Framing::Length(50), &bytes).unwrap();
            prop_assert_eq!(content.len() + rest.len(), bytes.len());
            prop_assert!(content.len() <= 50);
        }
    }
}
