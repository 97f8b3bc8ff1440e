"""As much of RFC 6455 as idle WebSockets need: handshakes and short frames."""

import asyncio
import base64
import hashlib
import os
import struct

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
OPCODE_BINARY, OPCODE_CLOSE = 2, 8


def accept_key(key: str) -> str:
    """What a server answers to `Sec-WebSocket-Key`."""
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One frame: its opcode and its payload, unmasked."""
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack(">H", await reader.readexactly(2))
    elif length == 127:
        (length,) = struct.unpack(">Q", await reader.readexactly(8))
    mask = await reader.readexactly(4) if second & 0x80 else None
    payload = await reader.readexactly(length)
    return first & 0x0F, unmask(payload, mask) if mask else payload


def frame(opcode: int, payload: bytes, masked: bool) -> bytes:
    """One final frame; clients mask, servers don't."""
    flag = 0x80 if masked else 0
    if len(payload) < 126:
        head = struct.pack(">BB", 0x80 | opcode, flag | len(payload))
    elif len(payload) < 65536:
        head = struct.pack(">BBH", 0x80 | opcode, flag | 126, len(payload))
    else:
        head = struct.pack(">BBQ", 0x80 | opcode, flag | 127, len(payload))
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + unmask(payload, mask)


def unmask(payload: bytes, mask: bytes) -> bytes:
    """Masks or unmasks, which is the same: an XOR, as one large number for speed."""
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(len(payload), "big")


class Socket:
    """A client's open WebSocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int, headers: dict[str, str], tls=None) -> "Socket":
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=tls, server_hostname="localhost" if tls else None, limit=4096
        )
        key = base64.b64encode(os.urandom(16)).decode()
        lines = ["GET /socket HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: websocket",
                 "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if not head.startswith("HTTP/1.1 101 ") or accept_key(key) not in head:
            raise RuntimeError(f"upgrade refused: {head.splitlines()[0]}")
        return cls(reader, writer)

    async def echo(self, payload: bytes) -> None:
        """Sends `payload` and wants it back."""
        self.writer.write(frame(OPCODE_BINARY, payload, masked=True))
        opcode, got = await read_frame(self.reader)
        if (opcode, got) != (OPCODE_BINARY, payload):
            raise RuntimeError(f"echo: got opcode {opcode} with {len(got)} bytes, expected {len(payload)}")

    def close(self) -> None:
        self.writer.close()
