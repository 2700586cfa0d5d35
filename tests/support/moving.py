"""A host on which everything of the catalogue can be moved: a real engine, real containers, and what moves them."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.support.cgroups import fake_proc
from tests.support.engine import IMAGE, EngineFailedError, PrivateEngine, UnixConnection
from tests.support.patience import patient

OTHER_IMAGE: Final = "busybox:other"
MIB: Final = 1 << 20
IDLE: Final = ("sleep", "3600")
CRASHES: Final = ("sh", "-c", "trap 'exit 3' USR1; while :; do sleep 0.1; done")
SICK_WITHOUT_FILE: Final = (
    "--health-cmd=test -e /well",
    "--health-interval=300ms",
    "--health-timeout=5s",
    "--health-retries=1",
)
UNKNOWN_PROTOCOL: Final = 0x88B5
"""An ethertype for experiments: nobody listens, so the kernel counts the frame as dropped."""


def disks() -> list[str]:
    """The block devices of this machine that hold anything, and are no loops."""
    names = [
        disk.name
        for disk in Path("/sys/block").iterdir()
        # a compressed swap disk that nobody has set up has no size: with it in the list no limit is set at all
        if not disk.name.startswith(("loop", "ram")) and int((disk / "size").read_text())
    ]
    return [f"/dev/{name}" for name in names if Path("/dev", name).is_block_device()]


def run_accounted(
    engine: PrivateEngine, name: str, *command: str, labels: Mapping[str, str] | None = None, **host_config: object
) -> str:
    """A running container whose reading from and writing to disks the kernel accounts on v1, too.

    v1 has an account only of devices that are throttled: they are, at a rate so high that it is none. Over the API,
    since Debian's client of 26.1.5 of August 2026 leaves out what `--device-write-bps` asks for.

    Args:
        engine: Where.
        name: The container's name.
        command: What it runs.
        labels: Its labels.
        host_config: More of the API's `HostConfig`.

    Returns:
        The full id.
    """
    throttled = [{"Path": disk, "Rate": 10 << 30} for disk in disks()]
    limits = {"BlkioDeviceReadBps": throttled, "BlkioDeviceWriteBps": throttled, "NetworkMode": "none"}
    body = {"Image": IMAGE, "Cmd": list(command), "Labels": dict(labels or {}), "HostConfig": limits | host_config}
    made = engine.api("POST", "/containers/create", body, name=name)
    engine.api("POST", f"/containers/{made['Id']}/start")
    return str(made["Id"])


def _write_cold(path: Path) -> None:
    """A file that is on the disk and not in memory: who reads it reads the disk."""
    with path.open("wb") as file:
        file.write(os.urandom(48 * MIB))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextlib.contextmanager
def engine_on_a_small_disk() -> Iterator[PrivateEngine]:
    """An engine whose containers outlive it, and whose data is on a file system of its own that is soon full."""
    engine = PrivateEngine(options=("--live-restore",))
    data = engine.directory / "data"
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m,nr_inodes=20000", "wt-test", str(data)], check=True)
    with engine:
        yield engine


class Containers:
    """One container for each way of moving, at rest until it is told.

    Args:
        engine: Where.
        shared: A folder on a disk, which one of them reads and writes.
        swap: Whether the machine has some, for one that needs more than its memory.

    Attributes:
        names: Of all of them.
    """

    def __init__(self, engine: PrivateEngine, shared: Path, *, swap: bool) -> None:
        self._engine = engine
        self._swap_more = swap
        self._shared = shared
        self.names: list[str] = []
        _write_cold(shared / "big")
        engine.docker("network", "create", "lan")
        engine.load_image(OTHER_IMAGE)
        self._made: list[Callable[[], None]] = []
        for name, options, command, network in (
            ("burner", ("--cpus=0.4",), IDLE, "none"),
            ("eater", ("--memory=100m",), IDLE, "none"),
            ("swapper", ("--memory=24m", "--memory-swap=72m", "--shm-size=100m"), IDLE, "none"),
            ("updated", ("--memory=64m", "--memory-swap=64m"), IDLE, "none"),
            ("oomed", ("--memory=24m", "--memory-swap=24m"), IDLE, "none"),
            (
                "server",
                (),
                ("sh", "-c", "mkdir /www; dd if=/dev/zero of=/www/f bs=1M count=2; httpd -f -h /www"),
                "lan",
            ),
            ("client", (), IDLE, "lan"),
            ("many", (), IDLE, "none"),
            ("paused", (), IDLE, "none"),
            ("patient", SICK_WITHOUT_FILE, ("sh", "-c", "touch /well; sleep 3600"), "none"),
            ("ends", (), CRASHES, "none"),
            ("again", ("--stop-signal=KILL",), IDLE, "none"),
            ("healed", (), ("sh", "-c", "trap 'exit 3' USR1; while :; do sleep 0.1; done"), "none"),
            ("renamed", (), IDLE, "none"),
            ("swapped", (), IDLE, "none"),
        ):
            self._prepare(name, options, command, network)
        self.names.append("disks")
        self._made.append(self._make_disks)

    def start(self) -> None:
        """Create and start them."""
        with ThreadPoolExecutor(3) as pool:
            for done in [pool.submit(make) for make in self._made]:
                done.result()

    def newborn(self) -> None:
        """One more, made now."""
        self._engine.run("newborn", *IDLE, labels={"moves": "newborn"})

    def movers(self) -> tuple[Callable[[], object], ...]:
        """What moves them, each to be called once."""
        docker, execute = self._engine.docker, self._execute
        return (
            lambda: execute("burner", "while :; do :; done"),
            lambda: execute("eater", "dd if=/dev/zero of=/dev/shm/f bs=1M count=48"),
            # a third of it has room in its memory
            *(
                [lambda: execute("swapper", "dd if=/dev/urandom of=/dev/shm/f bs=1M count=60")]
                if self._swap_more
                else []
            ),
            lambda: docker("update", "--memory=200m", "--memory-swap=200m", "updated"),
            lambda: docker("exec", "oomed", "tail", "/dev/zero", check=False),
            lambda: execute("disks", "while :; do cat /shared/big >/dev/null; done"),
            # more than its memory holds, so that it waits for the disk to take some
            lambda: execute("disks", "while :; do dd if=/dev/zero of=/shared/out bs=1M count=64 conv=fsync; done"),
            lambda: execute("client", "while :; do wget -q -O /dev/null http://server/f; sleep 0.2; done"),
            lambda: execute("many", "for i in 1 2 3 4 5; do sleep 3600 & done; wait"),
            lambda: docker("update", "--pids-limit=50", "many"),
            lambda: docker("pause", "paused"),
            lambda: docker("exec", "patient", "rm", "/well"),
            lambda: docker("kill", "--signal=USR1", "ends"),
            lambda: docker("restart", "again"),
            lambda: docker("kill", "--signal=USR1", "healed"),
            lambda: docker("rename", "renamed", "renamed-now"),
            self._swap,
        )

    def drop_frames(self) -> None:
        """Send the client frames of a protocol that nobody there knows, one by one, until it is enough."""
        seen = self._engine.api("GET", "/containers/client/json")["NetworkSettings"]["Networks"]["lan"]
        mac = bytes.fromhex(seen["MacAddress"].replace(":", ""))
        bridge = f"br-{seen['NetworkID'][:12]}"
        frame = mac + bytes(6) + struct.pack("!H", UNKNOWN_PROTOCOL) + bytes(46)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind((bridge, 0))
            for _ in range(200):
                raw.send(frame)
                time.sleep(0.01)  # a rate, not a moment

    def _prepare(self, name: str, options: tuple[str, ...], command: tuple[str, ...], network: str) -> None:
        self.names.append(name)

        def make() -> None:
            self._engine.run(name, *command, options=options, network=network, labels={"moves": name})

        self._made.append(make)

    def _make_disks(self) -> None:
        config = {"Memory": 16 * MIB, "Binds": [f"{self._shared}:/shared"]}
        # a little at rest, too: v1 names no device before something moved
        pulse = "while :; do dd if=/dev/zero of=/shared/pulse bs=4k count=1 conv=fsync; sleep 0.5; done"
        run_accounted(self._engine, "disks", "sh", "-c", pulse, labels={"moves": "disks"}, **config)

    def _execute(self, name: str, script: str) -> None:
        self._engine.docker("exec", "--detach", name, "sh", "-c", script)

    def _swap(self) -> None:
        self._engine.docker("rm", "--force", "swapped")
        self._engine.run("swapped", *IDLE, image=OTHER_IMAGE, labels={"moves": "swapped"})


_WAITING: Final = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.prctl(36, 1, 0, 0, 0)  # what is orphaned comes to this process
group = 0
for _ in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, group)
        if libc.vfork() == 0:
            while True:
                libc.pause()
        os._exit(0)
    group = group or pid
    os.setpgid(pid, group)
print("ready", flush=True)
sys.stdin.read()
os.killpg(group, 9)
try:
    while True:
        os.wait()
except ChildProcessError:
    pass
"""


