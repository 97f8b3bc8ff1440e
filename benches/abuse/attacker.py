"""One process of attackers, in front of a server's own machine.

    attacker.py SCENARIO PORT SECONDS WORKERS SOURCE...

Prints one line of JSON: the connections that it made, how they ended, and the
processor time that it had.
"""

import asyncio
import collections
import json
import random
import sys
import threading
import time

sys.dont_write_bytecode = True
import floods  # noqa: E402
import slow  # noqa: E402
from http2 import Connection, context  # noqa: E402
from identity import ATTACKER  # noqa: E402

ends = collections.Counter()
lock = threading.Lock()


def note(end: str) -> None:
    with lock:
        ends[end] += 1


def flood(scenario: str, port: int, until: float, sources: list[str]) -> None:
    """Connection after connection; each goes on until the server ends it."""
    attack, tls = getattr(floods, scenario), context()
    while time.monotonic() < until:
        try:
            connection = Connection(port, random.choice(sources), tls)
        except OSError as error:
            note(f"no connection: {type(error).__name__}")
            time.sleep(0.05)
            continue
        note("connections")
        try:
            note(one(connection, attack, until))
        except TimeoutError:
            note("stalled")
        except OSError:
            note(connection.last_word())
        connection.close()


def one(connection: Connection, attack, until: float) -> str:
    for data in attack(ATTACKER):
        if time.monotonic() > until:
            return "still open"
        if data is None:
            going = connection.take(0.02)
        else:
            connection.send(data)
            going = connection.take()
        if not going or connection.goaway:
            return connection.last_word()
    return "used up its streams"


def main() -> None:
    scenario, port, seconds, workers, *sources = sys.argv[1:]
    until = time.monotonic() + float(seconds)
    if hasattr(floods, scenario):
        threads = [threading.Thread(target=flood, args=(scenario, int(port), until, sources)) for _ in range(int(workers))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        asyncio.run(slow.run(scenario, int(port), until, int(workers), sources, note))
    print(json.dumps({"ends": ends, "cpu": time.process_time()}))


main()
