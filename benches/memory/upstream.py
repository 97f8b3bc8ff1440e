"""The upstream of the memory and soak tests, in a process of its own: echoes every
WebSocket frame, and at /events streams an event, falls silent, and streams another.

    upstream.py SILENCE_SECONDS      prints its port
"""

import asyncio
import sys

from websocket import OPCODE_CLOSE, accept_key, frame, read_frame


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silence: float) -> None:
    try:
        while True:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
            if "sec-websocket-key" in headers:
                await echo(reader, writer, headers["sec-websocket-key"])
                return
            if lines[0].split()[1].startswith("/events"):
                await events(writer, silence)
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> None:
    writer.write(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n".encode()
    )
    while True:
        opcode, payload = await read_frame(reader)
        writer.write(frame(opcode, payload, masked=False))
        await writer.drain()
        if opcode == OPCODE_CLOSE:
            return


async def events(writer: asyncio.StreamWriter, silence: float) -> None:
    def chunk(text: str) -> bytes:
        return f"{len(text):x}\r\n{text}\r\n".encode()

    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    writer.write(chunk("data: first\n\n"))
    await writer.drain()
    await asyncio.sleep(silence)
    writer.write(chunk("data: second\n\n") + b"0\r\n\r\n")
    await writer.drain()


async def main() -> None:
    silence = float(sys.argv[1])
    server = await asyncio.start_server(
        lambda reader, writer: serve(reader, writer, silence), "127.0.0.1", 0, backlog=4096, limit=8192
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
