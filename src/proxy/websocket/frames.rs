//! Follows WebSocket frames (RFC 6455 section 5.2) by their headers alone.

/// Where a stream of frames stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between two frames.
    Boundary,
    /// After a frame's first byte.
    Length,
    /// Within an extended length and masking key.
    Extended {
        length_left: u8,
        mask_left: u8,
        length: u64,
    },
    /// Within the payload.
    Payload(u64),
}

/// Follows one direction.
#[derive(Debug)]
pub(crate) struct Frames {
    state: State,
    saw_close: bool,
}

const OPCODE: u8 = 0x0f;
const OPCODE_CLOSE: u8 = 0x08;
const MASKED: u8 = 0x80;

impl Frames {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Boundary,
            saw_close: false,
        }
    }

    /// Whether a frame of our own could be put in here.
    pub(crate) fn is_at_boundary(&self) -> bool {
        self.state == State::Boundary
    }

    /// Whether a Close frame has passed: nothing may follow it.
    pub(crate) fn saw_close(&self) -> bool {
        self.saw_close
    }

    /// Follows all of `bytes`.
    pub(crate) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.follow_frame(bytes)..];
        }
    }

    /// Follows `bytes` to the end of the frame under way, and says how many
    /// bytes that was.
    pub(crate) fn follow_frame(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            if let State::Payload(left) = self.state {
                let taken = usize::try_from(left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len() - at);
                at += taken;
                self.state = after_payload(left - taken as u64);
            } else {
                self.step(bytes[at]);
                at += 1;
            }
            if self.state == State::Boundary {
                break;
            }
        }
        at
    }

    fn step(&mut self, byte: u8) {
        self.state = match self.state {
            State::Boundary => {
                self.saw_close |= byte & OPCODE == OPCODE_CLOSE;
                State::Length
            }
            State::Length => {
                let mask_left = if byte & MASKED == 0 { 0 } else { 4 };
                match byte & !MASKED {
                    126 => State::Extended {
                        length_left: 2,
                        mask_left,
                        length: 0,
                    },
                    127 => State::Extended {
                        length_left: 8,
                        mask_left,
                        length: 0,
                    },
                    length if mask_left > 0 => State::Extended {
                        length_left: 0,
                        mask_left,
                        length: length.into(),
                    },
                    length => after_payload(length.into()),
                }
            }
            State::Extended {
                length_left: 0,
                mask_left: 1,
                length,
            } => after_payload(length),
            State::Extended {
                length_left: 0,
                mask_left,
                length,
            } => State::Extended {
                length_left: 0,
                mask_left: mask_left - 1,
                length,
            },
            State::Extended {
                length_left,
                mask_left,
                length,
            } => {
                let length = length << 8 | u64::from(byte);
                match (length_left, mask_left) {
                    (1, 0) => after_payload(length),
                    _ => State::Extended {
                        length_left: length_left - 1,
                        mask_left,
                        length,
                    },
                }
            }
            State::Payload(left) => after_payload(left - 1),
        };
    }
}

fn after_payload(left: u64) -> State {
    if left == 0 {
        State::Boundary
    } else {
        State::Payload(left)
    }
}

/// An unmasked Close frame with a code and no reason.
pub(super) fn close_frame(code: u16) -> [u8; 4] {
    let [high, low] = code.to_be_bytes();
    [0x80 | OPCODE_CLOSE, 2, high, low]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(opcode: u8, length: usize, masked: bool) -> Vec<u8> {
        let mask_bit = if masked { 0x80 } else { 0 };
        let mut bytes = vec![0x80 | opcode];
        match length {
            0..126 => bytes.push(mask_bit | length as u8),
            126..65536 => {
                bytes.push(mask_bit | 126);
                bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask_bit | 127);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(&[0xff; 4][..if masked { 4 } else { 0 }]);
        bytes.resize(bytes.len() + length, 0x88);
        bytes
    }

    proptest! {
        #[test]
        fn boundaries_are_found_however_the_bytes_are_split(
            frames in proptest::collection::vec((0u8..8, prop_oneof![0usize..130, 65530usize..65600], any::<bool>()), 1..4),
            split in 1usize..5000,
        ) {
            let mut follower = Frames::new();
            for &(opcode, length, masked) in &frames {
                let bytes = frame(opcode, length, masked);
                let mut chunks = bytes.chunks(split).peekable();
                while let Some(chunk) = chunks.next() {
                    prop_assert_eq!(follower.follow_frame(chunk), chunk.len());
                    prop_assert_eq!(follower.is_at_boundary(), chunks.peek().is_none());
                }
                prop_assert!(!follower.saw_close());
            }
        }
    }

    #[test]
    fn stops_at_the_end_of_the_frame_under_way() {
        let two = [frame(1, 300, false), frame(2, 5, true)].concat();
        let mut follower = Frames::new();
        assert_eq!(follower.follow_frame(&two), 304);
        follower.follow(&two[304..310]);
        assert!(!follower.is_at_boundary());
        assert_eq!(follower.follow_frame(&two[310..]), 5);
        assert!(follower.is_at_boundary());
    }

    #[test]
    fn a_close_frame_is_seen_and_made() {
        let mut follower = Frames::new();
        follower.follow(&close_frame(1012));
        assert!(follower.saw_close() && follower.is_at_boundary());
        assert_eq!(close_frame(1012), [0x88, 2, 0x03, 0xf4]);
    }
}
