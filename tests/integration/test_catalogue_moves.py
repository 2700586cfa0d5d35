"""Every name of the catalogue, moved on a real container, host or engine, and seen by a policy that uses it.

Each row says how the name stands at rest, or that it is not known then, and how it must stand once it was moved: two
policies of a running agent. Their `policy/firing` is the proof that sampler, catalogue and language work together.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.support.agent import AgentProcess, AgentWatch
from tests.support.broker import PrivateBroker
from tests.support.engine import IMAGE, PrivateEngine
from tests.support.moving import (
    MIB,
    OTHER_IMAGE,
    Containers,
    RecordedHost,
    engine_on_a_small_disk,
    hammer,
    held_connections,
    make_it_swell,
    stutter,
    waiting_tasks,
    waiting_threads,
)
from tests.support.patience import patient
from tests.support.this_machine import accounts_pressure, burning, can_swap, swap_file
from watchtower_agent.policies.catalogue import CATALOGUE, Scope

UNKNOWN = ""
"""At rest: not known."""


@dataclass(frozen=True, slots=True)
class Row:
    """How one name moves.

    Attributes:
        name: Of the catalogue.
        rest: What holds before; `{…}` is filled in with what the scene knows.
        moved: What holds after.
        of: The container, by the label that it keeps for ever; empty for the host and its engine.
    """

    name: str
    rest: str
    moved: str
    of: str = ""

    def policies(self, known: Mapping[str, object]) -> str:
        """Both conditions as policies that tell when they hold."""
        select = f"select: {{labels: {{moves: {self.of}}}}}, " if self.of else ""
        conditions = {"rest": self.rest, "moved": self.moved}
        return "".join(
            f"  - {{name: {self.policy(when)}, {select}when: '{text.format(**known)}', then: {{notify: {{}}}}}}\n"
            for when, text in conditions.items()
            if text != UNKNOWN
        )

    def policy(self, when: str) -> str:
        """The name of one of its policies."""
        return f"{self.name.replace('.', '-')}-{when}"


@dataclass(frozen=True, slots=True)
class EventRow:
    """Two real events between which a name of events differs: each sets off the policy that asks for its value.

    Attributes:
        name: Of the catalogue.
        one: What happens, as `on` says it, and what `where` asks of it.
        other: The same of the other event.
    """

    name: str
    one: tuple[str, str]
    other: tuple[str, str]

    def policies(self) -> str:
        """One for each event."""
        return "".join(
            f"  - {{name: {policy}, on: {{{on}}}, where: '{where}', then: {{notify: {{}}}}}}\n"
            for policy, (on, where) in zip(self.names, (self.one, self.other), strict=True)
        )

    @property
    def names(self) -> tuple[str, str]:
        """Of both policies."""
        return f"{self.name.replace('.', '-')}-one", f"{self.name.replace('.', '-')}-other"


OF_CONTAINERS = (
    Row("cpu.cores", "cpu.cores < 0.05", "cpu.cores > 0.2 and cpu.cores < 1", "burner"),
    Row("cpu.percent", "cpu.percent < 5%", "cpu.percent > 20% and cpu.percent < 100%", "burner"),
    Row("cpu.percent_of_limit", "cpu.percent_of_limit < 12%", "cpu.percent_of_limit > 50%", "burner"),
    Row("cpu.throttled", "cpu.throttled < 5%", "cpu.throttled > 30%", "burner"),
    Row("memory.usage", "memory.usage < 16MiB", "memory.usage > 48MiB and memory.usage < 80MiB", "eater"),
    Row("memory.working_set", "memory.working_set < 16MiB", "memory.working_set > 48MiB", "eater"),
    Row("memory.percent", "memory.percent < 16%", "memory.percent > 48% and memory.percent < 80%", "eater"),
    Row("memory.limit", "memory.limit == 64MiB", "memory.limit == 200MiB", "updated"),
    Row("memory.oom_kills", "memory.oom_kills == 0", "memory.oom_kills >= 1", "oomed"),
    Row("pressure.cpu", "pressure.cpu < 5%", "pressure.cpu > 20%", "burner"),
    Row("pressure.memory", "pressure.memory < 0.1%", "pressure.memory > 0.2%", "disks"),
    Row("pressure.memory_full", "pressure.memory_full < 0.1%", "pressure.memory_full > 0.2%", "disks"),
    Row("pressure.io", "pressure.io < 0.5%", "pressure.io > 1%", "disks"),
    Row("pressure.io_full", "pressure.io_full < 0.5%", "pressure.io_full > 1%", "disks"),
    # Where a kernel with cgroup v1 has counted nothing, there is nothing to tell.
    Row("io.read", "io.read < 1MiB", "io.read > 1MiB", "disks"),
    Row("io.write", "io.write < 1MiB", "io.write > 1MiB", "disks"),
    Row("network.receive", "network.receive < 16KiB", "network.receive > 256KiB", "client"),
    Row("network.transmit", "network.transmit < 16KiB", "network.transmit > 256KiB", "server"),
    Row("network.errors", "network.errors < 1", "network.errors > 5", "client"),
    Row("pids", "pids <= 2", "pids >= 6", "many"),
    Row("pids.limit", UNKNOWN, "pids.limit == 50", "many"),
    Row("status", 'status == "running"', 'status == "paused"', "paused"),
    Row("health", 'health == "healthy"', 'health == "unhealthy"', "patient"),
    Row("health.failing_streak", "health.failing_streak == 0", "health.failing_streak >= 1", "patient"),
    Row("exit_code", UNKNOWN, "exit_code == 3", "ends"),
    Row("restarts", "restarts == 0", "restarts == 1", "again"),
    Row("restarts_by_agent", "restarts_by_agent == 0", "restarts_by_agent == 1", "healed"),
    Row("age", "age < 6s", "age > 8s and age < 2m", "newborn"),
    Row("uptime", "uptime > 3s", "uptime < 3s", "again"),
    Row("name", 'name == "renamed"', 'name == "renamed-now"', "renamed"),
    Row("image", f'image == "{IMAGE}"', f'image == "{OTHER_IMAGE}"', "swapped"),
    Row("image.id", 'image.id == "{image}"', 'image.id == "{other_image}"', "swapped"),
)
OF_HOST = (
    Row("host.memory.available", "host.memory.available > {memory_before}B", "host.memory.available < {memory_after}B"),
    Row("host.memory.percent", "host.memory.percent < {share_before}%", "host.memory.percent > {share_after}%"),
    Row("host.load1", "host.load1 < {load1_before}", "host.load1 > {load1_after}"),
    Row("host.load5", "host.load5 < {load5_before}", "host.load5 > {load5_after}"),
    Row("host.disk.percent", "host.disk.percent < 40%", "host.disk.percent > 70%"),
    Row("host.disk.free", "host.disk.free > 150MiB", "host.disk.free < 80MiB"),
    Row("host.disk.inodes_percent", "host.disk.inodes_percent < 40%", "host.disk.inodes_percent > 70%"),
)
CAN_SWAP = can_swap()
OF_A_BUSY_HOST: tuple[Row, ...] = (
    # Others keep this machine busy as well: what counts is how much more it is than before.
    Row("host.cpu.percent", "host.cpu.percent < {cpu_before}%", "host.cpu.percent > {cpu_after}%"),
    *(
        (
            Row("host.pressure.cpu", "host.pressure.cpu < {waits_before}%", "host.pressure.cpu > {waits_after}%"),
            Row(
                "host.pressure.memory",
                "host.pressure.memory < {stalls_before}%",
                "host.pressure.memory > {stalls_after}%",
            ),
            Row("host.pressure.io", "host.pressure.io < {disks_before}%", "host.pressure.io > {disks_after}%"),
        )
        if accounts_pressure()
        else ()
    ),
    *(
        (Row("host.swap.percent", "host.swap.percent < {swap_before}%", "host.swap.percent > {swap_after}%"),)
        if CAN_SWAP
        else ()
    ),
)
OF_PROCESSORS = tuple(row for row in OF_A_BUSY_HOST if row.name in {"host.cpu.percent", "host.pressure.cpu"})
OF_A_RECORDED_HOST = (
    # The same on files: the whole way, and where the machine itself has no account of pressure or lets nobody swap.
    Row("host.cpu.percent", "host.cpu.percent < 10%", "host.cpu.percent > 90%"),
    Row("host.swap.percent", "host.swap.percent < 20%", "host.swap.percent > 80%"),
    Row("host.pressure.cpu", "host.pressure.cpu < 5%", "host.pressure.cpu > 25%"),
    Row("host.pressure.memory", "host.pressure.memory < 5%", "host.pressure.memory > 25%"),
    Row("host.pressure.io", "host.pressure.io < 5%", "host.pressure.io > 25%"),
)
OF_ENGINE = (
    Row("engine.cpu.percent", "engine.cpu.percent < 15%", "engine.cpu.percent > 30%"),
    Row("engine.memory", "engine.memory < {engine_memory_before}B", "engine.memory > {engine_memory_after}B"),
    Row("engine.threads", "engine.threads < {threads_before}", "engine.threads > {threads_after}"),
    Row("engine.latency", "engine.latency < 200ms", "engine.latency > 200ms"),
    Row("engine.event_lag", "engine.event_lag < 500ms", "engine.event_lag > 700ms"),
    Row("engine.responding", "engine.responding", "not engine.responding"),
    Row("engine.containers.paused", "engine.containers.paused == 0", "engine.containers.paused == 1"),
    Row("engine.containers.stopped", "engine.containers.stopped == 0", "engine.containers.stopped >= 5"),
    Row("engine.containers.running", "engine.containers.running >= {count}", "engine.containers.running < {count}"),
    Row("engine.connected", "engine.connected", "not engine.connected"),
    Row("engine.restarts", "engine.restarts == 0", "engine.restarts == 1"),
    Row("engine.images", "engine.images == 2", "engine.images == 3"),
    Row("engine.open_files", "engine.open_files < 300", "engine.open_files > 400"),
)
OF_EVENTS = (
    EventRow(
        "event.kind",
        ("container: start", 'event.kind == "container"'),
        ("volume: create", 'event.kind == "volume"'),
    ),
    EventRow(
        "event.action",
        ("container: [start, pause]", 'event.action == "start"'),
        ("container: [start, pause]", 'event.action == "pause"'),
    ),
    EventRow(
        "event.name",
        ('container: "*"', 'event.name == "newborn"'),
        ('container: "*"', 'event.name == "renamed-now"'),
    ),
    EventRow(
        "event.exit_code",
        ("container: die", "event.exit_code == 3"),
        ("container: die", "event.exit_code == 137"),
    ),
    EventRow(
        "event.signal",
        ("container: kill", 'event.signal == "9"'),
        ("container: kill", 'event.signal == "10"'),
    ),
    # The second one happens while the agent is held.
    EventRow("event.age", ("container: start", "event.age < 500ms"), ("volume: create", "event.age > 700ms")),
)
ROWS: tuple[Row, ...] = (*OF_CONTAINERS, *OF_HOST, *OF_A_BUSY_HOST, *OF_A_RECORDED_HOST, *OF_ENGINE)
HEAL = "  - {name: heal, select: {labels: {moves: healed}}, on: {container: die}, then: {restart: {}}}\n"


def test_every_name_has_its_row() -> None:
    on_files_as_well = Counter(row.name for row in OF_A_BUSY_HOST)
    names = [*(row.name for row in ROWS), *(row.name for row in OF_EVENTS)]
    assert Counter(names) - on_files_as_well == Counter(list(CATALOGUE))
    for row in ROWS:
        assert row.name in row.moved.split()[0:2], "its own condition moves"
        assert bool(row.of) is (CATALOGUE[row.name].scope is Scope.CONTAINER)


class Scene:
    """One engine with its containers, the agent that watches them, and another on a host of recorded files."""

    def __init__(self, engine: PrivateEngine, broker: PrivateBroker, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        (folder / "shared").mkdir()
        self.containers = Containers(engine, folder / "shared", swap=CAN_SWAP)
        self.recorded = RecordedHost(folder / "proc")
        self.held = contextlib.ExitStack()
        if CAN_SWAP:
            self.held.enter_context(swap_file(64 * MIB))
        self._pool = ThreadPoolExecutor(4)
        self._moving: list[Future[object]] = []
        self.rested: set[Row] = set()
        self.containers.start()
        self.agent, self.watch = self._agent(broker, {})
        self.other, self.other_watch = self._agent(broker, {"proc_root": str(self.recorded.root)})

    def _agent(self, broker: PrivateBroker, sampling: Mapping[str, str]) -> tuple[AgentProcess, AgentWatch]:
        agent = AgentProcess(
            engine_url=self.engine.url,
            mqtt_url=broker.url,
            policies="version: 1\npolicies: []\n",
            settings={"sampling": sampling},
        )
        watch = AgentWatch(broker.port, agent.host).start()
        self.held.callback(watch.stop)
        self.held.callback(agent.close)
        agent.start()
        return agent, watch

    def values(self, container: str | None = None) -> dict[str, float | None]:
        """What the agent says of every name: what `watchtower-agent metrics --json` prints."""
        found: dict[str, float | None] = self.agent.ask("metrics", container=container)["values"]
        return found

    def _numbers(self) -> dict[str, float]:
        return {name: value for name, value in self.values().items() if value is not None}

    def rests(self) -> None:
        """Write a policy for how each name stands before it is moved, and one for after; wait until all rest."""
        deadline = time.monotonic() + patient(30)
        while len(now := self._numbers()) < len(self.values()):
            assert time.monotonic() < deadline, f"known is only: {sorted(now)}"
            time.sleep(0.1)  # what is known of a name is told to who asks, and to nobody else
        text = "version: 1\npolicies:\n" + HEAL + "".join(row.policies() for row in OF_EVENTS)
        self.agent.write_policies(
            text + "".join(r.policies(self._known(now)) for r in ROWS if r not in OF_A_RECORDED_HOST)
        )
        self.other.write_policies("version: 1\npolicies:\n" + "".join(r.policies({}) for r in OF_A_RECORDED_HOST))
        for agent in (self.agent, self.other):
            agent.send(signal.SIGHUP)
            agent.wait_log("policy_loaded", count=2)
        self.containers.newborn()
        unknown = [row for row in ROWS if row.rest == UNKNOWN and self.values(row.of)[row.name] is None]
        self.rested.update(unknown)
        with ThreadPoolExecutor(len(ROWS)) as pool:
            resting = [row for row in ROWS if row.rest != UNKNOWN]
            fired = pool.map(lambda row: asyncio.run(self.fires(row, "rest")), resting)
            self.rested.update(row for row, rests in zip(resting, fired, strict=True) if rests)

    async def fires(self, row: Row, when: str) -> bool:
        """Wait until one of the row's policies has fired; False when it does not."""
        watch = self.other_watch if row in OF_A_RECORDED_HOST else self.watch
        policy = row.policy(when)
        with contextlib.suppress(AssertionError):
            await watch.until_told(
                "policy", "firing", timeout=30, where=lambda told: bool(told.data["policy"] == policy)
            )
            return True
        return False

    async def check(self, row: Row) -> None:
        """It was at rest, and has moved."""
        # Where others keep the processors busy all the time they are never at rest: recorded files show the whole way.
        never_idle = row in OF_PROCESSORS and os.getloadavg()[0] > 2 * (os.cpu_count() or 1)
        assert never_idle or row in self.rested, f"{row.name} was never {row.rest or 'unknown'}"
        if not await self.fires(row, "moved"):
            container = self.engine.docker("ps", "-aq", f"--filter=label=moves={row.of}") if row.of else None
            pytest.fail(f"{row.name} is {self.values(container)[row.name]}, and was never {row.moved}")

    def move(self) -> None:
        """Move everything of containers and of the host, all at once; before that the processors alone."""
        with burning():
            for row in OF_PROCESSORS:
                self._wait_for(row.name)
        self._moving = [self._pool.submit(mover) for mover in (*self.containers.movers(), self.containers.drop_frames)]
        self.held.enter_context(waiting_tasks(100))
        self.ballast = bytearray(b"x") * (400 * MIB)
        data = self.engine.directory / "data"
        for number in range(int(0.8 * 20_000)):
            (data / f"inode-{number}").touch()
        (data / "filling").write_bytes(bytes(200 * MIB))
        self.recorded.press()

    def shake(self) -> None:
        """Move everything of the engine, one after the other; what others need of it is let go before."""
        for moving in self._moving:
            moving.result(patient(60))
        del self.ballast
        (self.engine.directory / "data" / "filling").unlink()
        self.engine.docker("kill", "burner", "disks", "client", "server", "patient")
        hammer(self.engine, 5.0)
        make_it_swell(self.engine)
        with waiting_threads(self.engine, "many", 40):
            self._wait_for("engine.threads")
        stutter(self.engine, lambda: self._has_moved("engine.latency"))
        self._hold_the_agent()
        self.engine.freeze()
        self._wait_for("engine.responding")
        self.engine.thaw()
        self.engine.load_image("busybox:third")
        self.engine.stop()
        self._wait_for("engine.connected")
        self.engine.start(wait=False)
        self.held.enter_context(held_connections(self.engine, 400))
        self.engine.wait_until_up()

    def _wait_for(self, name: str) -> None:
        asyncio.run(self.fires(row_of(name), "moved"))

    def _has_moved(self, name: str) -> bool:
        policy = row_of(name).policy("moved")
        return bool(self.watch.told("policy", "firing", where=lambda told: bool(told.data["policy"] == policy)))

    def _hold_the_agent(self) -> None:
        """An event happens while the agent can't take it."""
        self.agent.send(signal.SIGSTOP)
        try:
            self.engine.api("POST", "/volumes/create", {"Name": "late"})
            time.sleep(1.2)  # that late it is
        finally:
            self.agent.send(signal.SIGCONT)

    def _known(self, now: Mapping[str, float]) -> dict[str, object]:
        available, share, load1, load5 = (
            now[f"host.{name}"] for name in ("memory.available", "memory.percent", "load1", "load5")
        )
        percent = available / (100 - share)  # bytes
        images = {name: self.engine.api("GET", f"/images/{image}/json")["Id"] for name, image in IMAGES.items()}
        return images | {
            "memory_before": int(available - 120 * MIB),
            "memory_after": int(available - 250 * MIB),
            "share_before": f"{share + 120 * MIB / percent:.3f}",
            "share_after": f"{share + 250 * MIB / percent:.3f}",
            "load1_before": f"{load1 + 1.5:.3f}",
            "load1_after": f"{load1 + 2.5:.3f}",
            "load5_before": f"{load5 + 0.4:.3f}",
            "load5_after": f"{load5 + 0.6:.3f}",
            "engine_memory_before": int(now["engine.memory"] + 15 * MIB),
            "engine_memory_after": int(now["engine.memory"] + 25 * MIB),
            "threads_before": int(now["engine.threads"]) + 10,
            "threads_after": int(now["engine.threads"]) + 20,
            "count": len(self.containers.names),
            **_shares(now),
        }

    def close(self) -> None:
        """End the agents, and whatever still moves."""
        for agent in (self.agent, self.other):
            if agent.running:
                agent.send(signal.SIGCONT)
                agent.stop()
            agent.check_log()
        self._pool.shutdown(cancel_futures=True)
        self.recorded.close()
        # what it has in swap would have to go into a memory that is too small for it
        self.engine.docker("rm", "--force", "swapper", check=False)
        self.held.close()


