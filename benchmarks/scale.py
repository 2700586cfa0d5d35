"""What many hosts cost one broker: a fleet of simulated agents, 50 containers each, a batch each 10 s, one mosquitto.

What the broker takes is CPU time as the scheduler counted it, so other programs on the machine make it slower and the
figures hardly larger. Bytes are those that TCP carried, without headers, as the kernel counted them on its sockets.
Measured in turns: the connecting of all hosts, with everything retained; connections that are idle; batches nobody
subscribes to; the same with one subscriber to everything; and, beside it, a message for each container.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from costs import cpu_ns, rss_mib
from report import CHECKOUT, machine, options, progress, show
from scale_tables import KEEP_ALIVE, MANY, Parts, Taken, as_markdown, of_all, of_each, of_many

from tests.support.broker import PrivateBroker

FILES = 4096
_SENT, _RECEIVED = re.compile(r"\bbytes_acked:(\d+)"), re.compile(r"\bbytes_received:(\d+)")


class Fleet:
    """`fleet.py`, running."""

    def __init__(self, port: int, hosts: int, containers: int) -> None:
        command = [sys.executable, str(CHECKOUT / "benchmarks" / "fleet.py"), str(port), str(hosts), str(containers)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._answer() == "ready", "the fleet did not start"

    def ask(self, line: str) -> dict[str, Any]:
        """Have it do something; what it says when that is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._answer())
        return answer

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """End it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()


class Bench:
    """A broker, its fleet, and what the broker takes."""

    def __init__(self, broker: PrivateBroker, fleet: Fleet) -> None:
        self.broker = broker
        self.fleet = fleet

    def during(self, line: str) -> Taken:
        """What it takes while the fleet does that."""
        received, sent = self._carried()
        before, began = cpu_ns(self.broker.pid), time.monotonic()
        answer = self.fleet.ask(line) if line else {}
        return self._taken(before, began, received, sent, answer)

    def idle(self, seconds: float) -> Taken:
        """What it takes while nothing is sent but keep-alives."""
        received, sent = self._carried()
        before, began = cpu_ns(self.broker.pid), time.monotonic()
        time.sleep(seconds)
        return self._taken(before, began, received, sent, {})

    def _taken(self, before: int, began: float, received: int, sent: int, answer: dict[str, Any]) -> Taken:
        passed, cpu = time.monotonic() - began, cpu_ns(self.broker.pid) - before
        now_received, now_sent = self._carried()
        return Taken(
            cpu=cpu / 1e9, received=now_received - received, sent=now_sent - sent, passed=passed, answer=answer
        )

    def _carried(self) -> tuple[int, int]:
        """Bytes so far, over all connections that are open."""
        said = subprocess.run(
            ["ss", "-Htin", "state", "established", f"( sport = :{self.broker.port} )"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        return sum(map(int, _RECEIVED.findall(said))), sum(map(int, _SENT.findall(said)))

    def saved(self) -> tuple[float, float]:
        """Seconds of CPU for writing all that it keeps to the disk once, and MiB of that."""
        file = self.broker.directory / "mosquitto.db"
        before = cpu_ns(self.broker.pid)
        os.kill(self.broker.pid, signal.SIGUSR1)
        deadline = time.monotonic() + 30
        while not file.exists() and time.monotonic() < deadline:  # it is renamed when it is whole
            time.sleep(0.01)
        return (cpu_ns(self.broker.pid) - before) / 1e9, file.stat().st_size / 2**20


@contextlib.contextmanager
def everything(port: int, folder: Path) -> Iterator[Path]:
    """One subscriber to everything at QoS 1 (`mosquitto_sub`): a file with a line of each message's length."""
    out = folder / "received"
    command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-V", "5", "-q", "1", "-t", "watchtower/#"]
    with out.open("wb") as output:
        process = subprocess.Popen([*command, "-F", "%r %l"], stdout=output)
    try:
        yield out
    finally:
        process.terminate()
        process.wait(10)


def settled(file: Path) -> int:
    """Lines of it, once it has not grown for a second."""
    size = -1
    while size != (now := file.stat().st_size):
        size = now
        time.sleep(1.0)
    return file.read_bytes().count(b"\n")


def measured(hosts: int, containers: int, seconds: float) -> Parts:
    """All parts, on a broker of their own."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # Saved when it is told to, so that this is measured by itself.
        kept = ("persistence true", f"persistence_location {folder}/broker/", "autosave_interval 0")
        broker = stack.enter_context(PrivateBroker(directory=folder / "broker", persistence=False, options=kept))
        fresh = rss_mib(broker.pid)
        progress(f"{hosts} hosts of {containers} containers")
        fleet = Fleet(broker.port, hosts, containers)
        stack.callback(fleet.close)
        bench = Bench(broker, fleet)
        progress("they connect")
        connecting = bench.during("connect")
        memory = rss_mib(broker.pid) - fresh
        saved = bench.saved()
        progress("idle")
        idle = bench.idle(KEEP_ALIVE)
        progress("batches, nobody subscribes")
        alone = bench.during(f"run {seconds} alone")
        progress("a subscriber comes")
        before = cpu_ns(broker.pid)
        received = stack.enter_context(everything(broker.port, folder))
        count = settled(received)
        greeted = count, (cpu_ns(broker.pid) - before) / 1e9
        progress("batches, one subscriber to everything")
        heard = bench.during(f"run {seconds} alone")
        arrived = settled(received) - count
        progress("a message for each container as well, one subscriber")
        each = bench.during(f"run {seconds / 3} each")
    for part in (connecting, alone, heard, each):
        assert part.answer["refused"] == 0, part.answer
    assert heard.answer["connected"] == hosts, heard.answer
    return Parts(
        hosts=hosts,
        connecting=connecting,
        idle=idle,
        alone=alone,
        heard=heard,
        each=each,
        arrived=arrived,
        greeted=greeted,
        memory=memory,
        saved=saved,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=1000, help="simulated (default: 1000)")
    parser.add_argument("--containers", type=int, default=50, help="of each host (default: 50)")
    parser.add_argument("--seconds", type=float, default=30.0, help="of batches, twice (default: 30)")
    parser.add_argument("--markdown", action="store_true", help="the tables of docs/scale.md, after the machine")
    chosen = options(parser)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * chosen.hosts + FILES), hard))
    host = machine()
    parts = measured(chosen.hosts, chosen.containers, chosen.seconds)
    if chosen.markdown:
        print(", ".join(f"{name}: {value}" for name, value in host.items()))
        as_markdown(parts)
        return 0
    many = [replace(figure, name=f"{MANY:,} hosts: {figure.name}") for figure in of_many(parts)]
    one = [replace(figure, name=f"a host: {figure.name}") for figure in of_each(parts)]
    return show("Scale", [*of_all(parts), *one, *many], host, as_json=chosen.json)


if __name__ == "__main__":
    sys.exit(main())
