#!/usr/bin/env python3
"""A model provider for `benches/models/run`: prints its port, then answers each POST
with a small JSON document, or, on a path that ends in `/stream`, with events that each
carry the time at which they were sent."""

import asyncio
import sys
import time

CHUNKS, PAUSE_S = int(sys.argv[1]), float(sys.argv[2])
SMALL = b'{"id":"x","choices":[{"message":{"content":"yes"}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}'


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(length)
            if b"/stream " not in head.split(b"\r\n", 1)[0]:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(SMALL), SMALL))
                continue
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            for number in range(CHUNKS):
                await asyncio.sleep(PAUSE_S)
                event = b'data: {"id":"chatcmpl-x","n":%d,"choices":[{"index":0,"delta":{"content":" word"}}],"sent":%d}\n\n'
                writer.write(chunk(event % (number, time.monotonic_ns())))
            writer.write(chunk(b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":100}}\n\n') + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
