"""Who watches from outside, each a process of its own, so that none of them takes turns with the benchmark.

`python benchmarks/observers.py ROLE …` prints `ready`, answers each line on its standard input with how much it has
seen, and writes everything to its file when its standard input ends. Stamps are nanoseconds of this host's clocks,
which all its processes share.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK = 1 << 16

Seen = dict[str, Any]
Block = tuple[int, int, bytes]
"""Wall clock, monotonic clock, what passed."""


class Recorder:
    """Passes everything between the agent and its engine, and stamps requests and live events as they pass."""

    def __init__(self, listen: Path, upstream: Path) -> None:
        self._listen = listen
        self._upstream = upstream
        self._requests: list[Block] = []
        self._streams: list[list[Block]] = []

    def start(self) -> None:
        """Take connections."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self._listen))
        listener.listen(128)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def count(self) -> int:
        """Requests that passed."""
        return len(self._requests)

    def seen(self) -> Iterator[Seen]:
        """Requests first, then events, each in its order."""
        for wall, monotonic, head in self._requests:
            method, target = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")[:2]
            path = re.sub(r"^/v\d+\.\d+(?=/)", "", target.partition("?")[0])
            yield {"what": "request", "method": method, "path": path, "wall": wall, "monotonic": monotonic}
        for stream in self._streams:
            yield from _events(stream)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            client, _ = listener.accept()
            upstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            upstream.connect(str(self._upstream))
            stream: list[Block] = []
            live = threading.Event()
            threading.Thread(target=self._up, args=(client, upstream, stream, live), daemon=True).start()
            threading.Thread(target=self._down, args=(client, upstream, stream, live), daemon=True).start()

    def _up(
        self,
        client: socket.socket,
        upstream: socket.socket,
        stream: list[Block],
        live: threading.Event,
    ) -> None:
        with contextlib.suppress(OSError):
            while block := client.recv(BLOCK):
                if block.startswith((b"GET ", b"POST ", b"DELETE ", b"HEAD ", b"PUT ")):
                    self._requests.append((time.time_ns(), time.monotonic_ns(), block[:4096]))
                    line = block.split(b"\r\n", 1)[0]
                    if b"/events?" in line and b"until=" not in line:
                        self._streams.append(stream)
                        live.set()
                upstream.sendall(block)
            upstream.shutdown(socket.SHUT_WR)

    def _down(
        self,
        client: socket.socket,
        upstream: socket.socket,
        stream: list[Block],
        live: threading.Event,
    ) -> None:
        with contextlib.suppress(OSError):
            while block := upstream.recv(BLOCK):
                if live.is_set():
                    stream.append((time.time_ns(), time.monotonic_ns(), block))
                client.sendall(block)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


class Oracle:
    """An event stream of its own, from the engine itself: what really happened."""

    def __init__(self, engine: Path) -> None:
        self._engine = engine
        self._blocks: list[Block] = []
        self._lines = 0

    def start(self) -> None:
        """Subscribe to everything from now on."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(self._engine))
        connection.sendall(b"GET /events HTTP/1.1\r\nHost: engine\r\n\r\n")
        self._keep(connection.recv(BLOCK))
        threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def count(self) -> int:
        """Events so far."""
        return self._lines

    def seen(self) -> Iterator[Seen]:
        """Events in their order."""
        return _events(self._blocks)

    def _keep(self, block: bytes) -> None:
        self._blocks.append((time.time_ns(), time.monotonic_ns(), block))
        self._lines += block.count(b'"timeNano"')

    def _read(self, connection: socket.socket) -> None:
        while block := connection.recv(BLOCK):
            self._keep(block)


def _events(blocks: list[Block]) -> Iterator[Seen]:
    """Events out of a chunked answer; each is stamped with the block that completed it."""
    rest, head = b"", True
    for wall, monotonic, block in blocks:
        rest += block
        if head:
            found = rest.find(b"\r\n\r\n")
            if found < 0:
                continue
            rest, head = rest[found + 4 :], False
        while (end := rest.find(b"\r\n")) >= 0:
            size = int(rest[:end], 16)
            if len(rest) < end + 4 + size:
                break
            for line in rest[end + 2 : end + 2 + size].split(b"\n"):
                if line.strip():
                    yield {"what": "event", "event": json.loads(line), "wall": wall, "monotonic": monotonic}
            rest = rest[end + 4 + size :]


def main() -> None:
    parser = argparse.ArgumentParser()
    roles = parser.add_subparsers(dest="role", required=True)
    role = roles.add_parser("recorder")
    role.add_argument("listen", type=Path)
    role.add_argument("upstream", type=Path)
    roles.add_parser("oracle").add_argument("engine", type=Path)
    for role in roles.choices.values():
        role.add_argument("out", type=Path)
    options = parser.parse_args()

    observer: Recorder | Oracle = (
        Recorder(options.listen, options.upstream) if options.role == "recorder" else Oracle(options.engine)
    )
    observer.start()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(observer.count(), flush=True)
    with options.out.open("w") as out:
        for seen in observer.seen():
            out.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
