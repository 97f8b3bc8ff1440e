"""The other client: requests at a steady rate on connections of its own.

    bystander.py http|https PORT RATE

Says `ready` when each connection has had an answer, begins at a line on its input,
and ends at the next one, with one line of JSON. A request's time counts from when it
was due, so that one that waits for its predecessor is not taken for a fast one.
"""

import asyncio
import json
import sys
import time

sys.dont_write_bytecode = True
from http2 import (  # noqa: E402
    ACK, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, DATA,
    context, frame, request, settings, window_update,
)
from identity import BYSTANDER  # noqa: E402

PATIENCE = 10
CONNECTIONS_HTTP1, CONNECTIONS_HTTP2 = 8, 2


class Http1:
    def __init__(self):
        self.turn = asyncio.Lock()
        head = "".join(f"{name}: {value}\r\n" for name, value in BYSTANDER.items())
        self.request = f"GET / HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode()

    async def open(self, port: int, tls) -> None:
        if tls:
            tls.set_alpn_protocols(["http/1.1"])
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=tls, server_hostname="localhost" if tls else None)

    async def get(self) -> int:
        async with self.turn:
            self.writer.write(self.request)
            head = await self.reader.readuntil(b"\r\n\r\n")
            size = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await self.reader.readexactly(size)
            return int(head[9:12])


class Http2:
    def __init__(self):
        self.block = request(BYSTANDER)
        self.next_stream, self.waiting = 1, {}

    async def open(self, port: int, tls) -> None:
        tls.set_alpn_protocols(["h2"])
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname="localhost")
        self.writer.write(PREFACE + settings())
        self.reading = asyncio.ensure_future(self.read())

    async def get(self) -> int:
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        answer = self.waiting[stream] = asyncio.get_running_loop().create_future()
        self.writer.write(frame(HEADERS, END_HEADERS | END_STREAM, stream, self.block))
        return await answer

    async def read(self) -> None:
        """Frames until the end, which is the end of every request that waits."""
        status = {}
        try:
            while True:
                head = await self.reader.readexactly(9)
                kind, flags, stream = head[3], head[4], int.from_bytes(head[5:9], "big")
                payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
                if kind == SETTINGS and not flags & ACK:
                    self.writer.write(frame(SETTINGS, ACK, 0))
                elif kind == PING and not flags & ACK:
                    self.writer.write(frame(PING, ACK, 0, payload))
                elif kind == HEADERS:
                    # `:status: 200` is entry 8 of HPACK's static table.
                    status[stream] = 200 if payload[0] == 0x88 else 0
                elif kind == DATA and payload:
                    self.writer.write(window_update(0, len(payload)))
                elif kind in (GOAWAY, RST_STREAM):
                    raise ConnectionError(f"frame of type {kind}")
                if kind in (HEADERS, DATA) and flags & END_STREAM:
                    self.waiting.pop(stream).set_result(status.pop(stream))
        except (OSError, asyncio.IncompleteReadError) as error:
            for answer in self.waiting.values():
                answer.set_exception(ConnectionError(repr(error)))


async def main() -> None:
    scheme, port, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    connections = [Http1() for _ in range(CONNECTIONS_HTTP1)]
    if scheme == "https":
        connections += [Http2() for _ in range(CONNECTIONS_HTTP2)]
    for connection in connections:
        await connection.open(port, context() if scheme == "https" else None)
        assert await connection.get() == 200
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.readline)
    stop = loop.run_in_executor(None, sys.stdin.readline)
    times, failures, under_way = [], [], set()

    async def one(connection, due: float) -> None:
        try:
            status = await asyncio.wait_for(connection.get(), PATIENCE)
            if status != 200:
                failures.append(f"status {status}")
            times.append((time.monotonic() - due) * 1000)
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
            failures.append(repr(error))

    due, number = time.monotonic(), 0
    while not stop.done():
        task = asyncio.ensure_future(one(connections[number % len(connections)], due))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        number, due = number + 1, due + 1 / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    await asyncio.gather(*under_way)
    times.sort()
    at = lambda share: round(times[min(len(times) - 1, int(len(times) * share))], 2) if times else None  # noqa: E731
    print(json.dumps({"requests": number, "failed": len(failures), "first_failure": next(iter(failures), None),
                      "p50": at(0.5), "p99": at(0.99), "max": at(1)}), flush=True)


asyncio.run(main())