@contextlib.contextmanager
def waiting_tasks(count: int) -> Iterator[None]:
    """So many tasks in uninterruptible sleep: they count as load and use no CPU. (A parent waits so for its vfork.)"""
    command = [sys.executable, "-S", "-c", _WAITING, str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
        process.communicate()


class RecordedHost:
    """A /proc of plain files that go on as a kernel's do, for what this machine has not, or shares with others.

    Args:
        root: Where to make it.
    """

    def __init__(self, root: Path) -> None:
        self.root = fake_proc(root)
        (root / "pressure").mkdir()
        self._busy = threading.Event()
        self._over = threading.Event()
        self._times = {"user": 0, "idle": 0}
        self._stalled = 0
        self._step()
        self._thread = threading.Thread(target=self._go_on, name="recorded-host", daemon=True)
        self._thread.start()

    def press(self) -> None:
        """From now on it is busy, waits, and swaps."""
        self._busy.set()

    def close(self) -> None:
        """It stands still."""
        self._over.set()
        self._thread.join(10)

    def _go_on(self) -> None:
        while not self._over.wait(0.05):
            self._step()

    def _step(self) -> None:
        busy = self._busy.is_set()
        self._times["user" if busy else "idle"] += 10
        self._stalled += 25_000 if busy else 0
        self._write(
            "stat", f"cpu  {self._times['user']:012d} 0 0 {self._times['idle']:012d} 0 0 0 0 0 0\ncpu0 0\ncpu1 0\n"
        )
        swap = 100 if busy else 900
        memory = "MemTotal: 8000000 kB\nMemFree: 4000000 kB\nMemAvailable: 6000000 kB\n"
        self._write("meminfo", f"{memory}SwapTotal: 1000 kB\nSwapFree: {swap} kB\n")
        for resource in ("cpu", "io", "memory"):
            averages = "avg10=0.00 avg60=0.00 avg300=0.00"
            self._write(
                f"pressure/{resource}", f"some {averages} total={self._stalled:012d}\nfull {averages} total=0\n"
            )

    def _write(self, name: str, text: str) -> None:
        """In place and of one length, so that a reader never sees half of it."""
        with (self.root / name).open("r+b" if (self.root / name).exists() else "wb", buffering=0) as file:
            file.write(text.encode())


def hammer(engine: PrivateEngine, seconds: float) -> None:
    """Ask the engine for as much as it can give, from many connections."""
    until = time.monotonic() + seconds

    def ask(_: int) -> None:
        connection = UnixConnection(engine.socket)
        while time.monotonic() < until:
            engine.api("GET", "/containers/json", all="true", size="true", connection=connection)
        connection.close()

    with ThreadPoolExecutor(24) as pool:
        list(pool.map(ask, range(24)))


def make_it_swell(engine: PrivateEngine) -> None:
    """One request that needs a lot of memory, and makes nothing: there is no such image."""
    with contextlib.suppress(EngineFailedError):
        engine.api("POST", "/containers/create", {"Image": "none:none", "Labels": {"k": "x" * (48 * MIB)}})


def stutter(engine: PrivateEngine, enough: Callable[[], bool]) -> None:
    """Until it is enough the engine stands still most of the time, and answers in between."""
    deadline = time.monotonic() + patient(30)
    while not enough() and time.monotonic() < deadline:
        engine.freeze()
        time.sleep(1.0)
        engine.thaw()
        time.sleep(0.1)


@contextlib.contextmanager
def waiting_threads(engine: PrivateEngine, container: str, count: int) -> Iterator[None]:
    """So many threads of the engine wait in the kernel: they open a log that is a pipe into which nobody writes."""
    identity = engine.api("GET", f"/containers/{container}/json")["Id"]
    log = engine.directory / "data" / "containers" / identity / f"{identity}-json.log"
    kept = log.rename(log.with_suffix(".kept"))
    os.mkfifo(log)
    connections = [UnixConnection(engine.socket) for _ in range(count)]
    try:
        for connection in connections:
            connection.request("GET", f"/containers/{identity}/logs?stdout=1")
        yield
    finally:
        writer = os.open(log, os.O_RDWR | os.O_NONBLOCK)
        for connection in connections:
            connection.close()
        kept.rename(log)
        os.close(writer)


@contextlib.contextmanager
def held_connections(engine: PrivateEngine, count: int) -> Iterator[None]:
    """So many connections that ask nothing, made as soon as the engine's socket is there."""
    deadline = time.monotonic() + patient(30)
    with contextlib.ExitStack() as held:
        while True:
            first = held.enter_context(socket.socket(socket.AF_UNIX))
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                first.connect(os.fspath(engine.socket))
                break
            assert time.monotonic() < deadline, "the engine does not come"
            time.sleep(0.01)
        for _ in range(count):
            held.enter_context(socket.socket(socket.AF_UNIX)).connect(os.fspath(engine.socket))
        yield
