//! One direction of a WebSocket: the same frames however its bytes come, and those of
//! RFC 6455 section 5.2.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::fuzzing::Frames;

fuzz_target!(|bytes: &[u8]| {
    let ends = ends_of_frames(bytes);

    let mut one_by_one = Frames::default();
    for (at, byte) in bytes.iter().enumerate() {
        one_by_one.follow(std::slice::from_ref(byte));
        let is_end = ends.iter().any(|(end, _)| *end == at + 1);
        assert_eq!(
            one_by_one.is_at_boundary(),
            is_end,
            "after {} bytes",
            at + 1
        );
    }

    let mut at_once = Frames::default();
    at_once.follow(bytes);
    let mut by_frame = Frames::default();
    let mut at = 0;
    for (end, is_close) in &ends {
        let sooner = by_frame.saw_close();
        at += by_frame.follow_frame(&bytes[at..]);
        assert_eq!(at, *end);
        assert!(by_frame.is_at_boundary());
        assert_eq!(by_frame.saw_close(), sooner || *is_close);
    }
    assert_eq!(by_frame.follow_frame(&bytes[at..]), bytes.len() - at);

    for split in [bytes.len() / 3, bytes.len() / 2, at] {
        let mut in_two = Frames::default();
        in_two.follow(&bytes[..split]);
        in_two.follow(&bytes[split..]);
        assert_same(&in_two, &at_once);
    }
    assert_same(&one_by_one, &at_once);
    assert_same(&by_frame, &at_once);
});

fn assert_same(one: &Frames, other: &Frames) {
    assert_eq!(one.is_at_boundary(), other.is_at_boundary());
    assert_eq!(one.saw_close(), other.saw_close());
}

/// Where each whole frame ends, and whether it is a Close.
fn ends_of_frames(bytes: &[u8]) -> Vec<(usize, bool)> {
    let (mut found, mut at) = (Vec::new(), 0_usize);
    while let Some([first, second]) = bytes.get(at..at + 2) {
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let Some(digits) = bytes.get(at + 2..at + 2 + extended) else {
            break;
        };
        let length = match extended {
            0 => u128::from(second & 0x7f),
            _ => digits
                .iter()
                .fold(0, |length, digit| length << 8 | u128::from(*digit)),
        };
        let end = (at + 2 + extended + mask) as u128 + length;
        if end > bytes.len() as u128 {
            break;
        }
        at = end as usize;
        found.push((at, first & 0x0f == 8));
    }
    found
}
