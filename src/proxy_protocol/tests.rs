use super::*;
use proptest::prelude::*;

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [V2, &[command, family], &length, body].concat()
}

const V4_BODY: [u8; 12] = [198, 51, 100, 7, 10, 0, 0, 1, 0xc0, 0x01, 0x01, 0xbb];

fn v6_body() -> Vec<u8> {
    let (source, destination) = (
        "2001:db8::7".parse::<Ipv6Addr>().unwrap(),
        "::1".parse::<Ipv6Addr>().unwrap(),
    );
    let ports = [0x01, 0xbb, 0, 80];
    [&source.octets()[..], &destination.octets(), &ports].concat()
}

/// Feeds the bytes one at a time, or as many as are asked for, and says what was
/// left of them.
fn read_in_steps(bytes: &[u8], step: usize) -> (Result<SocketAddr, HeaderError>, usize) {
    let mut taken = 0;
    let result = loop {
        match parse(&bytes[..taken]) {
            Err(error) => break Err(error),
            Ok(Progress::Whole(source)) => break Ok(source),
            Ok(Progress::AtLeast(length)) => {
                assert!(length > taken, "it asks for nothing");
                let next = length.min(taken + step);
                if next > bytes.len() {
                    break Err(HeaderError::Ended(io::ErrorKind::UnexpectedEof.into()));
                }
                taken = next;
            }
        }
    };
    (result, bytes.len() - taken)
}

#[test]
fn a_header_names_its_source_and_nothing_behind_it_is_taken() {
    let cases = [
        (
            b"PROXY TCP4 198.51.100.7 10.0.0.1 49153 443\r\n".to_vec(),
            "198.51.100.7:49153",
        ),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n".to_vec(), "1.1.1.1:1"),
        (b"PROXY TCP6 :: :: 1 1\r\n".to_vec(), "[::]:1"),
        (
            b"PROXY TCP6 2001:db8::7 ::1 443 80\r\n".to_vec(),
            "[2001:db8::7]:443",
        ),
        (v2(0x21, 0x11, &V4_BODY), "198.51.100.7:49153"),
        (v2(0x21, 0x21, &v6_body()), "[2001:db8::7]:443"),
        (
            v2(
                0x21,
                0x11,
                &[&V4_BODY[..], &[0x04, 0, 2, 0, 0, 0xea, 0, 0]].concat(),
            ),
            "198.51.100.7:49153",
        ),
    ];
    for (header, source) in cases {
        let source: SocketAddr = source.parse().unwrap();
        let followed = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
        for step in [1, 2, 7, usize::MAX / 2] {
            let (read, left) = read_in_steps(&followed, step);
            assert_eq!(read.unwrap(), source, "{header:?}");
            assert_eq!(left, 16, "{header:?}");
        }
    }
}

#[test]
fn what_is_no_header_of_a_tcp_connection_is_refused() {
    let cut = V4_BODY[..11].to_vec();
    let long = [&V4_BODY[..], &[0; 4097]].concat();
    for header in [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaa".to_vec(),
        b"proxy TCP4 198.51.100.7 10.0.0.1 1 2\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN 198.51.100.7 10.0.0.1 1 2\r\n".to_vec(),
        b"PROXY UDP4 198.51.100.7 10.0.0.1 1 2\r\n".to_vec(),
        b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n          ".to_vec(),
        b"PROXY TCP6 198.51.100.7 10.0.0.1 1 2\r\n".to_vec(),
        b"PROXY TCP4 198.51.100.07 10.0.0.1 1 2\r\n".to_vec(),
        b"PROXY TCP4 198.51.100.7 10.0.0.1 01 2\r\n".to_vec(),
        b"PROXY TCP4 198.51.100.7 10.0.0.1 +1 2\r\n".to_vec(),
        b"PROXY TCP4 198.51.100.7 10.0.0.1 65536 2\r\n".to_vec(),
        b"PROXY TCP4 198.51.100.7 10.0.0.1 1\r\n      ".to_vec(),
        b"PROXY TCP4 198.51.100.7 10.0.0.1 1 2 3\r\n".to_vec(),
        b"PROXY TCP4  198.51.100.7 10.0.0.1 1 2\r\n".to_vec(),
        b"PROXY TCP4 198.51.100.7 10.0.0.1 1 2 \r\n".to_vec(),
        b"PROXY TCP4 198.51.100.7\t10.0.0.1 1 2\r\n".to_vec(),
        b"PROXY TCP4 198.51.100.7 10.0.0.1 1 2\n                 ".to_vec(),
        b"PROXY TCP4 198.51.100.7 10.0.0.1 1\r2\r\n".to_vec(),
        [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat(),
        v2(0x20, 0x11, &V4_BODY),
        v2(0x20, 0x00, &[]),
        v2(0x21, 0x00, &V4_BODY),
        v2(0x22, 0x11, &V4_BODY),
        v2(0x11, 0x11, &V4_BODY),
        v2(0x31, 0x11, &V4_BODY),
        v2(0x21, 0x12, &V4_BODY),
        v2(0x21, 0x31, &[0; 216]),
        v2(0x21, 0x11, &cut),
        v2(0x21, 0x21, &V4_BODY),
        v2(0x21, 0x11, &long),
        v2(0x21, 0x11, &[&V4_BODY[..], &[0x04, 0]].concat()),
        v2(0x21, 0x11, &[&V4_BODY[..], &[0x04, 0, 9, 1]].concat()),
    ] {
        let (read, _) = read_in_steps(&header, 1);
        let error = read.expect_err(&String::from_utf8_lossy(&header));
        let ended = matches!(error, HeaderError::Ended(_));
        assert!(!ended, "{}", String::from_utf8_lossy(&header));
    }
}

#[test]
fn a_header_that_is_cut_off_is_waited_for() {
    for header in [
        &b"PROXY TCP4 198.51.100.7 10.0.0.1 49153 443\r\n"[..],
        &v2(0x21, 0x11, &V4_BODY),
    ] {
        for length in 0..header.len() {
            let (read, _) = read_in_steps(&header[..length], 1);
            assert!(matches!(read, Err(HeaderError::Ended(_))), "{length}");
        }
    }
}

#[tokio::test]
async fn a_stream_is_left_where_its_header_ends() {
    let mut stream = &b"PROXY TCP4 198.51.100.7 10.0.0.1 49153 443\r\nPROXY "[..];
    let source = read(&mut stream).await.unwrap();
    assert_eq!(source, "198.51.100.7:49153".parse().unwrap());
    assert_eq!(stream, b"PROXY ");
    assert!(announces(stream));
}

proptest! {
    #[test]
    fn how_the_bytes_come_changes_nothing(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(|rest| [V1, &rest].concat()),
            proptest::collection::vec(any::<u8>(), 0..60).prop_map(|rest| [V2, &rest].concat()),
            "PROXY TCP[46] [0-9a-f:.]{0,12} [0-9a-f:.]{0,12} [0-9]{0,5} [0-9]{0,5}\r\n.{0,8}"
                .prop_map(String::into_bytes),
        ],
        step in 1usize..20,
    ) {
        let (at_once, left) = read_in_steps(&bytes, usize::MAX / 2);
        let (in_steps, left_in_steps) = read_in_steps(&bytes, step);
        prop_assert_eq!(at_once.is_ok(), in_steps.is_ok());
        if let (Ok(one), Ok(other)) = (at_once, in_steps) {
            prop_assert_eq!((one, left), (other, left_in_steps));
        }
    }
}