def _shares(now: Mapping[str, float]) -> dict[str, str]:
    """Of the machine's time and of its swap, what is a little more than it was before, and what is a lot more."""
    found = {}
    for name, key, calm, little, lot in (
        ("cpu.percent", "cpu", 40, 0.3, 0.6),
        ("pressure.cpu", "waits", 40, 0.3, 0.6),
        ("pressure.memory", "stalls", 1, 0.001, 0.002),
        ("pressure.io", "disks", 2, 0.005, 0.01),
    ):
        before = min(now[f"host.{name}"], calm)  # containers have just been started: it may be far from its rest
        for when, part in (("before", little), ("after", lot)):
            found[f"{key}_{when}"] = f"{before + part * (100 - before):.3f}"
    total = psutil.swap_memory().total
    for when, more in (("before", 10 * MIB), ("after", 30 * MIB)):
        found[f"swap_{when}"] = f"{now['host.swap.percent'] + 100 * more / total if total else 0:.3f}"
    return found


IMAGES = {"image": IMAGE, "other_image": OTHER_IMAGE}


def row_of(name: str) -> Row:
    return next(row for row in ROWS if row.name == name)


@pytest.fixture(scope="module")
def scene(module_broker: PrivateBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Everything was at rest, and moves now."""
    with engine_on_a_small_disk() as engine:
        scene = Scene(engine, module_broker, tmp_path_factory.mktemp("scene"))
        try:
            scene.rests()
            scene.move()
            yield scene
        finally:
            scene.close()


@pytest.fixture(scope="module")
def shaken(scene: Scene) -> Scene:
    """The engine was moved too."""
    scene.shake()
    return scene


def _name_and_host(row: Row) -> str:
    return f"{row.name}-recorded" if row in OF_A_RECORDED_HOST else row.name


@pytest.mark.parametrize("row", [*OF_CONTAINERS, *OF_HOST, *OF_A_BUSY_HOST, *OF_A_RECORDED_HOST], ids=_name_and_host)
async def test_it_moves(scene: Scene, row: Row) -> None:
    await scene.check(row)


@pytest.mark.parametrize("row", OF_ENGINE, ids=lambda row: row.name)
async def test_it_moves_with_the_engine(shaken: Scene, row: Row) -> None:
    await shaken.check(row)


@pytest.mark.parametrize("row", OF_EVENTS, ids=lambda row: row.name)
async def test_it_differs_between_events(shaken: Scene, row: EventRow) -> None:
    for policy in row.names:
        await shaken.watch.until_told("action", "notify", where=lambda told, of=policy: bool(told.data["policy"] == of))  # type: ignore[misc] # mypy takes no default
