"""The engine's own process: CPU, memory, threads, open files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import psutil

from watchtower_agent.collectors.gauges import NEVER, Counter
from watchtower_agent.collectors.request import SLOW_INTERVAL, Pace
from watchtower_agent.collectors.tick import Tick

NAMES = frozenset({"engine.cpu.percent", "engine.memory", "engine.threads", "engine.open_files"})

OPEN_FILES_INTERVAL = 60.0
"""Seconds: before Linux 6.2 it takes a walk through `/proc/PID/fd`, 2.5 ms for an engine with 400 containers."""

PID_FILES = ("run/docker.pid", "var/run/docker.pid")
DAEMON = "dockerd"
ENGINES = frozenset({DAEMON, "podman", "balenad"})
"""Names of the processes that answer for an engine; whatever else answers on its socket hands on to one."""
_FEW = 1 << 16
"""Bytes of a pid file and of a command's name are far fewer."""


class EngineProcessCollector:
    """Looks at the process that answers on the engine's socket, at the metrics interval or where a policy needs it.

    Behind a socket that the init system listens on (Debian's package has it so) the kernel names the init process as
    the peer, and behind a proxy the proxy: then the engine is found by its pid file, or as the only one of its name.

    Args:
        proc_root: Where the host's proc file system is mounted.
        root: Where pid files are looked for.
    """

    name = "engine_process"

    def __init__(self, *, proc_root: str, root: str = "/") -> None:
        self._proc_root = proc_root
        self._root = root
        self._process: psutil.Process | None = None
        self._asked_for = -1
        self._ended = False
        """The peer was the engine, and has ended: its pid may be another's by now."""
        self._look_at = NEVER
        self._read_at = NEVER
        self._files_at = NEVER
        self._cpu = Counter()
        self._numbers: dict[str, float] = {}
        self._failure = ""

    def collect(self, tick: Tick) -> None:
        """Read it when it is due, else write what was last read."""
        request, now = tick.request, tick.at.monotonic
        if not request.engine.data_root:  # an engine on another host
            self._forget()
            return
        if request.engine.pid != self._asked_for:
            self._forget()
            self._asked_for, self._ended = request.engine.pid, False
        if Pace(request.demand.interval(NAMES, tick.interval), tick.interval).due(self._read_at, now):
            self._read_at = now
            self._read(now, tick.monotonic())
        tick.host.update(self._numbers)
        if (
            self._failure
        ):  # until it is read again: a failure that came and went with each reading would be told each time
            tick.failures[self.name] = self._failure

    def close(self) -> None:
        """Nothing is kept open here."""

    def _forget(self) -> None:
        self._process = None
        self._look_at = self._files_at = self._read_at = NEVER
        self._cpu = Counter()
        self._numbers = {}
        self._failure = ""

    def _read(self, now: float, at: float) -> None:
        self._failure = ""
        psutil.PROCFS_PATH = self._proc_root  # psutil has one for the whole process; nothing else here uses it
        if self._process is None and now >= self._look_at:
            self._look_at = now + SLOW_INTERVAL
            self._process = self._find()
        if self._process is None:
            return
        try:
            self._numbers = self._look(self._process, now, at)
        except psutil.AccessDenied:
            self._numbers = {}  # of an engine that another user runs, not all may be seen
        except OSError as error:
            self._numbers = {}
            self._failure = f"The engine's process can't be read: {error.strerror}."
        except psutil.Error:  # it ended, or its pid is another's by now
            self._ended = self._process.pid == self._asked_for
            self._forget()

    def _look(self, process: psutil.Process, now: float, at: float) -> dict[str, float]:
        with process.oneshot():
            # one that ended and was not waited for yet has a pid, and no memory
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                raise psutil.NoSuchProcess(process.pid)
            times, memory, threads = process.cpu_times(), process.memory_info(), process.num_threads()
        found = {"engine.memory": float(memory.rss), "engine.threads": float(threads)}
        cores = self._cpu.rate(times.user + times.system, at)
        if not math.isnan(cores):
            found["engine.cpu.percent"] = 100 * cores
        if now - self._files_at >= OPEN_FILES_INTERVAL:
            self._files_at = now
            found["engine.open_files"] = float(self._open_files(process))
        elif "engine.open_files" in self._numbers:
            found["engine.open_files"] = self._numbers["engine.open_files"]
        return found

    def _open_files(self, process: psutil.Process) -> int:
        """The kernel tells it as the size of a directory (Linux 6.2 or newer), else its entries are counted."""
        return Path(self._proc_root, str(process.pid), "fd").stat().st_size or process.num_fds()

    def _find(self) -> psutil.Process | None:
        if self._asked_for > 1:
            peer, name = _named(self._asked_for)
            if name in ({DAEMON} if self._ended else ENGINES):
                return peer
            if peer is None or self._ended:  # the engine that was there is no more: another one's numbers are not its
                return None
        found = (_named(pid) for pid in self._candidates())
        return next((process for process, name in found if name == DAEMON), None)

    def _candidates(self) -> Iterator[int]:
        for name in PID_FILES:
            try:
                with Path(self._root, name).open("rb") as file:
                    yield int(file.read(_FEW))
            except (OSError, ValueError):
                continue
        daemons = [pid for pid in _pids() if _named(pid)[1] == DAEMON]
        if len(daemons) == 1:
            yield daemons[0]


def _pids() -> list[int]:
    try:
        return psutil.pids()
    except (OSError, IndexError):  # no proc file system there: psutil takes the first of an empty list
        return []


def _named(pid: int) -> tuple[psutil.Process | None, str]:
    """What has the pid, and its name; None where nothing has it."""
    try:
        process = psutil.Process(pid)
        return process, process.name()
    except (psutil.Error, ValueError):
        return None, ""
