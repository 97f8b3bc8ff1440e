//! Frames, streams and what is said of each kind of frame (RFC 9113 sections 3 to 7).

use super::*;
use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, PADDED, PRIORITY, PUSH_PROMISE, WINDOW_UPDATE, WITH_PRIORITY,
    block, priority, reset, window_update,
};

fn get(stream: u32) -> Vec<u8> {
    headers(
        END_HEADERS | END_STREAM,
        stream,
        &block(&request("GET", "/")),
    )
}

/// A request whose body is still to come.
fn post(stream: u32) -> Vec<u8> {
    headers(END_HEADERS, stream, &block(&request("POST", "/")))
}

fn headers(flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(HEADERS, flags, stream, payload)
}

fn data(flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, payload)
}

fn join<const N: usize>(frames: [Vec<u8>; N]) -> Vec<u8> {
    frames.concat()
}

/// A request, its answer, and then this.
fn after_answer(section: &'static str, title: &'static str, sent: Vec<u8>, due: Due) -> Case {
    let steps = vec![Step::Send(get(1)), Step::Answered(1), Step::Send(sent)];
    Case {
        section,
        title,
        steps,
        due,
        departs: None,
    }
}

#[tokio::test]
#[rustfmt::skip] // a row a line
async fn frames_are_read_as_section_4_says() {
    use Due::{Answer, ConnectionError, GoesOn, Reset};
    let fields = block(&request("GET", "/"));
    let (start, rest) = fields.split_at(20);
    hold(vec![
        case("4.1", "an unknown type is ignored", frame(0xbe, 0, 0, b"what?"), GoesOn),
        case("4.1", "an undefined flag is ignored", frame(PING, 0x16, 0, PROBE), GoesOn),
        case("4.1", "the reserved bit is ignored", frame(PING, 0, 1 << 31, PROBE), GoesOn),
        case("4.2", "16,384 bytes are taken", join([post(1), data(END_STREAM, 1, &[0; 16_384])]), Answer(1)),
        case("4.2", "DATA above the largest size", join([post(1), data(END_STREAM, 1, &[0; 16_385])]), ConnectionError(&[FRAME_SIZE_ERROR])),
        case("4.2", "HEADERS above the largest size", headers(END_HEADERS | END_STREAM, 1, &[0; 16_385]), ConnectionError(&[FRAME_SIZE_ERROR])),
        case("4.3", "a broken field block", headers(END_HEADERS | END_STREAM, 1, b"\x40"), ConnectionError(&[COMPRESSION_ERROR])).departs(PROTOCOL, ONE_CODE),
        case("4.3", "PRIORITY amid a field block", join([headers(END_STREAM, 1, start), priority(1, 0), frame(CONTINUATION, END_HEADERS, 1, rest)]), PROTOCOL),
        case("4.3", "HEADERS of another stream amid a field block", join([headers(END_STREAM, 1, start), get(3)]), PROTOCOL),
        case("6.10", "one CONTINUATION", join([headers(END_STREAM, 1, start), frame(CONTINUATION, END_HEADERS, 1, rest)]), Answer(1)),
        case("6.10", "several, one of them empty", join([headers(END_STREAM, 1, start), frame(CONTINUATION, 0, 1, b""), frame(CONTINUATION, 0, 1, &rest[..30]), frame(CONTINUATION, END_HEADERS, 1, &rest[30..])]), Answer(1)),
        case("6.10", "CONTINUATION after END_HEADERS", join([post(1), frame(CONTINUATION, END_HEADERS, 1, rest)]), PROTOCOL),
        case("6.10", "CONTINUATION after another's END_HEADERS", join([headers(0, 1, start), frame(CONTINUATION, END_HEADERS, 1, rest), frame(CONTINUATION, END_HEADERS, 1, rest)]), PROTOCOL),
        case("6.10", "CONTINUATION without a stream", join([headers(0, 1, start), frame(CONTINUATION, END_HEADERS, 0, rest)]), PROTOCOL),
        case("6.10", "CONTINUATION after DATA", join([post(1), data(0, 1, b"a"), frame(CONTINUATION, END_HEADERS, 1, rest)]), PROTOCOL),
        case("6.10", "no more CONTINUATION than a head of 32 KiB needs", join([headers(END_STREAM, 1, start), frame(CONTINUATION, 0, 1, b"").repeat(10)]), ConnectionError(&[11])),
        case("5.5", "an unknown type amid a field block", join([headers(END_STREAM, 1, start), frame(0xbe, 0, 1, b"what?")]), PROTOCOL),
        case("5.3.1", "a stream that depends on itself, in HEADERS", headers(END_HEADERS | END_STREAM | WITH_PRIORITY, 1, &[&[0, 0, 0, 1, 9], fields.as_slice()].concat()), Reset(1, &[PROTOCOL_ERROR])),
        case("5.3.1", "a stream that depends on itself, in PRIORITY", join([post(1), priority(1, 1)]), Reset(1, &[PROTOCOL_ERROR])),
    ])
    .await;
}

