"""As much of HTTP/2 as abuse needs: frames, literal HPACK, and what a server says last."""

import socket
import ssl
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
ACK = END_STREAM = 1
END_HEADERS = 4
INITIAL_WINDOW_SIZE = 4
ERRORS = ["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
          "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM"]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def reset(stream: int) -> bytes:
    return frame(RST_STREAM, 0, stream, struct.pack(">I", ERRORS.index("CANCEL")))


def length(value: int, bits: int, flags: int = 0) -> bytes:
    """An integer of HPACK (RFC 7541 section 5.1) with a prefix of `bits`."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([flags | value])
    out, value = [flags | most], value - most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def literal(name: str, value: str, indexed: bool = False) -> bytes:
    """A field without Huffman; `indexed` puts it into the dynamic table."""
    texts = (length(len(text), 7) + text.encode() for text in (name, value))
    return bytes([0x40 if indexed else 0]) + b"".join(texts)


def request(fields: dict[str, str], path: str = "/", method: str = "GET") -> bytes:
    """The header block of a request."""
    pseudo = {":method": method, ":scheme": "https", ":authority": "localhost", ":path": path}
    return b"".join(literal(name, value) for name, value in {**pseudo, **fields}.items())


def context() -> ssl.SSLContext:
    """The certificate is this run's own and says nothing."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_alpn_protocols(["h2"])
    return made


class Connection:
    """A client that sends what it likes."""

    def __init__(self, port: int, source: str, tls: ssl.SSLContext, *first: tuple[int, int]):
        tcp = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0))
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = tls.wrap_socket(tcp, server_hostname="localhost")
        self.buffer = b""
        self.goaway = None
        self.resets = self.answers = 0
        self.socket.sendall(PREFACE + settings(*first) + frame(SETTINGS, ACK, 0))

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def take(self, seconds: float = 0) -> bool:
        """Reads what has come, waiting so long for it; false at the end of the connection."""
        self.socket.settimeout(seconds)
        try:
            got = self.socket.recv(1 << 16)
        except (TimeoutError, ssl.SSLWantReadError):
            return True
        finally:
            self.socket.settimeout(10)
        if not got:
            return False
        self.buffer += got
        while len(self.buffer) >= 9:
            size = int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < 9 + size:
                break
            self.note(self.buffer[3], self.buffer[9 : 9 + size])
            self.buffer = self.buffer[9 + size :]
        return True

    def note(self, kind: int, payload: bytes) -> None:
        if kind == GOAWAY:
            code = int.from_bytes(payload[4:8], "big")
            self.goaway = ERRORS[code] if code < len(ERRORS) else str(code)
        elif kind == RST_STREAM:
            self.resets += 1
        elif kind == HEADERS:
            self.answers += 1

    def last_word(self) -> str:
        """Waits for what the server says at the end of a connection that it ended."""
        try:
            deadline = time.monotonic() + 3
            while self.take(1) and self.goaway is None and time.monotonic() < deadline:
                pass
        except OSError:
            pass
        return f"GOAWAY {self.goaway}" if self.goaway else "closed"

    def close(self) -> None:
        self.socket.close()
