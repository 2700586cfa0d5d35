"""Clients that rename an engine's containers as fast as it answers, a part at a time: each rename is an event."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Sequence

from tests.support.engine import PrivateEngine

_CLIENT = """
import http.client, socket, sys, time
path, serial, containers = sys.argv[1], sys.argv[2], sys.argv[3:]
connection = http.client.HTTPConnection("engine")
connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
connection.sock.connect(path)
number = 0
print("ready", flush=True)
for line in sys.stdin:
    begun = time.monotonic_ns()
    for _ in range(int(line)):
        container = containers[number % len(containers)]
        number += 1
        connection.request("POST", f"/containers/{container}/rename?name={container[:12]}-{serial}-{number}", body="")
        answer = connection.getresponse()
        answer.read()
        assert answer.status < 300, answer.status
    print(begun, time.monotonic_ns(), flush=True)
"""

_SERIALS = itertools.count()


class Clients:
    """So many of them, each with a connection and with containers of its own.

    Args:
        engine: Whose containers they are.
        containers: Are renamed in turn.
        count: How many clients.
    """

    def __init__(self, engine: PrivateEngine, containers: Sequence[str], count: int) -> None:
        serial = str(next(_SERIALS))  # a name that is held already is refused
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-c", _CLIENT, str(engine.socket), serial, *containers[number::count]],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(count)
        ]
        for process in self._processes:
            assert _line(process) == "ready", "a client did not start"

    def rename(self, count: int) -> tuple[int, int]:
        """Do so many renames together, and wait for them.

        Returns:
            When the first began and the last was answered, in nanoseconds of the monotonic clock.
        """
        each, rest = divmod(count, len(self._processes))
        for number, process in enumerate(self._processes):
            assert process.stdin is not None
            process.stdin.write(f"{each + (number < rest)}\n")
            process.stdin.flush()
        stamps = [tuple(map(int, _line(process).split())) for process in self._processes]
        return min(begun for begun, _ in stamps), max(ended for _, ended in stamps)

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.wait(60)
            process.stdout.close()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, "a client failed"
    return line