#[tokio::test]
#[rustfmt::skip] // a row a line
async fn streams_live_as_section_5_says() {
    use Due::{Answer, ConnectionError, GoesOn, Reset};
    let too_many = (0..101).map(|number| post(2 * number + 1)).collect::<Vec<_>>().concat();
    hold(vec![
        case("5.1", "idle: DATA", data(END_STREAM, 1, b"a"), PROTOCOL),
        case("5.1", "idle: RST_STREAM", reset(1, CANCEL), PROTOCOL),
        case("5.1", "idle: WINDOW_UPDATE", window_update(1, 1), PROTOCOL),
        case("5.1", "idle: CONTINUATION", frame(CONTINUATION, END_HEADERS, 1, &[0x82]), PROTOCOL),
        case("5.1", "idle: PRIORITY", join([priority(5, 0), get(1)]), Answer(1)),
        case("5.1", "half-closed: DATA", join([get(1), data(END_STREAM, 1, b"a")]), Reset(1, &[STREAM_CLOSED])).departs(PROTOCOL, "h2 ends the connection; a client that has ended its body knows that it has"),
        case("5.1", "half-closed: HEADERS", join([get(1), get(1)]), ConnectionError(&[STREAM_CLOSED, PROTOCOL_ERROR])),
        case("5.1", "half-closed: WINDOW_UPDATE, PRIORITY", join([get(1), window_update(1, 1), priority(1, 0)]), Answer(1)),
        case("5.1", "half-closed: RST_STREAM", join([get(1), reset(1, CANCEL)]), GoesOn),
        case("5.1", "reset: DATA", join([post(1), reset(1, CANCEL), data(END_STREAM, 1, b"a")]), Reset(1, &[STREAM_CLOSED])),
        case("5.1", "reset: HEADERS", join([post(1), reset(1, CANCEL), get(1)]), ConnectionError(&[STREAM_CLOSED, PROTOCOL_ERROR])),
        after_answer("5.1", "closed: DATA", data(END_STREAM, 1, b"a"), Reset(1, &[STREAM_CLOSED])),
        after_answer("5.1", "closed: HEADERS", get(1), ConnectionError(&[STREAM_CLOSED, PROTOCOL_ERROR])),
        after_answer("5.1", "closed: WINDOW_UPDATE, RST_STREAM, PRIORITY", join([window_update(1, 1), reset(1, CANCEL), priority(1, 0)]), GoesOn),
        case("5.1.1", "an even stream", get(2), PROTOCOL),
        case("5.1.1", "a stream below the last one", join([get(5), get(3)]), ConnectionError(&[PROTOCOL_ERROR, STREAM_CLOSED])),
        case("5.1.1", "streams may be left out", join([get(1), get(101)]), Answer(101)),
        case("5.1.2", "more streams than were allowed", too_many, Reset(201, &[REFUSED_STREAM, PROTOCOL_ERROR])),
    ])
    .await;
}

#[tokio::test]
#[rustfmt::skip] // a row a line
async fn each_kind_of_frame_is_taken_as_section_6_says() {
    use Due::{Answer, ConnectionError, GoesOn, Reset};
    let fields = block(&request("GET", "/"));
    let all = END_HEADERS | END_STREAM;
    let padded = |length: u8| [&[length], fields.as_slice(), &[0; 9]].concat();
    const SIZE: Due = ConnectionError(&[FRAME_SIZE_ERROR]);
    hold(vec![
        case("6.1", "DATA, in pieces and padded", join([post(1), data(0, 1, b"ab"), data(PADDED | END_STREAM, 1, b"\x02cd\0\0")]), Answer(1)),
        case("6.1", "DATA without a stream", data(0, 0, b"a"), PROTOCOL),
        case("6.1", "DATA padded beyond its end", join([post(1), data(PADDED | END_STREAM, 1, b"\x06abcde")]), PROTOCOL),
        case("6.2", "HEADERS, padded", headers(all | PADDED, 1, &padded(9)), Answer(1)),
        case("6.2", "HEADERS with a priority", headers(all | WITH_PRIORITY, 1, &[&[0, 0, 0, 0, 255], fields.as_slice()].concat()), Answer(1)),
        case("6.2", "HEADERS without a stream", headers(all, 0, &fields), PROTOCOL),
        case("6.2", "HEADERS padded beyond its end", headers(all | PADDED, 1, &[&[255], &fields[..20]].concat()), PROTOCOL),
        case("6.3", "PRIORITY without a stream", priority(0, 1), PROTOCOL),
        case("6.3", "PRIORITY of four bytes", join([post(1), frame(PRIORITY, 0, 1, &[0; 4])]), Reset(1, &[FRAME_SIZE_ERROR])).departs(PROTOCOL, ONE_CODE),
        case("6.4", "RST_STREAM without a stream", reset(0, CANCEL), PROTOCOL),
        case("6.4", "RST_STREAM of three bytes", join([post(1), frame(RST_STREAM, 0, 1, &[0; 3])]), SIZE).departs(PROTOCOL, ONE_CODE),
        case("6.5", "SETTINGS, ACK with a payload", frame(SETTINGS, ACK, 0, &[0; 6]), SIZE).departs(PROTOCOL, ONE_CODE),
        case("6.5", "SETTINGS of a stream", frame(SETTINGS, 0, 1, &[]), PROTOCOL),
        case("6.5", "SETTINGS of three bytes", frame(SETTINGS, 0, 0, &[0; 3]), SIZE).departs(PROTOCOL, ONE_CODE),
        case("6.5.2", "ENABLE_PUSH of 2", settings(&[(2, 2)]), PROTOCOL),
        case("6.5.2", "INITIAL_WINDOW_SIZE above the largest", settings(&[(4, 1 << 31)]), ConnectionError(&[FLOW_CONTROL_ERROR])).departs(PROTOCOL, ONE_CODE),
        case("6.5.2", "MAX_FRAME_SIZE below the least", settings(&[(5, 16_383)]), PROTOCOL),
        case("6.5.2", "MAX_FRAME_SIZE above the largest", settings(&[(5, 1 << 24)]), PROTOCOL),
        case("6.5.2", "an unknown setting is ignored", settings(&[(0xff, 1)]), GoesOn),
        case("6.6", "PUSH_PROMISE from a client", join([post(1), frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2], fields.as_slice()].concat())]), PROTOCOL),
        case("6.7", "an answer that nobody asked for is none", frame(PING, ACK, 0, b"surprise"), GoesOn),
        case("6.7", "PING of a stream", frame(PING, 0, 1, PROBE), PROTOCOL),
        case("6.7", "PING of six bytes", frame(PING, 0, 0, &[0; 6]), SIZE).departs(PROTOCOL, ONE_CODE),
        case("6.8", "GOAWAY of a stream", frame(GOAWAY, 0, 1, &[0; 8]), PROTOCOL),
        case("6.9", "WINDOW_UPDATE of nothing, of the connection", window_update(0, 0), PROTOCOL),
        case("6.9", "WINDOW_UPDATE of nothing, of a stream", join([post(1), window_update(1, 0)]), PROTOCOL),
        case("6.9", "WINDOW_UPDATE of three bytes", frame(WINDOW_UPDATE, 0, 0, &[0; 3]), SIZE).departs(PROTOCOL, ONE_CODE),
        case("6.9.1", "the connection's window above the largest", window_update(0, (1 << 31) - 1), ConnectionError(&[FLOW_CONTROL_ERROR])),
        case("6.9.1", "a stream's window above the largest", join([post(1), window_update(1, (1 << 31) - 1)]), Reset(1, &[FLOW_CONTROL_ERROR])),
        case("7", "RST_STREAM with an unknown code", join([post(1), reset(1, 0xff)]), GoesOn),
    ])
    .await;
}

#[tokio::test]
async fn a_connection_begins_as_section_3_says() {
    let upstream = Recorder::spawn().await;
    let sidecar = Setup::new().tls().spawn(&upstream.url());
    let mut client = Client::connect(&sidecar, PREFACE).await;
    assert!(client.until(|seen| !seen.frames.is_empty()).await);
    let first = &client.frames[0];
    assert_eq!((first.kind, first.flags, first.stream), (SETTINGS, 0, 0));
    client.send(&settings(&[])).await;
    let acknowledged =
        |seen: &Client| seen.has(|frame| frame.kind == SETTINGS && frame.flags == ACK);
    assert!(client.until(acknowledged).await);

    // What isn't HTTP/2 is no reason to say more than that it ends (section 3.4).
    for preface in [
        &b"GET / HTTP/1.1\r\nHost: claw.example.com\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ] {
        let mut client = Client::connect(&sidecar, preface).await;
        assert!(
            client.until(|seen| Due::Closed.is_met(seen)).await,
            "{preface:?}"
        );
    }
    // The client's first frame is to be SETTINGS too. h2 does without; nothing here
    // depends on what they would say.
    let first = join([PREFACE.to_vec(), get(1), frame(PING, 0, 0, PROBE)]);
    let mut client = Client::connect(&sidecar, &first).await;
    let answered = client.until(|seen| Due::Answer(1).is_met(seen)).await;
    assert!(answered, "{:?}", client.frames);
}

#[tokio::test]
async fn a_client_that_says_goodbye_still_gets_its_answer() {
    for code in [0, 0xff] {
        let upstream = Recorder::spawn().await;
        let sidecar = Setup::new().tls().spawn(&upstream.url());
        let mut client = Client::greeted(&sidecar, &[]).await;
        let goaway = frame(
            GOAWAY,
            0,
            0,
            &[&[0; 4][..], &u32::to_be_bytes(code)].concat(),
        );
        client.send(&join([get(1), goaway])).await;
        assert!(
            client.until(|seen| seen.is_answered(1)).await,
            "{:?}",
            client.frames
        );
    }
}
